/* SPDX-License-Identifier: Apache-2.0 */
/* What one attention case of the parity tests asks for, and tensors of any layout in bytes that are watched. */
#ifndef VIC_TESTS_PARITY_CASE_H
#define VIC_TESTS_PARITY_CASE_H

#include "base/half.h"
#include "brute.h"
#include "contract/attention.h"

enum layout { ATOMS_HEADS, HEADS_ATOMS, PACKED_QKV, PADDED };

enum values {
    NORMAL,
    LOGITS_1E4,     /* scores up to about 10^4 */
    ALL_MINUS_1000, /* every score is -1000 */
    ONE_DOMINANT,   /* key atom 0 outweighs all others by e^60 */
    ALL_MINUS_INF,  /* every score is -inf: zeros and -inf, as without pairs (NaN on a GPU) */
    ZERO,           /* q = k = 0: lse is the logarithm of the number of pairs */
    GROWING,        /* scores rise with the key's atom number, so that the maximum moves again and again */
    LARGE,          /* random scores up to about 1000 */
    JUMPS,          /* scores of -1000, 0, 30, 130 and 1000, from key to key */
    STEPS,       /* the same every 64 keys, so that a kernel's step meets one of them: +30, +130, +1000, down again */
    DEEP,        /* all scores about -1000, no two the same */
    BELOW_FLOAT, /* every q.k is -10^40, less than float32 holds */
    SCALED_BELOW_FLOAT, /* every q.k is -10^30, which becomes that with a scale of 10^20 */
    VALUES
};

struct attention_case;

/* Another way to a pattern than a cutoff (ways.h); n_q, n_k and the points are the case's. */
typedef vic_pattern *pattern_way(const struct attention_case *c, const struct brute_points *points, uint64_t seed);

struct attention_case {
    const char *name;
    enum brute_cell cell;
    int64_t n_q, n_k; /* n_k -1: one set */
    double box, cutoff;
    int heads, kv_heads, d_qk, d_v; /* 0: 2, heads, 32, d_qk */
    vic_dtype dtype;                /* 0: float32 */
    enum layout layout;
    enum values values;
    double scale; /* 0: 1 / sqrt(d_qk) */
    int batch;    /* 0: 1 */
    bool built;   /* pattern and order by the library, else by brute force with rows in random order */
    bool line;    /* queries 4 A apart on a line, keys 1 A (one set: 1 A), rows in this order: most of a strip's rows
                     have no pair in its first keys */
    bool exclude_self, coincident, pattern_order, no_lse;
    struct distance_bias bias;
    pattern_way *way; /* NULL: the cutoff */
    int way_size;     /* what it counts: rows of a block, neighbours, queries of a window */
};

struct tensor {
    unsigned char *buffer; /* owned; NULL in packed k and v */
    size_t bytes;
    struct attention_tensor view;
    int64_t rows;
    int heads, d, batch;
    vic_dtype dtype;
};

/* In the order of float32, float16, bfloat16. */
static const vic_dtype types[] = { VIC_F32, VIC_F16, VIC_BF16 };

enum { TYPES = sizeof types / sizeof *types };

vic_dtype type_of(const struct attention_case *c);

size_t element_size(vic_dtype dtype);

char *element_at(const struct tensor *t, int64_t row, int head, int c);

double get(const struct tensor *t, int64_t row, int head, int c);

void set(const struct tensor *t, int64_t row, int head, int c, double x);

/* The same tensor, one entry of it. */
struct tensor entry_of(const struct tensor *t, int entry);

/* Odd strides where they may be; `even`: the 16 bytes that a GPU asks for in pattern order. */
struct tensor make_tensor(int batch, int64_t rows, int heads, int d, vic_dtype dtype, enum layout layout, bool even);

#endif
