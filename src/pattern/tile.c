/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/tile.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

_Static_assert((int)TILE_STRIPS == (int)LIST_STRIPS, "the strips of a tile come to one worker");

static vic_status make_images(vic_pattern *p, const struct lattice *lattice, struct tile_source *t, vic_error *err)
{
    double size = lattice->diameter + p->cutoff, reach;
    double far_component = fmax(t->test.queries->largest, t->test.keys->largest);
    /* Wrapping multiplies and adds a few times at the size of the position itself; so does the rule.  No image that
     * matters is shifted by more than the cell's diameter and the cutoff. */
    t->test.point_error = 32 * 0x1p-53 * (far_component + 3 * size);
    reach = p->cutoff * (1 + 4e-6) + 8 * t->test.point_error;
    TRY(lattice_images(lattice, reach, &t->images, &p->n_images, err));
    TRY(mem_array((size_t)p->n_images, sizeof *p->images, "images", &p->images, err));
    for (int64_t i = 0; i < p->n_images; i++) memcpy(p->images[i], t->images[i].n, sizeof p->images[i]);
    t->search.reach = nextafterf((float)reach, INFINITY);
    return VIC_OK;
}

vic_status tile_source_make(vic_pattern *p, const struct placed *placed, int workers, struct tile_source *t,
                            vic_error *err)
{
    memset(t, 0, sizeof *t);
    t->search.queries = t->test.queries = &placed->queries;
    t->search.keys = t->test.keys = p->one_set ? &placed->queries : &placed->keys;
    TRY(make_images(p, &placed->lattice, t, err));
    t->search.images = t->test.images = t->images;
    t->search.n_images = p->n_images;
    t->test.p = p;
    t->test.cutoff2 = p->cutoff * p->cutoff;
    t->test.exclude_diagonal = p->exclude_self && !p->q_ids;
    t->test.filter = block_filter_choose();
    t->workers = workers;
    if (p->exclude_self && p->q_ids) TRY(self_pairs_make(p, &t->self, err));
    TRY(mem_array_zero((size_t)workers, sizeof *t->scratch, "workers", &t->scratch, err));
    for (int w = 0; w < workers; w++) {
        t->scratch[w].tile = -1;
        TRY(search_scratch_make(&t->search, &t->scratch[w].search, err));
    }
    return VIC_OK;
}

void tile_source_free(struct tile_source *t)
{
    for (int w = 0; t->scratch && w < t->workers; w++) {
        search_scratch_free(&t->scratch[w].search);
        free(t->scratch[w].reached);
        free(t->scratch[w].filtered);
    }
    free(t->scratch);
    free(t->images);
    self_pairs_free(&t->self);
}

static vic_status look_around(struct tile_source *t, struct tile_scratch *s, int64_t strip, vic_error *err)
{
    if (s->tile != strip / TILE_STRIPS) {
        s->tile = -1;
        TRY(search_tile(&t->search, &s->search, strip / TILE_STRIPS, err));
        s->tile = strip / TILE_STRIPS;
    }
    return search_strip(&t->search, &s->search, (int)(strip % TILE_STRIPS), err);
}

static vic_status make_room(struct block_list *out, struct tile_scratch *s, size_t candidates, vic_error *err)
{
    TRY(block_list_room(out, candidates, err));
    TRY(mem_grow(&s->reached, &s->reached_capacity, candidates, sizeof *s->reached, "block masks", err));
    return mem_grow(&s->filtered, &s->filtered_capacity, candidates, sizeof *s->filtered, "blocks", err);
}

vic_status tile_source_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    struct tile_source *t = context;
    struct tile_scratch *s = &t->scratch[worker];
    TRY(look_around(t, s, strip, err));
    size_t n = s->search.n_candidates, first = out->n, at = first;
    const struct candidate *candidates = s->search.candidates;
    if (n == 0) return VIC_OK;
    TRY(make_room(out, s, n, err));
    strip_rows_load(&t->test, strip, &s->rows);
    /* The masks go where the strip's blocks will be, and move up over those that turn out not to be any. */
    struct block_bits *bits = out->bits + first;
    t->test.filter(&t->test, &s->rows, candidates, n, bits, s->reached, s->filtered);
    for (size_t i = 0; i < n; i++) {
        int pairs = block_settle(&t->test, strip, &candidates[i], s->filtered[i], &bits[i], &s->reached[i],
                                 &out->boundary_pairs);
        if (pairs == 0) continue;
        if (at != first + i) out->bits[at] = bits[i];
        out->cluster[at] = candidates[i].cluster;
        out->image[at] = candidates[i].image;
        out->pairs[at++] = (uint16_t)pairs;
    }
    out->n = at;
    if (t->self.slots) self_pairs_remove(&t->self, strip, out, first);
    return VIC_OK;
}
