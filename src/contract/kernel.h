/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel, and a plan that it has prepared.  Choosing among kernels is in src/plan/choose.c; the one list of them is
 * src/kernels/kernels.h. */
#ifndef VIC_CONTRACT_KERNEL_H
#define VIC_CONTRACT_KERNEL_H

#include "contract/attention.h"

struct pool; /* base/threads.h */
struct kernel;

/* A pattern made ready for one kernel.  It does not change and may be used by several threads at once. */
struct vic_plan {
    struct vic_pattern *pattern; /* a reference of its own */
    struct attention_shape shape;
    vic_device device;
    bool pattern_order;
    vic_bias bias;           /* the kind of bias that each run gives */
    vic_pair_bias pair_bias; /* and of pair bias */
    const struct kernel *kernel;
    struct vic_plan *backward; /* of the gradients, whose kernel is an ATTENTION_BACKWARD; NULL = made without */
    /* Of a plan of gradients: the pattern with queries and keys exchanged, rows in the same orders; `pattern` itself
     * where that is its own transpose.  A reference of its own; else NULL. */
    struct vic_pattern *transposed;
    /* Of a plan with VIC_PAIR_BIAS_PAIRS, for a kernel that wants them: the pairs' numbers, and in a plan of gradients
     * those of the transposed pattern's pairs, which are the numbers of the same pairs in `pattern`. */
    struct pair_numbers *numbers, *transposed_numbers;

    /* Set by the kernel's prepare(): */
    int64_t computed_pairs; /* for one head */
    size_t bytes;           /* of memory, this struct included, which is counted before prepare() */
    void *kernel_data;      /* only the kernel knows what it is; NULL = nothing for release() to free */
};

enum kernel_operation {
    ATTENTION_FORWARD,  /* struct attention_args */
    ATTENTION_BACKWARD, /* struct attention_backward_args */
    KERNEL_OPERATIONS,
};

enum kernel_dtypes { DTYPE_F32 = 1, DTYPE_F16 = 2, DTYPE_BF16 = 4 };
static inline unsigned kernel_dtype(vic_dtype dtype)
{
    return dtype == VIC_F32 ? DTYPE_F32 : dtype == VIC_F16 ? DTYPE_F16 : dtype == VIC_BF16 ? DTYPE_BF16 : 0;
}

enum kernel_features {
    FEATURE_LSE = 1,
    FEATURE_GROUP_QUERY = 2,
    FEATURE_UNEQUAL_DIMS = 4, /* d_qk != d_v */
    FEATURE_DISTANCE_BIAS = 8,
    FEATURE_FLOAT32_OUT = 16, /* out in float32, where q, k and v are not */
    FEATURE_ITEMS = 32,       /* attention_args.items; other kernels get one entry after the other */
    FEATURE_PAIR_BIAS = 64,
};

/* What a plan is made with. */
struct kernel_setup {
    struct pool *pool; /* the threads that lay it out */
    void *memory;      /* of a GPU: the pool that its arrays come from (a cudaMemPool_t); NULL = the device's own */
};

/* What a plan is run with.  A kernel on the CPU uses the threads, a kernel on a GPU the stream. */
struct kernel_exec {
    struct pool *pool;
    void *stream;    /* NULL = CUDA's default stream */
    void *workspace; /* as many bytes as workspace() returns, in memory of the plan's device, aligned to 64 bytes */
};

struct kernel {
    const char *name; /* operation, direction, device, ...: "attn_fwd_cpu_avx2" */

    /* What the kernel can do; it is chosen by these. */
    enum kernel_operation operation;
    vic_device_type device;
    unsigned dtypes;   /* kernel_dtypes */
    unsigned features; /* kernel_features */
    int dim_min, dim_max, dim_step;
    double cost;       /* rank among the kernels that fit: smaller is better */
    bool only_by_name; /* it must be requested by name, whatever its cost */
    bool pair_numbers; /* its plans with VIC_PAIR_BIAS_PAIRS need plan->numbers */

    /* What differs between kernels that have the same functions. */
    const void *instance;

    /* Returns NULL when `device` can run it, else a phrase for what the device lacks. */
    const char *(*unavailable)(vic_device device);
    /* Makes the plan's pattern ready.  Also when it fails, the caller releases what it has put into kernel_data.  On a
     * GPU other work goes on meanwhile. */
    vic_status (*prepare)(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);
    /* Frees plan->kernel_data, which is not NULL.  On a GPU the calling thread waits for work that may use it. */
    void (*release)(struct vic_plan *plan);
    /* Returns the bytes of scratch for one run of `batch` entries on a pool of `threads` threads; `items`: whose
     * tensors are at unrelated addresses, which takes no less. */
    size_t (*workspace)(const struct vic_plan *plan, int threads, int64_t batch, bool items);
    /* Runs the operation.  On the CPU it blocks until done, on a GPU it enqueues.  Allocates and synchronises
     * nothing.  On a GPU the tensors are in its memory, and q_rows and k_rows are not used, because the plan has them
     * there. */
    union {
        vic_status (*launch)(const struct vic_plan *plan, const struct attention_args *args,
                             const struct kernel_exec *exec, vic_error *err);
        vic_status (*launch_backward)(const struct vic_plan *plan, const struct attention_backward_args *args,
                                      const struct kernel_exec *exec, vic_error *err);
    };
};

#endif
