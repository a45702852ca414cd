/* SPDX-License-Identifier: Apache-2.0 */
/* vicinal: softmax attention between points, over exactly the pairs that geometry, a list or a mask allows.
 *
 *     out_i = sum_j softmax_j(scale * q_i . k_j + b(d_ij)) v_j   over all (j, shift S) with |r_j + S - r_i| < cutoff
 *
 * The life cycle:   vic_context   where work runs: threads, or a GPU with its stream
 *                   vic_pattern   which pairs there are; made once for a set of positions
 *                   vic_plan      a pattern made ready for one device, number of heads, head size and type
 *                   vic_attention()
 * Files of structures are read by vicinal_structure.h; the float64 reference, timing and what this build has are in
 * vicinal_dev.h; conversion from and to DLPack is in vicinal_dlpack.h.
 *
 * Words.  point: in the caller's order.  row: a place in the pattern's own order, where near points have near rows.
 *   strip: 64 consecutive query rows.  cluster: 16 consecutive key rows.  block: one (strip, cluster, shift) with at
 *   least one pair, full or with 1024 mask bits.  shift: the integers (S1, S2, S3) of a lattice translation S1 a +
 *   S2 b + S3 c; each periodic image of a neighbour is a neighbour of its own.  docs/concepts.md has all words.
 * Units.  Positions, cells and cutoffs in angstrom.  Cell vectors are rows: the first three of nine numbers are a.
 * Ownership.  What a call hands out through `**out` is freed by the matching _free(), which takes NULL; the object
 *   keeps no pointer to its inputs.  Borrowed pointers say so and live as long as the object they came from.
 * Errors.  A call that can fail returns a vic_status and, when `err` is not NULL, a text that says what was wrong,
 *   where, what was expected, what came, and what to do.  On failure `*out` is NULL and nothing else has changed.
 * NULL.  Only what says so may be NULL: `err`, a context, options but for those of a plan, and members described as
 *   optional.  Any other NULL handle or pointer is answered with BAD_ARGUMENT.
 * Contexts.  NULL = the calling thread alone, and the work is done when the call returns.  No call starts threads.
 * Threads.  Objects do not change after they are made, so any number of threads may read one at once.  There is no
 *   global state; a vic_error belongs to one thread at a time.
 * Structs with a size.  A struct whose first member is `size` is begun by VIC_INIT(type) or, in C, by
 *   { .size = sizeof x, .member = ... }: all that is 0 is the default, and members called reserved stay 0.  Programs
 *   go on working with libraries whose structs have grown.  docs/abi.md. */
#ifndef VICINAL_H
#define VICINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIC_VERSION_MAJOR 0
#define VIC_VERSION_MINOR 2
#define VIC_VERSION_PATCH 0
#define VIC_VERSION       "0.2.0"

#if defined(__GNUC__)
#define VIC_API          __attribute__((visibility("default")))
#define VIC_CHECK_RESULT __attribute__((warn_unused_result))
#else
#define VIC_API
#define VIC_CHECK_RESULT
#endif

/* clang-format off */
#ifdef __cplusplus
#define VIC_SIZE_OF(type) size_t size = sizeof(type)
#define VIC_INIT(type)    {}
extern "C" {
#else
#define VIC_SIZE_OF(type) size_t size
#define VIC_INIT(type)    { .size = sizeof(type) }
#endif
/* clang-format on */

/* ---- Errors ------------------------------------------------------------------------------------------------ */

/* name, value, text.  A value, once given, stays. */
#define VIC_STATUS_LIST(X)                                                                                           \
    X(OK, 0, "ok")                                                                                                   \
    X(BAD_ARGUMENT, 10, "argument not accepted")                                                                     \
    X(BAD_INPUT, 20, "input not usable")                                                                             \
    X(CANNOT_READ, 21, "cannot read")                                                                                \
    X(CANNOT_WRITE, 22, "cannot write")                                                                              \
    X(NO_DEVICE, 30, "no such device")                                                                               \
    X(NO_KERNEL, 31, "no kernel fits")                                                                               \
    X(NO_MEMORY, 40, "out of memory")                                                                                \
    X(FAILED, 50, "failed")                                                                                          \
    X(BUSY, 60, "busy")                                                                                              \
    X(DEADLINE, 61, "too late")                                                                                      \
    X(CANCELLED, 62, "cancelled")

typedef enum vic_status {
#define VIC_STATUS_ENUM_(name, value, text) VIC_##name = (value),
    VIC_STATUS_LIST(VIC_STATUS_ENUM_)
#undef VIC_STATUS_ENUM_
} vic_status;

/* Filled on failure; owned by the caller; never grows.  `text` is one line or more of UTF-8, always terminated. */
typedef struct vic_error {
    vic_status status;
    char text[1024];
} vic_error;

VIC_API const char *vic_status_name(vic_status status); /* "BAD_INPUT"; static; "?" for a value not in the list */
VIC_API const char *vic_status_text(vic_status status); /* "input not usable"; static */
VIC_API const char *vic_version(void);                  /* of the library at run time; compare with VIC_VERSION */

/* ---- Tensors ----------------------------------------------------------------------------------------------- */

/* DLPack's numbers; 0 = unknown, so that a forgotten device or type is an error. */
typedef enum vic_device_type {
    VIC_DEVICE_UNKNOWN = 0,
    VIC_CPU = 1,
    VIC_CUDA = 2,
    VIC_CUDA_HOST = 3,    /* pinned host memory: taken wherever memory of the CPU is */
    VIC_CUDA_MANAGED = 13 /* taken wherever memory of a GPU is */
} vic_device_type;

typedef struct vic_device { /* laid out as DLDevice; never grows */
    vic_device_type type;
    int32_t index;
} vic_device;

/* code | bits << 8 | lanes << 16 of a DLDataType. */
typedef enum vic_dtype {
    VIC_DTYPE_UNKNOWN = 0,
    VIC_I32 = 0 | 32 << 8 | 1 << 16,
    VIC_I64 = 0 | 64 << 8 | 1 << 16,
    VIC_U8 = 1 | 8 << 8 | 1 << 16,
    VIC_F16 = 2 | 16 << 8 | 1 << 16,
    VIC_F32 = 2 | 32 << 8 | 1 << 16,
    VIC_F64 = 2 | 64 << 8 | 1 << 16,
    VIC_BF16 = 4 | 16 << 8 | 1 << 16,
    VIC_BOOL = 6 | 8 << 8 | 1 << 16
} vic_dtype;

VIC_API size_t vic_dtype_size(vic_dtype dtype);      /* bytes; 0 for a value not in the enum */
VIC_API const char *vic_dtype_name(vic_dtype dtype); /* "float32", "bfloat16", "int64", ...; static */

/* A view of the caller's memory; data NULL = none.  Strides count elements, not bytes, and may have any value, so
 * (N,H,D), (H,N,D) and packed QKV need no copy.  It never grows. */
enum { VIC_MAX_DIMS = 6 };
typedef struct vic_tensor {
    void *data;
    vic_device device;
    vic_dtype dtype;
    int32_t ndim;
    int64_t shape[VIC_MAX_DIMS];
    int64_t stride[VIC_MAX_DIMS];
} vic_tensor;

/* A dense row-major tensor over `data` in memory of the CPU; shape [ndim]. */
VIC_API vic_tensor vic_tensor_make(void *data, vic_dtype dtype, int ndim, const int64_t *shape);

/* ---- Contexts ---------------------------------------------------------------------------------------------- */

typedef struct vic_context vic_context;

/* CUDA's own handle of the legacy default stream, for `stream` members in which NULL means the context's. */
#define VIC_STREAM_DEFAULT ((void *)1)

typedef struct vic_context_options {
    VIC_SIZE_OF(vic_context_options);
    vic_device device; /* where attention runs; unknown = the CPU */
    int32_t threads;   /* of the CPU; for plans of a GPU, those that lay it out; 0 = all that this process may use */
    int32_t reserved_1;
    void *stream; /* GPU: a cudaStream_t, NULL = the default stream; borrowed */

    /* GPU: memory in the order of `stream`, for workspaces that a call brings none for; both or none. */
    void *(*allocate)(void *user, size_t bytes, void *stream); /* NULL on failure */
    void (*release)(void *user, void *memory, void *stream);
    /* A line of what VIC_LOG asks for, without a newline; NULL = to stderr.  Called from the thread that calls. */
    void (*log)(void *user, const char *line);
    void *user; /* passed to all three */
    uint64_t reserved[4];
} vic_context_options;

/* Starts the threads, and a GPU (0.2 s where nothing in the process has started it yet).  Several threads may use one
 * context; their calls take turns on its threads.  A context does not survive fork(): in the child its calls answer
 * FAILED, and vic_context_free() frees nothing.  `options` may be NULL. */
VIC_API vic_status vic_context_create(const vic_context_options *options, vic_context **out,
                                      vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_context_info {
    VIC_SIZE_OF(vic_context_info);
    vic_device device;
    int32_t threads, reserved_1;
    void *stream;
    uint64_t reserved[4];
} vic_context_info;
VIC_API vic_status vic_context_get(const vic_context *c, vic_context_info *out, vic_error *err) VIC_CHECK_RESULT;

/* Returns when all that was enqueued on the context's stream is done.  At once for a CPU and for NULL. */
VIC_API vic_status vic_context_wait(vic_context *c, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_context_free(vic_context *c);

/* Memory of a device, for callers without a CUDA runtime of their own.  `bytes` may be 0.  Copies between any two
 * devices block until done, after all work that was enqueued on the default stream.  free takes NULL. */
VIC_API vic_status vic_memory_alloc(vic_device device, size_t bytes, void **out, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_memory_free(vic_device device, void *memory);
VIC_API vic_status vic_memory_copy(vic_device to_device, void *to, vic_device from_device, const void *from,
                                   size_t bytes, vic_error *err) VIC_CHECK_RESULT;

/* ---- Patterns ---------------------------------------------------------------------------------------------- */

typedef struct vic_pattern vic_pattern;
typedef enum vic_side { VIC_QUERY = 0, VIC_KEY = 1 } vic_side;

/* A set of points.  Tensors may be on any device (those of a GPU are copied to the host when the call comes), other
 * arrays are in memory of the CPU.  With `groups` there are several structures, of which no pair joins two. */
typedef struct vic_points {
    VIC_SIZE_OF(vic_points);
    int64_t n;            /* number of points; 0 = that of `positions` */
    vic_tensor positions; /* [n, 3] float32 or float64, finite; none where pairs do not depend on it */
    vic_tensor mask;      /* [n] bool or uint8: 0 = is in no pair; none = all may be */
    vic_tensor ids; /* [n] int64 or int32: the same number = the same point (docs/concepts.md); none = own index */
    const double *cell;   /* [9], with groups [groups, 9]; NULL = none */
    const bool *periodic; /* [3], with groups [groups, 3]: along a, b, c; NULL = all axes where there is a cell */
    const int64_t *group_offsets; /* [groups + 1]: group g is points group_offsets[g] .. group_offsets[g + 1] - 1 */
    int64_t groups;               /* 0 = all points are one structure */
    uint64_t reserved[4];
} vic_points;

/* What a pattern will take, from a sample of its strips; zeros where no sample was needed, as its numbers of points
 * and shifts alone say that it fits. */
typedef struct vic_pattern_estimate {
    VIC_SIZE_OF(vic_pattern_estimate);
    double pairs, bytes;   /* bytes: while it is built, at most */
    double cutoff;         /* of these figures: the one asked for, or a smaller one that was too large already */
    double fitting_cutoff; /* about the largest that would not be refused, where one was; 0 = none */
    bool refused;          /* bytes > max_bytes */
    bool reserved_1[7];
    uint64_t reserved[2];
} vic_pattern_estimate;

typedef struct vic_pattern_options {
    VIC_SIZE_OF(vic_pattern_options);
    size_t max_bytes; /* cutoff, nearest: NO_MEMORY before what would take more is built; 0 = no limit */
    vic_pattern_estimate *estimate; /* where to put what was found for max_bytes; NULL = not wanted */
    bool exclude_self;              /* cutoff, nearest: without the pairs of a point with itself (docs/concepts.md) */
    bool reserved_1[7];
    uint64_t reserved[4];
} vic_pattern_options;

/* Every constructor: `keys` NULL = the queries are the keys.  The cell is that of `queries`, and keys->cell NULL or
 * the same.  `options` may be NULL.  Cost: O(pairs) or less, on the context's threads. */

/* All pairs with a distance below `cutoff` (A, > 0), decided in double on the positions as given. */
VIC_API vic_status vic_pattern_cutoff(vic_context *c, const vic_points *queries, const vic_points *keys,
                                      double cutoff, const vic_pattern_options *options, vic_pattern **out,
                                      vic_error *err) VIC_CHECK_RESULT;

/* The `count` nearest keys of each query by (distance, id, shift, key number), the point itself among them unless
 * excluded.  So that a domain decides ties as the whole does, it lists ghosts by rising shift. */
VIC_API vic_status vic_pattern_nearest(vic_context *c, const vic_points *queries, const vic_points *keys,
                                       int64_t count, const vic_pattern_options *options, vic_pattern **out,
                                       vic_error *err) VIC_CHECK_RESULT;

/* Points i .. i + query_window - 1, i = 0, query_window, ..., attend to the `key_window` points around their middle.
 * Both numbers are even, or both odd.  Of one set, without positions. */
VIC_API vic_status vic_pattern_windows(vic_context *c, const vic_points *points, int64_t query_window,
                                       int64_t key_window, const vic_pattern_options *options, vic_pattern **out,
                                       vic_error *err) VIC_CHECK_RESULT;

/* A block mask in BSR form: block (I, J) is all pairs of queries I block .. and keys J block ...  No positions. */
typedef struct vic_block_list {
    VIC_SIZE_OF(vic_block_list);
    int64_t block;          /* points of a block, a multiple of 16 */
    const int64_t *row_ptr; /* [ceil(n_q / block) + 1] */
    const int32_t *column;  /* [row_ptr[last]] */
    uint64_t reserved[2];
} vic_block_list;
VIC_API vic_status vic_pattern_blocks(vic_context *c, const vic_points *queries, const vic_points *keys,
                                      const vic_block_list *list, const vic_pattern_options *options,
                                      vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* The pairs listed, each (query, key, shift) once; positions are optional. */
typedef struct vic_pair_list {
    VIC_SIZE_OF(vic_pair_list);
    vic_tensor query, key; /* [pairs] int32 or int64 */
    vic_tensor shift;      /* [pairs, 3] int32 or int64; none = 0; in vic_pattern_exclude() none = any */
    uint64_t reserved[2];
} vic_pair_list;
VIC_API vic_status vic_pattern_pairs(vic_context *c, const vic_points *queries, const vic_points *keys,
                                     const vic_pair_list *list, const vic_pattern_options *options, vic_pattern **out,
                                     vic_error *err) VIC_CHECK_RESULT;

/* Groups of consecutive queries, each with ranges of keys: packed sequences, documents, pages of a cache.  A group's
 * keys are those of its ranges, one after another; its queries stand at the end of them: of n queries and m keys
 * query r has place m - n + r.  Cost: O(ranges + blocks + queries), however many keys there are.  No positions. */
typedef struct vic_range_list {
    VIC_SIZE_OF(vic_range_list);
    int64_t groups;
    const int64_t *query_offsets; /* [groups + 1]: group g is queries query_offsets[g] .. [g + 1] - 1 */
    const int64_t *range_offsets; /* [groups + 1] its ranges */
    const int32_t *ranges;        /* [range_offsets[groups], 2] keys first .. end - 1; no key twice in a group */
    int64_t left, right;          /* with `window`: keys at most so many places before and behind its own; -1 = all */
    bool causal;                  /* only keys up to the query's own place */
    bool window;
    bool reserved_1[6];
    uint64_t reserved[2];
} vic_range_list;
VIC_API vic_status vic_pattern_ranges(vic_context *c, const vic_points *queries, const vic_points *keys,
                                      const vic_range_list *list, const vic_pattern_options *options,
                                      vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* The same with the keys in pages of a paged cache, as servers of language models keep them: page p is keys p page ..
 * (p + 1) page - 1, and group g has the first lengths[g] keys of the pages in row g of the table.  Several groups may
 * have a page in common; of a row's pages that some query of its group can see, none may occur twice, and the others
 * are not read.  The pattern is one of ranges.  Cost: O(pages + blocks + queries), however large the cache is. */
typedef struct vic_page_list {
    VIC_SIZE_OF(vic_page_list);
    int64_t groups;
    int64_t page;                 /* keys of a page, a multiple of 16 */
    const int64_t *query_offsets; /* [groups + 1]: group g is queries query_offsets[g] .. [g + 1] - 1 */
    const int64_t *lengths;       /* [groups] keys of each, table_stride pages at most */
    const int32_t *table;         /* [groups, table_stride] numbers of pages, in the order of their keys */
    int64_t table_stride;
    int64_t left, right; /* as in vic_range_list */
    /* So many consecutive queries of a group stand at one place, as heads that read one key head do where they are
     * packed as queries: of n queries and m keys query r has place m - n / that + r / that.  0 = 1 */
    int64_t queries_per_place;
    bool causal, window; /* as in vic_range_list */
    bool reserved_1[6];
    uint64_t reserved[2];
} vic_page_list;
VIC_API vic_status vic_pattern_pages(vic_context *c, const vic_points *queries, const vic_points *keys,
                                     const vic_page_list *list, const vic_pattern_options *options, vic_pattern **out,
                                     vic_error *err) VIC_CHECK_RESULT;

/* The pairs of `a` or `b`; those of `a` that are not in `b`; both patterns are of the same points and cell. */
VIC_API vic_status vic_pattern_union(vic_context *c, const vic_pattern *a, const vic_pattern *b, vic_pattern **out,
                                     vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_difference(vic_context *c, const vic_pattern *a, const vic_pattern *b,
                                          vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;
/* The pairs of `p` that are not listed; pairs listed that `p` does not have are no error, a pair listed twice is one.
 */
VIC_API vic_status vic_pattern_exclude(vic_context *c, const vic_pattern *p, const vic_pair_list *list,
                                       vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;
/* Queries and keys change places: (j, i, -S) for each (i, j, S).  Where info.symmetric it has the same pairs. */
VIC_API vic_status vic_pattern_transpose(vic_context *c, const vic_pattern *p, vic_pattern **out,
                                         vic_error *err) VIC_CHECK_RESULT;

/* The pattern of a cutoff or of the nearest after its points moved: positions, and a cell where that changed; masks,
 * ids, groups and periodic axes stay as they are, and are left out here; max_bytes does not stay.  Frees the old
 * pattern and puts the new one into *p; on failure *p is what it was.  Where no plan holds the old one (a plan keeps
 * what it was made from) its memory stays with the new one, for the update after this. */
VIC_API vic_status vic_pattern_update(vic_context *c, vic_pattern **p, const vic_points *queries,
                                      const vic_points *keys, vic_error *err) VIC_CHECK_RESULT;

/* Files (.vnp, docs/pattern-format.md): written beside and renamed; checked throughout when read.  save_to writes to
 * an open descriptor at its place, and leaves it open; `name` is the file's in errors. */
VIC_API vic_status vic_pattern_save(const vic_pattern *p, const char *path, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_save_to(const vic_pattern *p, int descriptor, const char *name,
                                       vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_load(vic_context *c, const char *path, vic_pattern **out,
                                    vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_pattern_info {
    VIC_SIZE_OF(vic_pattern_info);
    int64_t n_q, n_k;
    int64_t pairs;          /* (i, j, S) */
    int64_t max_pairs;      /* of one query */
    int64_t boundary_pairs; /* |d - cutoff| <= 1e-9 cutoff, in or out: rounding of positions decides these */
    int64_t strips, clusters, blocks;
    int64_t full_blocks; /* of the blocks, with all 1024 pairs */
    int64_t groups;      /* 1 where all points are one structure */
    size_t bytes;        /* memory held by the pattern */
    double cutoff;       /* no pair is further apart; 0 = pairs were not chosen by distance alone */
    double seconds_order, seconds_build;
    const char
        *kind; /* "cutoff", "nearest", "blocks", "pairs", "windows", "ranges", "union", "difference", ...; static */
    double cell[9]; /* zeros along open axes, and with groups */
    bool periodic[3];
    bool one_set;   /* the queries are the keys */
    bool symmetric; /* known to be its own transpose; lists, windows and ranges are not examined */
    bool positions; /* the pattern keeps positions */
    bool reserved_1[2];
    vic_device device; /* where the pattern lives */
    uint64_t reserved[4];
} vic_pattern_info;
VIC_API vic_status vic_pattern_get(const vic_pattern *p, vic_pattern_info *out, vic_error *err) VIC_CHECK_RESULT;

/* Borrowed, in memory of the CPU.  order [n]: row -> point.  positions [n, 3]; BAD_ARGUMENT where there are none. */
VIC_API vic_status vic_pattern_order(const vic_pattern *p, vic_side side, const int32_t **out,
                                     vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_positions(const vic_pattern *p, vic_side side, const double **out,
                                         vic_error *err) VIC_CHECK_RESULT;

/* Number of pairs of each query: counts [n_q]. */
VIC_API vic_status vic_pattern_counts(const vic_pattern *p, int64_t *counts, vic_error *err) VIC_CHECK_RESULT;

/* All pairs as a neighbour list, named as in ASE's neighbor_list; i rises, under it j, then S.  Arrays that are NULL
 * are not written; without any the call only counts.  d and D are of the pair rule.  Cost: O(pairs). */
typedef struct vic_neighbors {
    VIC_SIZE_OF(vic_neighbors);
    int64_t pairs; /* in: for how many the arrays have room; out: how many there are */
    bool half; /* of (i, j, S) and (j, i, -S) only the one with i < j or, where i == j, with S above 0 in its first
                     * number that is not 0; for symmetric patterns */
    bool reserved_1[7];
    int32_t *i, *j; /* [pairs] query, key */
    int32_t *S;     /* [pairs, 3] shift */
    double *d;      /* [pairs] |D| */
    double *D;      /* [pairs, 3] r_j + S . cell - r_i */
    uint64_t reserved[2];
} vic_neighbors;
VIC_API vic_status vic_pattern_neighbors(vic_context *c, const vic_pattern *p, vic_neighbors *list,
                                         vic_error *err) VIC_CHECK_RESULT;

/* The pattern over blocks of (query rows, key rows), shifts united, in the form of FlexAttention's BlockMask.  A call
 * with all arrays NULL fills the sizes; a second one with `width` at least max_partial and max_full fills the arrays.
 */
typedef struct vic_block_mask {
    VIC_SIZE_OF(vic_block_mask);
    int64_t query_block, key_block; /* in: rows of a block, multiples of 16 */
    int64_t rows, columns;          /* out: blocks of query rows and of key rows */
    int64_t partial, full;          /* out: blocks with some, and with all of the pairs of rows that exist */
    int64_t max_partial, max_full;  /* out: in one row of blocks */
    int64_t width;                  /* in: row length of the index arrays */
    int32_t *kv_num_blocks, *full_kv_num_blocks; /* [rows] */
    int32_t *kv_indices, *full_kv_indices;       /* [rows, width]; rising, 0 behind the last */
    uint64_t reserved[2];
} vic_block_mask;
VIC_API vic_status vic_pattern_block_mask(vic_context *c, const vic_pattern *p, vic_block_mask *mask,
                                          vic_error *err) VIC_CHECK_RESULT;

/* Copy features between the caller's order and pattern order: `out` has shape, type and device of `in`, [n, ...], n
 * queries (or keys).  On a GPU it is enqueued on `stream` (NULL = the context's); without a context it is waited for.
 */
VIC_API vic_status vic_pattern_sort(vic_context *c, const vic_pattern *p, vic_side side, const vic_tensor *in,
                                    const vic_tensor *out, void *stream, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_unsort(vic_context *c, const vic_pattern *p, vic_side side, const vic_tensor *in,
                                      const vic_tensor *out, void *stream, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_pattern_free(vic_pattern *p);

/* ---- Plans ------------------------------------------------------------------------------------------------- */

typedef struct vic_plan vic_plan;
typedef enum vic_bias {
    VIC_BIAS_NONE = 0,
    VIC_BIAS_DISTANCE = 1 /* b_h(d) from a table; of patterns of one structure with a cutoff */
} vic_bias;

/* A stored bias: a number for each pair and query head, which is added to the pair's score (beside a distance bias, where
 * there is one).  Any number but +inf: -inf takes the pair out, and a row of which every pair is out gives what a row
 * without pairs does; NaN and +inf make the row NaN.  Its layout: */
typedef enum vic_pair_bias {
    VIC_PAIR_BIAS_NONE = 0,
    /* [pairs, heads], pairs in the order of vic_pattern_neighbors(): by query point, under it by key point, then shift,
     * whatever the order of rows.  Each shift of a key is a pair with a number of its own. */
    VIC_PAIR_BIAS_PAIRS = 1,
    /* [windows, query_window, key_window, heads] of a pattern by vic_pattern_windows(), windows = ceil(n /
     * query_window).  Element (w, r, c) is that of query w query_window + r and key w query_window - (key_window -
     * query_window) / 2 + c.  Elements whose query or key is no point, or is masked out, are not read; their gradient is
     * 0. */
    VIC_PAIR_BIAS_WINDOWS = 2
} vic_pair_bias;

typedef struct vic_plan_options {
    VIC_SIZE_OF(vic_plan_options);
    vic_device device;       /* where the tensors live; unknown = the context's, without one the CPU */
    vic_dtype dtype;         /* of q, k, v: F32, F16, BF16 */
    vic_dtype out_dtype;     /* of out; unknown = dtype.  No kernel of this version has F32 for other inputs */
    int32_t heads, kv_heads; /* 0 = 1; 0 = heads.  kv_heads divides heads: head h reads key head h kv_heads / heads */
    int32_t head_dim;        /* of q and k: 8 to 128 in steps of 8 */
    int32_t head_dim_v;      /* of v and out, likewise; 0 = head_dim */
    vic_bias bias;           /* what every run brings */
    bool pattern_order;      /* rows of all tensors are already in pattern order */
    bool backward;           /* also make ready for vic_attention_backward(): keeps the transposed pattern */
    bool reserved_1[2];
    const char *kernel;          /* force one by name; NULL = the best that fits (or VIC_FORCE_KERNEL) */
    const char *backward_kernel; /* the same for the gradients (VIC_FORCE_BACKWARD_KERNEL) */
    vic_pair_bias pair_bias; /* what every run brings; on the CPU.  Laid out by PAIRS the plan takes 4 bytes a pair
                                  * more, with `backward` 12, and is made in O(pairs); fewer than 2^32 pairs */
    bool reserved_2[4];
    uint64_t reserved[2];
} vic_plan_options;

/* Choose a kernel and lay out its work.  The plan keeps its own reference to the pattern, so both may be freed in any
 * order.  NO_KERNEL says what excludes all kernels first, then what each one lacks.  Cost: O(blocks). */
VIC_API vic_status vic_plan_create(vic_context *c, const vic_pattern *p, const vic_plan_options *options,
                                   vic_plan **out, vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_plan_info {
    VIC_SIZE_OF(vic_plan_info);
    const char *kernel; /* static */
    vic_device device;
    int64_t computed_pairs;      /* executed per head, >= the pattern's pairs */
    size_t bytes;                /* memory held by the plan, without the pattern */
    const char *backward_kernel; /* static; NULL = the plan was made without `backward` */
    uint64_t reserved[3];
} vic_plan_info;
VIC_API vic_status vic_plan_get(const vic_plan *plan, vic_plan_info *out, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_plan_free(vic_plan *plan);

/* Bytes of scratch that one run of `batch` items in the context needs, in memory of the plan's device; 0 = none.  For a
 * plan with `backward` it is enough for vic_attention() and for vic_attention_backward(). */
VIC_API vic_status vic_plan_workspace(const vic_context *c, const vic_plan *plan, int64_t batch, size_t *bytes,
                                      vic_error *err) VIC_CHECK_RESULT;

/* ---- Attention --------------------------------------------------------------------------------------------- */

/* One of several problems at unrelated addresses. */
typedef struct vic_attention_item { /* never grows */
    void *q, *k, *v, *out, *lse;    /* lse NULL in all, or in none */
} vic_attention_item;

typedef struct vic_attention_args {
    VIC_SIZE_OF(vic_attention_args);
    vic_tensor q, k, v; /* [batch,] n_q x heads x d_qk;  n_k x kv_heads x d_qk;  n_k x kv_heads x d_v; the last
                         * dimension contiguous, as in all tensors here */
    vic_tensor out;     /* [batch,] n_q x heads x d_v; must not overlap another tensor */
    vic_tensor lse;     /* float32 [batch,] n_q x heads: ln sum exp(score), -inf = no pair with weight; or none */
    vic_tensor bias;    /* of plans with VIC_BIAS_DISTANCE: float32 [heads or 1, points], finite or -inf */
    double scale;       /* 0 = 1 / sqrt(head_dim) */
    bool zero_scale;    /* the scale is 0, so that only the bias weighs pairs; `scale` must be 0 */
    bool reserved_1[7];
    void *workspace; /* vic_plan_workspace() bytes, 64-byte aligned; NULL = taken for this call */
    size_t workspace_size;
    void *stream; /* GPU: NULL = the context's */
    /* Several problems in one launch: the tensors have no batch dimension and give shape, type, device and strides of
     * each, and the items give the addresses; the tensors' own `data` is not used.  No item's out or lse may overlap
     * any tensor of any item.  NULL = one problem, or a batch. */
    const vic_attention_item *items; /* [n_items] */
    int64_t n_items;                 /* 1 to 65536 */
    uint64_t reserved_2[2];
    /* Of plans with a pair bias: F32, F16 or BF16 whatever q is, in the layout of the plan, with any strides, also 0 for
     * heads.  In front a batch dimension (stride 0: the same for all entries), or none: the same for all entries or
     * items. */
    vic_tensor pair_bias;
    uint64_t reserved[2];
} vic_attention_args;

/* Attention over the plan's pattern.  A row without any pair gives zeros and LSE -inf.  The result has the same bits
 * whatever the batch, the context or the stream.  On the CPU every finite input gives the right result, also where
 * scores leave float32; an LSE beyond float32 is its last finite number (docs/concepts.md, Range, also for GPUs).
 * On a GPU it is enqueued on args->stream, or else on the context's stream, and done after vic_context_wait(); with
 * neither it is waited for.  Given a workspace (or a need of 0) it allocates and synchronises nothing, so that it can
 * be captured in a graph; plan, tensors and workspace must live until the work is done. */
VIC_API vic_status vic_attention(vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                                 vic_error *err) VIC_CHECK_RESULT;

/* Gradients of a loss with respect to what went into vic_attention(), from its gradients `dout` and `dlse` with respect
 * to what came out.  Tensors that are none (no data) are not wanted, or are 0 in the case of dout and dlse; at least one
 * must be wanted.  What is written is written whole, and must not overlap another tensor.  All have a batch dimension in
 * front or none, but for the bias and what comes through it. */
typedef struct vic_attention_backward_args {
    VIC_SIZE_OF(vic_attention_backward_args);
    vic_tensor q, k, v, out, lse; /* as they went into and came out of vic_attention(): lse is needed, too */
    vic_tensor dout, dlse;        /* shape and type of out and lse */
    vic_tensor dq, dk, dv;        /* shape and type of q, k, v; of any strides, as all tensors so far */
    vic_tensor bias;              /* of plans with VIC_BIAS_DISTANCE, as it went into vic_attention() */
    /* Through the distance bias, for plans with one; summed over the batch, contiguous.  With one set of points
     * dquery_positions has the sum for both roles, and dkey_positions is none. */
    vic_tensor dbias; /* float32, shape of bias; 0 at points that are -inf */
    vic_tensor dquery_positions,
        dkey_positions; /* float64 [n, 3], of point 0, 1, ... in any order of rows: loss / A */
    vic_tensor dcell; /* float64 [3, 3], rows as those of the cell, at fixed positions: loss / A; 0 along open axes */
    double scale;     /* as it went into vic_attention() */
    bool zero_scale;
    bool reserved_1[7];
    void *workspace; /* vic_plan_workspace() bytes, 64-byte aligned; NULL = taken for this call */
    size_t workspace_size;
    void *stream; /* GPU: NULL = the context's */
    uint64_t reserved_2[4];
    vic_tensor pair_bias; /* as it went into vic_attention() */
    /* The shape of pair_bias with or without its batch dimension; F32, F16 or BF16, any strides.  Without a batch
     * dimension, or with a stride of 0 in it, it is summed over the batch; with a stride of 0 for heads, over heads.
     * Summed in float32 in a fixed order, then rounded once. */
    vic_tensor dpair_bias;
    uint64_t reserved[4];
} vic_attention_backward_args;

/* The gradients of vic_attention(), for a plan made with `backward`; pairs are those of the pattern, wherever points
 * move.  Queries without pairs, or whose weights are all 0 (lse -inf), get and give zeros, whatever their dout and dlse.
 * The formulas, and how far lse may go: docs/concepts.md, Gradients.  dq, dk and dv have the same bits whatever the batch,
 * all results whatever the context, its threads or the stream; on streams, workspaces and threads as
 * vic_attention(). */
VIC_API vic_status vic_attention_backward(vic_context *c, const vic_plan *plan,
                                          const vic_attention_backward_args *args, vic_error *err) VIC_CHECK_RESULT;

/* Attention over several parts of the keys, put together: out = sum_p exp(lse_p - lse) out_p, lse = ln sum_p
 * exp(lse_p), summed in the order of the parts.  All tensors are on one device.  Like vic_attention() on streams. */
typedef struct vic_combine_args {
    VIC_SIZE_OF(vic_combine_args);
    int64_t parts;
    const vic_tensor *part_out; /* [parts] each [batch,] n x heads x d; F32, F16 or BF16, all alike */
    const vic_tensor *part_lse; /* [parts] each float32 [batch,] n x heads */
    vic_tensor out;             /* F32, F16 or BF16; may be a part's own tensor, exactly */
    vic_tensor lse;             /* float32, or none; likewise */
    void *stream;
    uint64_t reserved[4];
} vic_combine_args;
VIC_API vic_status vic_combine(vic_context *c, const vic_combine_args *args, vic_error *err) VIC_CHECK_RESULT;

/* ---- Distance bias ----------------------------------------------------------------------------------------- */

/* A table of b over the squared distance: value m of `points` (2 to 65536) at d^2 = cutoff^2 m / (points - 1), linear
 * in between.  -inf means weight 0; next to such a value e^b is linear, so that weights of a table that ends in -inf
 * go to 0 continuously at the cutoff.  VIC_BIAS_POINTS is enough for the kinds below.  docs/howto/distance-bias.md.
 */
enum { VIC_BIAS_POINTS = 1024 };
typedef enum vic_bias_kind {
    VIC_BIAS_LINEAR = 0,    /* a d: a < 0 favours near points (ALiBi, Press 2022) */
    VIC_BIAS_GAUSSIAN = 1,  /* a exp(-(d - center)^2 / (2 width^2)); several make a sum (Graphormer, Shi 2022) */
    VIC_BIAS_COSINE = 2,    /* ln((1 + cos(pi d / cutoff)) / 2) (Behler and Parrinello 2007); ends in -inf */
    VIC_BIAS_POLYNOMIAL = 3 /* ln(1 - (a+1)(a+2)/2 x^a + a(a+2) x^(a+1) - a(a+1)/2 x^(a+2)), x = d / cutoff, a whole
                             * number a >= 1, usually 6 (DimeNet, Gasteiger 2020); ends in -inf */
} vic_bias_kind;
/* Add a term to one head's table [points]; parameters that a kind does not have are ignored. */
VIC_API vic_status vic_bias_add(vic_bias_kind kind, double a, double center, double width, double cutoff, int points,
                                float *table, vic_error *err) VIC_CHECK_RESULT;

#ifdef __cplusplus
}
#endif
#endif
