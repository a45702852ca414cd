/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/cuda_stand_in.h"
#include "faults/faults.h"
#include "kernels/cuda/sm90/entries.h"
#include "kernels/cuda/sm90/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* cuBLAS's workspace, which nobody reads, has 32 MB: not all of it is written each time. */
enum { MOST_SET = 1 << 18 };

/* The fused kernels are those that ask for more shared memory than is usual. */
enum { FUSED = 16 };
static const void *fused[FUSED];

static _Thread_local int current;
static int driver_library, cublas_library; /* their addresses are the handles */

/* A handle of something that holds nothing: enough to be lost, and to be given back once. */
static cudaError_t make(void *out)
{
    void *thing = malloc(1);
    memcpy(out, &thing, sizeof thing);
    return thing ? cudaSuccess : cudaErrorMemoryAllocation;
}

static cudaError_t unmake(void *thing)
{
    free(thing);
    return cudaSuccess;
}

/* ---- the runtime ---- */

cudaError_t stand_in_cudaGetDeviceCount(int *count)
{
    *count = STAND_IN_DEVICES;
    return cudaSuccess;
}

cudaError_t stand_in_cudaGetDevice(int *device)
{
    *device = current;
    return cudaSuccess;
}

cudaError_t stand_in_cudaSetDevice(int device)
{
    if (device < 0 || device >= STAND_IN_DEVICES) return cudaErrorInvalidDevice;
    current = device;
    return cudaSuccess;
}

cudaError_t stand_in_cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    if (device < 0 || device >= STAND_IN_DEVICES) return cudaErrorInvalidDevice;
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = 9; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = 4; return cudaSuccess;
    case cudaDevAttrL2CacheSize: *value = 1 << 16; return cudaSuccess;
    default: return cudaErrorInvalidValue;
    }
}

cudaError_t stand_in_cudaDeviceSynchronize(void)
{
    return cudaSuccess;
}

cudaError_t stand_in_cudaMalloc(void **out, size_t bytes)
{
    *out = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!*out) return cudaErrorMemoryAllocation;
    return stand_in_cudaMemset(*out, 0, bytes);
}

cudaError_t stand_in_cudaFree(void *memory)
{
    return unmake(memory);
}

cudaError_t stand_in_cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    return stand_in_cudaMalloc(out, bytes);
}

cudaError_t stand_in_cudaMallocFromPoolAsync(void **out, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    (void)pool;
    (void)stream;
    return stand_in_cudaMalloc(out, bytes);
}

cudaError_t stand_in_cudaFreeAsync(void *memory, cudaStream_t stream)
{
    (void)stream;
    return unmake(memory);
}

cudaError_t stand_in_cudaMallocHost(void **out, size_t bytes)
{
    return stand_in_cudaMalloc(out, bytes);
}

cudaError_t stand_in_cudaFreeHost(void *memory)
{
    return unmake(memory);
}

cudaError_t stand_in_cudaMemPoolCreate(cudaMemPool_t *out, const struct cudaMemPoolProps *props)
{
    (void)props;
    return make(out);
}

cudaError_t stand_in_cudaMemPoolDestroy(cudaMemPool_t pool)
{
    return unmake(pool);
}

cudaError_t stand_in_cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
    (void)pool;
    (void)value;
    return attribute == cudaMemPoolAttrReleaseThreshold ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t stand_in_cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    (void)kind;
    memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t stand_in_cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                     cudaStream_t stream)
{
    (void)stream;
    return stand_in_cudaMemcpy(to, from, bytes, kind);
}

enum { SHARED = 4096 }; /* bytes that opened memory has */

cudaError_t stand_in_cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *memory)
{
    memset(handle, 0, sizeof *handle);
    memcpy(handle, &memory, sizeof memory);
    return cudaSuccess;
}

cudaError_t stand_in_cudaIpcOpenMemHandle(void **out, cudaIpcMemHandle_t handle, unsigned flags)
{
    static const cudaIpcMemHandle_t none;
    (void)flags;
    if (memcmp(&handle, &none, sizeof none) == 0) return cudaErrorInvalidValue;
    return stand_in_cudaMalloc(out, SHARED);
}

cudaError_t stand_in_cudaIpcCloseMemHandle(void *memory)
{
    return unmake(memory);
}

cudaError_t stand_in_cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device, size_t bytes)
{
    (void)to_device;
    (void)from_device;
    memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t stand_in_cudaMemset(void *memory, int value, size_t bytes)
{
    memset(memory, value, bytes < MOST_SET ? bytes : MOST_SET);
    return cudaSuccess;
}

cudaError_t stand_in_cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    return stand_in_cudaMemset(memory, value, bytes);
}

cudaError_t stand_in_cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    return make(out);
}

cudaError_t stand_in_cudaStreamDestroy(cudaStream_t stream)
{
    return unmake(stream);
}

cudaError_t stand_in_cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    return cudaSuccess;
}

cudaError_t stand_in_cudaStreamQuery(cudaStream_t stream)
{
    (void)stream;
    return cudaSuccess;
}

cudaError_t stand_in_cudaEventQuery(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

cudaError_t stand_in_cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)stream;
    (void)mode;
    return cudaSuccess;
}

cudaError_t stand_in_cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    (void)stream;
    return make(out);
}

cudaError_t stand_in_cudaGraphDestroy(cudaGraph_t graph)
{
    return unmake(graph);
}

cudaError_t stand_in_cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)graph;
    (void)flags;
    return make(out);
}

cudaError_t stand_in_cudaGraphExecDestroy(cudaGraphExec_t replay)
{
    return unmake(replay);
}

cudaError_t stand_in_cudaGraphLaunch(cudaGraphExec_t replay, cudaStream_t stream)
{
    (void)replay;
    (void)stream;
    return cudaSuccess;
}

cudaError_t stand_in_cudaEventCreate(cudaEvent_t *out)
{
    return make(out);
}

cudaError_t stand_in_cudaEventDestroy(cudaEvent_t event)
{
    return unmake(event);
}

cudaError_t stand_in_cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    (void)event;
    (void)stream;
    return cudaSuccess;
}

cudaError_t stand_in_cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    (void)from;
    (void)to;
    *milliseconds = 1.0f;
    return cudaSuccess;
}

cudaError_t stand_in_cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    (void)value;
    for (int i = 0; i < FUSED && attribute == cudaFuncAttributeMaxDynamicSharedMemorySize; i++) {
        if (fused[i] && fused[i] != kernel) continue;
        fused[i] = kernel;
        break;
    }
    return cudaSuccess;
}

cudaError_t stand_in_cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared,
                                      cudaStream_t stream)
{
    (void)kernel;
    (void)grid;
    (void)block;
    (void)arguments;
    (void)shared;
    (void)stream;
    return cudaSuccess;
}

/* The kernel that writes where items are, which alone has blocks of 64 threads. */
static void write_items(const struct entries_params *p, unsigned items)
{
    memcpy(p->to, p->items, items * sizeof *p->items);
    for (unsigned i = 0; p->to_maps && i < 2 * items; i++) p->to_maps[i] = p->maps[i % 2];
}

/* The fused kernel: as if no row had a pair.  Tensors of the tests lie as [rows, heads, d], without gaps. */
cudaError_t stand_in_cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **arguments)
{
    bool is_fused = false;
    for (int i = 0; i < FUSED; i++) is_fused = is_fused || fused[i] == kernel;
    if (!is_fused && config->blockDim.x == 64) write_items(arguments[0], config->gridDim.x);
    if (!is_fused) return cudaSuccess;
    const struct attn_fwd_params *p = arguments[2];
    const int64_t heads = p->out.row / p->d_v, numbers = p->n_q * heads * p->d_v;
    for (int64_t b = 0; b < p->batch; b++) {
        void *out = p->entries ? p->entries[b].out : (uint16_t *)p->out.data + b * p->out.batch;
        float *lse = p->entries ? p->entries[b].lse : p->lse.data ? (float *)p->lse.data + b * p->lse.batch : NULL;
        memset(out, 0, (size_t)numbers * sizeof(uint16_t));
        for (int64_t i = 0; lse && i < p->n_q * heads; i++) lse[i] = -INFINITY;
    }
    return cudaSuccess;
}

/* C has no cast from a function pointer to void *; POSIX says that the bytes may be copied. */
static void *address(void (*function)(void))
{
    void *out;
    memcpy(&out, &function, sizeof out);
    return out;
}

/* Every address is the beginning of an allocation of SHARED bytes. */
static CUresult stand_in_cuMemGetAddressRange(CUdeviceptr *base, size_t *bytes, CUdeviceptr at)
{
    if (faults_hit("cuMemGetAddressRange")) return CUDA_ERROR_UNKNOWN;
    *base = at;
    *bytes = SHARED;
    return CUDA_SUCCESS;
}

cudaError_t stand_in_cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version,
                                                      unsigned long long flags,
                                                      enum cudaDriverEntryPointQueryResult *found)
{
    const bool map = strcmp(name, "cuTensorMapEncodeTiled") == 0, range = strcmp(name, "cuMemGetAddressRange") == 0;
    (void)version;
    (void)flags;
    *out = map     ? address((void (*)(void))stand_in_cuTensorMapEncodeTiled)
           : range ? address((void (*)(void))stand_in_cuMemGetAddressRange)
                   : NULL;
    *found = *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

/* ---- the driver ---- */

CUresult stand_in_cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *data,
                                         const cuuint64_t *sizes, const cuuint64_t *strides, const cuuint32_t *box,
                                         const cuuint32_t *step, CUtensorMapInterleave interleave,
                                         CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                         CUtensorMapFloatOOBfill fill)
{
    (void)type, (void)rank, (void)data, (void)sizes, (void)strides, (void)box, (void)step, (void)interleave;
    (void)swizzle, (void)promotion, (void)fill;
    if (faults_hit("cuTensorMapEncodeTiled")) return CUDA_ERROR_UNKNOWN;
    memset(map, 0, sizeof *map);
    return CUDA_SUCCESS;
}

static int failing(const char *name)
{
    return faults_hit(name) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

static int driver_init(unsigned flags)
{
    (void)flags;
    return failing("cuInit");
}

static int driver_version(int *version)
{
    *version = 13000;
    return failing("cuDriverGetVersion");
}

static int driver_count(int *count)
{
    *count = STAND_IN_DEVICES;
    return failing("cuDeviceGetCount");
}

static int driver_get(int *device, int index)
{
    *device = index;
    return failing("cuDeviceGet");
}

static int driver_name(char *name, int size, int device)
{
    (void)device;
    if (size > 0) strncpy(name, "stand-in", (size_t)size - 1);
    return failing("cuDeviceGetName");
}

static int driver_memory(size_t *bytes, int device)
{
    (void)device;
    *bytes = (size_t)1 << 30;
    return failing("cuDeviceTotalMem_v2");
}

static int driver_attribute(int *value, int attribute, int device)
{
    (void)attribute;
    (void)device;
    *value = 9;
    return failing("cuDeviceGetAttribute");
}

/* ---- cuBLAS ---- */

enum { CUBLAS_ALLOC_FAILED = 3 };

static int cublas_failing(const char *name)
{
    return faults_hit(name) ? CUBLAS_ALLOC_FAILED : 0;
}

static int cublas_create(void **handle)
{
    *handle = NULL;
    return cublas_failing("cublasCreate_v2") ? CUBLAS_ALLOC_FAILED : (int)make(handle);
}

static int cublas_destroy(void *handle)
{
    unmake(handle);
    return cublas_failing("cublasDestroy_v2");
}

static int cublas_stream(void *handle, void *stream)
{
    (void)handle;
    (void)stream;
    return cublas_failing("cublasSetStream_v2");
}

static int cublas_workspace(void *handle, void *workspace, size_t bytes)
{
    (void)handle;
    (void)workspace;
    (void)bytes;
    return cublas_failing("cublasSetWorkspace_v2");
}

static int cublas_gemm(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *const *a,
                       int a_type, int lda, const void *const *b, int b_type, int ldb, const void *beta,
                       void *const *c, int c_type, int ldc, int batch, int sums, int algorithm)
{
    (void)handle, (void)op_a, (void)op_b, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)a_type, (void)lda;
    (void)b, (void)b_type, (void)ldb, (void)beta, (void)c, (void)c_type, (void)ldc, (void)batch, (void)sums;
    (void)algorithm;
    return cublas_failing("cublasGemmBatchedEx");
}

static const char *cublas_text(int status)
{
    return status == CUBLAS_ALLOC_FAILED ? "CUBLAS_STATUS_ALLOC_FAILED" : "?";
}

/* ---- libraries ---- */

void *stand_in_library(const char *name)
{
    if (strcmp(name, "libcuda.so.1") == 0) return &driver_library;
    return strncmp(name, "libcublas", 9) == 0 ? &cublas_library : NULL;
}

bool stand_in_is_library(const void *handle)
{
    return handle == &driver_library || handle == &cublas_library;
}

void *stand_in_symbol(void *library, const char *name)
{
    static const struct {
        const void *library;
        const char *name;
        void (*function)(void);
    } table[] = {
        { &driver_library, "cuInit", (void (*)(void))driver_init },
        { &driver_library, "cuDriverGetVersion", (void (*)(void))driver_version },
        { &driver_library, "cuDeviceGetCount", (void (*)(void))driver_count },
        { &driver_library, "cuDeviceGet", (void (*)(void))driver_get },
        { &driver_library, "cuDeviceGetName", (void (*)(void))driver_name },
        { &driver_library, "cuDeviceTotalMem_v2", (void (*)(void))driver_memory },
        { &driver_library, "cuDeviceGetAttribute", (void (*)(void))driver_attribute },
        { &cublas_library, "cublasCreate_v2", (void (*)(void))cublas_create },
        { &cublas_library, "cublasDestroy_v2", (void (*)(void))cublas_destroy },
        { &cublas_library, "cublasSetStream_v2", (void (*)(void))cublas_stream },
        { &cublas_library, "cublasSetWorkspace_v2", (void (*)(void))cublas_workspace },
        { &cublas_library, "cublasGemmBatchedEx", (void (*)(void))cublas_gemm },
        { &cublas_library, "cublasGetStatusString", (void (*)(void))cublas_text },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].library == library && strcmp(table[i].name, name) == 0) return address(table[i].function);
    return NULL;
}
