/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"
#include "base/threads.h"
#include "device/devices.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

void cpu_describe(vic_device_info *info)
{
    int threads = threads_available();
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    info->device = (vic_device){ VIC_CPU, 0 };
    cpu_name(info->name, sizeof info->name);
    info->memory_bytes = pages > 0 && page > 0 ? (int64_t)pages * page : 0;
    snprintf(info->detail, sizeof info->detail, "%d thread%s, %s", threads, threads == 1 ? "" : "s",
             !cpu_lacks_avx512() ? "avx512"
             : !cpu_lacks_avx2() ? "avx2"
                                 : "baseline instructions");
}
