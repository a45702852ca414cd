// SPDX-License-Identifier: Apache-2.0
#include "device/combine.h"

#include "device/cuda_check.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace
{
constexpr int WARP = 32, WARPS = 8;

__device__ float read(const combine_tensor &t, vic_dtype dtype, int64_t at)
{
    if (dtype == VIC_F32) return static_cast<const float *>(t.data)[at];
    if (dtype == VIC_F16) return __half2float(static_cast<const __half *>(t.data)[at]);
    return __bfloat162float(static_cast<const __nv_bfloat16 *>(t.data)[at]);
}

__device__ void write(const combine_tensor &t, vic_dtype dtype, int64_t at, float value)
{
    if (dtype == VIC_F32)
        static_cast<float *>(t.data)[at] = value;
    else if (dtype == VIC_F16)
        static_cast<__half *>(t.data)[at] = __float2half(value);
    else
        static_cast<__nv_bfloat16 *>(t.data)[at] = __float2bfloat16(value);
}

// A warp combines a row of a head.  It reads a number of all parts before it writes the result, so the first part may
// be the output.
__global__ void combine_kernel(combine_problem p)
{
    const int64_t number = blockIdx.x * int64_t(WARPS) + threadIdx.y;
    const int lane = static_cast<int>(threadIdx.x);
    if (number >= p.batch * p.rows * p.heads) return;
    const int64_t at[3] = { number / p.heads / p.rows, number / p.heads % p.rows, number % p.heads };
    auto offset = [&](const combine_tensor &t) {
        return at[0] * t.stride[0] + at[1] * t.stride[1] + at[2] * t.stride[2];
    };
    float lse[COMBINE_PARTS], most = -INFINITY, sum = 0;
    for (int k = 0; k < p.parts; k++) {
        lse[k] = static_cast<const float *>(p.part_lse[k].data)[offset(p.part_lse[k])];
        most = fmaxf(most, lse[k]);
    }
    const float base = most == -INFINITY ? 0.0f : most;
    for (int k = 0; k < p.parts; k++) sum += lse[k] = expf(lse[k] - base); // from here on, the weights of the parts
    for (int64_t c = lane; c < p.d; c += WARP) {
        float value = 0;
        for (int k = 0; k < p.parts; k++)
            if (lse[k] != 0) value += lse[k] * read(p.part_out[k], p.part_dtype, offset(p.part_out[k]) + c);
        write(p.out, p.out_dtype, offset(p.out) + c, sum == 0 ? 0.0f : value / sum);
    }
    __syncwarp();
    if (lane == 0 && p.lse.data)
        static_cast<float *>(p.lse.data)[offset(p.lse)] = sum == 0 ? -INFINITY : base + logf(sum);
}
} // namespace

extern "C" vic_status device_combine(vic_device device, const combine_problem *p, void *stream, vic_error *err)
{
    vic_status st = VIC_OK;
    device_scope scope;
    combine_problem by_value = *p;
    void *arguments[] = { &by_value };
    const int64_t rows = p->batch * p->rows * p->heads;
    if (rows == 0 || p->d == 0) return VIC_OK;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(cuda_check(cudaLaunchKernel(reinterpret_cast<const void *>(combine_kernel),
                                         dim3(static_cast<unsigned>((rows + WARPS - 1) / WARPS)), dim3(WARP, WARPS),
                                         arguments, 0, static_cast<cudaStream_t>(stream)),
                        "combining parts", err),
             done);
done:
    device_leave(&scope);
    return st;
}
