/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that table.c puts in order.  A new kernel is its folder, its row here, and its line there. */
#ifndef VIC_KERNELS_KERNELS_H
#define VIC_KERNELS_KERNELS_H

#include "contract/kernel_row.h"

extern const struct kernel_row attn_fwd_ref;
extern const struct kernel_row attn_fwd_cpu_scalar;
#if defined(__x86_64__)
extern const struct kernel_row attn_fwd_cpu_avx2, attn_fwd_cpu_avx512;
#endif

#ifdef VIC_HAVE_CUDA
extern const struct kernel_row attn_fwd_sm90_f16_d32, attn_fwd_sm90_f16_d64, attn_fwd_sm90_f16_d128;
extern const struct kernel_row attn_fwd_sm90_bf16_d32, attn_fwd_sm90_bf16_d64, attn_fwd_sm90_bf16_d128;
extern const struct kernel_row attn_fwd_unfused_f16, attn_fwd_unfused_bf16;
#endif

#endif
