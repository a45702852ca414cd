/* SPDX-License-Identifier: Apache-2.0 */
/* The distance bias in the gradients: a section of attention_backward_body.h, compiled with it for each instruction
 * set.  Weights get the bias in passes of their own, as scores do in attention; and between weights and ds, what the
 * pairs give to the table, to positions and to the cell is added up, in double.
 *
 * With m and f of contract/distance_bias.h, the gradient of a pair's squared distance is P b'(d2) pull.  Next to -inf
 * b' has a pole where P is 0, and there the product is exp(score + the finite end - lse) times a constant.
 *
 * Needs what attention_backward_body.h defines before it includes this. */
#ifndef UNROLL
#error "bias_backward_body.h is a section of attention_backward_body.h: include that file"
#endif
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/vector.h"

#include <math.h>
#include <string.h>

/* One key and the group's rows: ds, and the gradient of a pair's place in the table, which is m + f. */
struct pulled {
    _Alignas(64) float ds[GROUP_ROWS], slope[GROUP_ROWS]; /* slope: of the table, not finite where that is not */
    _Alignas(64) double place[GROUP_ROWS];                /* 0 in lanes without a pair */
};

/* The place's gradient next to -inf, where `slope` is not finite. */
static __attribute__((noinline)) double pull_beside_infinity(const float *table, int32_t m, float exponent,
                                                             float pull)
{
    double low = (double)table[m], high = (double)table[m + 1];
    if (low == -INFINITY && high == -INFINITY) return 0.0;
    return (low == -INFINITY ? exp((double)exponent + high) : -exp((double)exponent + low)) * (double)pull;
}

/* Key i of the list.  s->scores are the weights, s->pull is not ds yet. */
INLINE void find_pulled(const float *table, const struct work *work, int i, const int32_t m[GROUP_ROWS],
                        const struct strip_scratch *s, struct pulled *to)
{
    uint16_t bits = work->key[i].bits;
    vi odd = { 0 };
    for (int lane = 0; lane < GROUP_ROWS; lane++) to->slope[lane] = table[m[lane] + 1] - table[m[lane]];
    /* clang-format off */
    UNROLL for (int w = 0; w < VECTORS; w++) {
        vf slope = ((const vf *)to->slope)[w], ds = ((const vf *)s->scores[i])[w] * ((const vf *)s->pull[i])[w];
        odd |= lanes_in(bits, w) & ((slope - slope) != 0.0f);
        ((vf *)to->ds)[w] = ds;
    }
    /* clang-format on */
    for (int lane = 0; lane < GROUP_ROWS; lane++)
        to->place[lane] = bits & lane_bits[lane] ? (double)to->ds[lane] * (double)to->slope[lane] : 0.0;
    if (!vec_any(odd)) return;
    for (unsigned left = bits; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        if (!isfinite(to->slope[lane]))
            to->place[lane] = pull_beside_infinity(table, m[lane], s->exponent[i][lane], s->pull[i][lane]);
    }
}

/* Adds ds to the table's gradient. */
static void add_to_table(const float *table, double *sums, uint16_t bits, const int32_t m[GROUP_ROWS],
                         const float f[GROUP_ROWS], const struct pulled *x)
{
    for (unsigned left = bits; left; left &= left - 1) {
        int lane = __builtin_ctz(left);
        double *at = sums + m[lane], ds = (double)x->ds[lane];
        if (isfinite(x->slope[lane])) {
            at[0] += ds * (1.0 - (double)f[lane]);
            at[1] += ds * (double)f[lane];
        } else {
            bool low = table[m[lane]] != -INFINITY, high = table[m[lane] + 1] != -INFINITY;
            if (low || high) at[high] += ds;
        }
    }
}

/* Adds the forces of one key on the group's rows. */
static void add_forces(const struct cpu_backward *b, const struct work *work, int index, double rate,
                       const struct pulled *x, const struct strip_scratch *s)
{
    const struct vic_pattern *p = b->run.pattern;
    const int32_t *image = p->images[s->key_images[index]];
    const int32_t *wrap = p->k_wrap ? p->k_wrap[p->k_order[s->key_rows[index]]] : NULL;
    double n[3], sum[3] = { 0.0 }, along[3][GROUP_ROWS];
    for (int axis = 0; axis < 3; axis++) n[axis] = image[axis] + (wrap ? wrap[axis] : 0);
    for (int c = 0; c < 3; c++) {
        const double *row = s->q_position[c] + work->group * GROUP_ROWS;
        double key = s->k_position[index][c], *to = b->sums->position[c] + work->group * GROUP_ROWS;
        for (int lane = 0; lane < GROUP_ROWS; lane++) {
            along[c][lane] = rate * x->place[lane] * (key - row[lane]);
            to[lane] -= along[c][lane];
        }
    }
    if (b->over_keys || (n[0] == 0.0 && n[1] == 0.0 && n[2] == 0.0)) return;
    for (int c = 0; c < 3; c++)
        for (int lane = 0; lane < GROUP_ROWS; lane++) sum[c] += along[c][lane];
    for (int axis = 0; axis < 3; axis++)
        for (int c = 0; c < 3; c++) b->sums->cell[axis][c] += sum[c] * n[axis];
}

/* Adds what the group's pairs give to b->sums. */
static void add_to_sums(const struct cpu_backward *b, int query_head, const struct work *work,
                        const struct strip_scratch *s)
{
    const struct distance_bias *bias = &b->run.args->bias;
    const float *table = bias->table + query_head * bias->head_stride;
    double *sums = b->sums->table ? b->sums->table + query_head * b->sums->table_head_stride : NULL;
    double rate = 2.0 * (bias->points - 1) / (b->run.pattern->cutoff * b->run.pattern->cutoff);
    for (int i = 0; i < work->keys; i++) {
        size_t at = ((size_t)work->group * CHUNK + (size_t)i) * GROUP_ROWS;
        struct pulled x;
        if (!work->key[i].bits) continue;
        find_pulled(table, work, i, s->bias_point + at, s, &x);
        if (sums) add_to_table(table, sums, work->key[i].bits, s->bias_point + at, s->bias_fraction + at, &x);
        if (b->sums->forces) add_forces(b, work, work->key[i].index, rate, &x, s);
    }
}

/* compute_weights() with a distance bias, a pair bias, or both; `sums`: this also adds to b->sums. */
static void compute_biased_weights(const struct cpu_backward *b, int64_t strip, bool sums, const struct work *work,
                                   struct strip_scratch *s)
{
    float scale = (float)b->run.args->scale;
    int query_head = b->over_keys ? work->key_head : work->head;
    vf max[VECTORS]; /* which only attention needs */
    /* clang-format off */
    UNROLL for (int w = 0; w < VECTORS; w++) max[w] = vec_fill(-INFINITY);
    for (int i = 0; i < work->keys; i++)
        UNROLL for (int w = 0; w < VECTORS; w++) {
            vf *score = (vf *)s->scores[i] + w;
            *score = exponent_of(*score, scale, lse_of(b->over_keys, work, i, w, s));
        }
    if (b->run.pair_bias) add_pair_bias(&b->run, strip, query_head, work->group, s, max);
    if (b->run.bias) {
        memcpy(s->exponent, s->scores, (size_t)work->keys * sizeof *s->exponent);
        add_bias(&b->run, query_head, work->group, strip * STRIP + work->group * GROUP_ROWS, s, max);
    }
    for (int i = 0; i < work->keys; i++)
        UNROLL for (int w = 0; w < VECTORS; w++) {
            ((vf *)s->scores[i])[w] = weight_of(lanes_in(work->key[i].bits, w), ((vf *)s->scores[i])[w]);
            ((vf *)s->pull[i])[w] -= projection_of(b->over_keys, work, i, w, s);
        }
    if (sums) add_to_sums(b, query_head, work, s);
    for (int i = 0; i < work->keys; i++)
        UNROLL for (int w = 0; w < VECTORS; w++)
            ((vf *)s->pull[i])[w] = (vf)(lanes_in(work->key[i].bits, w) &
                                         (vi)(((vf *)s->pull[i])[w] * ((vf *)s->scores[i])[w]));
    /* clang-format on */
}
