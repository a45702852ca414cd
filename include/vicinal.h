/* SPDX-License-Identifier: Apache-2.0 */
/* vicinal: softmax attention between the atoms of a structure, over exactly the pairs within a cutoff.
 *
 *     out_i = sum_j softmax_j(scale * q_i . k_j + b(d_ij)) v_j   over all (j, image n) with |r_j + n - r_i| < cutoff
 *
 * The life cycle:   vic_structure   atoms and their cell, from a file or from arrays
 *                   vic_pattern     who is within the cutoff of whom; built once for a set of positions
 *                   vic_plan        a pattern made ready for one device, head count, head size and type
 *                   vic_engine      the threads that run plans
 *
 * Words.  atom: a point, in the caller's order.  row: a place in the pattern's own order, where near atoms have near
 *   rows.  strip: 64 consecutive query rows.  cluster: 16 consecutive key rows.  block: one (strip, cluster, image)
 *   with at least one pair, 64 x 16, full or with 1024 mask bits.  image: the integers (n1, n2, n3) of a lattice
 *   translation n1 a + n2 b + n3 c; each image of a neighbour counts as a neighbour of its own.
 * Units.  Positions, cells and cutoffs in angstrom, angles in degrees.  Cell vectors are rows: cell[0] is a.
 * Ownership.  What a call hands out through `**out` is freed by the matching _free(), which takes NULL; the object
 *   keeps no pointer to its inputs.  Borrowed pointers say so and live as long as the object they came from.
 * Errors.  A call that can fail returns a vic_status and, when `err` is not NULL, a text that says what was wrong,
 *   where, what was expected, what came, and what to do.  On failure `*out` is NULL and nothing else has changed.
 * Threads.  Objects do not change after they are made, so any number of threads may read one at once.  There is no
 *   global state; a vic_error belongs to one thread at a time.
 * Options.  A struct that ends in _options is filled by its _INIT macro and begins with its own size, so that a
 *   program built against an older header goes on working. */
#ifndef VICINAL_H
#define VICINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIC_VERSION_MAJOR 0
#define VIC_VERSION_MINOR 1
#define VIC_VERSION_PATCH 0
#define VIC_VERSION       "0.1.0"

#if defined(__GNUC__)
#define VIC_API          __attribute__((visibility("default")))
#define VIC_CHECK_RESULT __attribute__((warn_unused_result))
#else
#define VIC_API
#define VIC_CHECK_RESULT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors ------------------------------------------------------------------------------------------------ */

/* name, value, exit code of the command, HTTP code, text.  A value, once given, stays. */
#define VIC_STATUS_LIST(X)                                                                                           \
    X(OK, 0, 0, 200, "ok")                                                                                           \
    X(BAD_ARGUMENT, 10, 2, 400, "argument not accepted")                                                             \
    X(BAD_INPUT, 20, 3, 422, "input not usable")                                                                     \
    X(CANNOT_READ, 21, 3, 404, "cannot read")                                                                        \
    X(CANNOT_WRITE, 22, 1, 500, "cannot write")                                                                      \
    X(NO_DEVICE, 30, 4, 501, "no such device")                                                                       \
    X(NO_KERNEL, 31, 4, 501, "no kernel fits")                                                                       \
    X(NO_MEMORY, 40, 1, 503, "out of memory")                                                                        \
    X(FAILED, 50, 1, 500, "failed")

typedef enum vic_status {
#define VIC_STATUS_ENUM_(name, value, exit_code, http, text) VIC_##name = (value),
    VIC_STATUS_LIST(VIC_STATUS_ENUM_)
#undef VIC_STATUS_ENUM_
} vic_status;

/* Filled on failure; owned by the caller.  `text` is one line or more of UTF-8, always terminated. */
typedef struct vic_error {
    vic_status status;
    char text[1024];
} vic_error;

VIC_API const char *vic_status_name(vic_status status); /* "BAD_INPUT"; static; "?" for a value not in the list */
VIC_API const char *vic_status_text(vic_status status); /* "input not usable"; static */
VIC_API int vic_status_exit_code(vic_status status);
VIC_API int vic_status_http_code(vic_status status);
VIC_API const char *vic_version(void); /* of the library at run time; compare with VIC_VERSION */

/* ---- Tensors ----------------------------------------------------------------------------------------------- */

typedef enum vic_dtype { VIC_F32 = 0, VIC_F16 = 1, VIC_BF16 = 2, VIC_F64 = 3 } vic_dtype;

VIC_API size_t vic_dtype_size(vic_dtype dtype);      /* bytes; 0 for a value not in the enum */
VIC_API const char *vic_dtype_name(vic_dtype dtype); /* "float32", "float16", "bfloat16", "float64" */
typedef enum vic_device_kind { VIC_CPU = 0, VIC_CUDA = 1 } vic_device_kind;
typedef struct vic_device {
    vic_device_kind kind;
    int index;
} vic_device;

/* A view of the caller's memory.  Strides count elements, not bytes, and may have any value, so (N,H,D), (H,N,D) and
 * packed QKV need no copy; the last dimension must be contiguous (stride 1).
 * Attention takes shape [atoms, heads, head size] or [batch, atoms, heads, head size]; LSE [batch, atoms, heads]. */
typedef struct vic_tensor {
    void *data;
    vic_dtype dtype;
    vic_device device;
    int ndim;
    int64_t shape[4];
    int64_t stride[4];
} vic_tensor;

#define VIC_TENSOR_NONE                                                                                              \
    {                                                                                                                \
        NULL, VIC_F32, { VIC_CPU, 0 }, 0, { 0, 0, 0, 0 },                                                            \
        {                                                                                                            \
            0, 0, 0, 0                                                                                               \
        }                                                                                                            \
    }

/* A dense row-major CPU tensor over `data`.  Unused trailing shape entries are ignored. */
VIC_API vic_tensor vic_tensor_make(void *data, vic_dtype dtype, int ndim, const int64_t *shape);

/* ---- Structures -------------------------------------------------------------------------------------------- */

typedef struct vic_structure vic_structure;
typedef enum vic_altloc { VIC_ALTLOC_HIGHEST = 0, VIC_ALTLOC_ALL = 1 } vic_altloc;
typedef enum vic_duplicates {
    VIC_DUPLICATES_REFUSE = 0,
    VIC_DUPLICATES_DROP = 1,
    VIC_DUPLICATES_KEEP = 2
} vic_duplicates;
typedef enum vic_pbc { VIC_PBC_AUTO = 0, VIC_PBC_SET = 1 } vic_pbc;
typedef struct vic_read_options {
    size_t size;
    int model;          /* number of the model or frame to take (1, 2, ...); 0 = the first, -1 = the last, -2 = ... */
    vic_altloc altloc;  /* HIGHEST: per residue the label with the highest mean occupancy, ties to the first */
    bool drop_hydrogen; /* H and D */
    bool drop_water;    /* residues HOH, WAT, SOL, TIP3, ... ; docs/concepts.md has the list */
    bool symmetry;      /* apply the space group; copies within 0.1 A (minimum image) are merged */
    int supercell[3];   /* repetitions along a, b, c; >= 1 */
    bool has_cell;      /* `cell` (a, b, c, alpha, beta, gamma) overrides the file's */
    double cell[6];
    vic_pbc pbc;       /* AUTO: what the file says of its axes; else all three where there is a cell, but none where
                        * the file's cell has a space group whose operations were not applied; SET: `periodic` */
    bool periodic[3];  /* along a, b, c */
    int64_t max_atoms; /* refuse larger structures, symmetry and supercell included; 0 = the default 2^31 - 65 */
    vic_duplicates duplicates; /* PDB, mmCIF: of atoms listed twice in one place DROP takes the first alone */
} vic_read_options;

#define VIC_READ_OPTIONS_INIT                                                                                        \
    {                                                                                                                \
        sizeof(vic_read_options), 0, VIC_ALTLOC_HIGHEST, false, false, false, { 1, 1, 1 }, false,                    \
            { 0, 0, 0, 0, 0, 0 }, VIC_PBC_AUTO, { false, false, false }, 0, VIC_DUPLICATES_REFUSE                    \
    }

/* Read PDB, mmCIF, small-molecule CIF, GRO, XYZ, extXYZ, POSCAR, LAMMPS data or Amber rst7, each also gzipped; the
 * format is found by content, not by name.  docs/formats.md says what is read of each.
 * `options` may be NULL (defaults).  CANNOT_READ when the file cannot be opened, BAD_INPUT with file, line, expected
 * and found when its content cannot be trusted.  Cost: linear in the file. */
VIC_API vic_status vic_structure_read(const char *path, const vic_read_options *options, vic_structure **out,
                                      vic_error *err) VIC_CHECK_RESULT;

/* From arrays, copied.  positions [atoms, 3]; cell NULL or 3 row vectors; periodic NULL (all axes when there is a
 * cell) or 3 flags; atomic_numbers [atoms] or NULL (unknown, 0).  Positions must be finite. */
VIC_API vic_status vic_structure_from_arrays(int64_t atoms, const double *positions, const double cell[3][3],
                                             const bool periodic[3], const uint8_t *atomic_numbers,
                                             vic_structure **out, vic_error *err) VIC_CHECK_RESULT;

/* Names of one atom, NUL-terminated, cut to fit. */
typedef struct vic_atom_label {
    char name[8];     /* "CA" */
    char residue[8];  /* "ALA" */
    char chain[8];    /* "A"; the author's id where the file has two */
    char insertion;   /* insertion code or ' ' */
    char altloc;      /* or ' ' */
    bool hetero;      /* HETATM */
    int32_t sequence; /* residue number */
} vic_atom_label;

/* Borrowed view; the arrays live as long as the structure.  Optional arrays are NULL when the source has none. */
typedef struct vic_structure_view {
    int64_t atoms;
    const double *positions;       /* [atoms, 3] A, as the file gives them (never wrapped) */
    const uint8_t *atomic_numbers; /* [atoms]; 0 = unknown */
    const vic_atom_label *labels;  /* [atoms] or NULL */
    const float *b_factors;        /* [atoms] A^2 or NULL */
    const float *occupancies;      /* [atoms] or NULL */
    bool has_cell;
    double cell[3][3]; /* row vectors; zeros without a cell */
    bool periodic[3];
    const char *format;          /* "pdb", "mmcif", "cif", "gro", "xyz", "poscar", "lammps", ...; static */
    const char *title;           /* or "" */
    const char *space_group;     /* Hermann-Mauguin or "" */
    int64_t models;              /* in the file */
    int64_t altloc_atoms;        /* atoms in the chosen model that have an altloc label, before the choice */
    int64_t file_atoms;          /* in the chosen model, before any selection */
    int64_t symmetry_operations; /* applied; 1 = none */
    /* Operations of the cell's space group, beside the identity, that were not applied: where it is not 0 the atoms
     * are the asymmetric unit alone.  -1: the group is not known by its name, or its list cannot be used. */
    int64_t unapplied_operations;
    const char *notes; /* what was decided in reading and may surprise, a sentence a line; or "" */
} vic_structure_view;

VIC_API vic_structure_view vic_structure_get(const vic_structure *s);
/* Write atoms with a per-atom value: as PDB and mmCIF the value is the B-factor (%6.2f; exact), as extXYZ a column
 * `value_name`:R:1.  The format follows the ending: .pdb, .cif, .mmcif, .xyz, .extxyz.  Written beside and renamed,
 * so a failure leaves no half file, though the death of the process may (PATH.part-...); values [atoms].
 * The form with _to writes to an open descriptor (a file, pipe, socket, ...) at its place, and leaves it open: for
 * callers who see to half files themselves.  `name` says the format by its ending, and is the file's name in errors.
 */
VIC_API vic_status vic_structure_write(const vic_structure *s, const char *path, const char *value_name,
                                       const double *values, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_structure_write_to(const vic_structure *s, int descriptor, const char *name,
                                          const char *value_name, const double *values,
                                          vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_structure_free(vic_structure *s);

/* ---- Patterns ---------------------------------------------------------------------------------------------- */

typedef struct vic_pattern vic_pattern;
typedef enum vic_side { VIC_QUERY = 0, VIC_KEY = 1 } vic_side;

/* What a pattern will take, from a sample of its strips; zeros where no sample was needed, as its numbers of atoms
 * and images alone say that it fits. */
typedef struct vic_pattern_estimate {
    double pairs, bytes;   /* bytes: while it is built, at most */
    double cutoff;         /* of these figures: the one asked for, or a smaller one that was too large already */
    bool refused;          /* bytes > max_bytes */
    double fitting_cutoff; /* about the largest that would not be refused, where one was; 0 = none */
} vic_pattern_estimate;

typedef struct vic_pattern_options {
    size_t size;
    double cutoff;                   /* A; > 0.  A pair is in when its distance is strictly smaller. */
    bool exclude_self;               /* leave out (i, i, image 0), and only that */
    int threads;                     /* 0 = all that this process may use */
    const uint8_t *skip, *skip_keys; /* [n_q], [n_k]: 1 = attends to nothing and is not attended to; NULL = all take
                                      * part.  Where queries are keys, `skip` counts for both. */
    size_t max_bytes; /* cutoff, nearest: NO_MEMORY before what would take more is built; 0 = no limit */
    vic_pattern_estimate *estimate; /* where to put what was found for max_bytes; NULL = not wanted */
} vic_pattern_options;

#define VIC_PATTERN_OPTIONS_INIT                                                                                     \
    {                                                                                                                \
        sizeof(vic_pattern_options), 0.0, false, 0, NULL, NULL, 0, NULL                                              \
    }

/* The exact pattern of a structure with itself.  The pair rule is in docs/concepts.md; it is evaluated in double on
 * the positions as given and is symmetric.  Cost: O(pairs), on all threads. */
VIC_API vic_status vic_pattern_build(const vic_structure *s, const vic_pattern_options *options, vic_pattern **out,
                                     vic_error *err) VIC_CHECK_RESULT;

/* Like vic_pattern_build(), between two sets of points: query atoms [n_q, 3] attend to key atoms [n_k, 3].  cell NULL
 * or 3 row vectors, periodic NULL (all axes when there is a cell) or 3 flags.  With key_positions NULL (and n_k 0)
 * the queries are the keys, with self pairs; otherwise no pair is a self pair. */
VIC_API vic_status vic_pattern_build_points(int64_t n_q, const double *query_positions, int64_t n_k,
                                            const double *key_positions, const double cell[3][3],
                                            const bool periodic[3], const vic_pattern_options *options,
                                            vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* Other ways.  n_k 0 = the queries are the keys.  Without positions, rows stand in the order of the atoms.
 * from_blocks: a BSR mask; `block` a multiple of 16, row_ptr [ceil(n_q / block) + 1].
 * generate: "blocks:63x63:n=800,seed=1", "blocks:126x126:density=0.2,block=64", "origin:800" (or 1600, 3200).
 * from_pairs: each (query, key, image) once; image [pairs, 3] or NULL.  `s` gives positions and cell; NULL = none.
 * nearest: the k nearest keys of each query by (distance, key, image), its own atom among them unless excluded.
 * windows: queries i .. i + queries - 1, i = 0, queries, ..., attend to the `keys` atoms around their middle.
 * structures: several at once, within the cutoff; no pair joins two.  offsets [structures + 1], positions of all in
 *   turn; cells [structures, 3, 3] or NULL, periodic [structures, 3] or NULL (all axes where there are cells).
 * unite: the pairs of either; the same atoms and cell.  exclude: without those listed (NULL: any image). */
VIC_API vic_status vic_pattern_from_blocks(int64_t n_q, int64_t n_k, int64_t block, const int64_t *row_ptr,
                                           const int32_t *column, const vic_pattern_options *options,
                                           vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_generate(const char *text, const vic_pattern_options *options, vic_pattern **out,
                                        vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_from_pairs(const vic_structure *s, int64_t n_q, int64_t n_k, int64_t pairs,
                                          const int32_t *query, const int32_t *key, const int32_t *image,
                                          const vic_pattern_options *options, vic_pattern **out,
                                          vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_nearest(const vic_structure *s, int64_t k, const vic_pattern_options *options,
                                       vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_windows(int64_t atoms, int64_t queries, int64_t keys,
                                       const vic_pattern_options *options, vic_pattern **out,
                                       vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_structures(int64_t structures, const int64_t *offsets, const double *positions,
                                          const double *cells, const bool *periodic,
                                          const vic_pattern_options *options, vic_pattern **out,
                                          vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_unite(const vic_pattern *a, const vic_pattern *b, vic_pattern **out,
                                     vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_exclude(const vic_pattern *p, int64_t pairs, const int32_t *query, const int32_t *key,
                                       const int32_t *image, vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* Files (.vnp, docs/pattern-format.md): written beside and renamed; checked throughout when read.  save_to: to an
 * open descriptor, like vic_structure_write_to(). */
VIC_API vic_status vic_pattern_save(const vic_pattern *p, const char *path, vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_save_to(const vic_pattern *p, int descriptor, const char *name,
                                       vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_load(const char *path, vic_pattern **out, vic_error *err) VIC_CHECK_RESULT;

/* The pattern of a cutoff or of the nearest, of the same atoms after they moved; positions as for
 * vic_pattern_build_points(), cell NULL = as before, threads 0 = all.  Frees the old pattern and puts the new one
 * into *p; on failure *p is what it was.  Where no plan holds the old one (a plan keeps what it was made from) its
 * memory stays with the new one, for the update after this. */
VIC_API vic_status vic_pattern_update(vic_pattern **p, const double *query_positions, const double *key_positions,
                                      const double cell[3][3], int threads, vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_pattern_info {
    int64_t n_q, n_k;
    int64_t pairs;          /* (i, j, image) with d < cutoff */
    int64_t max_pairs;      /* of one query atom */
    int64_t boundary_pairs; /* |d - cutoff| <= 1e-9 cutoff, in or out: rounding of positions decides these */
    int64_t strips;         /* of 64 query rows */
    int64_t clusters;       /* of 16 key rows */
    int64_t blocks;         /* (strip, cluster, image) with a pair: 64 x 16 */
    int64_t full_blocks;    /* of these, with all 1024 pairs */
    int64_t block128_count; /* 128 x 128 blocks of (query row, key row) with a pair, images united */
    int64_t block128_full;  /* of these, with every (query, key) that exists */
    int64_t block128_grid;  /* how many there could be: ceil(n_q/128) * ceil(n_k/128) */
    size_t bytes;           /* memory held by the pattern */
    double cutoff;          /* no pair is further apart; 0 = pairs were not chosen by distance alone */
    double seconds_order, seconds_build;
    const char *kind;   /* "cutoff", "nearest", "blocks", "pairs", "windows", "union", "exclusion"; static */
    int64_t structures; /* 1 but for vic_pattern_structures() */
    double cell[3][3];  /* zeros along open axes, and for several structures */
    bool periodic[3];
} vic_pattern_info;

VIC_API vic_pattern_info vic_pattern_get(const vic_pattern *p);
VIC_API const double *vic_pattern_positions(const vic_pattern *p, vic_side side); /* [n, 3], borrowed, or NULL */

/* Row -> atom, [n_q] and [n_k]; borrowed.  The same pointer twice where queries are keys. */
VIC_API const int32_t *vic_pattern_query_order(const vic_pattern *p);
VIC_API const int32_t *vic_pattern_key_order(const vic_pattern *p);

/* Number of pairs of each query atom, in the caller's order: counts [n_q]. */
VIC_API void vic_pattern_counts(const vic_pattern *p, int64_t *counts);

/* All pairs, sorted by query atom, then key atom, then image: query [pairs], key [pairs], image [pairs, 3] (each may
 * be NULL).  The displacement is r_key + image . cell - r_query.  `pairs` must equal info.pairs. */
VIC_API vic_status vic_pattern_pairs(const vic_pattern *p, int64_t pairs, int32_t *query, int32_t *key,
                                     int32_t *image, vic_error *err) VIC_CHECK_RESULT;

/* The same as a neighbour list, as ASE and others give it: i, j, shift [pairs, 3] (the image) and the distances
 * |r_j + shift . cell - r_i| in A, by the pair rule; each may be NULL.  i rises, under it j, then shift.  Build with
 * exclude_self where atoms should not neighbour themselves.  threads: 0 = all.  Cost: O(pairs). */
VIC_API vic_status vic_pattern_neighbours(const vic_pattern *p, int64_t pairs, int threads, int32_t *i, int32_t *j,
                                          int32_t *shift, double *distance, vic_error *err) VIC_CHECK_RESULT;

/* mask [n_q, n_k] bytes in the caller's order: number of images of the pair, at most 255.  Quadratic: for tests. */
VIC_API vic_status vic_pattern_dense(const vic_pattern *p, uint8_t *mask, vic_error *err) VIC_CHECK_RESULT;

/* 128 x 128 blocks in pattern order, CSR: row_ptr [ceil(n_q/128) + 1], column and full [info.block128_count]. */
VIC_API vic_status vic_pattern_blocks128(const vic_pattern *p, int64_t *row_ptr, int32_t *column, uint8_t *full,
                                         vic_error *err) VIC_CHECK_RESULT;

/* The 64 x 16 blocks by strip and cluster, for pictures: strip, cluster, pairs of each, [info.blocks]. */
VIC_API vic_status vic_pattern_blocks(const vic_pattern *p, int32_t *strip, int32_t *cluster, int32_t *pairs,
                                      vic_error *err) VIC_CHECK_RESULT;

/* Copy features between the caller's order and pattern order: `out` has shape, type and device of `in`, [n, ...], n
 * query (or key) atoms.  Once per model, not per layer: on a GPU a call uploads the order and blocks until done. */
VIC_API vic_status vic_pattern_sort(const vic_pattern *p, vic_side side, const vic_tensor *in, const vic_tensor *out,
                                    vic_error *err) VIC_CHECK_RESULT;
VIC_API vic_status vic_pattern_unsort(const vic_pattern *p, vic_side side, const vic_tensor *in,
                                      const vic_tensor *out, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_pattern_free(vic_pattern *p);

/* ---- Plans and attention ----------------------------------------------------------------------------------- */

typedef struct vic_engine vic_engine;
typedef struct vic_plan vic_plan;

typedef struct vic_engine_options {
    size_t size;
    int threads; /* 0 = all that this process may use */
} vic_engine_options;
#define VIC_ENGINE_OPTIONS_INIT                                                                                      \
    {                                                                                                                \
        sizeof(vic_engine_options), 0                                                                                \
    }

/* Starts the threads.  Several threads may run plans on one engine; their runs take turns. */
VIC_API vic_status vic_engine_create(const vic_engine_options *options, vic_engine **out,
                                     vic_error *err) VIC_CHECK_RESULT;
VIC_API int vic_engine_threads(const vic_engine *e);
VIC_API void vic_engine_free(vic_engine *e);

typedef struct vic_plan_options {
    size_t size;
    int heads;          /* query heads, >= 1 */
    int kv_heads;       /* divides heads; 0 = heads.  Query head h reads key head h / (heads / kv_heads). */
    int head_dim;       /* of q and k: 8 to 128 in steps of 8 */
    int head_dim_v;     /* of v and out, likewise; 0 = head_dim */
    vic_dtype dtype;    /* of q, k, v and out: F32, F16, BF16 */
    vic_device device;  /* where the tensors live */
    bool pattern_order; /* rows of all tensors are already in pattern order */
    const char *kernel; /* force one by name; NULL = the best that fits (or VIC_FORCE_KERNEL) */
    bool radial;        /* every run brings a radial term */
} vic_plan_options;
#define VIC_PLAN_OPTIONS_INIT                                                                                        \
    {                                                                                                                \
        sizeof(vic_plan_options), 1, 0, 64, 0, VIC_F32, { VIC_CPU, 0 }, false, NULL, false                           \
    }

/* Choose a kernel and lay out its work.  The plan keeps its own reference to the pattern, so both may be freed in any
 * order.  NO_KERNEL says what excludes all kernels first, then what each one lacks.  Cost: O(blocks). */
VIC_API vic_status vic_plan_create(const vic_pattern *p, const vic_plan_options *options, vic_plan **out,
                                   vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_plan_info {
    const char *kernel; /* static */
    vic_device device;
    int64_t computed_pairs; /* executed per head, >= the pattern's pairs */
    size_t bytes;           /* memory held by the plan, without the pattern */
} vic_plan_info;
VIC_API vic_plan_info vic_plan_get(const vic_plan *plan);
VIC_API void vic_plan_free(vic_plan *plan);

/* Bytes of scratch that one run of `batch` items needs: on the CPU with an engine of `threads` threads (the batch
 * does not matter there), on a GPU in device memory (the threads do not matter); 0 = none. */
VIC_API size_t vic_plan_workspace_size(const vic_plan *plan, int threads, int64_t batch);

/* Radial term b_h(d), added to the scores before the softmax: values over the squared distance, point m of a head at
 * d^2 = cutoff^2 * m / (points - 1), linear in between.  -inf means weight 0; next to such a point e^b is linear, so
 * that a table which ends in -inf lets atoms cross the cutoff without a jump.  More: docs/howto/radial-term.md. */
typedef struct vic_radial {
    const float *table;  /* [heads, points] in CPU memory, finite or -inf; NULL = none */
    int points;          /* 2 to 65536; VIC_RADIAL_POINTS is enough for the kinds below */
    int64_t head_stride; /* 0 = one table for all heads */
} vic_radial;
#define VIC_RADIAL_POINTS 1024

typedef enum vic_radial_kind {
    VIC_RADIAL_LINEAR = 0,    /* a d: a < 0 favours near atoms (ALiBi, Press 2022) */
    VIC_RADIAL_GAUSSIAN = 1,  /* a exp(-(d - center)^2 / (2 width^2)); several make a sum (Graphormer, Shi 2022) */
    VIC_RADIAL_COSINE = 2,    /* ln((1 + cos(pi d / cutoff)) / 2) (Behler and Parrinello 2007); ends in -inf */
    VIC_RADIAL_POLYNOMIAL = 3 /* ln(1 - (a+1)(a+2)/2 x^a + a(a+2) x^(a+1) - a(a+1)/2 x^(a+2)), x = d / cutoff, a whole
                               * number a >= 1, usually 6 (DimeNet, Gasteiger 2020); ends in -inf */
} vic_radial_kind;
/* Add a term to one head's table of `points` values; parameters that a kind does not have are not looked at. */
VIC_API vic_status vic_radial_add(vic_radial_kind kind, double a, double center, double width, double cutoff,
                                  int points, float *table, vic_error *err) VIC_CHECK_RESULT;

typedef struct vic_attention_args {
    size_t size;
    vic_tensor q, k, v; /* [batch,] n_q x heads x d_qk;  n_k x kv_heads x d_qk;  n_k x kv_heads x d_v */
    vic_tensor out;     /* [batch,] n_q x heads x d_v, type of q; must not overlap q, k, v */
    vic_tensor lse;     /* float32 [batch,] n_q x heads: ln sum exp(score), -inf = no pair with weight; data NULL =
                         * not wanted */
    double scale;       /* 0 = 1 / sqrt(head_dim) */
    void *workspace;    /* vic_plan_workspace_size() bytes, 64-byte aligned; NULL = allocate for this call */
    size_t workspace_size;
    vic_radial radial; /* for plans with `radial`, and only for those */
} vic_attention_args;
#define VIC_ATTENTION_ARGS_INIT                                                                                      \
    {                                                                                                                \
        sizeof(vic_attention_args), VIC_TENSOR_NONE, VIC_TENSOR_NONE, VIC_TENSOR_NONE, VIC_TENSOR_NONE,              \
            VIC_TENSOR_NONE, 0.0, NULL, 0,                                                                           \
        {                                                                                                            \
            NULL, 0, 0                                                                                               \
        }                                                                                                            \
    }

/* Attention over the plan's pattern.  A row without any pair gives zeros and LSE -inf.  The result has the same bits
 * whatever the batch or the number of threads.  On the CPU every finite input gives the right result, also where
 * scores leave float32; an LSE beyond float32 is its last finite number (docs/concepts.md, Range, also for GPUs).
 * Blocks until done.  On a GPU `e` may be NULL. */
VIC_API vic_status vic_attention(vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                                 vic_error *err) VIC_CHECK_RESULT;

/* Like vic_attention(), for a plan on a GPU: enqueues on `stream` (a cudaStream_t; NULL = the default stream) and
 * returns. Allocates and synchronises nothing, so it can be captured in a graph; the workspace must be given where
 * vic_plan_workspace_size() is not 0, and plan, tensors and workspace must live until the work is done. */
VIC_API vic_status vic_attention_enqueue(const vic_plan *plan, const vic_attention_args *args, void *stream,
                                         vic_error *err) VIC_CHECK_RESULT;

/* Times vic_attention(): seconds [launches], on a GPU each between two events around a launch, queued without waiting
 * for the one before; on the CPU by the clock.  `options` may be NULL; `e` and `args` as for vic_attention(). */
typedef struct vic_time_options {
    size_t size;
    int warm_up, launches; /* warm_up are not counted */
    int in_graph;          /* GPU: above 0, each figure is the mean in one replay of a graph of so many launches */
    bool cold;             /* GPU: L2 is flushed before each launch; not in a graph */
} vic_time_options;
#define VIC_TIME_OPTIONS_INIT                                                                                        \
    {                                                                                                                \
        sizeof(vic_time_options), 10, 1000, 0, false                                                                 \
    }
VIC_API vic_status vic_attention_time(vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                                      const vic_time_options *options, double *seconds,
                                      vic_error *err) VIC_CHECK_RESULT;

/* Memory of a device, for callers without a CUDA runtime of their own.  `bytes` may be 0.  Copies between any two
 * devices block until done, after all work that was enqueued on the default stream. */
VIC_API vic_status vic_memory_alloc(vic_device device, size_t bytes, void **out, vic_error *err) VIC_CHECK_RESULT;
VIC_API void vic_memory_free(vic_device device, void *memory);
VIC_API vic_status vic_memory_copy(vic_device to_device, void *to, vic_device from_device, const void *from,
                                   size_t bytes, vic_error *err) VIC_CHECK_RESULT;

/* The same rows in float64, by brute force over all keys and images straight from the pair rule; it shares nothing
 * with the pattern's blocks or the kernels, so agreement checks both.  For `n_rows` query atoms `rows` (caller's
 * atom numbers; NULL = all): out [n_rows, heads, d_v], lse [n_rows, heads] or NULL, counts [n_rows] or NULL (pairs).
 * The tensors are in CPU memory also when the plan is for a GPU; out and lse of `args` are not looked at.  Batches
 * are not accepted.  Cost: O(n_rows * n_k). */
VIC_API vic_status vic_attention_reference(vic_engine *e, const vic_plan *plan, const vic_attention_args *args,
                                           int64_t n_rows, const int64_t *rows, double *out, double *lse,
                                           int64_t *counts, vic_error *err) VIC_CHECK_RESULT;

/* ---- What this build and machine have ---------------------------------------------------------------------- */

typedef struct vic_kernel_info {
    const char *name;   /* "attn_fwd_cpu_avx2"; static */
    const char *device; /* "cpu", "cuda" */
    bool available;     /* on this machine */
    const char *reason; /* why not; "" when available */
} vic_kernel_info;
VIC_API int vic_kernel_count(void);
VIC_API vic_kernel_info vic_kernel_get(int index); /* 0 <= index < vic_kernel_count(), best first within a device */

typedef struct vic_device_info {
    vic_device device;
    char name[128];
    int64_t memory_bytes; /* 0 = not known */
    char detail[128];     /* "2 threads, avx512" ; "sm_90, 132 multiprocessors, ..." */
} vic_device_info;
/* Fills at most `capacity` entries and returns how many there are; the CPU is always first.  `note` (may be NULL)
 * gets a sentence about CUDA when no GPU is usable: no driver, too old, no device. */
VIC_API int vic_devices(int capacity, vic_device_info *devices, char note[256]);

typedef struct vic_switch_info {
    const char *name;  /* environment variable */
    const char *value; /* "" when unset; static until the environment changes */
    const char *help;
} vic_switch_info;
VIC_API int vic_switch_count(void);
VIC_API vic_switch_info vic_switch_get(int index);
/* BAD_ARGUMENT when a switch has a value that it does not take.  Each is also checked where it is used. */
VIC_API vic_status vic_switches_check(vic_error *err) VIC_CHECK_RESULT;
VIC_API const char *vic_build_info(void); /* compiler, flags, CUDA, commit: one line; static */

#ifdef __cplusplus
}
#endif
#endif
