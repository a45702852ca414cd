/* SPDX-License-Identifier: Apache-2.0 */
/* What this build and this machine have: kernels, switches and devices. */
#include "base/switches.h"
#include "device/devices.h"
#include "kernels/kernels.h"
#include "vicinal_dev.h"

#include <string.h>

const char *vic_build_info(void)
{
    return VIC_BUILD_INFO; /* from cmake/VicinalCompiler.cmake */
}

int vic_kernel_count(void)
{
    return kernel_table_size;
}

/* Returns why none of the devices of the kernel's type can run it, which is what the first of them lacks; else NULL.
 * */
static const char *why_unavailable(const struct kernel *kernel)
{
    char note[256];
    const char *reason = kernel->unavailable((vic_device){ kernel->device, 0 });
    int devices = reason && kernel->device == VIC_CUDA ? cuda_describe(-1, NULL, note, sizeof note) : 1;
    for (int i = 1; i < devices; i++)
        if (!kernel->unavailable((vic_device){ kernel->device, i })) return NULL;
    return reason;
}

vic_status vic_kernel_get(int index, vic_kernel_info *out, vic_error *err)
{
    vic_kernel_info info = VIC_INIT(vic_kernel_info);
    if (index < 0 || index >= kernel_table_size)
        return vic_fail(err, VIC_BAD_ARGUMENT, "index: expected 0 to %d, got %d", kernel_table_size - 1, index);
    const struct kernel *kernel = kernel_table[index];
    const char *reason = why_unavailable(kernel);
    info.name = kernel->name;
    info.device = kernel->device == VIC_CUDA ? "cuda" : "cpu";
    info.available = !reason;
    info.backward = kernel->operation == ATTENTION_BACKWARD;
    info.reason = reason ? reason : "";
    return struct_give(out, &info, sizeof info, "vic_kernel_info", err);
}

static vic_status check_forced(enum switch_id id, enum kernel_operation operation, const char *of, vic_error *err)
{
    const char *forced = switch_value(id);
    if (*forced == '\0') return VIC_OK;
    for (int i = 0; i < kernel_table_size; i++)
        if (kernel_table[i]->operation == operation && strcmp(kernel_table[i]->name, forced) == 0) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "%s: there is no kernel '%.80s' %s; `vicinal env` lists those of this build", switch_name(id),
                    forced, of);
}

vic_status vic_switches_check(vic_error *err)
{
    for (int i = 0; i < SWITCH_COUNT; i++) TRY(switch_check((enum switch_id)i, err));
    TRY(check_forced(SWITCH_FORCE_KERNEL, ATTENTION_FORWARD, "of attention", err));
    return check_forced(SWITCH_FORCE_BACKWARD_KERNEL, ATTENTION_BACKWARD, "of gradients", err);
}

vic_status vic_device_get(int index, vic_device_info *out, vic_error *err)
{
    vic_device_info info = VIC_INIT(vic_device_info);
    char note[256];
    if (index < 0) return vic_fail(err, VIC_BAD_ARGUMENT, "index: expected 0 or more, got %d", index);
    if (index == 0) {
        cpu_describe(&info);
    } else {
        int gpus = cuda_describe(index - 1, &info, note, sizeof note);
        if (index > gpus) return vic_fail(err, VIC_NO_DEVICE, "%s", *note ? note : "there is no GPU of that number");
    }
    return struct_give(out, &info, sizeof info, "vic_device_info", err);
}
