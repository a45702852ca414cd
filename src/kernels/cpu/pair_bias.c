/* SPDX-License-Identifier: Apache-2.0 */
#include "base/half.h"
#include "contract/block_walk.h"
#include "kernels/cpu/attention_backward.h"

void pair_bias_find_rows(const struct cpu_run *run, int64_t strip, struct strip_scratch *s)
{
    const struct vic_pattern *p = run->pattern;
    const struct pair_bias *b = &run->args->pair_bias;
    s->pairs_before = 0;
    s->chunk_pairs = 0;
    for (int r = 0; !run->numbers && r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int64_t atom = p->q_order[strip * STRIP + r];
        s->row_term[r] = run->exchanged ? pair_bias_key_term(b, atom) : pair_bias_query_term(b, atom);
    }
}

void pair_bias_find_keys(const struct cpu_run *run, struct strip_scratch *s)
{
    const struct vic_pattern *p = run->pattern;
    const struct pair_bias *b = &run->args->pair_bias;
    for (int key = 0; key < s->chunk_keys; key++) {
        int64_t atom = pattern_key(p, s->key_rows[key]);
        s->key_term[key] = run->exchanged ? pair_bias_query_term(b, atom) : pair_bias_key_term(b, atom);
    }
}

double pair_bias_exact(const struct cpu_run *run, int head, int64_t strip, int64_t row, int64_t key, int64_t at)
{
    const struct vic_pattern *p = run->pattern;
    const struct pair_bias *b = &run->args->pair_bias;
    int64_t number = run->numbers ? run->numbers->number[run->numbers->strip_first[strip] + at] : 0;
    int64_t place = pair_bias_place(b, p->q_order[row], pattern_key(p, key), number) + head * b->head_stride;
    if (b->dtype == VIC_F32) return (double)((const float *)b->data)[place];
    uint16_t half = ((const uint16_t *)b->data)[place];
    return (double)(b->dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half));
}

/* ---- The gradient ------------------------------------------------------------------------------------------- */

static void write_number(const struct pair_bias *to, int64_t at, float x)
{
    if (to->dtype == VIC_F32)
        ((float *)to->data)[at] = x;
    else
        ((uint16_t *)to->data)[at] = to->dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
}

/* Zeros in the window's row of a query, and with the last query in what is left of the last window. */
static void clear_rows(const struct pair_bias *to, int heads, int64_t n_q, int64_t query)
{
    const int64_t lead = (to->key_window - to->window) / 2, end = (query / to->window + 1) * to->window;
    for (int64_t i = query; i < (query + 1 == n_q ? end : query + 1); i++) {
        uint64_t row = pair_bias_query_term(to, i);
        int64_t first = i / to->window * to->window - lead;
        for (int64_t key = first; key < first + to->key_window; key++)
            for (int head = 0; head < heads; head++)
                write_number(to, (int64_t)(row + pair_bias_key_term(to, key)) + head * to->head_stride, 0.0f);
    }
}

void pair_bias_store(const struct cpu_backward *b, int64_t strip, const float *sums)
{
    const struct pair_bias *to = &b->args->dpair_bias;
    const struct vic_pattern *p = b->run.pattern;
    const int heads = b->run.shape->heads, written = to->head_stride ? heads : 1;
    const uint32_t *number = b->run.numbers ? b->run.numbers->number + b->run.numbers->strip_first[strip] : NULL;
    for (int64_t row = strip * STRIP; to->window && row < (strip + 1) * STRIP && row < p->n_q; row++)
        clear_rows(to, written, p->n_q, p->q_order[row]);
    for (struct block_walk w = block_walk_start(p, strip); block_walk_next(&w);)
        for (int c = 0; c < CLUSTER; c++)
            for (uint64_t left = w.bits->key[c]; left; left &= left - 1, sums += heads) {
                int64_t query = p->q_order[strip * STRIP + __builtin_ctzll(left)];
                int64_t key = pattern_key(p, (int64_t)w.cluster * CLUSTER + c);
                int64_t at = pair_bias_place(to, query, key, number ? *number++ : 0);
                float sum = 0.0f;
                if (written == heads) {
                    for (int head = 0; head < heads; head++)
                        write_number(to, at + head * to->head_stride, sums[head]);
                    continue;
                }
                for (int head = 0; head < heads; head++) sum += sums[head];
                write_number(to, at, sum);
            }
}
