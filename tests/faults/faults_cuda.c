/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/faults_cuda.h"
#include "faults/cuda_stand_in.h"
#include "faults/faults.h"

#include <dlfcn.h>
#include <string.h>

static bool real;
static _Thread_local cudaError_t pending; /* of a call that was made to fail, or of the stand-in */
static struct cuda_counts counts;         /* changed by several threads */

static void add(long *count, long n)
{
    __atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}

static cudaError_t error_of(const char *call)
{
    return strcmp(call, "cudaMalloc") == 0 ? cudaErrorMemoryAllocation : cudaErrorUnknown;
}

static cudaError_t keep(cudaError_t code)
{
    if (code != cudaSuccess && !real) pending = code;
    return code;
}

static cudaError_t failure(const char *call)
{
    return pending = error_of(call);
}

#define DECLARE(name, parameters)                                                                                    \
    cudaError_t __real_##name parameters;                                                                            \
    cudaError_t __wrap_##name parameters;

#define WRAP(name, parameters, arguments)                                                                            \
    DECLARE(name, parameters)                                                                                        \
    cudaError_t __wrap_##name parameters                                                                             \
    {                                                                                                                \
        if (faults_hit(#name)) return failure(#name);                                                                \
        return keep(real ? __real_##name arguments : stand_in_##name arguments);                                     \
    }

/* Makes something that must be given back. */
#define MAKES(name, parameters, arguments, counter)                                                                  \
    DECLARE(name, parameters)                                                                                        \
    cudaError_t __wrap_##name parameters                                                                             \
    {                                                                                                                \
        if (faults_hit(#name)) return failure(#name);                                                                \
        cudaError_t code = keep(real ? __real_##name arguments : stand_in_##name arguments);                         \
        if (code == cudaSuccess) add(&counts.counter, 1);                                                            \
        return code;                                                                                                 \
    }

/* Gives it back, and does so when it fails too: such a call fails with the error of work before it. */
#define UNMAKES(name, parameters, thing, counter)                                                                    \
    DECLARE(name, parameters)                                                                                        \
    cudaError_t __wrap_##name parameters                                                                             \
    {                                                                                                                \
        bool fail = faults_hit(#name);                                                                               \
        cudaError_t code = keep(real ? __real_##name(thing) : stand_in_##name(thing));                               \
        if (code == cudaSuccess && thing) add(&counts.counter, -1);                                                  \
        return fail ? failure(#name) : code;                                                                         \
    }

WRAP(cudaGetDeviceCount, (int *count), (count))
WRAP(cudaGetDevice, (int *device), (device))
WRAP(cudaSetDevice, (int device), (device))
WRAP(cudaDeviceGetAttribute, (int *value, enum cudaDeviceAttr attribute, int device), (value, attribute, device))
WRAP(cudaDeviceSynchronize, (void), ())
MAKES(cudaMalloc, (void **out, size_t bytes), (out, bytes), memory)
UNMAKES(cudaFree, (void *memory), memory, memory)
MAKES(cudaMallocAsync, (void **out, size_t bytes, cudaStream_t stream), (out, bytes, stream), memory)
MAKES(cudaMallocFromPoolAsync, (void **out, size_t bytes, cudaMemPool_t pool, cudaStream_t stream),
      (out, bytes, pool, stream), memory)
MAKES(cudaMallocHost, (void **out, size_t bytes), (out, bytes), memory)
UNMAKES(cudaFreeHost, (void *memory), memory, memory)
MAKES(cudaMemPoolCreate, (cudaMemPool_t * out, const struct cudaMemPoolProps *props), (out, props), pools)
UNMAKES(cudaMemPoolDestroy, (cudaMemPool_t pool), pool, pools)
WRAP(cudaMemPoolSetAttribute, (cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value),
     (pool, attribute, value))
WRAP(cudaMemcpy, (void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind), (to, from, bytes, kind))
WRAP(cudaMemcpyAsync, (void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream),
     (to, from, bytes, kind, stream))
WRAP(cudaIpcGetMemHandle, (cudaIpcMemHandle_t * handle, void *memory), (handle, memory))
MAKES(cudaIpcOpenMemHandle, (void **out, cudaIpcMemHandle_t handle, unsigned flags), (out, handle, flags), memory)
UNMAKES(cudaIpcCloseMemHandle, (void *memory), memory, memory)
WRAP(cudaMemcpyPeer, (void *to, int to_device, const void *from, int from_device, size_t bytes),
     (to, to_device, from, from_device, bytes))
WRAP(cudaMemset, (void *memory, int value, size_t bytes), (memory, value, bytes))
WRAP(cudaMemsetAsync, (void *memory, int value, size_t bytes, cudaStream_t stream), (memory, value, bytes, stream))
MAKES(cudaStreamCreateWithFlags, (cudaStream_t * out, unsigned flags), (out, flags), streams)
UNMAKES(cudaStreamDestroy, (cudaStream_t stream), stream, streams)
WRAP(cudaStreamSynchronize, (cudaStream_t stream), (stream))
WRAP(cudaStreamQuery, (cudaStream_t stream), (stream))
WRAP(cudaEventQuery, (cudaEvent_t event), (event))
WRAP(cudaStreamBeginCapture, (cudaStream_t stream, enum cudaStreamCaptureMode mode), (stream, mode))
UNMAKES(cudaGraphDestroy, (cudaGraph_t graph), graph, graphs)
MAKES(cudaGraphInstantiate, (cudaGraphExec_t * out, cudaGraph_t graph, unsigned long long flags), (out, graph, flags),
      replays)
UNMAKES(cudaGraphExecDestroy, (cudaGraphExec_t replay), replay, replays)
WRAP(cudaGraphLaunch, (cudaGraphExec_t replay, cudaStream_t stream), (replay, stream))
MAKES(cudaEventCreate, (cudaEvent_t * out), (out), events)
UNMAKES(cudaEventDestroy, (cudaEvent_t event), event, events)
WRAP(cudaEventRecord, (cudaEvent_t event, cudaStream_t stream), (event, stream))
WRAP(cudaEventElapsedTime, (float *milliseconds, cudaEvent_t from, cudaEvent_t to), (milliseconds, from, to))
WRAP(cudaFuncSetAttribute, (const void *kernel, enum cudaFuncAttribute attribute, int value),
     (kernel, attribute, value))
WRAP(cudaGetDriverEntryPointByVersion,
     (const char *name, void **out, unsigned version, unsigned long long flags,
      enum cudaDriverEntryPointQueryResult *found),
     (name, out, version, flags, found))
MAKES(cudaLaunchKernel,
      (const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream),
      (kernel, grid, block, arguments, shared, stream), launches)
MAKES(cudaLaunchKernelExC, (const cudaLaunchConfig_t *config, const void *kernel, void **arguments),
      (config, kernel, arguments), launches)

/* Gives the memory back in any case. */
DECLARE(cudaFreeAsync, (void *memory, cudaStream_t stream))
cudaError_t __wrap_cudaFreeAsync(void *memory, cudaStream_t stream)
{
    bool fail = faults_hit("cudaFreeAsync");
    cudaError_t code = keep(real ? __real_cudaFreeAsync(memory, stream) : stand_in_cudaFreeAsync(memory, stream));
    if (code == cudaSuccess && memory) add(&counts.memory, -1);
    return fail ? failure("cudaFreeAsync") : code;
}

/* Ends the capture in any case, and then has no graph to give. */
DECLARE(cudaStreamEndCapture, (cudaStream_t stream, cudaGraph_t *out))
cudaError_t __real_cudaGraphDestroy(cudaGraph_t graph);
cudaError_t __wrap_cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    bool fail = faults_hit("cudaStreamEndCapture");
    cudaError_t code =
        keep(real ? __real_cudaStreamEndCapture(stream, out) : stand_in_cudaStreamEndCapture(stream, out));
    if (code != cudaSuccess) return code;
    if (!fail) {
        add(&counts.graphs, 1);
        return code;
    }
    if (real)
        __real_cudaGraphDestroy(*out);
    else
        stand_in_cudaGraphDestroy(*out);
    *out = NULL;
    return failure("cudaStreamEndCapture");
}

DECLARE(cudaGetLastError, (void))
cudaError_t __wrap_cudaGetLastError(void)
{
    cudaError_t code = pending;
    pending = cudaSuccess;
    return code == cudaSuccess && real ? __real_cudaGetLastError() : code;
}

/* ---- libraries that are opened at run time ---- */

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags)
{
    void *library = !real && name ? stand_in_library(name) : NULL;
    return library ? library : __real_dlopen(name, flags);
}

void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name)
{
    return stand_in_is_library(library) ? stand_in_symbol(library, name) : __real_dlsym(library, name);
}

/* ---- for the test ---- */

bool cuda_calls_open(void)
{
    int devices = 0, major = 0;
    real = __real_cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0 &&
           __real_cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess && major == 9;
    __real_cudaGetLastError();
    return real;
}

bool cuda_calls_real(void)
{
    return real;
}

struct cuda_counts cuda_calls_counts(void)
{
    return counts;
}

int cuda_calls_pending(void)
{
    return pending != cudaSuccess || !real ? (int)pending : (int)cudaPeekAtLastError();
}

void cuda_calls_leave(bool error)
{
    pending = error ? cudaErrorInvalidValue : cudaSuccess;
}

int cuda_calls_devices(void)
{
    int count = 0;
    __wrap_cudaGetDeviceCount(&count);
    return count;
}

int cuda_calls_current(void)
{
    int device = -1;
    __wrap_cudaGetDevice(&device);
    return device;
}

void cuda_calls_choose(int device)
{
    __wrap_cudaSetDevice(device);
}

void *cuda_calls_stream(void)
{
    cudaStream_t stream = NULL;
    __wrap_cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    return stream;
}

void cuda_calls_stream_free(void *stream)
{
    __wrap_cudaStreamDestroy(stream);
}

void cuda_calls_wait(void *stream)
{
    if (real) __real_cudaStreamSynchronize(stream);
}

const char *cuda_calls_reason(const char *call)
{
    if (strncmp(call, "cublas", 6) == 0) return "CUBLAS_STATUS_ALLOC_FAILED";
    return strcmp(call, "cuTensorMapEncodeTiled") == 0 || strcmp(call, "cuMemGetAddressRange") == 0
               ? "CUDA error 999"
               : cudaGetErrorString(error_of(call));
}
