/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/transpose.h"

#include "base/clock.h"
#include "base/memory.h"
#include "contract/block_walk.h"
#include "pattern/assemble.h"
#include "pattern/pattern.h"

#include <string.h>

/* ---- atoms and rules ---- */

#define SWAP(type, a, b)                                                                                             \
    do {                                                                                                             \
        type swap_ = (a);                                                                                            \
        (a) = (b);                                                                                                   \
        (b) = swap_;                                                                                                 \
    } while (0)

static vic_status swap_sides(vic_pattern *p, vic_error *err)
{
    if (p->one_set) return VIC_OK;
    if (!p->k_order) { /* queries have an order in any case */
        const int32_t *written;
        TRY(pattern_key_order(p, &written, err));
        SWAP(int32_t *, p->k_order, p->k_order_written);
    }
    SWAP(int64_t, p->n_q, p->n_k);
    p->strips = (p->n_q + STRIP - 1) / STRIP;
    p->clusters = (p->n_k + CLUSTER - 1) / CLUSTER;
    SWAP(double *, p->q_positions, p->k_positions);
    SWAP(int64_t *, p->q_ids, p->k_ids);
    SWAP(int64_t *, p->offsets, p->k_offsets);
    SWAP(int32_t *, p->q_order, p->k_order);
    for (int64_t i = 0; i < p->n_rules; i++) SWAP(uint8_t *, p->rules[i].q_skip, p->rules[i].k_skip);
    int32_t(*wrap)[3] = p->q_wrap;
    p->q_wrap = p->k_wrap;
    p->k_wrap = wrap;
    return VIC_OK;
}

/* A list of so many rows and columns the other way round, its images negated.  A row is gone through from its end, so
 * that the negated images of a pair rise. */
static vic_status turn_list(struct pattern_rule *r, int64_t columns, vic_error *err)
{
    struct pattern_rule turned = { .rows = columns, .n = r->n };
    int64_t *next = NULL;
    vic_status st = VIC_OK;
    TRY_GOTO(mem_array_zero((size_t)columns + 1, sizeof *turned.ptr, "rows", &turned.ptr, err), done);
    TRY_GOTO(mem_array((size_t)r->n, sizeof *turned.index, "pairs", &turned.index, err), done);
    if (r->image) TRY_GOTO(mem_array((size_t)r->n, sizeof *turned.image, "images", &turned.image, err), done);
    for (int64_t t = 0; t < r->n; t++) turned.ptr[r->index[t] + 1]++;
    for (int64_t c = 0; c < columns; c++) turned.ptr[c + 1] += turned.ptr[c];
    TRY_GOTO(array_copy(turned.ptr, columns + 1, sizeof *next, &next, err), done);
    for (int64_t row = 0; row < r->rows; row++)
        for (int64_t t = r->ptr[row + 1]; t-- > r->ptr[row];) {
            int64_t to = next[r->index[t]]++;
            turned.index[to] = (int32_t)row;
            for (int x = 0; r->image && x < 3; x++) turned.image[to][x] = -r->image[t][x];
        }
    r->rows = columns;
    SWAP(int64_t *, r->ptr, turned.ptr);
    SWAP(int32_t *, r->index, turned.index);
    if (r->image) memcpy(r->image, turned.image, (size_t)r->n * sizeof *r->image);
done:
    free(next);
    rule_free(&turned);
    return st;
}

static vic_status turn_rule(const vic_pattern *p, struct pattern_rule *r, vic_error *err)
{
    switch (r->kind) {
    case RULE_PAIRS:
    case RULE_EXCLUDE: return turn_list(r, p->n_k, err);
    case RULE_BLOCKS: return turn_list(r, (p->n_k + r->count - 1) / r->count, err);
    case RULE_NEAREST:
    case RULE_WINDOWS:
    case RULE_RANGES: r->transposed = !r->transposed; return VIC_OK;
    default: return VIC_OK;
    }
}

/* All but the blocks.  Images rise, so their negatives rise from the end. */
static vic_status turn_frame(const vic_pattern *p, vic_pattern *t, vic_error *err)
{
    if (p->n_rules > 0) TRY(pattern_copy_rules(p, t, err));
    for (int64_t i = 0; i < t->n_rules; i++) TRY(turn_rule(p, &t->rules[i], err));
    TRY(mem_array((size_t)p->n_images, sizeof *t->images, "images", &t->images, err));
    t->n_images = p->n_images;
    for (int64_t m = 0; m < p->n_images; m++)
        for (int x = 0; x < 3; x++) t->images[m][x] = -p->images[p->n_images - 1 - m][x];
    t->cutoff = p->cutoff;
    t->exclude_self = p->exclude_self;
    t->info.boundary_pairs = p->info.boundary_pairs;
    return swap_sides(t, err);
}

/* ---- blocks ---- */

void block_turn(struct block_bits *bits)
{
    static const uint64_t masks[4] = { 0x00ff00ff00ff00ffu, 0x0f0f0f0f0f0f0f0fu, 0x3333333333333333u,
                                       0x5555555555555555u };
    for (int step = 0, width = 8; width > 0; step++, width /= 2)
        for (int r = 0; r < CLUSTER; r++) {
            if (r & width) continue;
            uint64_t *low = &bits->key[r], *high = &bits->key[r + width];
            uint64_t swap = ((*low >> width) ^ *high) & masks[step];
            *high ^= swap;
            *low ^= swap << width;
        }
}

struct place {
    int32_t strip, cluster, image;
    const struct block_bits *bits;
};

/* The blocks by the strip that their keys become. */
struct source {
    const vic_pattern *p; /* the one that is turned round */
    int64_t *first;       /* [strips of keys + 1] */
    struct place *places;
};

static vic_status source_make(const vic_pattern *p, struct source *out, vic_error *err)
{
    enum { CLUSTERS = STRIP / CLUSTER };
    vic_status st = VIC_OK;
    int64_t strips = (p->n_k + STRIP - 1) / STRIP, *next = NULL;
    *out = (struct source){ .p = p };
    TRY(mem_array_zero((size_t)strips + 1, sizeof *out->first, "strips", &out->first, err));
    TRY(mem_array((size_t)(p->n_partial + p->n_full), sizeof *out->places, "blocks", &out->places, err));
    for (int64_t s = 0; s < p->strips; s++)
        for (struct block_walk w = block_walk_start(p, s); block_walk_next(&w);)
            out->first[w.cluster / CLUSTERS + 1]++;
    for (int64_t s = 0; s < strips; s++) out->first[s + 1] += out->first[s];
    TRY_GOTO(array_copy(out->first, strips + 1, sizeof *next, &next, err), done);
    for (int64_t s = 0; s < p->strips; s++)
        for (struct block_walk w = block_walk_start(p, s); block_walk_next(&w);)
            out->places[next[w.cluster / CLUSTERS]++] = (struct place){ (int32_t)s, w.cluster, w.image, w.bits };
done:
    free(next);
    return st;
}

/* The four squares of a block, each a part of a block of its own. */
static vic_status add_squares(const struct source *s, const struct place *b, struct block_list *out, vic_error *err)
{
    struct block_bits turned = *b->bits;
    int down = b->cluster % (STRIP / CLUSTER) * CLUSTER;
    int32_t image = (int32_t)(s->p->n_images - 1) - b->image;
    block_turn(&turned);
    for (int g = 0; g < STRIP / CLUSTER; g++) {
        struct block_bits square;
        uint64_t any = 0;
        for (int r = 0; r < CLUSTER; r++) {
            square.key[r] = ((turned.key[r] >> (g * CLUSTER)) & 0xffff) << down;
            any |= square.key[r];
        }
        if (any) TRY(block_list_add(out, b->strip * (STRIP / CLUSTER) + g, image, &square, err));
    }
    return VIC_OK;
}

static vic_status turned_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    const struct source *s = context;
    size_t before = out->n;
    (void)worker;
    for (int64_t i = s->first[strip]; i < s->first[strip + 1]; i++) TRY(add_squares(s, &s->places[i], out, err));
    return block_list_unite(out, before, err);
}

vic_status pattern_transpose(const vic_pattern *p, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct source source = { .first = NULL };
    vic_pattern *t;
    *out = NULL;
    if (p->symmetric) {
        *out = pattern_retain(p);
        return VIC_OK;
    }
    TRY(pattern_new_like(p, &t, err));
    TRY_GOTO(turn_frame(p, t, err), done);
    TRY_GOTO(source_make(p, &source, err), done);
    TRY_GOTO(assemble(t, pool, turned_strip, &source, err), done);
    t->info.seconds_build = clock_seconds() - start;
    *out = t;
    t = NULL;
done:
    free(source.first);
    free(source.places);
    pattern_release(t);
    return st;
}
