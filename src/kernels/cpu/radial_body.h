/* SPDX-License-Identifier: Apache-2.0 */
/* The radial term, a part of attention_body.h.  Distances are found once per chunk and serve all heads; each head
 * then looks its table up and adds to its scores, in a pass of its own, so that runs without a radial term do not
 * pay. */

/* Where the (group, key) pairs of the chunk stand in the table: s->point, at most the last but one, and s->beyond. In
 * double, as the difference of two positions: a lane is as exact as float can hold it. */
static void find_distances(const struct cpu_run *run, struct strip_scratch *s)
{
    double cutoff = run->pattern->cutoff, end = run->args->bias.points - 1, per_d2 = end / (cutoff * cutoff);
    radial_place_keys(run->pattern, s);
    for (int g = 0; g < GROUPS; g++) {
        const double *x = s->q_position[0] + g * GROUP, *y = s->q_position[1] + g * GROUP;
        const double *z = s->q_position[2] + g * GROUP;
        for (int i = 0; i < s->key_count[g]; i++) {
            const double *r = s->k_position[s->keys[g][i].slot];
            int32_t bits = s->keys[g][i].bits;
            size_t at = ((size_t)g * CHUNK + (size_t)i) * GROUP;
            for (int lane = 0; lane < GROUP; lane++) {
                double dx = r[0] - x[lane], dy = r[1] - y[lane], dz = r[2] - z[lane];
                double place = (dx * dx + dy * dy + dz * dz) * per_d2;
                place = bits & lane_bits[lane] ? place : 0.0; /* lanes that are not in may be anywhere */
                place = place < end ? place : end;
                int32_t m = (int32_t)(place < end - 1.0 ? place : end - 1.0);
                s->point[at + (size_t)lane] = m;
                s->beyond[at + (size_t)lane] = (float)(place - m);
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

/* s->terms = b for the group's keys: no finite number where the table turns to -inf.  In vectors of 4 lanes, which is
 * what 4 loads of two points fill; a pass of its own, because reading them back at once in longer vectors would
 * stall.
 */
static void look_up(const float *table, int group, struct strip_scratch *s)
{
    const int32_t *m = s->point + (size_t)group * CHUNK * GROUP;
    const float *f = s->beyond + (size_t)group * CHUNK * GROUP;
    for (int i = 0; i < s->key_count[group] * GROUP; i += 4) {
        v4 a = (v4)(v2d){ load_points(table, m[i]), load_points(table, m[i + 1]) };
        v4 b = (v4)(v2d){ load_points(table, m[i + 2]), load_points(table, m[i + 3]) };
#if defined(__clang__)
        v4 low = __builtin_shufflevector(a, b, 0, 2, 4, 6), high = __builtin_shufflevector(a, b, 1, 3, 5, 7);
#else
        v4 low = __builtin_shuffle(a, b, (v4i){ 0, 2, 4, 6 }), high = __builtin_shuffle(a, b, (v4i){ 1, 3, 5, 7 });
#endif
        *(v4 *)(s->terms[0] + i) = low + *(const v4 *)(f + i) * (high - low);
    }
}

/* Computes by themselves the lanes of keys first .. end - 1 that looking up could not do. */
static void repair_terms(const struct cpu_run *run, const float *table, int group, int64_t first_row, int first,
                         int end, struct strip_scratch *s)
{
    for (int i = first; i < end; i++) {
        struct group_key key = s->keys[group][i];
        for (int lane = 0; lane < GROUP; lane++)
            if (key.bits >> lane & 1 && !(s->terms[i][lane] - s->terms[i][lane] == 0.0f))
                s->terms[i][lane] =
                    (float)radial_exact(run, table, first_row + lane, s->rows[key.slot], s->images[key.slot]);
    }
}

/* Adds the term to s->scores; max = the largest of `max` and the new scores. */
static void add_radial(const struct cpu_run *run, int head, int group, int64_t first_row, struct strip_scratch *s,
                       vf max[PARTS])
{
    const struct distance_bias *radial = &run->args->bias;
    const float *table = radial->table + head * radial->head_stride;
    int keys = s->key_count[group];
    look_up(table, group, s);
    for (int first = 0, end; first < keys; first = end) {
        vf odd = { 0 }; /* NaN where a term is not finite; asked for several keys at once, since asking is slow */
        end = first + 8 < keys ? first + 8 : keys;
        for (int i = first; i < end; i++)
            UNROLL for (int w = 0; w < PARTS; w++) odd += ((const vf *)s->terms[i])[w] - ((const vf *)s->terms[i])[w];
        if (vec_any(odd != 0.0f)) repair_terms(run, table, group, first_row, first, end, s);
        for (int i = first; i < end; i++) UNROLL for (int w = 0; w < PARTS; w++)
            {
                vf *score = (vf *)s->scores[i] + w;
                *score = vec_select(lanes_in(s->keys[group][i].bits, w), *score + ((const vf *)s->terms[i])[w],
                                    vec_fill(-INFINITY));
                max[w] = vec_max(*score, max[w]);
            }
    }
}
