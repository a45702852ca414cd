// SPDX-License-Identifier: Apache-2.0
#include "device/permute.h"

#include "device/cuda_check.h"

namespace
{
// A thread moves one T; neighbouring threads those that lie together.
template <typename T> __global__ void permute_kernel(device_permutation p, const int32_t *order)
{
    const int64_t pieces = p.run / static_cast<int64_t>(sizeof(T)), total = p.n * p.inner[0] * p.inner[1] * pieces;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int64_t piece = i % pieces, second = i / pieces % p.inner[1], rest = i / pieces / p.inner[1];
        const int64_t first = rest % p.inner[0], row = rest / p.inner[0];
        const int64_t from = p.scatter ? row : order[row], to = p.scatter ? order[row] : row;
        const T *read = reinterpret_cast<const T *>(static_cast<const char *>(p.from) + from * p.from_row +
                                                    first * p.from_inner[0] + second * p.from_inner[1]);
        T *write = reinterpret_cast<T *>(static_cast<char *>(p.to) + to * p.to_row + first * p.to_inner[0] +
                                         second * p.to_inner[1]);
        write[piece] = read[piece];
    }
}

template <typename T> cudaError_t launch(const device_permutation *p, const int32_t *order)
{
    const int64_t total = p->n * p->inner[0] * p->inner[1] * (p->run / static_cast<int64_t>(sizeof(T)));
    const int64_t blocks = (total + 255) / 256;
    device_permutation by_value = *p;
    void *arguments[] = { &by_value, &order };
    // Not <<< >>>: that looks the kernel up once and keeps a failure, and its own can be told from others' only by
    // cudaGetLastError(), which also finds what the caller left there.
    return cudaLaunchKernel(reinterpret_cast<const void *>(permute_kernel<T>),
                            dim3(static_cast<unsigned>(blocks < INT32_MAX ? blocks : INT32_MAX)), dim3(256),
                            arguments, 0, nullptr);
}

// As wide as every piece allows.  Dimensions that are not stepped along have strides of 0, so they do not count.
cudaError_t launch_widest(const device_permutation *p, const int32_t *order)
{
    const int64_t together = reinterpret_cast<intptr_t>(p->from) | reinterpret_cast<intptr_t>(p->to) | p->run |
                             p->from_row | p->from_inner[0] | p->from_inner[1] | p->to_row | p->to_inner[0] |
                             p->to_inner[1];
    if (together % 16 == 0) return launch<uint4>(p, order);
    if (together % 8 == 0) return launch<uint2>(p, order);
    if (together % 4 == 0) return launch<uint32_t>(p, order);
    return launch<uint16_t>(p, order);
}
} // namespace

extern "C" vic_status device_permute(vic_device device, const device_permutation *p, const int32_t *order,
                                     vic_error *err)
{
    vic_status st = VIC_OK;
    device_scope scope;
    void *on_device = nullptr;
    const size_t bytes = static_cast<size_t>(p->n) * sizeof *order;
    if (p->n == 0 || p->inner[0] == 0 || p->inner[1] == 0 || p->run == 0) return VIC_OK;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaMalloc(&on_device, bytes), "allocating GPU memory for the order", err), done);
    TRY_GOTO(cuda_check(cudaMemcpy(on_device, order, bytes, cudaMemcpyHostToDevice), "copying the order", err), done);
    TRY_GOTO(cuda_check(launch_widest(p, static_cast<const int32_t *>(on_device)), "putting rows in order", err),
             done);
    TRY_GOTO(cuda_check(cudaStreamSynchronize(nullptr), "putting rows in order", err), done);
done:
    if (on_device) cuda_forget(cudaFree(on_device));
    device_leave(&scope);
    return st;
}
