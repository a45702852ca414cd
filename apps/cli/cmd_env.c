/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "numbers.h"
#include "options.h"
#include "text.h"

#include <stdlib.h>

static const char *kind_name(vic_device_kind kind)
{
    return kind == VIC_CUDA ? "cuda" : "cpu";
}

static vic_status env_json(const vic_device_info *devices, int count, const char *note, vic_error *err)
{
    struct json j = { 0 };
    vic_error problem;
    vic_status st;
    json_object(&j, NULL);
    json_text(&j, "version", vic_version());
    json_text(&j, "build", vic_build_info());
    json_array(&j, "devices");
    for (int i = 0; i < count; i++) {
        json_object(&j, NULL);
        json_text(&j, "kind", kind_name(devices[i].device.kind));
        json_int(&j, "index", devices[i].device.index);
        json_text(&j, "name", devices[i].name);
        json_int(&j, "memory_bytes", devices[i].memory_bytes);
        json_text(&j, "detail", devices[i].detail);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_text(&j, "cuda_note", note);
    json_array(&j, "kernels");
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info kernel = vic_kernel_get(i);
        json_object(&j, NULL);
        json_text(&j, "name", kernel.name);
        json_text(&j, "device", kernel.device);
        json_bool(&j, "available", kernel.available);
        json_text(&j, "reason", kernel.reason);
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object(&j, "switches");
    for (int i = 0; i < vic_switch_count(); i++) json_text(&j, vic_switch_get(i).name, vic_switch_get(i).value);
    json_object_end(&j);
    json_text(&j, "switch_problem", vic_switches_check(&problem) == VIC_OK ? "" : problem.text);
    json_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void env_text(const vic_device_info *devices, int count, const char *note)
{
    vic_error problem;
    text_title("vicinal %s", vic_version());
    text_row("build", "%s", vic_build_info());
    text_title("devices");
    for (int i = 0; i < count; i++) {
        char label[32];
        snprintf(label, sizeof label, devices[i].device.kind == VIC_CUDA ? "%s:%d" : "%s",
                 kind_name(devices[i].device.kind), devices[i].device.index);
        text_row(label, "%s%s%s%s%s", devices[i].name, *devices[i].detail ? ", " : "", devices[i].detail,
                 devices[i].memory_bytes ? ", " : "",
                 devices[i].memory_bytes ? bytes_text((uint64_t)devices[i].memory_bytes).s : "");
    }
    if (*note) text_row("cuda", "%s", note);
    text_title("kernels (best first)");
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info kernel = vic_kernel_get(i);
        text_row(kernel.device, "%-24s%s%s", kernel.name,
                 kernel.available ? "available" : "unavailable: ", kernel.available ? "" : kernel.reason);
    }
    text_title("switches (environment variables)");
    for (int i = 0; i < vic_switch_count(); i++) {
        vic_switch_info info = vic_switch_get(i);
        text_row(info.name, "%-16s%s", *info.value ? info.value : "(unset)", info.help);
    }
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
    vic_device_info *devices = NULL;
    char note[256] = "";
    int count, room;
    vic_status st;
    TRY(options_read(&syntax, argc, argv, NULL, &helped, err));
    if (helped) return VIC_OK;
    room = vic_devices(0, NULL, note);
    TRY(allocate(room, sizeof *devices, "the list of devices", &devices, err));
    count = vic_devices(room, devices, note);
    if (count > room) count = room; /* a GPU that did not answer the first time */
    st = VIC_OK;
    if (json)
        st = env_json(devices, count, note, err);
    else
        env_text(devices, count, note);
    free(devices);
    return st;
}
