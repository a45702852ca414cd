/* SPDX-License-Identifier: Apache-2.0 */
/* The distance bias: a section of attention_body.h and attention_backward_body.h, compiled with them for each
 * instruction set.  Distances are
 * computed once per chunk and serve all heads; each head then reads its table and adds to its scores, in a pass of
 * its own, so that a run without a distance bias pays nothing.
 *
 * Needs chunks_body.h. */
#ifndef UNROLL
#error "bias_body.h is a section of attention_body.h and attention_backward_body.h: include one of these"
#endif
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

#include <math.h>
#include <string.h>

/* Finds where each (key, row) of the chunk's lists stands in the table: between points s->bias_point, which is at
 * most the last but one, and the next, at s->bias_fraction.  The distance is that of two positions in double, so
 * that the fraction is as exact as a float can hold it. */
static void find_bias_points(const struct cpu_run *run, struct strip_scratch *s)
{
    double cutoff = run->pattern->cutoff, end = run->args->bias.points - 1, per_d2 = end / (cutoff * cutoff);
    bias_find_keys(run->pattern, s);
    for (int g = 0; g < STRIP_GROUPS; g++) {
        const double *x = s->q_position[0] + g * GROUP_ROWS, *y = s->q_position[1] + g * GROUP_ROWS;
        const double *z = s->q_position[2] + g * GROUP_ROWS;
        for (int i = 0; i < s->key_count[g]; i++) {
            const double *r = s->k_position[s->keys[g][i].index];
            int32_t bits = s->keys[g][i].bits;
            size_t at = ((size_t)g * CHUNK + (size_t)i) * GROUP_ROWS;
            for (int lane = 0; lane < GROUP_ROWS; lane++) {
                double dx = r[0] - x[lane], dy = r[1] - y[lane], dz = r[2] - z[lane];
                double where = (dx * dx + dy * dy + dz * dz) * per_d2;
                where = bits & lane_bits[lane] ? where : 0.0; /* a masked lane's distance may be beyond the table */
                where = where < end ? where : end;
                int32_t m = (int32_t)(where < end - 1.0 ? where : end - 1.0);
                s->bias_point[at + (size_t)lane] = m;
                s->bias_fraction[at + (size_t)lane] = (float)(where - m);
            }
        }
    }
}

typedef float v4 __attribute__((vector_size(16), may_alias));
typedef int32_t v4i __attribute__((vector_size(16), may_alias));
typedef double v2d __attribute__((vector_size(16), may_alias));

/* Two neighbouring points of the table in one load. */
INLINE double load_points(const float *table, int32_t m)
{
    double both;
    memcpy(&both, table + m, sizeof both);
    return both;
}

/* Sets s->bias for the group's keys; where the table turns to -inf it is not a finite number yet.  The vectors have 4
 * lanes, which is what 4 loads of two points fill.  This is a pass of its own, because reading the results back at
 * once in longer vectors would stall. */
static void read_table(const float *table, int group, struct strip_scratch *s)
{
    const int32_t *m = s->bias_point + (size_t)group * CHUNK * GROUP_ROWS;
    const float *f = s->bias_fraction + (size_t)group * CHUNK * GROUP_ROWS;
    float *bias = (float *)s->bias;
    for (int i = 0; i < s->key_count[group] * GROUP_ROWS; i += 4) {
        v4 a = (v4)(v2d){ load_points(table, m[i]), load_points(table, m[i + 1]) };
        v4 b = (v4)(v2d){ load_points(table, m[i + 2]), load_points(table, m[i + 3]) };
#if defined(__clang__)
        v4 low = __builtin_shufflevector(a, b, 0, 2, 4, 6), high = __builtin_shufflevector(a, b, 1, 3, 5, 7);
#else
        v4 low = __builtin_shuffle(a, b, (v4i){ 0, 2, 4, 6 }), high = __builtin_shuffle(a, b, (v4i){ 1, 3, 5, 7 });
#endif
        *(v4 *)(bias + i) = low + *(const v4 *)(f + i) * (high - low);
    }
}

/* Computes one by one, for keys first .. end - 1, the lanes in which read_table() left a number that is not finite.
 * */
static void complete_bias(const struct cpu_run *run, const float *table, int group, int64_t first_row, int first,
                          int end, struct strip_scratch *s)
{
    for (int i = first; i < end; i++) {
        struct group_key key = s->keys[group][i];
        for (int lane = 0; lane < GROUP_ROWS; lane++)
            if (key.bits >> lane & 1 && !(s->bias[i][lane] - s->bias[i][lane] == 0.0f))
                s->bias[i][lane] =
                    (float)bias_exact(run, table, first_row + lane, s->key_rows[key.index], s->key_images[key.index]);
    }
}

/* Adds the bias to s->scores; `max` becomes the largest of itself and of the new scores. */
static void add_bias(const struct cpu_run *run, int head, int group, int64_t first_row, struct strip_scratch *s,
                     vf max[VECTORS])
{
    const struct distance_bias *bias = &run->args->bias;
    const float *table = bias->table + head * bias->head_stride;
    int keys = s->key_count[group];
    read_table(table, group, s);
    for (int first = 0, end; first < keys; first = end) {
        vf odd = { 0 }; /* NaN where a bias is not finite; tested for 8 keys at once, since the test is slow */
        end = first + 8 < keys ? first + 8 : keys;
        /* clang-format off */
        for (int i = first; i < end; i++)
            UNROLL for (int w = 0; w < VECTORS; w++)
                odd += ((const vf *)s->bias[i])[w] - ((const vf *)s->bias[i])[w];
        if (vec_any(odd != 0.0f)) complete_bias(run, table, group, first_row, first, end, s);
        for (int i = first; i < end; i++)
            UNROLL for (int w = 0; w < VECTORS; w++) {
                vf *score = (vf *)s->scores[i] + w;
                *score = vec_select(lanes_in(s->keys[group][i].bits, w), *score + ((const vf *)s->bias[i])[w],
                                    vec_fill(-INFINITY));
                max[w] = vec_max(*score, max[w]);
            }
        /* clang-format on */
    }
}
