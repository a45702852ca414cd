/* SPDX-License-Identifier: Apache-2.0 */
/* Exists only in builds with CUDA (VIC_HAVE_CUDA). */
#ifndef VIC_KERNELS_CUDA_SM90_COMPILED_ARCH_H
#define VIC_KERNELS_CUDA_SM90_COMPILED_ARCH_H

#ifdef __cplusplus
extern "C" {
#endif

/* 90: this folder's kernels are in the binary, as machine code for sm_90a.  Needs neither GPU nor driver. */
int cuda_compiled_arch(void);

#ifdef __cplusplus
}
#endif

#endif
