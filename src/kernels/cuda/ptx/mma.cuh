// SPDX-License-Identifier: Apache-2.0
// Tensor core instructions: one function per instruction and shape.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#asynchronous-warpgroup-level-matrix-instructions
#pragma once
#include <cstdint>

namespace ptx
{
enum class half_type { f16, bf16 };

__device__ __forceinline__ void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit_group()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int PENDING> __device__ __forceinline__ void wgmma_wait_group()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// No instruction: keeps the compiler from moving uses of accumulators over a wait.
template <int N> __device__ __forceinline__ void wgmma_pin(float (&d)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// D (64 x N, float) = A B or += A B over k = 16: A (64 x 16) in registers (rs) or, K-major, in shared memory (ss), B
// in shared memory by descriptor. B_MN_MAJOR: B's rows are the 16 of k (as V is stored); else its rows are the N (as
// K is stored).
template <int N, half_type TYPE, bool B_MN_MAJOR, bool ACCUMULATE> struct wgmma_k16;

#define VIC_WGMMA(N, TYPE, B_MN_MAJOR, TRANSPOSE, ACCUMULATE, SCALE, REGISTERS, A0, A1, A2, A3, B, ...)              \
    template <> struct wgmma_k16<N, half_type::TYPE, B_MN_MAJOR, ACCUMULATE> {                                       \
        static __device__ __forceinline__ void rs(float *d, const uint32_t *a, uint64_t b)                           \
        {                                                                                                            \
            asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." #TYPE "." #TYPE " {" REGISTERS            \
                         "}, {%" #A0 ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B ", " #SCALE ", 1, 1, " #TRANSPOSE ";"   \
                         : __VA_ARGS__                                                                               \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                      \
        }                                                                                                            \
        static __device__ __forceinline__ void ss(float *d, uint64_t a, uint64_t b)                                  \
        {                                                                                                            \
            asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." #TYPE "." #TYPE " {" REGISTERS "}, %" #A0 \
                         ", %" #A1 ", " #SCALE ", 1, 1, 0, " #TRANSPOSE ";"                                          \
                         : __VA_ARGS__                                                                               \
                         : "l"(a), "l"(b));                                                                          \
        }                                                                                                            \
    };

#define VIC_REGISTERS_32 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15 "
#define VIC_OUTPUTS_32                                                                                               \
    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),      \
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define VIC_WGMMA_32(TYPE, MN, TRANSPOSE, ACC, SCALE)                                                                \
    VIC_WGMMA(32, TYPE, MN, TRANSPOSE, ACC, SCALE, VIC_REGISTERS_32, 16, 17, 18, 19, 20, VIC_OUTPUTS_32)
VIC_WGMMA_32(f16, false, 0, false, 0)
VIC_WGMMA_32(f16, false, 0, true, 1)
VIC_WGMMA_32(f16, true, 1, true, 1)
VIC_WGMMA_32(bf16, false, 0, false, 0)
VIC_WGMMA_32(bf16, false, 0, true, 1)
VIC_WGMMA_32(bf16, true, 1, true, 1)

#define VIC_REGISTERS_64                                                                                             \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "           \
    "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31 "
#define VIC_OUTPUTS_64                                                                                               \
    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),      \
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),       \
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),      \
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define VIC_WGMMA_64(TYPE, MN, TRANSPOSE, ACC, SCALE)                                                                \
    VIC_WGMMA(64, TYPE, MN, TRANSPOSE, ACC, SCALE, VIC_REGISTERS_64, 32, 33, 34, 35, 36, VIC_OUTPUTS_64)
VIC_WGMMA_64(f16, false, 0, false, 0)
VIC_WGMMA_64(f16, false, 0, true, 1)
VIC_WGMMA_64(f16, true, 1, true, 1)
VIC_WGMMA_64(bf16, false, 0, false, 0)
VIC_WGMMA_64(bf16, false, 0, true, 1)
VIC_WGMMA_64(bf16, true, 1, true, 1)

#undef VIC_WGMMA
#undef VIC_WGMMA_32
#undef VIC_WGMMA_64
#undef VIC_REGISTERS_32
#undef VIC_REGISTERS_64
#undef VIC_OUTPUTS_32
#undef VIC_OUTPUTS_64

// The same product for one warp: D (16 x 8) += A (16 x 16) B (16 x 8).  Its fragments are those of a warp in wgmma.
template <half_type TYPE>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t *a, uint32_t b0, uint32_t b1)
{
    if constexpr (TYPE == half_type::f16)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, "
                     "%9}, "
                     "{%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, "
                     "%9}, {%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
} // namespace ptx
