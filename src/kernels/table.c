/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

const struct kernel_row *const kernel_table[] = {
#if defined(__x86_64__)
    &attn_fwd_cpu_avx512,    &attn_fwd_cpu_avx2,
#endif
    &attn_fwd_cpu_scalar,    &attn_fwd_ref,
#ifdef VIC_HAVE_CUDA
    &attn_fwd_sm90_f16_d32,  &attn_fwd_sm90_f16_d64,  &attn_fwd_sm90_f16_d128,
    &attn_fwd_sm90_bf16_d32, &attn_fwd_sm90_bf16_d64, &attn_fwd_sm90_bf16_d128,
    &attn_fwd_unfused_f16,   &attn_fwd_unfused_bf16,
#endif
};

const int kernel_table_size = (int)(sizeof kernel_table / sizeof *kernel_table);
