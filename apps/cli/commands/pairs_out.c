/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/pairs_out.h"

#include "arrays/array.h"
#include "commands/memory_room.h"
#include "commands/metadata.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 9 };

static vic_status list(vic_context *c, const struct pattern_built *b, bool distances, vic_neighbors *p,
                       vic_error *err)
{
    TRY(allocate(p->pairs, sizeof *p->i, "the list of pairs", &p->i, err));
    TRY(allocate(p->pairs, sizeof *p->j, "the list of pairs", &p->j, err));
    TRY(allocate(p->pairs, 3 * sizeof *p->S, "the list of pairs", &p->S, err));
    /* Windows go by number alone: their pattern has no positions, though the structure has. */
    if (distances && b->info.positions) TRY(allocate(p->pairs, sizeof *p->d, "the list of pairs", &p->d, err));
    TRY(vic_pattern_neighbors(c, b->pattern, p, err));
    if (!distances || b->info.positions) return VIC_OK;
    TRY(allocate(p->pairs, sizeof *p->d, "the list of pairs", &p->d, err));
    for (int64_t k = 0; k < p->pairs; k++) {
        const double *from = b->view.positions + 3 * (int64_t)p->i[k], *to = b->view.positions + 3 * (int64_t)p->j[k];
        double x = to[0] - from[0], y = to[1] - from[1], z = to[2] - from[2];
        p->d[k] = sqrt(x * x + y * y + z * z);
    }
    return VIC_OK;
}

static void add(struct npz_member *members, int *count, const char *name, const char *type, int64_t rows,
                int64_t columns, size_t item, const void *data)
{
    if (data) members[(*count)++] = (struct npz_member){ name, type, columns ? 2 : 1, { rows, columns }, item, data };
}

vic_status pairs_write(vic_context *c, const char *path, const struct pattern_input *in,
                       const struct pattern_built *b, vic_error *err)
{
    const vic_pattern_info *info = &b->info;
    const double *positions = b->view.positions, *keys = NULL;
    const bool any = info->periodic[0] || info->periodic[1] || info->periodic[2], one = info->groups == 1;
    struct npz_member members[MOST];
    vic_neighbors p = { .size = sizeof p, .pairs = info->pairs };
    struct json text = { 0 };
    char type[32];
    int n = 0;
    vic_status st;
    if (info->positions) {
        TRY(vic_pattern_positions(b->pattern, VIC_QUERY, &positions, err));
        if (!info->one_set) TRY(vic_pattern_positions(b->pattern, VIC_KEY, &keys, err));
    }
    TRY(memory_check(in->force, (double)p.pairs * (5 * sizeof *p.i + sizeof *p.d), "--pairs-out: the list of pairs",
                     "take a smaller cutoff, or -o FILE.vnp, which holds the same pairs", err));
    progress_phase("listing the pairs");
    TRY_GOTO(list(c, b, positions && one, &p, err), done);
    TRY_GOTO(metadata_of_pattern(&text, in, b, err), done);
    snprintf(type, sizeof type, "|S%zu", text.text.size);
    add(members, &n, "i", "<i4", p.pairs, 0, sizeof *p.i, p.i);
    add(members, &n, "j", "<i4", p.pairs, 0, sizeof *p.j, p.j);
    add(members, &n, "image", "<i4", p.pairs, 3, sizeof *p.S, p.S);
    add(members, &n, "d", "<f8", p.pairs, 0, sizeof *p.d, p.d);
    add(members, &n, "positions", "<f8", info->n_q, 3, sizeof *positions, positions);
    add(members, &n, "key_positions", "<f8", info->n_k, 3, sizeof *keys, keys);
    if (any && one) add(members, &n, "cell", "<f8", 3, 3, sizeof(double), info->cell);
    if (positions && one) add(members, &n, "periodic", "|b1", 3, 0, sizeof(bool), info->periodic);
    members[n++] = (struct npz_member){ "metadata", type, 0, { 0 }, text.text.size, text.text.data };
    st = npz_write(path, members, n, err);
done:
    json_free(&text);
    free(p.d);
    free(p.S);
    free(p.j);
    free(p.i);
    return st;
}
