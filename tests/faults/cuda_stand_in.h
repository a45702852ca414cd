/* SPDX-License-Identifier: Apache-2.0 */
/* A CUDA runtime, driver and cuBLAS for machines without a GPU, so that what the host does around them can be tested
 * there: two devices whose memory is the host's, streams and graphs that do what they are given at once, and kernels
 * that compute nothing.  Only the fused kernel writes: what attention over no pairs at all gives, zeros and -inf, so
 * that commands that check their result can be run on a pattern without pairs. */
#ifndef VIC_TESTS_FAULTS_CUDA_STAND_IN_H
#define VIC_TESTS_FAULTS_CUDA_STAND_IN_H

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>

enum { STAND_IN_DEVICES = 2 };

cudaError_t stand_in_cudaGetDeviceCount(int *count);
cudaError_t stand_in_cudaGetDevice(int *device);
cudaError_t stand_in_cudaSetDevice(int device);
cudaError_t stand_in_cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device);
cudaError_t stand_in_cudaDeviceSynchronize(void);
cudaError_t stand_in_cudaMalloc(void **out, size_t bytes);
cudaError_t stand_in_cudaFree(void *memory);
cudaError_t stand_in_cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream);
cudaError_t stand_in_cudaMallocFromPoolAsync(void **out, size_t bytes, cudaMemPool_t pool, cudaStream_t stream);
cudaError_t stand_in_cudaFreeAsync(void *memory, cudaStream_t stream);
cudaError_t stand_in_cudaMallocHost(void **out, size_t bytes);
cudaError_t stand_in_cudaFreeHost(void *memory);
cudaError_t stand_in_cudaMemPoolCreate(cudaMemPool_t *out, const struct cudaMemPoolProps *props);
cudaError_t stand_in_cudaMemPoolDestroy(cudaMemPool_t pool);
cudaError_t stand_in_cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value);
cudaError_t stand_in_cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
cudaError_t stand_in_cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device, size_t bytes);
cudaError_t stand_in_cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                     cudaStream_t stream);
cudaError_t stand_in_cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *memory);
cudaError_t stand_in_cudaIpcOpenMemHandle(void **out, cudaIpcMemHandle_t handle, unsigned flags);
cudaError_t stand_in_cudaIpcCloseMemHandle(void *memory);
cudaError_t stand_in_cudaMemset(void *memory, int value, size_t bytes);
cudaError_t stand_in_cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t stand_in_cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags);
cudaError_t stand_in_cudaStreamDestroy(cudaStream_t stream);
cudaError_t stand_in_cudaStreamSynchronize(cudaStream_t stream);
cudaError_t stand_in_cudaStreamQuery(cudaStream_t stream);
cudaError_t stand_in_cudaEventQuery(cudaEvent_t event);
cudaError_t stand_in_cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t stand_in_cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out);
cudaError_t stand_in_cudaGraphDestroy(cudaGraph_t graph);
cudaError_t stand_in_cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags);
cudaError_t stand_in_cudaGraphExecDestroy(cudaGraphExec_t replay);
cudaError_t stand_in_cudaGraphLaunch(cudaGraphExec_t replay, cudaStream_t stream);
cudaError_t stand_in_cudaEventCreate(cudaEvent_t *out);
cudaError_t stand_in_cudaEventDestroy(cudaEvent_t event);
cudaError_t stand_in_cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t stand_in_cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t stand_in_cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value);
cudaError_t stand_in_cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared,
                                      cudaStream_t stream);
cudaError_t stand_in_cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **arguments);
cudaError_t stand_in_cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version,
                                                      unsigned long long flags,
                                                      enum cudaDriverEntryPointQueryResult *found);
CUresult stand_in_cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *data,
                                         const cuuint64_t *sizes, const cuuint64_t *strides, const cuuint32_t *box,
                                         const cuuint32_t *step, CUtensorMapInterleave interleave,
                                         CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                         CUtensorMapFloatOOBfill fill);

/* libcuda.so.1 and libcublas.so.*: a handle for dlsym(), or NULL for other names. */
void *stand_in_library(const char *name);
/* Is it such a handle? */
bool stand_in_is_library(const void *handle);
/* Their functions count as operations and fail when told to. */
void *stand_in_symbol(void *library, const char *name);

#endif
