/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that float32 cannot hold, computed one by one in double, as the formula is written and by the same code for
 * all instruction sets.  Dot products are summed in the order of the components, with every step rounded on its own,
 * like the reference's: where terms of 10^77 cancel, what is left depends on the order. */
#include "base/half.h"
#include "contract/block_walk.h"
#include "kernels/cpu/attention_cpu.h"

#include <float.h>
#include <math.h>

/* A row, and the sums over those of its pairs that have been added. */
struct wide_row {
    const float *table; /* the head's distance bias, or NULL */
    double q[DIM_MAX];
    bool any_value;     /* also takes values that are not finite */
    double scale, back; /* scores are kept as scale * q . k; `back`, a power of 2, times these are the scores */

    bool any;           /* a pair with weight has been added */
    double score, bias; /* of the pair with the largest weight; all weights are relative to it */
    double weight, sum[DIM_MAX];
};

static char *element_at(const struct attention_tensor *t, int64_t row, int head, size_t size)
{
    return (char *)t->data + (row * t->row_stride + head * t->head_stride) * (int64_t)size;
}

/* False where one of the values is not finite. */
static bool load_row(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int d, double *to)
{
    const void *from = element_at(t, row, head, dtype == VIC_F32 ? 4 : 2);
    const uint16_t *half = from;
    double zero = 0.0;
    for (int c = 0; c < d; c++) {
        if (dtype == VIC_F32)
            to[c] = (double)((const float *)from)[c];
        else
            to[c] = (double)(dtype == VIC_F16 ? f32_from_f16(half[c]) : f32_from_bf16(half[c]));
    }
    for (int c = 0; c < d; c++) zero += to[c] * 0.0;
    return zero == 0.0;
}

/* Adds the pair (row, key, image), in the pattern's numbers, with a pair bias.  Returns false where the row is to be left
 * as it is. */
static bool add_pair(const struct cpu_run *run, int head, int64_t row, int64_t key, int32_t image, double pair_bias,
                     struct wide_row *w)
{
    const struct attention_args *a = run->args;
    const struct attention_shape *shape = run->shape;
    int64_t at = a->k_rows ? a->k_rows[key] : key;
    int kv_head = head / (shape->heads / shape->kv_heads);
    double k[DIM_MAX], v[DIM_MAX], dot = 0.0, bias = 0.0, score, apart = 0.0, weight;
    if (!load_row(&a->k, shape->dtype, at, kv_head, shape->d_qk, k)) return false;
    if (!load_row(&a->v, shape->dtype, at, kv_head, shape->d_v, v) && !w->any_value) return false;
    if (w->table) bias = bias_exact(run, w->table, row, key, image);
    bias += pair_bias;
    if (bias == -INFINITY) return true;
    if (!isfinite(bias)) return false;
    for (int c = 0; c < shape->d_qk; c++) dot += w->q[c] * k[c];
    score = dot * w->scale;
    /* Two differences: beside a score of 10^20 the bias would be lost, and where two such scores are equal the bias
     * decides. */
    if (w->any) apart = (score - w->score) * w->back + (bias - w->bias);
    if (!w->any || apart > 0.0) {
        double shrink = w->any ? exp(-apart) : 0.0;
        w->any = true;
        w->score = score;
        w->bias = bias;
        w->weight *= shrink;
        for (int c = 0; c < shape->d_v; c++) w->sum[c] *= shrink;
        apart = 0.0;
    }
    weight = exp(apart);
    w->weight += weight;
    for (int c = 0; c < shape->d_v; c++) w->sum[c] += weight * v[c];
    return true;
}

/* Adds the row's pairs, in the order of the pattern.  Returns false where the row is to be left as it is. */
static bool add_pairs(const struct cpu_run *run, int64_t strip, int head, int r, struct wide_row *w)
{
    int64_t row = strip * STRIP + r, before = 0; /* before: pairs of the strip */
    for (struct block_walk b = block_walk_start(run->pattern, strip); block_walk_next(&b);)
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = (int64_t)b.cluster * CLUSTER + c;
            uint64_t word = b.bits->key[c], below = word & ((UINT64_C(1) << r) - 1);
            double pair_bias = 0.0;
            if (word >> r & 1) {
                if (run->pair_bias)
                    pair_bias = pair_bias_exact(run, head, strip, row, key, before + __builtin_popcountll(below));
                if (!add_pair(run, head, row, key, b.image, pair_bias, w)) return false;
            }
            before += __builtin_popcountll(word);
        }
    return true;
}

static void store_row(const struct cpu_run *run, int64_t row, int head, const struct wide_row *w)
{
    const struct attention_args *a = run->args;
    vic_dtype dtype = run->shape->dtype;
    int64_t at = a->q_rows ? a->q_rows[row] : row;
    void *to = element_at(&a->out, at, head, dtype == VIC_F32 ? 4 : 2);
    for (int c = 0; c < run->shape->d_v; c++) {
        float x = w->any ? (float)(w->sum[c] / w->weight) : 0.0f;
        if (dtype == VIC_F32)
            ((float *)to)[c] = x;
        else
            ((uint16_t *)to)[c] = dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
    }
    if (a->lse.data) {
        /* -inf means that there is no pair with weight, so an LSE beyond float32 becomes the last finite number. */
        double lse = w->any ? w->score * w->back + w->bias + log(w->weight) : -INFINITY;
        *(float *)(void *)element_at(&a->lse, at, head, sizeof(float)) =
            w->any ? (float)fmin(fmax(lse, (double)-FLT_MAX), (double)FLT_MAX) : -INFINITY;
    }
}

/* A bit for each row of the strip that has a pair. */
static uint64_t rows_with_pairs(const struct vic_pattern *p, int64_t strip)
{
    uint64_t rows = 0;
    if (p->full_ptr[strip] < p->full_ptr[strip + 1]) return ~UINT64_C(0);
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
        for (int c = 0; c < CLUSTER; c++) rows |= p->partial_bits[i].key[c];
    return rows;
}

void attention_wide_rows(const struct cpu_run *run, int64_t strip, int head, uint64_t rows, uint64_t lost)
{
    const struct attention_args *a = run->args;
    const struct distance_bias *bias = &a->bias;
    rows &= rows_with_pairs(run->pattern, strip);
    for (int r = 0; r < STRIP; r++) {
        int64_t row = strip * STRIP + r;
        struct wide_row w = { .scale = a->scale, .back = 1.0 };
        if (!(rows >> r & 1)) continue;
        w.any_value = lost >> r & 1;
        if (fabs(w.scale) > 0x1p700) { /* q . k goes up to 2^263 */
            w.scale *= 0x1p-400;
            w.back = 0x1p400;
        }
        if (run->bias) w.table = bias->table + head * bias->head_stride;
        if (load_row(&a->q, run->shape->dtype, a->q_rows ? a->q_rows[row] : row, head, run->shape->d_qk, w.q) &&
            add_pairs(run, strip, head, r, &w))
            store_row(run, row, head, &w);
    }
}
