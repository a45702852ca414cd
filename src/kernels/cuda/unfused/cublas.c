/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/unfused/cublas.h"

#ifdef VIC_HAVE_CUDA

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static struct cublas functions;
static const struct cublas *loaded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* C has no cast from void * to a function pointer; POSIX allows copying the bytes. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *library, struct cublas *c)
{
    return find(library, "cublasCreate_v2", &c->create) && find(library, "cublasDestroy_v2", &c->destroy) &&
           find(library, "cublasSetStream_v2", &c->set_stream) &&
           find(library, "cublasSetWorkspace_v2", &c->set_workspace) &&
           find(library, "cublasGemmBatchedEx", &c->gemm_batched) &&
           find(library, "cublasGetStatusString", &c->status_text);
}

static void load(void)
{
    /* On the loader's path, then where NVIDIA's packages put it without adding the folder to that path. */
    static const char *const names[] = { "libcublas.so.13", "libcublas.so.12",
                                         "/usr/local/cuda/lib64/libcublas.so.13",
                                         "/usr/local/cuda/lib64/libcublas.so.12" };
    for (size_t i = 0; i < sizeof names / sizeof *names && !loaded; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!library) continue;
        if (find_all(library, &functions))
            loaded = &functions;
        else
            dlclose(library);
    }
}

const struct cublas *cublas_load(void)
{
    const struct cublas *found;
    pthread_mutex_lock(&lock);
    if (!loaded) load(); /* the last attempt may have failed because memory ran out */
    found = loaded;
    pthread_mutex_unlock(&lock);
    return found;
}

#endif
