/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/distance_bias.h"

#include "contract/pair_rule.h"
#include "kernels/cpu/attention_cpu.h"

static void add_vectors(const double cell[3][3], const int32_t n[3], double r[3])
{
    for (int a = 0; a < 3; a++)
        for (int x = 0; x < 3; x++) r[x] += n[a] * cell[a][x];
}

void bias_find_rows(const struct vic_pattern *p, int64_t strip, struct strip_scratch *s)
{
    for (int i = 0; i < STRIP; i++) {
        int64_t row = strip * STRIP + i;
        double r[3] = { 0.0, 0.0, 0.0 };
        if (row < p->n_q) {
            int64_t atom = p->q_order[row];
            for (int x = 0; x < 3; x++) r[x] = p->q_positions[3 * atom + x];
            if (p->q_wrap) add_vectors(p->cell, p->q_wrap[atom], r);
        }
        for (int x = 0; x < 3; x++) s->q_position[x][i] = r[x];
    }
}

void bias_find_keys(const struct vic_pattern *p, struct strip_scratch *s)
{
    for (int key = 0; key < s->chunk_keys; key++) {
        int64_t atom = p->k_order[s->key_rows[key]];
        double *r = s->k_position[key];
        for (int x = 0; x < 3; x++) r[x] = p->k_positions[3 * atom + x];
        if (p->k_wrap) add_vectors(p->cell, p->k_wrap[atom], r);
        add_vectors(p->cell, p->images[s->key_images[key]], r);
    }
}

double bias_exact(const struct cpu_run *run, const float *table, int64_t q_row, int64_t k_row, int32_t image)
{
    const struct vic_pattern *p = run->pattern;
    int64_t i = p->q_order[q_row], j = p->k_order[k_row];
    int32_t n[3];
    for (int a = 0; a < 3; a++)
        n[a] = p->images[image][a] + (p->k_wrap ? p->k_wrap[j][a] : 0) - (p->q_wrap ? p->q_wrap[i][a] : 0);
    double d2 = pair_distance2(p->q_positions + 3 * i, p->k_positions + 3 * j, p->cell, n[0], n[1], n[2]);
    return distance_bias_value(table, run->args->bias.points, d2, p->cutoff);
}
