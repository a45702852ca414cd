/* SPDX-License-Identifier: Apache-2.0 */
/* What attention_body.h, compiled once per instruction set, shares with kernels_cpu.c. */
#ifndef VIC_KERNELS_CPU_ATTENTION_CPU_H
#define VIC_KERNELS_CPU_ATTENTION_CPU_H

#include "contract/attention.h"

enum {
    GROUP = 16,               /* query rows that go through the arithmetic side by side */
    GROUPS = STRIP / GROUP,   /* in a strip */
    CHUNK = 256,              /* keys taken at once: their scores for one group (16 KB) stay in the first cache */
    KEYS_AHEAD = 16,          /* prefetched */
    KEY_PAD = KEYS_AHEAD + 8, /* lists end in so many that are only readable: 8 is the most keys of one step */
    ROWS_AHEAD = 8,           /* queries, likewise */
    UNITS_AHEAD = 3,          /* rows of a head, of the next strip, a step */
    DIM_MAX = 128,
};

/* A key of the chunk that a group needs: its place in the chunk, and which of the 16 rows attend to it. */
struct group_key {
    uint16_t slot, bits;
};

/* One worker's scratch, reused strip after strip.  The arrays behind pointers follow the struct in memory. */
struct strip_scratch {
    _Alignas(64) float scores[CHUNK + KEY_PAD][GROUP]; /* of one group, then their exponentials */
    struct group_key keys[GROUPS][CHUNK + KEY_PAD];
    int key_count[GROUPS];
    int32_t rows[CHUNK]; /* slot -> key row of the pattern */
    int slots;
    int64_t next_strip;                       /* which comes after this one, or -1 */
    int ahead_row, ahead_head;                /* how far look_ahead() has come in it */
    const float *k_row[CHUNK], *v_row[CHUNK]; /* of one key head: the caller's memory, or k_float and v_float */

    /* With a radial term only.  Positions are those of the wrapped copies. */
    int32_t images[CHUNK];       /* slot -> image of its block; set always */
    double q_position[3][STRIP]; /* 0 in rows past the end */
    double k_position[CHUNK][3]; /* by slot, moved by its image */
    float (*terms)[GROUP];       /* [CHUNK] of one group and head */
    int32_t *point;              /* [GROUPS, CHUNK, GROUP] by key of the group: the point of the table before d^2 */
    float *beyond;               /* ... and how far to the next one */

    float *k_float; /* [CHUNK, d_qk] converted; NULL for float32 */
    float *v_float; /* [CHUNK, d_v] */
    float *query;   /* [heads, GROUPS, d_qk, GROUP] */
    float *sum;     /* [heads, GROUPS, d_v, GROUP] of exp(score - max) * v */
    float *max;     /* [heads, GROUPS, GROUP] */
    float *lowest;  /* [heads, GROUPS, GROUP] of the row's own q . k * scale, at most 0 */
    float *weight;  /* [heads, GROUPS, GROUP] sum of exp(score - max) */
    uint8_t *todo;  /* [heads, GROUPS] */
};

/* One run, the same for all workers. */
struct cpu_run {
    const struct vic_pattern *pattern;
    const struct attention_shape *shape;
    const struct attention_args *args;
    bool radial;
    bool wide; /* every row goes through attention_wide_rows() */
};

/* Bytes of one worker's scratch, a multiple of 64. */
size_t strip_scratch_size(const struct attention_shape *shape, bool radial);
/* Lays it out in `memory`, 64-byte aligned. */
struct strip_scratch *strip_scratch_place(const struct attention_shape *shape, bool radial, void *memory);

/* radial.c, compiled with the pair rule's rounding: where the strip's rows are; where the chunk's keys are; and the
 * radial term of one pair, (q_row, k_row, image) in the pattern's numbers, straight from the rule. */
void radial_place_rows(const struct vic_pattern *p, int64_t strip, struct strip_scratch *s);
void radial_place_keys(const struct vic_pattern *p, struct strip_scratch *s);
double radial_exact(const struct cpu_run *run, const float *table, int64_t q_row, int64_t k_row, int32_t image);

/* attention_wide.c: computes rows of one strip and head again, those whose bit is set in `rows` (bit r: row r of the
 * strip), in double, which no finite input overflows, and stores results and LSE over what is there.  A row is left
 * as it is where it has no pair, or where its query or a key or value of its neighbours is not finite; but those of
 * `lost` say nothing about values, and these are taken as they are.  Slow: for rows that float32 cannot hold. */
void attention_wide_rows(const struct cpu_run *run, int64_t strip, int head, uint64_t rows, uint64_t lost);

/* Computes the 64 rows of one strip, all heads.  `next`: the strip that this worker probably does next, whose memory
 * is asked for meanwhile; -1 = none. */
typedef void attention_strip(const struct cpu_run *run, int64_t strip, int64_t next, struct strip_scratch *scratch);
/* y[i] = e^x[i] for x <= 0, as this instruction set computes it; count a multiple of 16, 64-byte aligned.  For tests
 * of its error. */
typedef void attention_exp(int64_t count, const float *x, float *y);

attention_strip attention_strip_scalar;
attention_exp attention_exp_scalar;
#if defined(__x86_64__)
attention_strip attention_strip_avx2, attention_strip_avx512;
attention_exp attention_exp_avx2, attention_exp_avx512;
#endif

#endif
