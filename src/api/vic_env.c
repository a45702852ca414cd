/* SPDX-License-Identifier: Apache-2.0 */
/* What this build and this machine have. */
#include "base/cpu_features.h"
#include "base/switches.h"
#include "base/threads.h"
#include "device/devices.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *vic_build_info(void)
{
    return VIC_BUILD_INFO; /* from cmake/VicinalCompiler.cmake */
}

int vic_kernel_count(void)
{
    return kernel_table_size;
}

/* Of the devices of its kind: what the first one lacks, where none can run it. */
static const char *why_unavailable(const struct kernel *kernel)
{
    char note[256];
    const char *reason = kernel->unavailable((vic_device){ kernel->device, 0 });
    int devices = reason && kernel->device == VIC_CUDA ? cuda_devices(0, NULL, note, sizeof note) : 1;
    for (int i = 1; i < devices; i++)
        if (!kernel->unavailable((vic_device){ kernel->device, i })) return NULL;
    return reason;
}

vic_kernel_info vic_kernel_get(int index)
{
    vic_kernel_info info = { "", "", false, "there is no such kernel" };
    if (index >= 0 && index < kernel_table_size) {
        const struct kernel *kernel = kernel_table[index];
        const char *reason = why_unavailable(kernel);
        info = (vic_kernel_info){ kernel->name, kernel->device == VIC_CUDA ? "cuda" : "cpu", !reason,
                                  reason ? reason : "" };
    }
    return info;
}

vic_status vic_switches_check(vic_error *err)
{
    const char *forced = switch_value(SWITCH_FORCE_KERNEL);
    bool known = *forced == '\0';
    for (int i = 0; i < SWITCH_COUNT; i++) TRY(switch_check((enum switch_id)i, err));
    for (int i = 0; i < kernel_table_size; i++) known |= strcmp(kernel_table[i]->name, forced) == 0;
    if (known) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "VIC_FORCE_KERNEL: there is no kernel '%.80s'; `vicinal env` lists those of this build", forced);
}

static void cpu_name(char *name, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    snprintf(name, size, "CPU");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%.120s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    fclose(file);
}

int vic_devices(int capacity, vic_device_info *devices, char note[256])
{
    char own_note[256];
    int gpus;
    if (capacity > 0) {
        vic_device_info *cpu = &devices[0];
        int threads = threads_available();
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        memset(cpu, 0, sizeof *cpu);
        cpu->device = (vic_device){ VIC_CPU, 0 };
        cpu_name(cpu->name, sizeof cpu->name);
        cpu->memory_bytes = pages > 0 && page > 0 ? (int64_t)pages * page : 0;
        snprintf(cpu->detail, sizeof cpu->detail, "%d thread%s, %s", threads, threads == 1 ? "" : "s",
                 !cpu_lacks_avx512() ? "avx512"
                 : !cpu_lacks_avx2() ? "avx2"
                                     : "baseline instructions");
    }
    gpus =
        cuda_devices(capacity > 1 ? capacity - 1 : 0, capacity > 1 ? devices + 1 : NULL, note ? note : own_note, 256);
    return 1 + gpus;
}
