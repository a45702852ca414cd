/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of attention of one strip on the CPU.  Like attention_body.h this text is compiled three times, by
 * attention_backward_scalar.c, attention_backward_avx2.c and attention_backward_avx512.c, which define the same
 * macros, and it has its sections: groups, chunks, rows and the two kinds of products.
 *
 * Method.  Two passes (attention_backward.h), one text.  For each chunk of keys, head and group:
 *     scores:      S = Q . K,  pulls: T = values . V                                          dot_products()
 *     weights:     P = exp(scale S - lse),  dS = P (T - projection); 0 where the bit is not set
 *     accumulate:  query_sum += dS K;  in the pass over keys also sum += P V                  accumulate()
 *   dq = scale query_sum, dvalues = sum
 * Nothing is added to memory that another strip writes, so there are no atomics, and the order of every sum depends on
 * the pattern alone.  A score has the same bits in both passes.
 *
 * What float32 cannot hold shows: a score that overflows on the way is NaN and not a weight of 0, and so is every
 * gradient that the pair has a part in.
 *
 * As in attention, a masked lane computes 0 * K, which is NaN where K is not finite, and a row without weights may
 * have a dout that is not finite.  So a group whose result is not finite is computed a second time ("careful") with
 * 0 for K and V in the lanes of all pairs that do not exist or have no weight, because lse is +inf. */
#include "kernels/cpu/attention_backward.h"

#include "kernels/cpu/vector.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/chunks_body.h"

#include "kernels/cpu/bias_body.h"
#include "kernels/cpu/pair_bias_body.h"
#include "kernels/cpu/products_body.h"
#include "kernels/cpu/rows_body.h"

/* ---- Row terms --------------------------------------------------------------------------------------------- */

/* Where the terms of a query's row are: its lse, and STRIP floats behind it its projection. */
static float *terms_at(const struct cpu_backward *b, int64_t row, int head)
{
    int heads = b->over_keys ? b->run.shape->kv_heads : b->run.shape->heads;
    return b->terms + ((row / STRIP * heads + head) * 2) * STRIP + row % STRIP;
}

static double dot_rows(int d, vic_dtype dtype, const void *x, const void *y)
{
    _Alignas(64) float x_float[DIM_MAX], y_float[DIM_MAX];
    double part[8] = { 0.0 }, sum = 0.0; /* heads' sizes are multiples of 8 */
    convert(d, dtype, x, x_float);
    convert(d, dtype, y, y_float);
    for (int c = 0; c < d; c += 8)
        for (int u = 0; u < 8; u++) part[u] += (double)x_float[c + u] * (double)y_float[c + u];
    for (int u = 0; u < 8; u++) sum += part[u];
    return sum;
}

static void compute_terms(const struct cpu_backward *b, int64_t strip)
{
    const struct attention_backward_args *a = b->args;
    const struct attention_shape *shape = b->run.shape;
    double scale = fabs(a->scale);
    bool beyond = scale > GRADIENT_SCALE_MAX || (scale < GRADIENT_SCALE_MIN && scale > 0.0);
    for (int64_t row = strip * STRIP; row < (strip + 1) * STRIP; row++)
        for (int head = 0; head < shape->heads; head++) {
            float *lse = terms_at(b, row, head), *projection = lse + STRIP;
            *lse = INFINITY;
            *projection = 0.0f;
            if (row >= b->run.pattern->n_q) continue;
            int64_t at = a->q_rows ? a->q_rows[row] : row;
            float given = *(const float *)row_of(&a->lse, VIC_F32, at, head);
            if (given == -INFINITY) continue;
            *lse = beyond || !(fabsf(given) < FLT_MAX) ? NAN : given;
            double dot = dot_rows(shape->d_v, shape->dtype, row_of(&a->dout, shape->dtype, at, head),
                                  row_of(&a->out, shape->dtype, at, head));
            if (a->dlse.data) dot -= (double)*(const float *)row_of(&a->dlse, VIC_F32, at, head);
            *projection = (float)dot;
        }
}

/* Sets s->key_lse and s->key_project for the chunk's keys, where these are the problem's queries. */
static void find_terms(const struct cpu_backward *b, int head, struct strip_scratch *s)
{
    for (int key = 0; key < s->chunk_keys; key++) {
        const float *lse = terms_at(b, s->key_rows[key], head);
        s->key_lse[key] = lse[0];
        s->key_project[key] = lse[STRIP];
    }
}

/* ---- The arithmetic ---------------------------------------------------------------------------------------- */

/* A head's group of rows, and the keys that it is computed with. */
struct work {
    int head, key_head, group;
    int keys;
    const struct group_key *key;
    const float *lse; /* over queries: the terms of the group's rows */
};

/* to[i] = row . own for the keys of a list, as dot_products() has it.  `first`: nobody has read the keys' rows yet. */
INLINE void compute_products(const struct cpu_backward *b, int64_t strip, const bool first, const struct work *work,
                             int d, const float *own, const float *const *rows, struct strip_scratch *s,
                             float (*to)[GROUP_ROWS])
{
    for (int i = 0; i < work->keys; i += STEP_KEYS) {
        const float *row[STEP_KEYS];
        vf dot[STEP_KEYS][VECTORS];
        if (first) {
            if (s->ahead_row < STRIP) prefetch_ahead(&b->run, strip, s);
            for (int u = 0; u < STEP_KEYS; u++) {
                prefetch_row(s->k_row[work->key[i + KEYS_AHEAD + u].index], b->run.shape->d_qk);
                prefetch_row(s->v_row[work->key[i + u].index], b->run.shape->d_v);
            }
        }
        /* clang-format off */
        UNROLL for (int u = 0; u < STEP_KEYS; u++) row[u] = rows[work->key[i + u].index];
        dot_products(d, own, row, dot);
        UNROLL for (int u = 0; u < STEP_KEYS; u++)
            UNROLL for (int w = 0; w < VECTORS; w++)
                ((vf *)to[i + u])[w] = dot[u][w];
        /* clang-format on */
    }
}

/* scale q . k - lse; NaN where q . k has left the range of float32, because its sign is then unknown. */
INLINE vf exponent_of(vf dot, float scale, vf lse)
{
    return dot * scale + (dot * 0.0f - lse);
}

/* A weight is at most 1, and beyond it only by rounding, unless float32 cannot hold what it comes from. */
INLINE vf weight_of(vi in, vf exponent)
{
    return (vf)(in & (vi)vec_select(exponent > 80.0f, vec_fill(INFINITY), vec_exp(exponent)));
}

/* The terms of key i of the list and of vector w of the group's rows. */
INLINE vf lse_of(const bool over_keys, const struct work *work, int i, int w, const struct strip_scratch *s)
{
    return over_keys ? vec_fill(s->key_lse[work->key[i].index]) : ((const vf *)work->lse)[w];
}

INLINE vf projection_of(const bool over_keys, const struct work *work, int i, int w, const struct strip_scratch *s)
{
    return over_keys ? vec_fill(s->key_project[work->key[i].index]) : ((const vf *)(work->lse + STRIP))[w];
}

/* Turns the products in s->scores into weights, and those in s->pull into ds. */
INLINE void compute_weights(const bool over_keys, float scale, const struct work *work, struct strip_scratch *s)
{
    for (int i = 0; i < work->keys; i++) UNROLL for (int w = 0; w < VECTORS; w++)
        {
            vi in = lanes_in(work->key[i].bits, w);
            vf *p = (vf *)s->scores[i] + w, *pull = (vf *)s->pull[i] + w;
            *p = weight_of(in, exponent_of(*p, scale, lse_of(over_keys, work, i, w, s)));
            *pull = (vf)(in & (vi)(*p * (*pull - projection_of(over_keys, work, i, w, s))));
        }
}

#include "kernels/cpu/bias_backward_body.h"
#include "kernels/cpu/pair_bias_backward_body.h"

/* Copies the group's list to `live`, without the bits of rows and keys that have no weights. */
static void list_live(const struct cpu_backward *b, const struct work *work, const struct strip_scratch *s,
                      struct group_key *live)
{
    uint16_t rows = 0xffff;
    memcpy(live, work->key, (size_t)(work->keys + KEY_PAD) * sizeof *live);
    for (int r = 0; r < GROUP_ROWS && !b->over_keys; r++)
        if (work->lse[r] == INFINITY) rows &= (uint16_t) ~(1u << r);
    for (int i = 0; i < work->keys; i++)
        live[i].bits &= b->over_keys && s->key_lse[live[i].index] == INFINITY ? 0 : rows;
}

INLINE void accumulate_both(const struct cpu_backward *b, const bool careful, const struct work *work,
                            struct strip_scratch *s)
{
    const struct attention_shape *shape = b->run.shape;
    size_t at = ((size_t)work->head * STRIP_GROUPS + (size_t)work->group) * GROUP_ROWS;
    vf keep[VECTORS];
    UNROLL for (int w = 0; w < VECTORS; w++) keep[w] = vec_fill(1.0f);
    if (b->dq.data)
        accumulate(shape->d_qk, careful, work->keys, work->key, s->pull, s->k_row, keep,
                   s->query_sum + at * (size_t)shape->d_qk);
    if (b->dvalues.data)
        accumulate(shape->d_v, careful, work->keys, work->key, s->scores, s->v_row, keep,
                   s->sum + at * (size_t)shape->d_v);
}

/* The chunk's keys for one group of one head. */
static void add_group(const struct cpu_backward *b, int64_t strip, bool careful, int head, int key_head, int group,
                      struct strip_scratch *s)
{
    const struct attention_shape *shape = b->run.shape;
    size_t at = ((size_t)head * STRIP_GROUPS + (size_t)group) * GROUP_ROWS;
    struct group_key live[CHUNK + KEY_PAD];
    struct work work = { head, key_head, group, s->key_count[group], s->keys[group], NULL };
    float scale = (float)b->run.args->scale;
    if (!b->over_keys) work.lse = terms_at(b, strip * STRIP + group * GROUP_ROWS, head);
    if (careful || b->sums || b->pairs) {
        list_live(b, &work, s, live);
        work.key = live;
    }
    compute_products(b, strip, true, &work, shape->d_qk, s->query + at * (size_t)shape->d_qk, s->k_row, s, s->scores);
    compute_products(b, strip, false, &work, shape->d_v, s->value + at * (size_t)shape->d_v, s->v_row, s, s->pull);
    if (b->run.bias || b->run.pair_bias)
        compute_biased_weights(b, strip, b->sums && !careful, &work, s);
    else if (b->over_keys)
        compute_weights(true, scale, &work, s);
    else
        compute_weights(false, scale, &work, s);
    if (b->pairs && !careful) keep_ds(b, strip, &work, s);
    if (careful)
        accumulate_both(b, true, &work, s);
    else
        accumulate_both(b, false, &work, s);
}

/* Computes all keys of the strip for each (head, group) that is marked in s->todo. */
static void walk_keys(const struct cpu_backward *b, int64_t strip, bool careful, struct strip_scratch *s)
{
    const struct cpu_run *run = &b->run;
    const struct attention_shape *shape = run->shape;
    /* So many heads read a key head; or, in the pass over keys, are read by one. */
    int readers = shape->heads >= shape->kv_heads ? shape->heads / shape->kv_heads : 1;
    int read = shape->heads >= shape->kv_heads ? 1 : shape->kv_heads / shape->heads;
    struct cursor at = { run->pattern->full_ptr[strip], run->pattern->partial_ptr[strip], 0 };
    for (size_t i = 0; i < (size_t)shape->heads * STRIP_GROUPS; i++) {
        size_t d_qk = (size_t)shape->d_qk * GROUP_ROWS, d_v = (size_t)shape->d_v * GROUP_ROWS;
        if (!s->todo[i]) continue;
        memset(s->query_sum + i * d_qk, 0, d_qk * sizeof *s->query_sum);
        if (b->dvalues.data) memset(s->sum + i * d_v, 0, d_v * sizeof *s->sum);
    }
    if (run->bias) bias_find_rows(run->pattern, strip, s);
    if (run->pair_bias) pair_bias_find_rows(run, strip, s);
    while (next_chunk(run->pattern, strip, &at, s)) {
        if (run->bias) find_bias_points(run, s);
        if (run->pair_bias) find_pairs(run, s);
        for (int key_head = 0; key_head < shape->kv_heads; key_head++) {
            int first = key_head / read * readers;
            if (!memchr(s->todo + (size_t)first * STRIP_GROUPS, 1, (size_t)readers * STRIP_GROUPS)) continue;
            find_rows(run, key_head, s);
            if (b->over_keys) find_terms(b, key_head, s);
            for (int head = first; head < first + readers; head++) {
                for (int g = 0; g < STRIP_GROUPS; g++)
                    if (s->todo[head * STRIP_GROUPS + g] && s->key_count[g])
                        add_group(b, strip, careful, head, key_head, g, s);
                if (b->pairs && !careful) add_to_pair_sums(b, head, s);
            }
        }
    }
}

/* ---- Results ----------------------------------------------------------------------------------------------- */

/* Multiplies `sum` and lays it out for gather_row().  Returns false when a result is not finite. */
static bool finish(int d, float factor, float *sum)
{
    vi odd = { 0 };
    for (int c = 0; c < d; c += 4) UNROLL for (int w = 0; w < VECTORS; w++)
        {
            vf *x = (vf *)(sum + c * GROUP_ROWS) + w;
            UNROLL for (int u = 0; u < 4; u++)
            {
                x[u * VECTORS] *= factor;
                odd |= (x[u * VECTORS] - x[u * VECTORS]) != 0.0f;
            }
            vec_transpose(x, x + VECTORS, x + 2 * VECTORS, x + 3 * VECTORS);
        }
    return !vec_any(odd);
}

static void store_group(const struct cpu_backward *b, const struct attention_tensor *t, int d, int64_t first_row,
                        int head, const float *sum)
{
    const int32_t *q_rows = b->run.args->q_rows;
    for (int r = 0; r < GROUP_ROWS && first_row + r < b->run.pattern->n_q; r++)
        store_row(t, b->run.shape->dtype, q_rows ? q_rows[first_row + r] : first_row + r, head, d, sum, r);
}

/* Stores the (head, group) marked in s->todo whose results are finite (with `always`: all of them), and leaves the
 * others marked.  Returns false when some are left. */
static bool store(const struct cpu_backward *b, int64_t strip, bool always, struct strip_scratch *s)
{
    const struct attention_shape *shape = b->run.shape;
    bool all = true;
    for (int g = 0; g < STRIP_GROUPS; g++)
        for (int head = 0; head < shape->heads; head++) {
            size_t at = (size_t)head * STRIP_GROUPS + (size_t)g;
            int64_t first_row = strip * STRIP + g * GROUP_ROWS;
            float *dq = s->query_sum + at * (size_t)shape->d_qk * GROUP_ROWS;
            float *dvalues = s->sum + at * (size_t)shape->d_v * GROUP_ROWS;
            if (!s->todo[at]) continue;
            bool finite = !b->dq.data || finish(shape->d_qk, (float)b->run.args->scale, dq);
            if (b->dvalues.data) finite &= finish(shape->d_v, 1.0f, dvalues);
            s->todo[at] = !finite && !always;
            if (s->todo[at]) {
                all = false;
                continue;
            }
            if (b->dq.data) store_group(b, &b->dq, shape->d_qk, first_row, head, dq);
            if (b->dvalues.data) store_group(b, &b->dvalues, shape->d_v, first_row, head, dvalues);
        }
    return all;
}

void SUFFIX(attention_backward_strip)(const struct cpu_backward *b, int64_t strip, int64_t next,
                                      struct strip_scratch *s)
{
    const struct cpu_run *run = &b->run;
    s->next_strip = next;
    s->ahead_row = s->ahead_head = 0;
    if (!b->over_keys) compute_terms(b, strip);
    if (!b->walk) return;
    memset(s->todo, 1, (size_t)run->shape->heads * STRIP_GROUPS);
    load_rows(run, &run->args->q, run->shape->d_qk, strip, s->query);
    load_rows(run, &b->values, run->shape->d_v, strip, s->value);
    walk_keys(b, strip, false, s);
    if (b->pairs && b->pairs_end) pair_bias_store(b, strip, s->pair_sums);
    if (store(b, strip, false, s)) return;
    walk_keys(b, strip, true, s);
    store(b, strip, true, s);
}
