/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "commands/gpu_watch.h"
#include "stats.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 1000, PERIOD_MS = 10, CLOCK_SM = 1 /* nvmlClockType_t */ };

/* NVML's functions return 0 when all is well. */
struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*by_index)(unsigned index, void **device);
    int (*by_uuid)(const char *uuid, void **device);
    int (*clock)(void *device, int type, unsigned *mhz);
    int (*power)(void *device, unsigned *milliwatt);
};

struct gpu_watch {
    void *library;
    struct nvml nvml;
    void *device; /* NULL: cannot see */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    struct gpu_seen seen;
    double mhz[MOST];
};

/* C has no cast from void * to a function pointer; POSIX says that the bytes may be copied. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *library, struct nvml *n)
{
    return find(library, "nvmlInit_v2", &n->init) && find(library, "nvmlShutdown", &n->shutdown) &&
           find(library, "nvmlDeviceGetHandleByIndex_v2", &n->by_index) &&
           find(library, "nvmlDeviceGetHandleByUUID", &n->by_uuid) &&
           find(library, "nvmlDeviceGetClockInfo", &n->clock) && find(library, "nvmlDeviceGetPowerUsage", &n->power);
}

/* NVML counts all GPUs of the machine, CUDA those that CUDA_VISIBLE_DEVICES names, by number or by UUID. */
static bool find_device(const struct nvml *n, int index, void **device)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    char name[96], *end;
    if (!visible || !*visible) return n->by_index((unsigned)index, device) == 0;
    for (int i = 0; i < index && visible; i++) visible = strchr(visible, ',') ? strchr(visible, ',') + 1 : NULL;
    if (!visible) return false;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(visible, ","), visible);
    unsigned long number = strtoul(name, &end, 10);
    return (end > name && !*end ? n->by_index((unsigned)number, device) : n->by_uuid(name, device)) == 0;
}

static bool look(const struct gpu_watch *w, struct gpu_state *out)
{
    unsigned mhz = 0, milliwatt = 0;
    if (w->nvml.clock(w->device, CLOCK_SM, &mhz) != 0 || w->nvml.power(w->device, &milliwatt) != 0) return false;
    *out = (struct gpu_state){ mhz, 1e-3 * milliwatt };
    return true;
}

static void *watch(void *argument)
{
    struct gpu_watch *w = argument;
    const struct timespec period = { 0, PERIOD_MS * 1000000L };
    while (!atomic_load(&w->stop)) {
        struct gpu_state now;
        if (w->seen.samples < MOST && look(w, &now)) {
            w->mhz[w->seen.samples++] = now.sm_mhz;
            if (now.watt > w->seen.most_watt) w->seen.most_watt = now.watt;
        }
        nanosleep(&period, NULL);
    }
    return NULL;
}

static const char *open_watch(struct gpu_watch *w, vic_device device)
{
    w->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!w->library) return "not available: this machine has no libnvidia-ml.so.1";
    if (!find_all(w->library, &w->nvml)) return "not available: this libnvidia-ml.so.1 is too old";
    if (w->nvml.init() != 0) return "not available: NVML does not start";
    w->running = true;
    if (!find_device(&w->nvml, device.index, &w->device) || !look(w, &w->seen.before)) {
        w->device = NULL;
        return "not available: NVML does not show this GPU";
    }
    return NULL;
}

struct gpu_watch *gpu_watch_start(vic_device device)
{
    struct gpu_watch *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->seen.note = open_watch(w, device);
    if (!w->seen.note && pthread_create(&w->thread, NULL, watch, w) != 0) {
        w->seen.note = "not available: no thread to watch from";
        w->device = NULL;
    }
    return w;
}

void gpu_watch_stop(struct gpu_watch *w, struct gpu_seen *out)
{
    *out = (struct gpu_seen){ .note = "not available: out of memory" };
    if (!w) return;
    if (w->device) {
        atomic_store(&w->stop, true);
        pthread_join(w->thread, NULL);
        if (!look(w, &w->seen.after) || w->seen.samples == 0) {
            w->seen.note = "not available: NVML stopped answering";
            w->seen.samples = 0;
        } else {
            sort_doubles(w->mhz, w->seen.samples);
            w->seen.least_mhz = w->mhz[0];
            w->seen.median_mhz = quantile(w->mhz, w->seen.samples, 0.5);
        }
    }
    *out = w->seen;
    if (w->running) w->nvml.shutdown();
    if (w->library) dlclose(w->library);
    free(w);
}

/* ---- use at the moment ---- */

struct nvml_utilization {
    unsigned gpu, memory; /* percent */
};
struct nvml_memory {
    unsigned long long total, free, used;
};

/* Opened once, and open until the process ends. */
static struct {
    pthread_once_t once;
    bool there;
    struct nvml nvml;
    int (*uuid)(void *device, char *text, unsigned size);
    int (*utilization)(void *device, struct nvml_utilization *out);
    int (*memory)(void *device, struct nvml_memory *out);
} use = { .once = PTHREAD_ONCE_INIT };

static void open_use(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    use.there = find_all(library, &use.nvml) && find(library, "nvmlDeviceGetUUID", &use.uuid) &&
                find(library, "nvmlDeviceGetUtilizationRates", &use.utilization) &&
                find(library, "nvmlDeviceGetMemoryInfo", &use.memory) && use.nvml.init() == 0;
}

bool gpu_use_now(vic_device device, struct gpu_use *out)
{
    struct nvml_utilization busy = { 0, 0 };
    struct nvml_memory memory = { 0, 0, 0 };
    unsigned milliwatt = 0;
    void *handle;
    pthread_once(&use.once, open_use);
    if (!use.there || !find_device(&use.nvml, device.index, &handle)) return false;
    if (use.uuid(handle, out->uuid, sizeof out->uuid) != 0 || use.memory(handle, &memory) != 0) return false;
    (void)use.utilization(handle, &busy); /* not every GPU tells */
    (void)use.nvml.power(handle, &milliwatt);
    out->utilization = 0.01 * busy.gpu;
    out->watt = 1e-3 * milliwatt;
    out->memory_used = memory.used;
    out->memory_total = memory.total;
    return true;
}
