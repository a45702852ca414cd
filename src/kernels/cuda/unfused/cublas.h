/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS, opened when it is first needed: vicinal neither links it nor depends on it.  Its types are plain here
 * (handles are pointers, enums are ints), so that its headers are not needed either. */
#ifndef VIC_KERNELS_CUDA_UNFUSED_CUBLAS_H
#define VIC_KERNELS_CUDA_UNFUSED_CUBLAS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CUBLAS_NO_MEMORY = 3, /* cublasStatus_t */
    CUBLAS_TYPE_F32 = 0,  /* cudaDataType */
    CUBLAS_TYPE_F16 = 2,
    CUBLAS_TYPE_BF16 = 14,
    CUBLAS_NORMAL = 0, /* cublasOperation_t */
    CUBLAS_TRANSPOSED = 1,
    CUBLAS_SUMS_F32 = 68,       /* cublasComputeType_t */
    CUBLAS_DEFAULT = -1,        /* cublasGemmAlgo_t */
    CUBLAS_WORKSPACE = 32 << 20 /* bytes that cuBLAS recommends on Hopper, 256-byte aligned */
};

struct cublas {
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, void *stream);
    int (*set_workspace)(void *handle, void *workspace, size_t bytes);
    int (*gemm_batched)(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha,
                        const void *const *a, int a_type, int lda, const void *const *b, int b_type, int ldb,
                        const void *beta, void *const *c, int c_type, int ldc, int batch, int sums, int algorithm);
    const char *(*status_text)(int status);
};

/* Returns the functions of cuBLAS, which is opened once and kept, or NULL when this machine has none. */
const struct cublas *cublas_load(void);

#ifdef __cplusplus
}
#endif

#endif
