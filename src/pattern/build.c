/* SPDX-License-Identifier: Apache-2.0 */
/* Positions to pattern:
 *   frame    reduce the periodic vectors, list the images within reach                                lattice.c
 *   points   wrap atoms into one cell, order them by k-d bisection, cut them into clusters             points.c,
 * order.c search   per strip, the clusters whose boxes come within the cutoff, under which images search.c, boxes.c
 *   bits     per candidate block, 1024 distances at once                                              tile.c,
 * blocks.c gather   what the tasks found, into the CSR arrays of contract/pattern.h                          here No
 * pair list is made on the way, and nothing is quadratic in strips.  Search, bits and gather go in waves of tasks:
 * what a wave finds is in the cache when it is gathered, and is never held twice. */
#include "pattern/build.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/assemble.h"
#include "pattern/estimate.h"
#include "pattern/pattern.h"
#include "pattern/tile.h"

#include <math.h>
#include <string.h>

static const double max_cutoff = 1e9; /* A; its square is finite in float */

/* The pattern's arrays while they grow. */
struct arrays {
    int32_t *cluster, *image;
    struct block_bits *bits;
    struct full_run *runs;
    int64_t *partial_ptr, *full_ptr;
    int64_t n_partial, partial_capacity, n_runs, run_capacity;
};

struct build {
    vic_pattern *p;
    struct lattice lattice;
    struct points queries, keys; /* the same with one set */
    struct tile_frame frame;
    int64_t tiles, wave_first, wave_tiles;
    struct tile_found *found;     /* [tiles of a wave] */
    struct tile_scratch *scratch; /* [workers] */
    int workers;
    struct arrays arrays;
};

/* ---- points ---- */

static struct points_kept kept_of(const double *positions, const int32_t (*wrap)[3], const int32_t *order)
{
    return (struct points_kept){ pattern_memory(positions), pattern_memory(wrap), pattern_memory(order) };
}

static vic_status prepare_points(struct build *b, const struct pattern_input *in, struct pool *pool, vic_error *err)
{
    vic_pattern *p = b->p;
    struct points_kept kept = kept_of(p->q_positions, p->q_wrap, p->q_order);
    vic_status st = points_make(p->one_set ? "input" : "query", p->n_q, in->q_positions, &b->lattice, pool, &kept,
                                &b->queries, err);
    p->q_positions = kept.positions; /* owned by the pattern, also on failure */
    p->q_wrap = (const int32_t(*)[3])kept.wrap;
    p->q_order = kept.order;
    if (p->one_set) {
        p->k_positions = p->q_positions;
        p->k_wrap = p->q_wrap;
        p->k_order = p->q_order;
        b->keys = b->queries;
        return st;
    }
    TRY(st);
    kept = kept_of(p->k_positions, p->k_wrap, p->k_order);
    st = points_make("key", p->n_k, in->k_positions, &b->lattice, pool, &kept, &b->keys, err);
    p->k_positions = kept.positions;
    p->k_wrap = (const int32_t(*)[3])kept.wrap;
    p->k_order = kept.order;
    return st;
}

/* ---- search and bits ---- */

static void build_task(void *context, int64_t task, int worker)
{
    struct build *b = context;
    struct tile_found *found = &b->found[task];
    found->status = tile_build(&b->frame, b->wave_first + task, &b->scratch[worker], found, &found->error);
}

/* ---- gather ---- */

static void gather_task(void *context, int64_t task, int worker)
{
    struct build *b = context;
    struct arrays *a = &b->arrays;
    const struct tile_found *c = &b->found[task];
    (void)worker;
    if (c->n_partial > 0) {
        memcpy(a->cluster + c->partial_first, c->cluster, c->n_partial * sizeof *c->cluster);
        memcpy(a->image + c->partial_first, c->image, c->n_partial * sizeof *c->image);
        memcpy(a->bits + c->partial_first, c->bits, c->n_partial * sizeof *c->bits);
    }
    if (c->n_runs > 0) memcpy(a->runs + c->run_first, c->runs, c->n_runs * sizeof *c->runs);
}

/* The pattern owns the arrays whenever something may fail. */
static void show_arrays(vic_pattern *p, const struct arrays *a)
{
    p->partial_cluster = a->cluster;
    p->partial_image = a->image;
    p->partial_bits = a->bits;
    p->full_runs = a->runs;
}

static vic_status resize(vic_pattern *p, struct arrays *a, int64_t partials, int64_t runs, vic_error *err)
{
    vic_status st = VIC_OK;
    TRY_GOTO(mem_resize(&a->cluster, (size_t)partials, sizeof *a->cluster, "blocks", err), done);
    TRY_GOTO(mem_resize(&a->image, (size_t)partials, sizeof *a->image, "blocks", err), done);
    TRY_GOTO(mem_resize(&a->bits, (size_t)partials, sizeof *a->bits, "block masks", err), done);
    a->partial_capacity = partials;
    TRY_GOTO(mem_resize(&a->runs, (size_t)runs, sizeof *a->runs, "runs of full blocks", err), done);
    a->run_capacity = runs;
done:
    show_arrays(p, a);
    return st;
}

/* Room for `needed` of what `done` of `all` tiles have: as much as all will probably have, and 2 % more.  What is too
 * much is never touched, and given back at the end. */
static int64_t foresee(int64_t needed, int64_t done, int64_t all)
{
    double estimate = (double)needed * ((double)all / (double)done) * 1.02;
    return done == all ? needed : estimate > (double)needed ? (int64_t)estimate + 64 : needed;
}

static vic_status gather_wave(struct build *b, int64_t tasks, struct pool *pool, vic_error *err)
{
    vic_pattern *p = b->p;
    struct arrays *a = &b->arrays;
    int64_t done = b->wave_first + tasks;
    for (int64_t t = 0; t < tasks; t++) {
        struct tile_found *c = &b->found[t];
        if (c->status != VIC_OK) {
            if (err) *err = c->error;
            return c->status;
        }
        c->partial_first = a->n_partial;
        c->run_first = a->n_runs;
        p->info.pairs += c->pairs;
        p->info.boundary_pairs += c->boundary;
        p->n_full += c->full;
        for (int i = 0; i < TILE_STRIPS; i++) {
            int64_t strip = (b->wave_first + t) * TILE_STRIPS + i;
            if (strip >= p->strips) break;
            a->partial_ptr[strip + 1] = a->n_partial += c->partial_count[i];
            a->full_ptr[strip + 1] = a->n_runs += c->run_count[i];
        }
    }
    if (a->n_partial > a->partial_capacity || a->n_runs > a->run_capacity) {
        int64_t partials = a->partial_capacity, runs = a->run_capacity;
        if (a->n_partial > partials) partials = foresee(a->n_partial, done, b->tiles);
        if (a->n_runs > runs) runs = foresee(a->n_runs, done, b->tiles);
        TRY(resize(p, a, partials, runs, err));
    }
    pool_run(pool, tasks, gather_task, b);
    return VIC_OK;
}

static vic_status run_waves(struct build *b, struct pool *pool, vic_error *err)
{
    vic_pattern *p = b->p;
    struct arrays *a = &b->arrays;
    for (b->wave_first = 0; b->wave_first < b->tiles; b->wave_first += b->wave_tiles) {
        int64_t left = b->tiles - b->wave_first, tasks = left < b->wave_tiles ? left : b->wave_tiles;
        pool_run(pool, tasks, build_task, b);
        TRY(gather_wave(b, tasks, pool, err));
    }
    p->n_partial = a->n_partial;
    return resize(p, a, a->n_partial, a->n_runs, err);
}

/* ---- all of it ---- */

static vic_status check_memory(const struct build *b, const struct pattern_input *in, struct pool *pool,
                               vic_error *err)
{
    const struct estimate_input e = { b->p, &b->lattice, &b->queries, &b->keys, in->max_bytes };
    vic_pattern_estimate own;
    return pattern_estimate(&e, pool, in->estimate ? in->estimate : &own, err);
}

static void build_free(struct build *b)
{
    for (int64_t t = 0; b->found && t < b->wave_tiles; t++) tile_found_free(&b->found[t]);
    for (int w = 0; b->scratch && w < b->workers; w++) tile_scratch_free(&b->scratch[w]);
    free(b->found);
    free(b->scratch);
    tile_frame_free(&b->frame);
    if (!b->p || !b->p->one_set) points_free(&b->keys);
    points_free(&b->queries);
}

static vic_status check_input(const struct pattern_input *in, vic_error *err)
{
    if (!(in->cutoff > 0) || in->cutoff > max_cutoff)
        return vic_fail(err, VIC_BAD_ARGUMENT, "cutoff: expected a distance above 0 and up to %g A, got %g",
                        max_cutoff, in->cutoff);
    if (in->n_q < 0 || in->n_k < 0 || in->n_q > INT32_MAX - STRIP || in->n_k > INT32_MAX - STRIP)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "numbers of atoms: a pattern holds 0 to %d of a kind, got %lld queries and %lld keys",
                        INT32_MAX - STRIP, (long long)in->n_q, (long long)in->n_k);
    return VIC_OK;
}

/* Those of the old pattern where it is used again; else the ones of blocks begin empty. */
static vic_status prepare_arrays(vic_pattern *p, struct arrays *a, vic_error *err)
{
    size_t n = (size_t)p->strips + 1;
    if (p->partial_ptr && p->full_ptr) {
        a->partial_capacity = p->partial_ptr[p->strips];
        a->run_capacity = p->full_ptr[p->strips];
    }
    a->cluster = pattern_memory(p->partial_cluster);
    a->image = pattern_memory(p->partial_image);
    a->bits = pattern_memory(p->partial_bits);
    a->runs = pattern_memory(p->full_runs);
    a->partial_ptr = pattern_memory(p->partial_ptr);
    a->full_ptr = pattern_memory(p->full_ptr);
    if (!a->partial_ptr) TRY(mem_array(n, sizeof *a->partial_ptr, "strips", &a->partial_ptr, err));
    p->partial_ptr = a->partial_ptr;
    if (!a->full_ptr) TRY(mem_array(n, sizeof *a->full_ptr, "strips", &a->full_ptr, err));
    p->full_ptr = a->full_ptr;
    a->partial_ptr[0] = a->full_ptr[0] = 0;
    return VIC_OK;
}

static vic_status prepare_tasks(struct build *b, struct pool *pool, vic_error *err)
{
    vic_pattern *p = b->p;
    b->tiles = (p->strips + TILE_STRIPS - 1) / TILE_STRIPS;
    b->workers = pool_threads(pool);
    b->wave_tiles = tiles_of_wave(b->tiles, b->workers);
    TRY(prepare_arrays(p, &b->arrays, err));
    TRY(mem_array_zero((size_t)b->wave_tiles, sizeof *b->found, "tasks", &b->found, err));
    TRY(mem_array_zero((size_t)b->workers, sizeof *b->scratch, "workers", &b->scratch, err));
    for (int w = 0; w < b->workers; w++) TRY(tile_scratch_make(&b->frame, &b->scratch[w], err));
    return VIC_OK;
}

/* An old pattern that nobody else can see, made ready to become the new one: it keeps its arrays. */
static void reset(vic_pattern *p)
{
    free(pattern_memory(p->images));
    p->images = NULL;
    p->n_images = p->n_partial = p->n_full = 0;
    memset(&p->info, 0, sizeof p->info);
    memset(p->cell, 0, sizeof p->cell);
}

vic_status pattern_rebuild(const struct pattern_input *in, vic_pattern *old, struct pool *pool, vic_pattern **out,
                           vic_error *err)
{
    vic_status st = VIC_OK;
    struct build b = { 0 };
    vic_pattern *p = old;
    struct pattern_summary summary = { 0 };
    double start = clock_seconds();
    *out = NULL;
    if (old && __atomic_load_n(&old->references, __ATOMIC_ACQUIRE) == 1) {
        reset(p);
    } else {
        pattern_release(old);
        TRY(check_input(in, err));
        TRY(mem_array_zero(1, sizeof *p, "pattern", &p, err));
    }
    b.p = p;
    p->references = 1;
    p->one_set = in->k_positions == NULL;
    p->exclude_self = in->exclude_self && p->one_set;
    p->n_q = in->n_q;
    p->n_k = p->one_set ? in->n_q : in->n_k;
    p->strips = (p->n_q + STRIP - 1) / STRIP;
    p->clusters = (p->n_k + CLUSTER - 1) / CLUSTER;
    p->cutoff = in->cutoff;
    for (int axis = 0; axis < 3; axis++) {
        p->periodic[axis] = in->periodic[axis];
        if (in->periodic[axis]) memcpy(p->cell[axis], in->cell[axis], sizeof p->cell[axis]);
    }
    TRY_GOTO(lattice_make((const double(*)[3])p->cell, p->periodic, &b.lattice, err), done);
    TRY_GOTO(prepare_points(&b, in, pool, err), done);
    p->info.seconds_order = clock_seconds() - start;
    start = clock_seconds();

    if (in->max_bytes > 0) TRY_GOTO(check_memory(&b, in, pool, err), done);
    TRY_GOTO(tile_frame_make(p, &b.lattice, &b.queries, &b.keys, &b.frame, err), done);
    TRY_GOTO(prepare_tasks(&b, pool, err), done);
    TRY_GOTO(run_waves(&b, pool, err), done);
    for (int w = 0; w < b.workers; w++) pattern_summary_add(&summary, &b.scratch[w].summary);
    pattern_summary_tell(p, &summary);
    pattern_fill_info(p);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    build_free(&b);
    pattern_release(p);
    return st;
}

vic_status pattern_build(const struct pattern_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    return pattern_rebuild(in, NULL, pool, out, err);
}
