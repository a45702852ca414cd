/* SPDX-License-Identifier: Apache-2.0 */
/* Part of attention_body.h, compiled with it for each instruction set: from sums to results, which rows are to be
 * done once more, and storing them. */

/* What normalise() finds among the rows of a group. */
enum { ALL_WELL, DOUBTFUL, NOT_FINITE };

/* A row whose results are all below 2^-111 may have lost more than rounding where float32 ends, at 2^-149. */
enum { TINY_BITS = 0x08000000, BITS_BUT_SIGN = 0x7fffffff };

/* sum /= weight, 0 in rows without weight, as gather_row() wants it.  NOT_FINITE: one of the results is; DOUBTFUL:
 * some row may be in_doubt(). */
static int normalise(bool radial, int d_v, const float *weight, const float *lowest, float *sum)
{
    vi odd = { 0 }, doubt = { 0 };
    UNROLL for (int w = 0; w < PARTS; w++)
    {
        vf total = ((const vf *)weight)[w];
        vf factor = 1.0f / total;
        vi any_bits = { 0 };
        for (int c = 0; c < d_v; c += 4) {
            vf *x = (vf *)(sum + c * GROUP) + w;
            UNROLL for (int u = 0; u < 4; u++)
            {
                vf *at = x + u * PARTS;
                *at = vec_select(total == 0.0f, (vf){ 0 }, *at * factor);
                odd |= (*at - *at) != 0.0f;
                any_bits |= (vi)*at;
            }
            vec_transpose(x, x + PARTS, x + 2 * PARTS, x + 3 * PARTS);
        }
        any_bits &= BITS_BUT_SIGN;
        doubt |= (((const vf *)lowest)[w] == -INFINITY) | ((any_bits < TINY_BITS) & (any_bits != 0));
        if (radial) doubt |= total == 0.0f;
    }
    if (!vec_any(odd | doubt)) return ALL_WELL;
    return vec_any(odd) ? NOT_FINITE : DOUBTFUL;
}

/* Is it possible that row r of the group, as normalise() left it, is not what it would be without float32's ends?
 * All of it is the row's own: what it says does not depend on other rows.  A score of +inf or NaN makes the results
 * NaN, one of -inf hides: the pair has no weight (but where the radial term says so that is right), and where all
 * are the row seems to have no pair. */
static bool in_doubt(const struct cpu_run *run, size_t at, int r, const struct strip_scratch *s)
{
    int d = run->shape->d_v;
    float values[DIM_MAX], largest = 0.0f;
    if (run->wide || s->lowest[at * GROUP + (size_t)r] == -INFINITY) return true;
    if (run->radial && s->weight[at * GROUP + (size_t)r] == 0.0f) return true;
    gather_row(d, s->sum + at * (size_t)d * GROUP, r, values);
    for (int c = 0; c < d; c++) {
        if (!isfinite(values[c])) return true;
        largest = fmaxf(largest, fabsf(values[c]));
    }
    return largest > 0.0f && largest < f32_from_bits(TINY_BITS);
}

static __attribute__((noinline)) void mend_rows(const struct cpu_run *run, int64_t strip, int head, int group,
                                                const struct strip_scratch *s)
{
    size_t at = (size_t)head * GROUPS + (size_t)group;
    uint64_t rows = 0, lost = 0;
    for (int r = 0; r < GROUP; r++) {
        uint64_t bit = UINT64_C(1) << (group * GROUP + r);
        if (in_doubt(run, at, r, s)) rows |= bit;
        if (s->weight[at * GROUP + (size_t)r] == 0.0f) lost |= bit;
    }
    attention_wide_rows(run, strip, head, rows, lost);
}

static void store_group(const struct cpu_run *run, int64_t first_row, int head, int group,
                        const struct strip_scratch *s)
{
    const struct attention_args *a = run->args;
    int d = run->shape->d_v;
    vic_dtype dtype = run->shape->dtype;
    size_t at = (size_t)head * GROUPS + (size_t)group;
    float row_values[DIM_MAX];
    for (int r = 0; r < GROUP && first_row + r < run->pattern->n_q; r++) {
        int64_t row = a->q_rows ? a->q_rows[first_row + r] : first_row + r;
        void *to = row_of(&a->out, dtype, row, head);
        gather_row(d, s->sum + at * (size_t)d * GROUP, r, dtype == VIC_F32 ? to : row_values);
        if (dtype == VIC_F16)
            for (int c = 0; c < d; c++) ((uint16_t *)to)[c] = f16_from_f32(row_values[c]);
        else if (dtype == VIC_BF16)
            for (int c = 0; c < d; c++) ((uint16_t *)to)[c] = bf16_from_f32(row_values[c]);
        if (a->lse.data) {
            float *lse = row_of(&a->lse, VIC_F32, row, head);
            double weight = s->weight[at * GROUP + (size_t)r];
            *lse = weight == 0.0 ? -INFINITY : (float)((double)s->max[at * GROUP + (size_t)r] + log(weight));
        }
    }
}

/* Stores what is to do and finite (`always`: all), and leaves the rest to do; false when something is left. */
static bool store(const struct cpu_run *run, int64_t strip, bool always, struct strip_scratch *s)
{
    bool all = true;
    for (int g = 0; g < GROUPS; g++)
        for (int head = 0; head < run->shape->heads; head++) {
            size_t at = (size_t)head * GROUPS + (size_t)g, d_v = (size_t)run->shape->d_v;
            int64_t first_row = strip * STRIP + g * GROUP;
            if (!s->todo[at]) continue;
            int found = normalise(run->radial, run->shape->d_v, s->weight + at * GROUP, s->lowest + at * GROUP,
                                  s->sum + at * d_v * GROUP);
            s->todo[at] = found == NOT_FINITE && !always;
            if (s->todo[at]) {
                all = false;
                continue;
            }
            store_group(run, first_row, head, g, s);
            if (found != ALL_WELL || run->wide) mend_rows(run, strip, head, g, s);
        }
    return all;
}
