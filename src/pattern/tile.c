/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/tile.h"

#include "base/memory.h"

#include <string.h>

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
    TRY(mem_grow(&c->cluster, &c->cluster_capacity, n, sizeof *c->cluster, "blocks", err));
    TRY(mem_grow(&c->image, &c->image_capacity, n, sizeof *c->image, "blocks", err));
    TRY(mem_grow(&c->bits, &c->bits_capacity, n, sizeof *c->bits, "block masks", err));
    TRY(mem_grow(&s->reached, &s->reached_capacity, candidates, sizeof *s->reached, "block masks", err));
    TRY(mem_grow(&s->filtered, &s->filtered_capacity, candidates, sizeof *s->filtered, "blocks", err));
    return mem_grow(&s->pairs, &s->pairs_capacity, candidates, sizeof *s->pairs, "blocks", err);
}

static vic_status build_strip(const struct search *search, const struct block_test *test, struct tile_scratch *s,
                              struct tile_found *c, int64_t strip, int in_tile, vic_error *err)
{
    TRY(search_strip(search, &s->search, in_tile, err));
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

vic_status tile_build(const struct search *search, const struct block_test *test, int64_t tile,
                      struct tile_scratch *s, struct tile_found *c, vic_error *err)
{
    const struct vic_pattern *p = test->p;
    c->n_partial = c->n_runs = 0;
    c->pairs = c->boundary = c->full = 0;
    memset(c->partial_count, 0, sizeof c->partial_count);
    memset(c->run_count, 0, sizeof c->run_count);
    TRY(search_tile(search, &s->search, tile, err));
    for (int i = 0; i < TILE_STRIPS; i++) {
        int64_t strip = tile * TILE_STRIPS + i;
        if (strip >= p->strips) break;
        TRY(build_strip(search, test, s, c, strip, i, err));
        if (strip % STRIPS_PER_BIG == STRIPS_PER_BIG - 1 || strip == p->strips - 1)
            big_row_count(&s->big_row, p, strip / STRIPS_PER_BIG, &s->summary);
    }
    return VIC_OK;
}

vic_status tile_scratch_make(const struct search *search, struct tile_scratch *s, vic_error *err)
{
    memset(s, 0, sizeof *s);
    TRY(search_scratch_make(search, &s->search, err));
    return big_row_make(search->keys->n, search->n_images == 1, &s->big_row, err);
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
