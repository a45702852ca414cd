/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of kernels.  A new one is its folder and its line here. */
#ifndef VIC_KERNELS_KERNELS_H
#define VIC_KERNELS_KERNELS_H

#include "contract/kernel.h"

#if defined(__x86_64__)
#define KERNELS_X86(X)          X(attn_fwd_cpu_avx512) X(attn_fwd_cpu_avx2)
#define KERNELS_BACKWARD_X86(X) X(attn_bwd_cpu_avx512) X(attn_bwd_cpu_avx2)
#else
#define KERNELS_X86(X)
#define KERNELS_BACKWARD_X86(X)
#endif

#ifdef VIC_HAVE_CUDA
#define KERNELS_CUDA(X)                                                                                              \
    X(attn_fwd_sm90_f16_d32)                                                                                         \
    X(attn_fwd_sm90_f16_d64)                                                                                         \
    X(attn_fwd_sm90_f16_d128)                                                                                        \
    X(attn_fwd_sm90_bf16_d32)                                                                                        \
    X(attn_fwd_sm90_bf16_d64)                                                                                        \
    X(attn_fwd_sm90_bf16_d128)                                                                                       \
    X(attn_fwd_unfused_f16)                                                                                          \
    X(attn_fwd_unfused_bf16)
#define KERNELS_BACKWARD_CUDA(X)                                                                                     \
    X(attn_bwd_sm90_f16_d32)                                                                                         \
    X(attn_bwd_sm90_f16_d64)                                                                                         \
    X(attn_bwd_sm90_f16_d128)                                                                                        \
    X(attn_bwd_sm90_bf16_d32)                                                                                        \
    X(attn_bwd_sm90_bf16_d64)                                                                                        \
    X(attn_bwd_sm90_bf16_d128)
#else
#define KERNELS_CUDA(X)
#define KERNELS_BACKWARD_CUDA(X)
#endif

/* Attention, then its gradients; best first within a device. */
#define KERNEL_LIST(X)                                                                                               \
    KERNELS_X86(X)                                                                                                   \
    X(attn_fwd_cpu_scalar)                                                                                           \
    X(attn_fwd_ref)                                                                                                  \
    KERNELS_CUDA(X)                                                                                                  \
    KERNELS_BACKWARD_X86(X)                                                                                          \
    X(attn_bwd_cpu_scalar)                                                                                           \
    X(attn_bwd_ref)                                                                                                  \
    KERNELS_BACKWARD_CUDA(X)

#define KERNEL_DECLARE(name) extern const struct kernel name;
KERNEL_LIST(KERNEL_DECLARE)
#undef KERNEL_DECLARE

extern const struct kernel *const kernel_table[];
extern const int kernel_table_size;

#endif
