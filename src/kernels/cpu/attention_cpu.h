/* SPDX-License-Identifier: Apache-2.0 */
/* What attention_body.h, compiled once per instruction set, shares with kernels_cpu.c. */
#ifndef VIC_KERNELS_CPU_ATTENTION_CPU_H
#define VIC_KERNELS_CPU_ATTENTION_CPU_H

#include "contract/attention.h"

enum {
    GROUP_ROWS = 16,                   /* query rows of a row group, which are computed side by side */
    STRIP_GROUPS = STRIP / GROUP_ROWS, /* row groups of a strip */
    CHUNK = 256,              /* keys of a chunk: their scores for one group (16 KB) stay in the first cache */
    KEYS_AHEAD = 16,          /* keys are prefetched so far ahead */
    KEY_PAD = KEYS_AHEAD + 8, /* lists of keys end in so many that are read but not used; a step has 8 keys at most */
    ROWS_AHEAD = 8,           /* rows of queries are prefetched so far ahead */
    HEAD_ROWS_AHEAD = 3,      /* (row, head) of the next strip that each step prefetches */
    DIM_MAX = 128,
    PAIRS_AHEAD = NUMBER_PAD, /* numbers of a pair bias are prefetched so many pairs ahead */
    HEADS_STAGED =
        4, /* heads whose pair bias is fetched at once: of 4 float32 side by side, a quarter of a cache line */
};

/* A key of the chunk that a group needs: its index in the chunk, and which of the 16 rows attend to it. */
struct group_key {
    uint16_t index, bits;
};

/* One worker's scratch, reused strip after strip.  The arrays behind pointers follow the struct in memory. */
struct strip_scratch {
    _Alignas(64) float scores[CHUNK + KEY_PAD][GROUP_ROWS]; /* of one group, then their exponentials */
    struct group_key keys[STRIP_GROUPS][CHUNK + KEY_PAD];
    int key_count[STRIP_GROUPS];
    int32_t key_rows[CHUNK]; /* key row of the pattern, by the key's index in the chunk */
    int chunk_keys;
    int64_t next_strip;                       /* the strip after this one, or -1 */
    int ahead_row, ahead_head;                /* how far prefetch_ahead() has come in it */
    const float *k_row[CHUNK], *v_row[CHUNK]; /* of one key head: the caller's memory, or k_float and v_float */

    /* For the distance bias; without one only key_images is set.  Positions are those of the wrapped copies. */
    int32_t key_images[CHUNK];   /* image of the key's block, by index in the chunk */
    double q_position[3][STRIP]; /* 0 in rows past the end */
    double k_position[CHUNK][3]; /* by index in the chunk, moved by the key's image */
    float (*bias)[GROUP_ROWS];   /* [CHUNK] by key of one group, for one head */
    int32_t *bias_point;         /* [STRIP_GROUPS, CHUNK, GROUP_ROWS] by key of the group: m of distance_bias.h */
    float *bias_fraction;        /* the same: f of distance_bias.h */

    /* For a pair bias. */
    int64_t pairs_before;     /* pairs of the strip that are in earlier chunks */
    int chunk_pairs, staged;  /* staged: the first of the heads in pair_bias, or -1 */
    uint64_t row_term[STRIP]; /* with windows: the terms of places (contract/pair_bias.h) of the strip's rows, */
    uint64_t key_term[CHUNK]; /* and of the chunk's keys */
    uint64_t key_word[CHUNK]; /* the rows of each of the chunk's keys */
    float *pair_bias;         /* [STRIP_GROUPS, CHUNK, HEADS_STAGED, GROUP_ROWS] by key of the group */
    float *pair_sums;         /* gradients: [most pairs of a strip, heads] of ds */

    float *k_float; /* [CHUNK, d_qk] converted; NULL for float32 */
    float *v_float; /* [CHUNK, d_v] */
    float *query;   /* [heads, STRIP_GROUPS, d_qk, GROUP_ROWS] */
    float *sum;     /* [heads, STRIP_GROUPS, d_v, GROUP_ROWS] of exp(score - max) * v */
    float *max;     /* [heads, STRIP_GROUPS, GROUP_ROWS] */
    float *lowest;  /* [heads, STRIP_GROUPS, GROUP_ROWS] of the row's own q . k * scale, at most 0 */
    float *weight;  /* [heads, STRIP_GROUPS, GROUP_ROWS] sum of exp(score - max) */
    uint8_t *todo;  /* [heads, STRIP_GROUPS] 1 = to be computed */

    /* For gradients. */
    float *value;                  /* [heads, STRIP_GROUPS, d_v, GROUP_ROWS] what is multiplied with v_row */
    float *query_sum;              /* [heads, STRIP_GROUPS, d_qk, GROUP_ROWS] of ds * k */
    float (*pull)[GROUP_ROWS];     /* [CHUNK + KEY_PAD] beside `scores`: dout . v - projection, then ds */
    float *key_lse, *key_project;  /* [CHUNK] the row terms of keys that are queries, by index in the chunk */
    float (*exponent)[GROUP_ROWS]; /* [CHUNK] with a distance bias: scale q . k - lse, without the bias */
};

/* What a strip is computed with. */
struct cpu_run {
    const struct vic_pattern *pattern;
    const struct attention_shape *shape;
    const struct attention_args *args;      /* of the strip's entry of the batch */
    const struct attention_args *next_args; /* of the next strip's entry */
    bool bias;                              /* there is a distance bias */
    bool wide;                              /* every row goes through attention_wide_rows() */
    bool pair_bias;                         /* there is a pair bias */
    bool exchanged;                         /* rows are the problem's keys (attention_backward.h) */
    const struct pair_numbers *numbers;     /* of the pattern's pairs; NULL = the pair bias is by windows */
};

/* What a worker's scratch is for. */
struct strip_use {
    bool bias, pair_bias, gradients; /* bias: of distance */
    int64_t pair_sums;               /* pairs that s->pair_sums has room for; 0 = none */
};

/* Bytes of one worker's scratch, a multiple of 64. */
size_t strip_scratch_size(const struct attention_shape *shape, const struct strip_use *use);
/* Lays it out in `memory`, 64-byte aligned. */
struct strip_scratch *strip_scratch_place(const struct attention_shape *shape, const struct strip_use *use,
                                          void *memory);

/* bias.c is compiled with the pair rule's rounding.  The first sets s->q_position to the positions of the strip's
 * rows, the second s->k_position to those of the chunk's keys, and the third returns the distance bias of one pair
 * (q_row, k_row, image), given in the pattern's numbers, straight from the rule. */
void bias_find_rows(const struct vic_pattern *p, int64_t strip, struct strip_scratch *s);
void bias_find_keys(const struct vic_pattern *p, struct strip_scratch *s);
double bias_exact(const struct cpu_run *run, const float *table, int64_t q_row, int64_t k_row, int32_t image);

/* pair_bias.c.  The first two set the terms of places, where these are by windows, and begin a strip; the third returns
 * the pair bias of the pair (row, key), given in the pattern's numbers, which is number `at` of the strip. */
void pair_bias_find_rows(const struct cpu_run *run, int64_t strip, struct strip_scratch *s);
void pair_bias_find_keys(const struct cpu_run *run, struct strip_scratch *s);
double pair_bias_exact(const struct cpu_run *run, int head, int64_t strip, int64_t row, int64_t key, int64_t at);

/* attention_wide.c: computes those rows of one strip and head again whose bit is set in `rows` (bit r: row r of the
 * strip).  It computes in double, which no finite input overflows, and stores results and LSE over what is there.  A
 * row is left as it is where it has no pair, and where its query, or a key or value of its neighbours, is not finite;
 * but rows in `lost`, which had no weight, take such values as they are, because what is stored for these rows does
 * not come from values.  It is slow: for rows that float32 cannot hold. */
void attention_wide_rows(const struct cpu_run *run, int64_t strip, int head, uint64_t rows, uint64_t lost);

/* Computes the 64 rows of one strip, all heads.  `next` is the strip that this worker probably does next, whose
 * memory is prefetched meanwhile; -1 = none. */
typedef void attention_strip(const struct cpu_run *run, int64_t strip, int64_t next, struct strip_scratch *scratch);
/* y[i] = e^x[i] for x <= 0, as this instruction set computes it, for tests of its error.  `count` is a multiple of
 * 16, and both arrays are 64-byte aligned. */
typedef void attention_exp(int64_t count, const float *x, float *y);

attention_strip attention_strip_scalar;
attention_exp attention_exp_scalar;
#if defined(__x86_64__)
attention_strip attention_strip_avx2, attention_strip_avx512;
attention_exp attention_exp_avx2, attention_exp_avx512;
#endif

#endif
