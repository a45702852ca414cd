/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/sm90/plan/layout.h"

#include "base/memory.h"
#include "kernels/cuda/sm90/plan/stages.h"

#include <string.h>

enum {
    TILES_PER_TASK = 8,
    FEW_STRIPS = 132, /* as many as a Hopper GPU has multiprocessors */
    FEW_STEPS = 10,   /* of a strip */
};

/* What one task makes of its tiles; offsets in out->strips and out->*_first count from the piece's own beginning. */
struct piece {
    int64_t n_stages, n_entries, n_masks, steps;
    struct tile_stage *stages;
    uint32_t *list;
    uint32_t (*masks)[STEP_WORDS];
    size_t stage_capacity, list_capacity, mask_capacity;
    vic_status status;
    vic_error error;
};

struct job {
    const struct vic_pattern *p;
    int reach;
    struct tile_layout *out;
    struct piece *pieces;
    int64_t n_pieces;
    struct tile *scratch;                         /* [workers] */
    int64_t *stage_base, *entry_base, *mask_base; /* [n_pieces] where a piece goes */
};

/* ---- lists and masks ---- */

/* Bit i of `bits` as bit 0 of byte i. */
static uint64_t spread(uint64_t bits)
{
    return ((bits & 0x7f) * 0x0002040810204081u & 0x0101010101010101u) | (bits & 0x80) << 49;
}

/* Thread 32 w + 4 r + k holds rows 16 w + r and 16 w + r + 8, keys 2 k and 2 k + 1 of every group: 4 bits a group. */
static void fill_masks(const struct tile *t, const struct stage *stage, int s, uint32_t words[STEP_WORDS])
{
    memset(words, 0, STEP_WORDS * sizeof *words);
    if (!(stage->users >> s & 1)) return; /* it only looks on */
    for (int place = 0; place < STAGE_GROUPS; place++) {
        const uint64_t *bits = stage->need[place] < 0 ? NULL : t->needs[stage->need[place]].bits[strip_of(t, s)];
        if (!bits) continue;
        for (int k = 0; k < GROUP_KEYS / 2; k++) {
            if (!(bits[2 * k] | bits[2 * k + 1])) continue;
            for (int w = 0; w < STRIP / 16; w++) {
                uint64_t even = bits[2 * k] >> (16 * w), odd = bits[2 * k + 1] >> (16 * w);
                uint64_t four = spread(even & 0xff) | spread(odd & 0xff) << 1 | spread(even >> 8 & 0xff) << 2 |
                                spread(odd >> 8 & 0xff) << 3;
                for (int r = 0; r < 8; r++)
                    words[32 * w + 4 * r + k] |= (uint32_t)(four >> (8 * r) & 15) << (4 * place);
            }
        }
    }
}

static vic_status add_entry(struct piece *piece, uint32_t entry, vic_error *err)
{
    TRY(mem_grow(&piece->list, &piece->list_capacity, (size_t)piece->n_entries + 1, sizeof *piece->list, "steps",
                 err));
    piece->list[piece->n_entries++] = entry;
    return VIC_OK;
}

/* The strip's own stage, if it has one, is taken first although others may stand before it: the front of the ring is
 * there together.  -1 = the tile has no stage. */
static int64_t first_stage(const struct tile *t, int s)
{
    int64_t own = own_stage(t, s);
    if (own >= 0) return own;
    for (int64_t i = 0; i < (int64_t)t->n_stages; i++)
        if (looks_at(&t->stages[i], s)) return i;
    return -1;
}

/* Who takes which stage with mask words, and these. */
static vic_status make_masks(struct piece *piece, struct tile *t, vic_error *err)
{
    int64_t first[MAX_PLACES] = { 0 };
    for (int s = 0; s < t->places; s++) first[s] = first_stage(t, s);
    for (size_t i = 0; i < t->n_stages; i++) {
        struct stage *stage = &t->stages[i];
        stage->masked = stage->watchers | (stage->full ? 0 : stage->users);
        for (int s = 0; s < t->places; s++)
            if (first[s] == (int64_t)i) stage->masked |= 1u << s;
        TRY(mem_grow(&piece->masks, &piece->mask_capacity, (size_t)piece->n_masks + MAX_PLACES, sizeof *piece->masks,
                     "mask words", err));
        for (int s = 0; s < t->places; s++)
            if (stage->masked >> s & 1) fill_masks(t, stage, s, piece->masks[piece->n_masks++]);
    }
    return VIC_OK;
}

static uint32_t entry_of(const struct tile *t, int64_t index, int s)
{
    unsigned masked = t->stages[index].masked;
    uint32_t before = (uint32_t)__builtin_popcount(masked & ((1u << s) - 1));
    return (uint32_t)index | (masked >> s & 1 ? STEP_MASKED | before << STEP_MASK_SHIFT : 0u);
}

/* `t` is a share, `before` the stages of its tile before its own, `end` what ends the list. */
static vic_status make_list(struct piece *piece, const struct tile *t, int s, uint32_t before, int end,
                            struct tile_strip *out, vic_error *err)
{
    int64_t begin = piece->n_entries, first = first_stage(t, s);
    if (first >= 0) TRY(add_entry(piece, entry_of(t, first, s) + before, err));
    for (int64_t i = 0; i < (int64_t)t->n_stages; i++)
        if (i != first && looks_at(&t->stages[i], s)) TRY(add_entry(piece, entry_of(t, i, s) + before, err));
    *out = (struct tile_strip){ (uint32_t)begin, (int32_t)t->strip + strip_of(t, s),
                                (int32_t)(piece->n_entries - begin) };
    piece->steps += out->steps;
    return add_entry(piece, (uint32_t)end, err);
}

static vic_status add_stages(struct piece *piece, const struct tile *t, vic_error *err)
{
    TRY(mem_grow(&piece->stages, &piece->stage_capacity, (size_t)piece->n_stages + t->n_stages, sizeof *piece->stages,
                 "stages", err));
    for (size_t i = 0; i < t->n_stages; i++) {
        const struct stage *stage = &t->stages[i];
        struct tile_stage *out = &piece->stages[piece->n_stages++];
        for (int g = 0; g < STAGE_GROUPS; g++)
            out->group[g] = t->needs[stage->need[stage->need[g] < 0 ? 0 : g]].group;
        out->group[0] |= (int32_t)((stage->users | stage->watchers) << STAGE_USERS_SHIFT);
        out->group[1] |= (int32_t)(stage->masked << STAGE_USERS_SHIFT);
    }
    return VIC_OK;
}

/* Consecutive stages to each of `count` shares, so that they have the same number of steps; a stage at least. */
static vic_status cut_shares(struct tile *t, int64_t count, vic_error *err)
{
    int64_t total = 0, so_far = 0;
    size_t at = 0;
    TRY(mem_grow(&t->cuts, &t->cut_capacity, (size_t)count + 1, sizeof *t->cuts, "shares of a tile", err));
    for (size_t i = 0; i < t->n_stages; i++) total += __builtin_popcount(t->stages[i].users);
    for (int64_t k = 0; k < count; k++) {
        size_t last = t->n_stages - (size_t)(count - 1 - k);
        t->cuts[k] = at;
        for (; at < last; at++) {
            int64_t steps = __builtin_popcount(t->stages[at].users);
            if (k + 1 < count && at > t->cuts[k] && (2 * so_far + steps) * count > 2 * (k + 1) * total) break;
            so_far += steps;
        }
    }
    t->cuts[count] = at;
    return VIC_OK;
}

/* A view of one. */
static struct tile share_of(const struct tile *t, int64_t k)
{
    struct tile share = *t;
    share.stages = t->stages + t->cuts[k];
    share.n_stages = t->cuts[k + 1] - t->cuts[k];
    return share;
}

static vic_status add_tile(const struct job *job, struct piece *piece, int64_t tile, struct tile *t, vic_error *err)
{
    struct tile_layout *out = job->out;
    int64_t first = out->share_first[tile], count = out->share_first[tile + 1] - first;
    t->places = out->places;
    t->parts = out->parts;
    t->strip = tile * (t->places / t->parts);
    TRY(tile_stages_make(job->p, t, err));
    TRY(cut_shares(t, count, err));
    for (int64_t k = 0; k < count; k++) {
        struct tile share = share_of(t, k);
        tile_stages_deal_out(&share, job->reach);
        out->mask_first[first + k] = (uint32_t)piece->n_masks;
        TRY(make_masks(piece, &share, err));
        TRY(add_stages(piece, &share, err));
        out->stage_first[first + k + 1] = (int32_t)piece->n_stages;
    }
    for (int s = 0; s < t->places; s++)
        for (int64_t k = 0; k < count; k++) {
            struct tile share = share_of(t, k);
            TRY(make_list(piece, &share, s, (uint32_t)t->cuts[k], k + 1 < count ? STEP_SHARE : STEP_END,
                          &out->strips[(first + k) * t->places + s], err));
        }
    return VIC_OK;
}

static void make_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct piece *piece = &job->pieces[task];
    int64_t first = task * TILES_PER_TASK;
    for (int64_t i = first; i < job->out->tiles && i < first + TILES_PER_TASK && piece->status == VIC_OK; i++)
        piece->status = add_tile(job, piece, i, &job->scratch[worker], &piece->error);
}

/* ---- the pieces, one behind the other ---- */

static void piece_free(struct piece *piece)
{
    free(piece->stages);
    free(piece->list);
    free(piece->masks);
    piece->stages = NULL;
    piece->list = NULL;
    piece->masks = NULL;
}

static void gather_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct tile_layout *out = job->out;
    struct piece *piece = &job->pieces[task];
    int64_t tile = task * TILES_PER_TASK, end = tile + TILES_PER_TASK, stage = job->stage_base[task];
    (void)worker;
    if (end > out->tiles) end = out->tiles;
    if (piece->n_stages > 0)
        memcpy(out->stages + stage, piece->stages, (size_t)piece->n_stages * sizeof *out->stages);
    if (piece->n_masks > 0)
        memcpy(out->masks + job->mask_base[task], piece->masks, (size_t)piece->n_masks * sizeof *out->masks);
    memcpy(out->list + job->entry_base[task], piece->list, (size_t)piece->n_entries * sizeof *out->list);
    for (int64_t i = out->share_first[tile]; i < out->share_first[end]; i++) {
        out->stage_first[i + 1] += (int32_t)stage;
        out->mask_first[i] += (uint32_t)job->mask_base[task];
        for (int s = 0; s < out->places; s++)
            out->strips[i * out->places + s].list += (uint32_t)job->entry_base[task];
    }
    piece_free(piece);
}

static vic_status gather(struct job *job, struct pool *pool, vic_error *err)
{
    struct tile_layout *out = job->out;
    TRY(mem_array((size_t)job->n_pieces, sizeof *job->stage_base, "tiles", &job->stage_base, err));
    TRY(mem_array((size_t)job->n_pieces, sizeof *job->entry_base, "tiles", &job->entry_base, err));
    TRY(mem_array((size_t)job->n_pieces, sizeof *job->mask_base, "tiles", &job->mask_base, err));
    for (int64_t i = 0; i < job->n_pieces; i++) {
        const struct piece *piece = &job->pieces[i];
        if (piece->status != VIC_OK) {
            if (err) *err = piece->error;
            return piece->status;
        }
        job->stage_base[i] = out->n_stages;
        job->entry_base[i] = out->n_entries;
        job->mask_base[i] = out->n_masks;
        out->n_stages += piece->n_stages;
        out->n_entries += piece->n_entries;
        out->n_masks += piece->n_masks;
        out->steps += piece->steps;
    }
    if (out->n_entries >= UINT32_MAX || out->n_masks >= UINT32_MAX || out->n_stages >= INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the pattern is too large for one GPU plan: %lld steps and %lld stages, expected fewer than "
                        "2^32 and 2^31",
                        (long long)out->steps, (long long)out->n_stages);
    TRY(mem_array((size_t)out->n_stages + STAGE_OVERRUN, sizeof *out->stages, "stages", &out->stages, err));
    TRY(mem_array((size_t)out->n_entries + LIST_OVERRUN, sizeof *out->list, "steps", &out->list, err));
    TRY(mem_array((size_t)out->n_masks, sizeof *out->masks, "mask words", &out->masks, err));
    pool_run(pool, job->n_pieces, gather_task, job);
    /* What prefetches read past the end. */
    memset(out->stages + out->n_stages, 0, STAGE_OVERRUN * sizeof *out->stages);
    for (int i = 0; i < LIST_OVERRUN; i++) out->list[out->n_entries + i] = (uint32_t)STEP_END;
    return VIC_OK;
}

static void job_free(struct job *job, int workers)
{
    for (int64_t i = 0; job->pieces && i < job->n_pieces; i++) piece_free(&job->pieces[i]);
    for (int w = 0; job->scratch && w < workers; w++) tile_free(&job->scratch[w]);
    free(job->pieces);
    free(job->scratch);
    free(job->stage_base);
    free(job->entry_base);
    free(job->mask_base);
}

/* `like`: in as many shares as its tiles' steps ask for, `most_steps` each; NULL = in one. */
static vic_status set_shares(const struct tile_layout *like, int64_t most_steps, struct tile_layout *out,
                             vic_error *err)
{
    int64_t shares = 0;
    TRY(mem_array((size_t)out->tiles + 1, sizeof *out->share_first, "tiles", &out->share_first, err));
    for (int64_t t = 0; t < out->tiles; t++) {
        int64_t stages = like ? like->stage_first[t + 1] - like->stage_first[t] : 1;
        int64_t count = like ? (share_steps(like, t) + most_steps - 1) / most_steps : 1;
        out->share_first[t] = (int32_t)shares;
        shares += count < 1 || stages < 1 ? 1 : count > stages ? stages : count;
        if (shares > INT32_MAX)
            return vic_fail(err, VIC_BAD_ARGUMENT, "the pattern is too large for one GPU plan: %lld strips",
                            (long long)(out->tiles * (out->places / out->parts)));
    }
    out->share_first[out->tiles] = (int32_t)shares;
    out->shares = shares;
    return VIC_OK;
}

static vic_status lay_out(const struct vic_pattern *p, int places, int parts, int reach,
                          const struct tile_layout *like, int64_t most_steps, struct pool *pool,
                          struct tile_layout *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .p = p, .reach = reach, .out = out };
    int workers = pool_threads(pool), strips = places / parts;
    *out = (struct tile_layout){ .places = places, .parts = parts, .inboxes = places - strips };
    out->tiles = (p->strips + strips - 1) / strips;
    job.n_pieces = (out->tiles + TILES_PER_TASK - 1) / TILES_PER_TASK;
    TRY_GOTO(set_shares(like, most_steps, out, err), done);
    TRY_GOTO(mem_array_zero((size_t)out->shares + 1, sizeof *out->stage_first, "tiles", &out->stage_first, err),
             done);
    TRY_GOTO(mem_array((size_t)out->shares, sizeof *out->mask_first, "tiles", &out->mask_first, err), done);
    TRY_GOTO(mem_array((size_t)(out->shares * places), sizeof *out->strips, "strips", &out->strips, err), done);
    TRY_GOTO(mem_array_zero((size_t)job.n_pieces, sizeof *job.pieces, "tiles", &job.pieces, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *job.scratch, "workers", &job.scratch, err), done);
    pool_run(pool, job.n_pieces, make_task, &job);
    TRY_GOTO(gather(&job, pool, err), done);
done:
    job_free(&job, workers);
    if (st != VIC_OK) tiles_free(out);
    return st;
}

vic_status tiles_lay_out(const struct vic_pattern *p, int places, int parts, int reach, struct pool *pool,
                         struct tile_layout *out, vic_error *err)
{
    return lay_out(p, places, parts, reach, NULL, 0, pool, out, err);
}

vic_status tiles_split(const struct vic_pattern *p, int reach, int64_t most_steps, struct pool *pool,
                       struct tile_layout *layout, vic_error *err)
{
    struct tile_layout split;
    if (layout->tiles == 0) return VIC_OK;
    TRY(lay_out(p, layout->places, layout->parts, reach, layout, most_steps, pool, &split, err));
    tiles_free(layout);
    *layout = split;
    return VIC_OK;
}

/* Few strips are cut, so that they occupy more CTAs.  Then fewer strips share the keys that a CTA fetches: where
 * strips need mostly the same ones, as in dense patterns, that is only worth it for fewer strips; and where they have
 * few steps, only for so few that there are CTAs for four heads of them. */
static vic_status cut(const struct vic_pattern *p, int places, int reach, struct pool *pool, struct tile_layout *out,
                      vic_error *err)
{
    int parts = 1;
    TRY(tiles_lay_out(p, places, 1, reach, pool, out, err));
    bool long_enough = out->steps >= FEW_STEPS * p->strips, share = out->steps * 4 >= out->n_stages * 3 * places;
    if (p->strips <= FEW_STRIPS / 4 || (p->strips <= FEW_STRIPS / 2 && long_enough))
        parts = places;
    else if (long_enough && (p->strips <= FEW_STRIPS || (p->strips <= 2 * FEW_STRIPS && !share)))
        parts = places % 2 == 0 ? 2 : places;
    if (parts == 1) return VIC_OK;
    tiles_free(out);
    return tiles_lay_out(p, places, parts, reach, pool, out, err);
}

vic_status tiles_make(const struct vic_pattern *p, int places, int reach, struct pool *pool, struct tile_layout *out,
                      vic_error *err)
{
    vic_status st;
    int64_t most_steps;
    TRY(cut(p, places, reach, pool, out, err));
    most_steps = split_limit(out);
    if (most_steps == 0) return VIC_OK;
    st = tiles_split(p, reach, most_steps, pool, out, err);
    if (st != VIC_OK) tiles_free(out);
    return st;
}

void tiles_free(struct tile_layout *l)
{
    free(l->share_first);
    free(l->stage_first);
    free(l->mask_first);
    free(l->stages);
    free(l->strips);
    free(l->list);
    free(l->masks);
    *l = (struct tile_layout){ 0 };
}
