/* SPDX-License-Identifier: Apache-2.0 */
/* A plan, and the row by which a kernel offers itself.  Choosing is in src/plan/choose.c, the one list of rows in
 * src/kernels/table.c. */
#ifndef VIC_CONTRACT_KERNEL_ROW_H
#define VIC_CONTRACT_KERNEL_ROW_H

#include "contract/attention.h"

struct pool;        /* base/threads.h */
struct tile_layout; /* contract/tiles.h */
struct tile_schedule;
struct kernel_row;

/* A pattern made ready: immutable, shared between threads. */
struct vic_plan {
    struct vic_pattern *pattern; /* a reference of its own */
    struct attention_shape shape;
    vic_device device;
    bool pattern_order;
    bool radial; /* runs bring a radial term */
    const struct kernel_row *kernel;
    int64_t computed_pairs;     /* per head */
    const int32_t *strip_order; /* [strips] in which order threads take them (src/plan/plan.c) */
    size_t bytes;
    void *on_device; /* what prepare() of a GPU row made; owned, freed by its release() */
};

/* How a GPU row wants its tiles (src/plan/tiles.h), and for how many CTAs. */
struct tile_shape {
    int places, reach, ctas;
};

/* What a row does that works in device memory; NULL in rows that work on the CPU. */
struct device_row {
    /* NO_DEVICE when there is no device of that index.  NULL: the row works without tiles. */
    vic_status (*tile_shape)(const struct vic_plan *plan, struct tile_shape *out, vic_error *err);
    /* Bring the layout to the device: fills plan->on_device and adds to plan->bytes.  `schedules`: two, as
     * contract/tiles.h says.  Without tiles both are NULL, and the row counts plan->computed_pairs itself. */
    vic_status (*prepare)(struct vic_plan *plan, const struct tile_layout *layout,
                          const struct tile_schedule *schedules, vic_error *err);
    void (*release)(struct vic_plan *plan);
    size_t (*workspace)(const struct vic_plan *plan, int64_t batch);
    /* Enqueue on `stream`; args in device memory, q_rows and k_rows aside, which the plan has there.  Allocates and
     * synchronises nothing. */
    vic_status (*launch)(const struct vic_plan *plan, const struct attention_args *args, void *workspace,
                         void *stream, vic_error *err);
};

enum kernel_features {
    FEATURE_LSE = 1,
    FEATURE_GROUP_QUERY = 2,
    FEATURE_UNEQUAL_DIMS = 4, /* d_qk != d_v */
    FEATURE_RADIAL = 8,
};

struct kernel_row {
    const char *name; /* operation, direction, device, ...: "attn_fwd_cpu_avx2" */
    vic_device_kind device;
    unsigned dtypes;   /* bit 1 << vic_dtype */
    unsigned features; /* kernel_features */
    int dim_min, dim_max, dim_step;
    double cost;       /* rank among the rows that fit: smaller is better */
    bool only_by_name; /* never chosen by itself, whatever its cost */

    /* NULL when this machine can run it, else a phrase that says what it lacks. */
    const char *(*unavailable)(void);
    /* Number of pairs it executes per head on one strip of the pattern; also the strip's weight in scheduling. */
    int64_t (*strip_pairs)(const struct vic_pattern *p, int64_t strip);
    /* Bytes of scratch for one run on `threads` threads; the caller aligns it to 64. */
    size_t (*workspace)(const struct vic_plan *plan, int threads);
    /* Blocks until done.  Allocates nothing. */
    vic_status (*launch)(const struct vic_plan *plan, const struct attention_args *args, struct pool *pool,
                         void *workspace, vic_error *err);

    const struct device_row *device_row; /* then strip_pairs, workspace and launch above are NULL */
};

/* The rows of this build, best first within a device (src/kernels/table.c). */
extern const struct kernel_row *const kernel_table[];
extern const int kernel_table_size;

#endif
