/* SPDX-License-Identifier: Apache-2.0 */
/* Two passes over the tiles.  The first makes the stages and counts everything, so that the second can write it where
 * it belongs.  Between the two it is decided what is split, and where something is, stages are assigned and counted
 * once more. */
#include "kernels/cuda/sm90/plan/layout.h"

#include "base/memory.h"
#include "kernels/cuda/sm90/plan/heuristics.h"
#include "kernels/cuda/sm90/plan/masks.h"
#include "kernels/cuda/sm90/plan/stages.h"

#include <string.h>

enum { TILES_PER_CHUNK = 8 };

/* Some consecutive tiles, which one thread works on. */
struct layout_chunk {
    struct stage_list list;
    size_t stages[TILES_PER_CHUNK + 1]; /* where each tile's stages begin in the list */
    vic_status status;
    vic_error error;
};

/* How many stages and masks a split of a tile has; its steps are counted in tile_strip. */
struct split_counts {
    int32_t stages, masks;
};

struct job {
    const struct vic_pattern *p;
    int reach;
    struct tile_layout *l;
    struct stage_scratch *scratch; /* [workers] */
    struct split_counts *counts;   /* [splits] */
    bool make_stages;              /* false: they have been made */
    const struct tile_arrays *out; /* what the second pass writes */
};

/* ---- tiles and their splits ---- */

static int64_t strips_per_tile(const struct tile_layout *l)
{
    return l->places / l->warpgroup_splits;
}

/* The end of a chunk's tiles. */
static int64_t chunk_end(const struct tile_layout *l, int64_t chunk)
{
    int64_t end = (chunk + 1) * TILES_PER_CHUNK;
    return end < l->tiles ? end : l->tiles;
}

/* All stages of a tile. */
static struct stage_run tile_run(const struct tile_layout *l, int64_t tile)
{
    struct layout_chunk *chunk = &l->chunks[tile / TILES_PER_CHUNK];
    size_t first = chunk->stages[tile % TILES_PER_CHUNK], end = chunk->stages[tile % TILES_PER_CHUNK + 1];
    return (struct stage_run){ chunk->list.stages + first, chunk->list.needs, (int64_t)(end - first),
                               tile * strips_per_tile(l),  l->places,         l->warpgroup_splits };
}

static int64_t steps_of(const struct stage_run *run, int64_t first, int64_t end)
{
    int64_t steps = 0;
    for (int64_t i = first; i < end; i++) steps += __builtin_popcount(run->stages[i].strips);
    return steps;
}

/* Returns how many stages split `k` of the tile's `count` splits takes, from stage `at` on: as many as give all
 * splits the same number of steps, one at least.  `so_far` is the steps of the splits before. */
static int64_t next_split(const struct stage_run *tile, int64_t at, int64_t so_far, int64_t k, int64_t count,
                          int64_t total)
{
    int64_t first = at, last = tile->n - (count - 1 - k);
    if (k + 1 == count) return tile->n - at;
    for (; at < last; at++) {
        int64_t steps = steps_of(tile, at, at + 1);
        if (at > first && (2 * so_far + steps) * count > 2 * (k + 1) * total) break;
        so_far += steps;
    }
    return at - first;
}

/* A walk over the splits of a tile:
 *     for (struct split_walk w = split_walk_start(l, tile); split_walk_next(&w);) ... w.run, w.before */
struct split_walk {
    struct stage_run tile, run;
    int64_t before; /* stages of the tile before the run's */
    int64_t next, so_far, k, count, total;
};

static struct split_walk split_walk_start(const struct tile_layout *l, int64_t tile)
{
    struct split_walk w = { .tile = tile_run(l, tile), .k = -1 };
    w.count = l->split_first[tile + 1] - l->split_first[tile];
    w.total = w.count > 1 ? steps_of(&w.tile, 0, w.tile.n) : 0;
    return w;
}

static bool split_walk_next(struct split_walk *w)
{
    if (++w->k == w->count) return false;
    w->before = w->next;
    w->run = w->tile;
    w->run.stages += w->before;
    w->run.n = next_split(&w->tile, w->before, w->so_far, w->k, w->count, w->total);
    if (w->count > 1) w->so_far += steps_of(&w->run, 0, w->run.n);
    w->next += w->run.n;
    return true;
}

/* ---- the first pass ---- */

static void count_split(const struct stage_run *run, struct split_counts *counts, struct tile_strip *strips)
{
    *counts = (struct split_counts){ .stages = (int32_t)run->n };
    for (int s = 0; s < run->places; s++)
        strips[s] = (struct tile_strip){ .strip = (int32_t)run->strip + strip_of(run, s) };
    for (int64_t i = 0; i < run->n; i++) {
        counts->masks += __builtin_popcount(run->stages[i].masked);
        for (int s = 0; s < run->places; s++) strips[s].steps += takes(&run->stages[i], s);
    }
}

static vic_status count_tile(struct job *job, int64_t tile, int worker, vic_error *err)
{
    struct tile_layout *l = job->l;
    struct layout_chunk *chunk = &l->chunks[tile / TILES_PER_CHUNK];
    if (job->make_stages) {
        TRY(stages_make(job->p, tile * strips_per_tile(l), (int)strips_per_tile(l), &job->scratch[worker],
                        &chunk->list, err));
        chunk->stages[tile % TILES_PER_CHUNK + 1] = chunk->list.n_stages;
    }
    for (struct split_walk w = split_walk_start(l, tile); split_walk_next(&w);) {
        int64_t split = l->split_first[tile] + w.k;
        stages_assign(&w.run, job->reach);
        count_split(&w.run, &job->counts[split], &l->strips[split * l->places]);
    }
    return VIC_OK;
}

static void count_chunk(void *context, int64_t number, int worker)
{
    struct job *job = context;
    struct layout_chunk *chunk = &job->l->chunks[number];
    if (job->make_stages) chunk->list.n_needs = chunk->list.n_stages = 0;
    for (int64_t t = number * TILES_PER_CHUNK; t < chunk_end(job->l, number) && chunk->status == VIC_OK; t++)
        chunk->status = count_tile(job, t, worker, &chunk->error);
}

/* Sets where the stages and masks of each split begin, and where each list does.  The lists of a place's splits follow
 * each other. */
static vic_status set_offsets(struct job *job, vic_error *err)
{
    struct tile_layout *l = job->l;
    l->n_stages = l->n_masks = l->n_entries = l->steps = 0;
    for (int64_t i = 0; i < l->splits; i++) {
        if (l->n_stages > INT32_MAX || l->n_masks > UINT32_MAX) break;
        l->stage_first[i] = (int32_t)l->n_stages;
        l->mask_first[i] = (uint32_t)l->n_masks;
        l->n_stages += job->counts[i].stages;
        l->n_masks += job->counts[i].masks;
    }
    for (int64_t t = 0; t < l->tiles; t++)
        for (int s = 0; s < l->places; s++)
            for (int32_t i = l->split_first[t]; i < l->split_first[t + 1]; i++) {
                struct tile_strip *strip = &l->strips[(int64_t)i * l->places + s];
                strip->list = (uint32_t)l->n_entries;
                l->n_entries += strip->steps + 1;
                l->steps += strip->steps;
            }
    if (l->n_entries >= UINT32_MAX || l->n_masks >= UINT32_MAX || l->n_stages >= INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the pattern is too large for one GPU plan: %lld steps and %lld stages, expected fewer than "
                        "2^32 and 2^31",
                        (long long)l->steps, (long long)l->n_stages);
    l->stage_first[l->splits] = (int32_t)l->n_stages;
    return VIC_OK;
}

static void split_arrays_free(struct tile_layout *l)
{
    free(l->stage_first);
    free(l->mask_first);
    free(l->strips);
    l->stage_first = NULL;
    l->mask_first = NULL;
    l->strips = NULL;
}

/* Counts everything for the splits in split_first. */
static vic_status count(struct job *job, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct tile_layout *l = job->l;
    size_t splits = (size_t)l->split_first[l->tiles], places = (size_t)l->places;
    l->splits = l->split_first[l->tiles];
    split_arrays_free(l);
    job->counts = NULL;
    TRY_GOTO(mem_array(splits + 1, sizeof *l->stage_first, "tiles", &l->stage_first, err), done);
    TRY_GOTO(mem_array(splits, sizeof *l->mask_first, "tiles", &l->mask_first, err), done);
    TRY_GOTO(mem_array(splits * places, sizeof *l->strips, "strips", &l->strips, err), done);
    TRY_GOTO(mem_array(splits, sizeof *job->counts, "tiles", &job->counts, err), done);
    pool_run(pool, l->n_chunks, count_chunk, job);
    for (int64_t i = 0; i < l->n_chunks; i++) {
        if (l->chunks[i].status == VIC_OK) continue;
        st = vic_fail(err, l->chunks[i].status, "%s", l->chunks[i].error.text);
        goto done;
    }
    TRY_GOTO(set_offsets(job, err), done);
done:
    free(job->counts);
    return st;
}

static void chunks_free(struct tile_layout *l)
{
    for (int64_t i = 0; l->chunks && i < l->n_chunks; i++) stage_list_free(&l->chunks[i].list);
    free(l->chunks);
    l->chunks = NULL;
}

/* Makes all stages and counts everything, with strips in so many warpgroup splits and no tile split. */
static vic_status count_whole(struct job *job, int warpgroup_splits, struct pool *pool, vic_error *err)
{
    struct tile_layout *l = job->l;
    int64_t strips = l->places / warpgroup_splits;
    chunks_free(l);
    free(l->split_first);
    l->split_first = NULL;
    l->warpgroup_splits = warpgroup_splits;
    l->combine_stages = l->places - (int)strips;
    l->tiles = (job->p->strips + strips - 1) / strips;
    l->n_chunks = (l->tiles + TILES_PER_CHUNK - 1) / TILES_PER_CHUNK;
    if (l->tiles > INT32_MAX || job->p->n_partial > INT32_MAX / 2)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the pattern is too large for one GPU plan: %lld strips and %lld blocks, expected fewer than "
                        "2^31 and 2^30",
                        (long long)job->p->strips, (long long)job->p->n_partial);
    TRY(mem_array((size_t)l->tiles + 1, sizeof *l->split_first, "tiles", &l->split_first, err));
    for (int64_t t = 0; t <= l->tiles; t++) l->split_first[t] = (int32_t)t;
    TRY(mem_array_zero((size_t)l->n_chunks, sizeof *l->chunks, "tiles", &l->chunks, err));
    job->make_stages = true;
    return count(job, pool, err);
}

/* Splits tiles of more than `most_steps` into as few splits as have about that many, at least a stage each, and
 * counts everything again. */
static vic_status count_split_tiles(struct job *job, int64_t most_steps, struct pool *pool, vic_error *err)
{
    struct tile_layout *l = job->l;
    int64_t splits = 0;
    for (int64_t t = 0; t < l->tiles; t++) {
        int64_t stages = l->stage_first[t + 1] - l->stage_first[t],
                n = heuristic_splits(split_steps(l, t), most_steps);
        l->split_first[t] = (int32_t)splits;
        splits += n > stages ? (stages < 1 ? 1 : stages) : n;
        if (splits > INT32_MAX)
            return vic_fail(err, VIC_BAD_ARGUMENT, "the pattern is too large for one GPU plan: %lld strips",
                            (long long)job->p->strips);
    }
    l->split_first[l->tiles] = (int32_t)splits;
    job->make_stages = false;
    return count(job, pool, err);
}

static vic_status lay_out(struct job *job, const struct layout_shape *shape, struct pool *pool, vic_error *err)
{
    struct tile_layout *l = job->l;
    const bool given = shape->warpgroup_splits > 0 && shape->places % shape->warpgroup_splits == 0;
    int64_t most_steps = shape->split_steps;
    TRY(count_whole(job, given ? shape->warpgroup_splits : 1, pool, err));
    if (!given) {
        int splits = heuristic_warpgroup_splits(job->p->strips, l);
        if (splits > 1) TRY(count_whole(job, splits, pool, err));
        if (most_steps == 0) most_steps = heuristic_split_steps(l);
    }
    return most_steps > 0 && l->tiles > 0 ? count_split_tiles(job, most_steps, pool, err) : VIC_OK;
}

vic_status layout_make(const struct vic_pattern *p, const struct layout_shape *shape, struct pool *pool,
                       struct tile_layout *out, vic_error *err)
{
    struct job job = { .p = p, .reach = shape->reach, .l = out };
    int workers = pool_threads(pool);
    vic_status st;
    *out = (struct tile_layout){ .places = shape->places };
    TRY(mem_array_zero((size_t)workers, sizeof *job.scratch, "workers", &job.scratch, err));
    st = lay_out(&job, shape, pool, err);
    for (int w = 0; w < workers; w++) stage_scratch_free(&job.scratch[w]);
    free(job.scratch);
    if (st != VIC_OK) layout_free(out);
    return st;
}

void layout_free(struct tile_layout *l)
{
    chunks_free(l);
    split_arrays_free(l);
    free(l->split_first);
    *l = (struct tile_layout){ 0 };
}

/* ---- the second pass ---- */

static void fill_stage(const struct stage_run *run, const struct stage *stage, struct tile_stage *out)
{
    for (int o = 0; o < STAGE_OCTETS; o++) out->octet[o] = run->needs[stage->need[o < stage->octets ? o : 0]].octet;
    out->octet[0] |= (int32_t)((uint32_t)(stage->users | stage->idle) << STAGE_PLACES_SHIFT);
    out->octet[1] |= (int32_t)((uint32_t)stage->masked << STAGE_PLACES_SHIFT);
}

static void fill_mask(const struct vic_pattern *p, const struct stage_run *run, const struct stage *stage, int place,
                      uint32_t words[STEP_WORDS])
{
    static const struct block_bits all = BLOCK_BITS_ALL;
    const uint64_t *bits[STAGE_OCTETS] = { NULL };
    if (!(stage->users >> place & 1)) {
        memset(words, 0, STEP_WORDS * sizeof *words);
        return;
    }
    for (int o = 0; o < stage->octets; o++) {
        int32_t which = run->needs[stage->need[o]].bits[strip_of(run, place)];
        if (which == BITS_ALL)
            bits[o] = all.key;
        else if (which != BITS_NONE)
            bits[o] = p->partial_bits[which / 2].key + which % 2 * OCTET;
    }
    mask_words(bits, words);
}

static uint32_t entry_of(const struct stage_run *run, int64_t stage, int64_t before, int place)
{
    unsigned masked = run->stages[stage].masked;
    uint32_t mask = (uint32_t)__builtin_popcount(masked & ((1u << place) - 1));
    return (uint32_t)(before + stage) | (masked >> place & 1 ? STEP_MASKED | mask << STEP_MASK_SHIFT : 0u);
}

/* Writes a place's list; `end` is its last entry. */
static void fill_list(const struct stage_run *run, int64_t before, int place, int end, uint32_t *list)
{
    int64_t first = first_stage(run, place);
    if (first >= 0) *list++ = entry_of(run, first, before, place);
    for (int64_t i = 0; i < run->n; i++)
        if (i != first && takes(&run->stages[i], place)) *list++ = entry_of(run, i, before, place);
    *list = (uint32_t)end;
}

static void fill_tile(const struct job *job, int64_t tile)
{
    const struct tile_layout *l = job->l;
    for (struct split_walk w = split_walk_start(l, tile); split_walk_next(&w);) {
        int64_t split = l->split_first[tile] + w.k;
        uint32_t(*masks)[STEP_WORDS] = job->out->masks + l->mask_first[split];
        for (int s = 0; s < l->places; s++)
            fill_list(&w.run, w.before, s, w.k + 1 < w.count ? STEP_SPLIT : STEP_END,
                      job->out->list + l->strips[split * l->places + s].list);
        for (int64_t i = 0; i < w.run.n; i++) {
            fill_stage(&w.run, &w.run.stages[i], job->out->stages + l->stage_first[split] + i);
            for (int s = 0; s < l->places; s++)
                if (w.run.stages[i].masked >> s & 1) fill_mask(job->p, &w.run, &w.run.stages[i], s, *masks++);
        }
    }
}

static void fill_chunk(void *context, int64_t number, int worker)
{
    const struct job *job = context;
    (void)worker;
    for (int64_t t = number * TILES_PER_CHUNK; t < chunk_end(job->l, number); t++) fill_tile(job, t);
}

void layout_fill(const struct vic_pattern *p, const struct tile_layout *layout, struct pool *pool,
                 const struct tile_arrays *out)
{
    struct tile_layout l = *layout;
    struct job job = { .p = p, .l = &l, .out = out };
    memset(out->stages + l.n_stages, 0, STAGE_OVERRUN * sizeof *out->stages);
    for (int i = 0; i < LIST_OVERRUN; i++) out->list[l.n_entries + i] = (uint32_t)STEP_END;
    pool_run(pool, l.n_chunks, fill_chunk, &job);
}
