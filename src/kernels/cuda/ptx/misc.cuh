// SPDX-License-Identifier: Apache-2.0
// Registers, elections, exponentials, conversions: one function per instruction.
#pragma once
#include <cstdint>

namespace ptx
{
template <int REGISTERS> __device__ __forceinline__ void setmaxnreg_inc()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS> __device__ __forceinline__ void setmaxnreg_dec()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Waits until `threads` threads have arrived at barrier `id`, 1 .. 15; __syncthreads() uses barrier 0.
__device__ __forceinline__ void barrier_sync(int id, int threads)
{
    asm volatile("barrier.sync.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Programmatic dependent launch, without effect in launches that do not use it.  The first lets the kernel behind
// this one be set up; the second returns when the kernels before are over and their writes visible.
__device__ __forceinline__ void griddepcontrol_launch_dependents()
{
    asm volatile("griddepcontrol.launch_dependents;");
}

__device__ __forceinline__ void griddepcontrol_wait()
{
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

// True in one thread of a converged warp.
__device__ __forceinline__ bool elect_sync()
{
    uint32_t elected;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "elect.sync _|p, 0xffffffff;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(elected));
    return elected != 0;
}

// Returns the bitwise or over the warp, the same in all threads, in a register that the compiler knows to be uniform.
__device__ __forceinline__ uint32_t redux_sync_or(uint32_t x)
{
    uint32_t y;
    asm volatile("redux.sync.or.b32 %0, %1, 0xffffffff;" : "=r"(y) : "r"(x));
    return y;
}

// 2^x; relative error 2^-22.5, subnormal results are 0, 2^-inf is 0.
__device__ __forceinline__ float ex2_approx_ftz(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// A copy that the compiler neither removes nor moves before what it depends on.
__device__ __forceinline__ uint32_t mov_volatile(uint32_t x)
{
    uint32_t y;
    asm volatile("mov.b32 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

// Two numbers rounded to nearest even; `low` in the low half.
__device__ __forceinline__ uint32_t cvt_rn_f16x2(float low, float high)
{
    uint32_t packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ uint32_t cvt_rn_bf16x2(float low, float high)
{
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}
} // namespace ptx
