/* SPDX-License-Identifier: Apache-2.0 */
/* libcuda.so.1 belongs to the driver, so it is not linked: it is opened when it is needed, and its absence is no
 * error.  The few entry points are declared here, so that no CUDA header is needed. */
#include "device/devices.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* CUdevice_attribute */
enum {
    CLOCK_RATE = 13, /* kHz, the highest that the device allows */
    MULTIPROCESSOR_COUNT = 16,
    COMPUTE_CAPABILITY_MAJOR = 75,
    COMPUTE_CAPABILITY_MINOR = 76,
};

enum {
    OLDEST_DRIVER = 12030, /* CUDA 12.3, the oldest toolkit that the kernels compile with */
};

struct driver {
    int (*init)(unsigned flags);
    int (*version)(int *version);
    int (*device_count)(int *count);
    int (*device_get)(int *device, int index);
    int (*device_name)(char *name, int size, int device);
    int (*device_memory)(size_t *bytes, int device);
    int (*device_attribute)(int *value, int attribute, int device);
};

/* C has no cast from void * to a function pointer; POSIX allows copying the bytes. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool driver_open(void *library, struct driver *d)
{
    return find(library, "cuInit", &d->init) && find(library, "cuDriverGetVersion", &d->version) &&
           find(library, "cuDeviceGetCount", &d->device_count) && find(library, "cuDeviceGet", &d->device_get) &&
           find(library, "cuDeviceGetName", &d->device_name) &&
           find(library, "cuDeviceTotalMem_v2", &d->device_memory) &&
           find(library, "cuDeviceGetAttribute", &d->device_attribute);
}

static void describe(const struct driver *d, int version, int index, vic_device_info *info)
{
    int device = 0, major = 0, minor = 0, multiprocessors = 0, khz = 0;
    size_t bytes = 0;
    info->device = (vic_device){ VIC_CUDA, index };
    int code = d->device_get(&device, index);
    if (code == 0) code = d->device_name(info->name, (int)sizeof info->name - 1, device);
    if (code == 0) code = d->device_memory(&bytes, device);
    if (code == 0) code = d->device_attribute(&major, COMPUTE_CAPABILITY_MAJOR, device);
    if (code == 0) code = d->device_attribute(&minor, COMPUTE_CAPABILITY_MINOR, device);
    if (code == 0) code = d->device_attribute(&multiprocessors, MULTIPROCESSOR_COUNT, device);
    if (code == 0) code = d->device_attribute(&khz, CLOCK_RATE, device);
    info->memory_bytes = (int64_t)bytes;
    if (code != 0) {
        snprintf(info->detail, sizeof info->detail, "device query failed (CUDA error %d)", code);
        return;
    }
    snprintf(info->detail, sizeof info->detail, "sm_%d%d, %d multiprocessors, up to %d MHz, driver CUDA %d.%d", major,
             minor, multiprocessors, khz / 1000, version / 1000, version % 1000 / 10);
}

int cuda_describe(int index, vic_device_info *info, char *note, size_t size)
{
    struct driver d = { 0 };
    int version = 0, count = 0, code;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    note[0] = '\0';
    if (!library) {
        snprintf(note, size, "no NVIDIA driver on this machine (libcuda.so.1 not found)");
        return 0;
    }
    if (!driver_open(library, &d)) {
        snprintf(note, size, "the NVIDIA driver library lacks entry points: reinstall the driver");
    } else if ((code = d.version(&version)) != 0) {
        snprintf(note, size, "cannot read the version of the NVIDIA driver (CUDA error %d)", code);
    } else if (version < OLDEST_DRIVER) {
        snprintf(note, size, "the NVIDIA driver supports CUDA %d.%d; vicinal needs %d.%d or newer: update the driver",
                 version / 1000, version % 1000 / 10, OLDEST_DRIVER / 1000, OLDEST_DRIVER % 1000 / 10);
    } else if ((code = d.init(0)) != 0 || (code = d.device_count(&count)) != 0 || count == 0) {
        snprintf(note, size, "an NVIDIA driver is installed, but no GPU answers (CUDA error %d)", code);
        count = 0;
    }
    if (index >= 0 && index < count) describe(&d, version, index, info);
    /* The library stays open: a driver that was initialised must not be unmapped. */
    return count;
}
