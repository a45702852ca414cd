/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "numbers.h"
#include "options.h"
#include "text.h"
#include "vicinal_dev.h"

#include <stdio.h>

static const char *kind_name(const vic_device_info *d)
{
    return d->device.type == VIC_CUDA ? "cuda" : "cpu";
}

/* Why the list of devices ends after `count`: a sentence about CUDA where no GPU can be used, else "". */
static const char *cuda_note(int count, const vic_error *end)
{
    return count > 1 ? "" : end->text;
}

static void devices_json(struct json *j)
{
    vic_device_info d = VIC_INIT(vic_device_info);
    vic_error end = { VIC_OK, "" };
    int count = 0;
    json_put_array(j, "devices");
    for (; vic_device_get(count, &d, &end) == VIC_OK; count++) {
        json_put_object(j, NULL);
        json_put_text(j, "kind", kind_name(&d));
        json_put_int(j, "index", d.device.index);
        json_put_text(j, "name", d.name);
        json_put_int(j, "memory_bytes", d.memory_bytes);
        json_put_text(j, "detail", d.detail);
        json_put_object_end(j);
    }
    json_put_array_end(j);
    json_put_text(j, "cuda_note", cuda_note(count, &end));
}

static void kernels_json(struct json *j)
{
    vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
    json_put_array(j, "kernels");
    for (int i = 0; i < vic_kernel_count() && vic_kernel_get(i, &kernel, NULL) == VIC_OK; i++) {
        json_put_object(j, NULL);
        json_put_text(j, "name", kernel.name);
        json_put_text(j, "device", kernel.device);
        json_put_bool(j, "backward", kernel.backward);
        json_put_bool(j, "available", kernel.available);
        json_put_text(j, "reason", kernel.reason);
        json_put_object_end(j);
    }
    json_put_array_end(j);
}

static void switches_json(struct json *j)
{
    vic_switch_info info = VIC_INIT(vic_switch_info);
    vic_error problem;
    json_put_object(j, "switches");
    for (int i = 0; i < vic_switch_count() && vic_switch_get(i, &info, NULL) == VIC_OK; i++)
        json_put_text(j, info.name, info.value);
    json_put_object_end(j);
    json_put_text(j, "switch_problem", vic_switches_check(&problem) == VIC_OK ? "" : problem.text);
}

static vic_status env_json(vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    json_put_text(&j, "version", vic_version());
    json_put_text(&j, "build", vic_build_info());
    devices_json(&j);
    kernels_json(&j);
    switches_json(&j);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void devices_text(void)
{
    vic_device_info d = VIC_INIT(vic_device_info);
    vic_error end = { VIC_OK, "" };
    int count = 0;
    text_title("devices");
    for (; vic_device_get(count, &d, &end) == VIC_OK; count++) {
        char label[32];
        snprintf(label, sizeof label, d.device.type == VIC_CUDA ? "%s:%d" : "%s", kind_name(&d), d.device.index);
        text_row(label, "%s%s%s%s%s", d.name, *d.detail ? ", " : "", d.detail, d.memory_bytes ? ", " : "",
                 d.memory_bytes ? bytes_text((uint64_t)d.memory_bytes).s : "");
    }
    if (*cuda_note(count, &end)) text_row("cuda", "%s", cuda_note(count, &end));
}

static void env_text(void)
{
    vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
    vic_switch_info info = VIC_INIT(vic_switch_info);
    vic_error problem;
    text_title("vicinal %s", vic_version());
    text_row("build", "%s", vic_build_info());
    devices_text();
    text_title("kernels (best first)");
    for (int i = 0; i < vic_kernel_count() && vic_kernel_get(i, &kernel, NULL) == VIC_OK; i++)
        text_row(kernel.device, "%-24s%s%s", kernel.name,
                 kernel.available ? "available" : "unavailable: ", kernel.reason);
    text_title("switches (environment variables)");
    for (int i = 0; i < vic_switch_count() && vic_switch_get(i, &info, NULL) == VIC_OK; i++)
        text_row(info.name, "%-16s%s", *info.value ? info.value : "(unset)", info.help);
    if (vic_switches_check(&problem) != VIC_OK) text_row("not accepted", "%s", problem.text);
}

vic_status cmd_env(int argc, char **argv, vic_error *err)
{
    bool json = false, helped;
    const struct option options[] = { { "--json", NULL, "one JSON object on stdout, and nothing else", OPTION_FLAG,
                                        &json, 0, 0, NULL, NULL } };
    const struct option_group groups[] = { { "Options", options, 1 } };
    const struct syntax syntax = { "env", NULL,   "Version, build, devices, kernels and every switch with its value.",
                                   NULL,  groups, 1 };
    TRY(options_read(&syntax, argc, argv, NULL, &helped, err));
    if (helped) return VIC_OK;
    if (json) return env_json(err);
    env_text();
    return VIC_OK;
}
