/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs_out.h"

#include "array.h"
#include "memory_room.h"
#include "metadata.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 9 };

struct pairs {
    int64_t count;
    int32_t *i, *j, *image;
    double *d;
};

static vic_status list(const struct pattern_built *b, int threads, bool distances, struct pairs *p, vic_error *err)
{
    TRY(allocate(p->count, sizeof *p->i, "the list of pairs", &p->i, err));
    TRY(allocate(p->count, sizeof *p->j, "the list of pairs", &p->j, err));
    TRY(allocate(p->count, 3 * sizeof *p->image, "the list of pairs", &p->image, err));
    if (distances) TRY(allocate(p->count, sizeof *p->d, "the list of pairs", &p->d, err));
    /* Windows go by number alone: their pattern has no positions, though the structure has. */
    if (distances && !vic_pattern_positions(b->pattern, VIC_QUERY)) {
        const double *r = b->view.positions;
        TRY(vic_pattern_neighbours(b->pattern, p->count, threads, p->i, p->j, p->image, NULL, err));
        for (int64_t k = 0; k < p->count; k++) {
            const double *from = r + 3 * (int64_t)p->i[k], *to = r + 3 * (int64_t)p->j[k];
            double x = to[0] - from[0], y = to[1] - from[1], z = to[2] - from[2];
            p->d[k] = sqrt(x * x + y * y + z * z);
        }
        return VIC_OK;
    }
    return vic_pattern_neighbours(b->pattern, p->count, threads, p->i, p->j, p->image, p->d, err);
}

static void add(struct npz_member *members, int *count, const char *name, const char *type, int64_t rows,
                int64_t columns, size_t item, const void *data)
{
    if (data) members[(*count)++] = (struct npz_member){ name, type, columns ? 2 : 1, { rows, columns }, item, data };
}

vic_status pairs_write(const char *path, const struct pattern_input *in, const struct pattern_built *b,
                       vic_error *err)
{
    const vic_pattern_info *info = &b->info;
    const double *positions = vic_pattern_positions(b->pattern, VIC_QUERY);
    const double *keys = vic_pattern_positions(b->pattern, VIC_KEY);
    const bool any = info->periodic[0] || info->periodic[1] || info->periodic[2], one = info->structures == 1;
    struct npz_member members[MOST];
    struct pairs p = { .count = info->pairs };
    struct json text = { 0 };
    char type[32];
    int n = 0;
    vic_status st;
    if (!positions) positions = b->view.positions;
    TRY(memory_check(in->force, (double)p.count * (5 * sizeof *p.i + sizeof *p.d), "--pairs-out: the list of pairs",
                     "take a smaller cutoff, or -o FILE.vnp, which holds the same pairs", err));
    progress_phase("listing the pairs");
    TRY_GOTO(list(b, in->structure.threads, positions && one, &p, err), done);
    TRY_GOTO(metadata_of_pattern(&text, in, b, err), done);
    snprintf(type, sizeof type, "|S%zu", text.text.size);
    add(members, &n, "i", "<i4", p.count, 0, sizeof *p.i, p.i);
    add(members, &n, "j", "<i4", p.count, 0, sizeof *p.j, p.j);
    add(members, &n, "image", "<i4", p.count, 3, sizeof *p.image, p.image);
    add(members, &n, "d", "<f8", p.count, 0, sizeof *p.d, p.d);
    add(members, &n, "positions", "<f8", info->n_q, 3, sizeof *positions, positions);
    if (keys != vic_pattern_positions(b->pattern, VIC_QUERY))
        add(members, &n, "key_positions", "<f8", info->n_k, 3, sizeof *keys, keys);
    if (any && one) add(members, &n, "cell", "<f8", 3, 3, sizeof(double), info->cell);
    if (positions && one) add(members, &n, "periodic", "|b1", 3, 0, sizeof(bool), info->periodic);
    members[n++] = (struct npz_member){ "metadata", type, 0, { 0 }, text.text.size, text.text.data };
    st = npz_write(path, members, n, err);
done:
    json_free(&text);
    free(p.d);
    free(p.image);
    free(p.j);
    free(p.i);
    return st;
}
