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

/* Adds ds of a pair to the table's gradient, where there is one, and returns the gradient of the pair's place in the
 * table, which is m + f. */
INLINE double add_to_table(const float *table, double *sums, int32_t m, double f, float weight, float pull,
                           float exponent)
{
    double low = (double)table[m], high = (double)table[m + 1], ds = (double)weight * (double)pull;
    if (low != -INFINITY && high != -INFINITY) {
        if (sums) {
            sums[m] += ds * (1.0 - f);
            sums[m + 1] += ds * f;
        }
        return ds * (high - low);
    }
    if (low == -INFINITY && high == -INFINITY) return 0.0;
    if (sums) sums[low == -INFINITY ? m + 1 : m] += ds;
    return low == -INFINITY ? exp((double)exponent + high) * (double)pull
                            : -exp((double)exponent + low) * (double)pull;
}

/* Adds the forces of one key on the group's rows. */
static void add_forces(const struct cpu_backward *b, const struct work *work, int index,
                       const double force[GROUP_ROWS], const struct strip_scratch *s)
{
    const struct vic_pattern *p = b->run.pattern;
    const int32_t *image = p->images[s->key_images[index]];
    const int32_t *wrap = p->k_wrap ? p->k_wrap[p->k_order[s->key_rows[index]]] : NULL;
    for (int x = 0; x < 3; x++) {
        const double *row = s->q_position[x] + work->group * GROUP_ROWS;
        double key = s->k_position[index][x], *to = b->sums->position[x] + work->group * GROUP_ROWS, sum = 0.0;
        for (int lane = 0; lane < GROUP_ROWS; lane++) {
            double along = force[lane] * (key - row[lane]);
            to[lane] -= along;
            sum += along;
        }
        for (int axis = 0; axis < 3; axis++) b->sums->cell[axis][x] += sum * (image[axis] + (wrap ? wrap[axis] : 0));
    }
}

/* Adds what the group's pairs give to b->sums.  s->scores are the weights, s->pull is not ds yet. */
static void add_to_sums(const struct cpu_backward *b, int query_head, const struct work *work,
                        const struct strip_scratch *s)
{
    const struct distance_bias *bias = &b->run.args->bias;
    const float *table = bias->table + query_head * bias->head_stride;
    double *sums = b->sums->table ? b->sums->table + query_head * b->sums->table_head_stride : NULL;
    double rate = 2.0 * (bias->points - 1) / (b->run.pattern->cutoff * b->run.pattern->cutoff);
    for (int i = 0; i < work->keys; i++) {
        size_t at = ((size_t)work->group * CHUNK + (size_t)i) * GROUP_ROWS;
        double force[GROUP_ROWS] = { 0.0 };
        for (int lane = 0; lane < GROUP_ROWS; lane++)
            if (work->key[i].bits >> lane & 1)
                force[lane] = rate * add_to_table(table, sums, s->bias_point[at + (size_t)lane],
                                                  (double)s->bias_fraction[at + (size_t)lane], s->scores[i][lane],
                                                  s->pull[i][lane], s->exponent[i][lane]);
        if (b->sums->forces) add_forces(b, work, work->key[i].index, force, s);
    }
}

/* compute_weights() with a distance bias; `sums`: this also adds to b->sums. */
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
            ((vf *)s->exponent[i])[w] = *score;
        }
    add_bias(&b->run, query_head, work->group, strip * STRIP + work->group * GROUP_ROWS, s, max);
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
