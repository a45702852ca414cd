/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern as planner, kernels and tests see it.  src/pattern makes it, and the arrays are writable for that
 * alone: everybody else is given a const struct vic_pattern * and only reads. */
#ifndef VIC_CONTRACT_PATTERN_H
#define VIC_CONTRACT_PATTERN_H

#include "vicinal.h"

enum {
    STRIP = 64,   /* query rows of a strip: one bit each in a mask word */
    CLUSTER = 16, /* key rows of a cluster */
    BLOCK = STRIP * CLUSTER,
};

/* The 1024 bits of a partial block: bit r of key[c] says that query row r of the strip attends to key row c of the
 * cluster.  Key-major, so that one word is the lane mask of a key over all rows.  Bits of rows or keys past the end
 * are 0. */
struct block_bits {
    uint64_t key[CLUSTER];
};

/* A full block's bits, as an initialiser. */
#define BLOCK_BITS_ALL                                                                                               \
    {                                                                                                                \
        {                                                                                                            \
            ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, \
                ~0ull                                                                                                \
        }                                                                                                            \
    }

/* Clusters first .. first + count - 1 under one image, all of them full. */
struct full_run {
    int32_t first, count, image;
};

/* How the pairs came about, kept beside the blocks so that the reference can decide each pair anew.  Rules stand in
 * postfix order: a leaf gives a set of (query atom, key atom, image), UNITE joins the two sets before it, SUBTRACT
 * takes the second of them out of the first, EXCLUDE takes its pairs out of the set before it. */
enum pattern_rule_kind {
    RULE_CUTOFF = 1, /* contract/pair_rule.h, within one structure */
    RULE_NEAREST,    /* the `count` nearest by (distance, id of the key, image, key atom) */
    RULE_BLOCKS,     /* (i / count, j / count) is listed */
    RULE_PAIRS,      /* (i, j, image) is listed */
    RULE_WINDOWS,    /* `count` consecutive queries attend to the `keys` consecutive keys around their middle */
    RULE_UNITE,
    RULE_EXCLUDE,
    RULE_SUBTRACT,
    RULE_RANGES, /* group after group of queries attends to ranges of keys; see `count` below */
    RULE_KINDS,
};

struct pattern_rule {
    enum pattern_rule_kind kind;
    bool exclude_self; /* CUTOFF, NEAREST: without self pairs */
    /* NEAREST, WINDOWS, RANGES: (i, j, n) is in when (j, i, -n) is by the words of this rule, in which queries and
     * keys have changed places.  Masks are those of the pattern as it is. */
    bool transposed;
    double cutoff; /* CUTOFF */
    /* RANGES: the ranges of a group, in their order, are a sequence of keys, and its queries stand at the end of it:
     * of m queries and L keys, query r has place L - m + r.  A query attends to the keys whose place is at most
     * `count` before and `keys` behind its own; -1 = however far.  Where `share` is above 1, so many consecutive
     * queries of a group share a place, as if they were one. */
    int64_t count, keys;
    int64_t share; /* RANGES: at least 1; 0 in other kinds */
    /* A list in CSR form: PAIRS and EXCLUDE by query atom, BLOCKS by block row, RANGES by group. */
    int64_t rows, n;
    int64_t *ptr;        /* [rows + 1]; NULL without a list */
    int32_t *index;      /* [n] key atom or block column, rising in a row, by image next; RANGES: start, end, ... */
    int64_t *first;      /* [rows + 1] RANGES: the first query of each group */
    int32_t (*image)[3]; /* [n]; NULL = image 0 in PAIRS, every image in EXCLUDE */
    uint8_t *q_skip, *k_skip; /* [n_q], [n_k] leaves: 1 = takes no part; NULL = all do; the same where one_set */
};

/* The cell of one of several structures. */
struct pattern_cell {
    double cell[3][3];
    bool periodic[3];
};

/* The beginning of what one layer keeps of a pattern on a GPU. */
struct pattern_on_device {
    struct pattern_on_device *next;
    void (*release)(struct pattern_on_device *on_device);
};

struct vic_pattern {
    /* sizes */
    int64_t n_q, n_k;
    int64_t strips;   /* ceil(n_q / STRIP) */
    int64_t clusters; /* ceil(n_k / CLUSTER) */

    /* geometry, as the caller gave it */
    bool one_set;      /* queries are keys: q_* and k_* below are the same pointers */
    bool exclude_self; /* self pairs are left out: see q_ids; only with one_set or ids */
    double cutoff;     /* no pair is further apart; 0 = pairs were not chosen by distance alone */
    double cell[3][3]; /* rows; zeros where not periodic, and with several structures */
    bool periodic[3];
    double *q_positions; /* [n_q, 3], caller's order; NULL = pairs without geometry */
    double *k_positions; /* [n_k, 3] */

    /* Global ids: an atom that is a query and a key, or several keys, has one id.  A pair of atoms with the same id
     * and at distance 0 is a self pair; nearest neighbours at one distance rank by the id of the key. */
    int64_t *q_ids, *k_ids; /* [n_q], [n_k]; NULL = each atom's own number, and two sets have no self pairs */

    /* Several structures in one pattern: no pair joins two of them. */
    int64_t structures;           /* 0 = one */
    int64_t *offsets, *k_offsets; /* [structures + 1] first query and key of each; NULL = one structure */
    struct pattern_cell *cells;   /* [structures] */

    bool symmetric;  /* (i, j, n) is in exactly when (j, i, -n) is; false = that is not so, or not known */
    int64_t n_rules; /* 0 = every pair within the cutoff, of one structure or two sets */
    struct pattern_rule *rules;

    /* order */
    int32_t *q_order; /* [n_q] row -> atom */
    int32_t
        *k_order; /* [n_k]; NULL = row j is atom j, so that nothing grows with a cache of keys: see pattern_key() */
    /* [n_k] the same order written out once somebody wants it as an array (pattern_key_order() of src/pattern); NULL =
     * nobody did.  Changed through __atomic only. */
    int32_t *k_order_written;

    /* Images.  Search works on wrapped copies r' = r + wrap . cell; a block holds the pairs at r'_j + images[image]
     * . cell - r'_i, so the image of the pair (i, j) in terms of the positions as given is
     *     n = images[image] + k_wrap[j] - q_wrap[i],   which is pair_image() below. */
    int64_t n_images;
    int32_t (*images)[3]; /* [n_images], sorted; the zero image alone in an open system */
    int32_t (*q_wrap)[3]; /* [n_q] by atom; NULL = all zero */
    int32_t (*k_wrap)[3]; /* [n_k] */

    /* Blocks, in CSR form over strips; in a strip by cluster, then image. */
    int64_t n_partial;
    int64_t *partial_ptr;            /* [strips + 1] */
    int32_t *partial_cluster;        /* [n_partial] */
    int32_t *partial_image;          /* [n_partial] index into images */
    struct block_bits *partial_bits; /* [n_partial] */
    int64_t n_full;                  /* full blocks, the sum of the runs' counts */
    int64_t *full_ptr;               /* [strips + 1] into full_runs */
    struct full_run *full_runs;

    vic_pattern_info info;
    /* What the pattern keeps in the memory of GPUs, made when it is first needed there: a list that only grows, its head
     * changed through __atomic only. */
    struct pattern_on_device *on_device;
    struct vic_pattern *spare; /* the pattern before an update, whose memory the next one takes; or NULL */
    int64_t references;        /* changed through __atomic only (src/pattern/pattern.c) */
};

/* The key atom of a row. */
static inline int32_t pattern_key(const struct vic_pattern *p, int64_t row)
{
    return p->k_order ? p->k_order[row] : (int32_t)row;
}

/* The image of the pair (query atom i, key atom j) in a block with this image, in terms of the positions as given. */
static inline void pair_image(const struct vic_pattern *p, int32_t image, int32_t i, int32_t j, int32_t n[3])
{
    for (int x = 0; x < 3; x++)
        n[x] = p->images[image][x] + (p->k_wrap ? p->k_wrap[j][x] : 0) - (p->q_wrap ? p->q_wrap[i][x] : 0);
}

#endif
