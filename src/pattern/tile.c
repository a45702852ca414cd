/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/tile.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- what tiles share ---- */

static vic_status make_images(vic_pattern *p, const struct lattice *lattice, struct tile_frame *f, vic_error *err)
{
    int32_t(*integers)[3];
    double size = lattice->diameter + p->cutoff, reach;
    double far_component = fmax(f->test.queries->largest, f->test.keys->largest);
    /* Wrapping multiplies and adds a few times at the size of the position itself; so does the rule.  No image that
     * matters is shifted by more than the cell's diameter and the cutoff. */
    f->test.point_error = 32 * 0x1p-53 * (far_component + 3 * size);
    reach = p->cutoff * (1 + 4e-6) + 8 * f->test.point_error;
    TRY(lattice_images(lattice, reach, &f->images, &p->n_images, err));
    TRY(mem_array((size_t)p->n_images, sizeof *integers, "images", &integers, err));
    p->images = (const int32_t(*)[3])integers;
    for (int64_t i = 0; i < p->n_images; i++) memcpy(integers[i], f->images[i].n, sizeof integers[i]);
    f->search.reach = nextafterf((float)reach, INFINITY);
    return VIC_OK;
}

vic_status tile_frame_make(vic_pattern *p, const struct lattice *lattice, const struct points *queries,
                           const struct points *keys, struct tile_frame *f, vic_error *err)
{
    memset(f, 0, sizeof *f);
    f->search.queries = f->test.queries = queries;
    f->search.keys = f->test.keys = keys;
    TRY(make_images(p, lattice, f, err));
    f->search.images = f->test.images = f->images;
    f->search.n_images = p->n_images;
    f->test.p = p;
    f->test.cutoff2 = p->cutoff * p->cutoff;
    f->test.filter = block_filter_choose();
    return VIC_OK;
}

void tile_frame_free(struct tile_frame *f)
{
    free(f->images);
}

int64_t tiles_of_wave(int64_t tiles, int workers)
{
    int64_t most = (int64_t)workers * 16 > 64 ? (int64_t)workers * 16 : 64;
    return tiles < most ? tiles : most;
}

/* ---- the blocks of a tile ---- */

static vic_status add_full(struct tile_found *c, int64_t *strip_runs, int32_t cluster, int32_t image, vic_error *err)
{
    struct full_run *last = *strip_runs > 0 ? &c->runs[c->n_runs - 1] : NULL;
    c->full++;
    if (last && last->image == image && last->first + last->count == cluster) {
        last->count++;
        return VIC_OK;
    }
    TRY(mem_grow(&c->runs, &c->run_capacity, c->n_runs + 1, sizeof *c->runs, "runs of full blocks", err));
    c->runs[c->n_runs++] = (struct full_run){ cluster, 1, image };
    ++*strip_runs;
    return VIC_OK;
}

static vic_status make_room(struct tile_found *c, struct tile_scratch *s, size_t candidates, vic_error *err)
{
    size_t n = c->n_partial + candidates;
    if (n > c->most_room) c->most_room = n;
    TRY(mem_grow(&c->cluster, &c->cluster_capacity, n, sizeof *c->cluster, "blocks", err));
    TRY(mem_grow(&c->image, &c->image_capacity, n, sizeof *c->image, "blocks", err));
    TRY(mem_grow(&c->bits, &c->bits_capacity, n, sizeof *c->bits, "block masks", err));
    TRY(mem_grow(&s->reached, &s->reached_capacity, candidates, sizeof *s->reached, "block masks", err));
    TRY(mem_grow(&s->filtered, &s->filtered_capacity, candidates, sizeof *s->filtered, "blocks", err));
    return mem_grow(&s->pairs, &s->pairs_capacity, candidates, sizeof *s->pairs, "blocks", err);
}

static vic_status build_strip(const struct tile_frame *f, struct tile_scratch *s, struct tile_found *c, int64_t strip,
                              int in_tile, vic_error *err)
{
    const struct block_test *test = &f->test;
    TRY(search_strip(&f->search, &s->search, in_tile, err));
    size_t n = s->search.n_candidates, first = c->n_partial, first_run = c->n_runs;
    const struct candidate *candidates = s->search.candidates;
    TRY(make_room(c, s, n, err));
    strip_rows_load(test, strip, &s->rows);
    /* The masks go where the strip's partial blocks will be, and move up over those that turn out not to be any. */
    struct block_bits *bits = c->bits + first;
    test->filter(test, &s->rows, candidates, n, bits, s->reached, s->filtered);
    for (size_t i = 0; i < n; i++) {
        size_t at = c->n_partial;
        int pairs = block_settle(test, strip, &candidates[i], s->filtered[i], &bits[i], &s->reached[i], &c->boundary);
        if (pairs == 0) continue;
        c->pairs += pairs;
        if (pairs == BLOCK) {
            TRY(add_full(c, &c->run_count[in_tile], candidates[i].cluster, candidates[i].image, err));
            continue;
        }
        if (at - first != i) c->bits[at] = bits[i];
        c->cluster[at] = candidates[i].cluster;
        c->image[at] = candidates[i].image;
        s->pairs[at - first] = (uint16_t)pairs;
        c->n_partial++;
    }
    c->partial_count[in_tile] = (int64_t)(c->n_partial - first);
    struct strip_blocks found = {
        c->partial_count[in_tile],           c->cluster + first, bits, s->pairs, c->run_count[in_tile],
        c->runs ? c->runs + first_run : NULL
    };
    int64_t most = strip_blocks_fullest(&found);
    if (most > s->summary.max_pairs) s->summary.max_pairs = most;
    big_row_add(&s->big_row, &found);
    return VIC_OK;
}

static void start(struct tile_found *c)
{
    c->n_partial = c->n_runs = c->most_room = 0;
    c->pairs = c->boundary = c->full = 0;
    memset(c->partial_count, 0, sizeof c->partial_count);
    memset(c->run_count, 0, sizeof c->run_count);
}

vic_status tile_build(const struct tile_frame *f, int64_t tile, struct tile_scratch *s, struct tile_found *c,
                      vic_error *err)
{
    const struct vic_pattern *p = f->test.p;
    start(c);
    TRY(search_tile(&f->search, &s->search, tile, err));
    for (int i = 0; i < TILE_STRIPS; i++) {
        int64_t strip = tile * TILE_STRIPS + i;
        if (strip >= p->strips) break;
        TRY(build_strip(f, s, c, strip, i, err));
        if (strip % STRIPS_PER_BIG == STRIPS_PER_BIG - 1 || strip == p->strips - 1)
            big_row_count(&s->big_row, p, strip / STRIPS_PER_BIG, &s->summary);
    }
    return VIC_OK;
}

vic_status tile_build_strip(const struct tile_frame *f, int64_t strip, struct tile_scratch *s, struct tile_found *c,
                            vic_error *err)
{
    start(c);
    TRY(search_tile(&f->search, &s->search, strip / TILE_STRIPS, err));
    return build_strip(f, s, c, strip, (int)(strip % TILE_STRIPS), err);
}

vic_status tile_scratch_make(const struct tile_frame *f, struct tile_scratch *s, vic_error *err)
{
    memset(s, 0, sizeof *s);
    TRY(search_scratch_make(&f->search, &s->search, err));
    return big_row_make(f->search.keys->n, f->search.n_images == 1, &s->big_row, err);
}

void tile_scratch_free(struct tile_scratch *s)
{
    search_scratch_free(&s->search);
    free(s->reached);
    free(s->filtered);
    free(s->pairs);
    big_row_free(&s->big_row);
}

void tile_found_free(struct tile_found *found)
{
    free(found->cluster);
    free(found->image);
    free(found->bits);
    free(found->runs);
}
