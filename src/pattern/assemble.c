/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/assemble.h"

#include "base/memory.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"
#include "pattern/symmetry.h"

#include <string.h>

/* What a task found, and where it goes. */
struct found {
    struct block_list list;
    int64_t partial_first, run_first;
    vic_status status;
    vic_error error;
};

struct assembly {
    vic_pattern *p;
    strip_source *source;
    void *context;
    int64_t tasks, wave_first, wave;
    struct found *found;     /* [wave] */
    struct fullest *fullest; /* [workers] */
    int workers;
    int64_t partial_capacity, run_capacity; /* of the pattern's arrays */
};

int64_t wave_tasks(int64_t tasks, int workers)
{
    int64_t most = (int64_t)workers * 16 > 64 ? (int64_t)workers * 16 : 64;
    return tasks < most ? tasks : most;
}

/* ---- tasks ---- */

static vic_status find_strip(const struct assembly *a, struct block_list *l, int64_t strip, int worker,
                             vic_error *err)
{
    int number = (int)(strip % LIST_STRIPS);
    size_t first = l->n, first_run = l->n_runs;
    TRY(a->source(a->context, strip, worker, l, err));
    TRY(block_list_close(l, first, number, err));
    struct strip_blocks blocks = { l->partial_count[number], l->bits ? l->bits + first : NULL, l->run_count[number],
                                   l->runs ? l->runs + first_run : NULL };
    fullest_add(&a->fullest[worker], &blocks);
    return VIC_OK;
}

static void find_task(void *context, int64_t task, int worker)
{
    struct assembly *a = context;
    struct found *f = &a->found[task];
    int64_t first = (a->wave_first + task) * LIST_STRIPS, end = first + LIST_STRIPS;
    block_list_clear(&f->list);
    f->status = VIC_OK;
    for (int64_t strip = first; strip < end && strip < a->p->strips && f->status == VIC_OK; strip++)
        f->status = find_strip(a, &f->list, strip, worker, &f->error);
}

static void gather_task(void *context, int64_t task, int worker)
{
    struct assembly *a = context;
    vic_pattern *p = a->p;
    const struct found *f = &a->found[task];
    const struct block_list *l = &f->list;
    (void)worker;
    if (l->n > 0) {
        memcpy(p->partial_cluster + f->partial_first, l->cluster, l->n * sizeof *l->cluster);
        memcpy(p->partial_image + f->partial_first, l->image, l->n * sizeof *l->image);
        memcpy(p->partial_bits + f->partial_first, l->bits, l->n * sizeof *l->bits);
    }
    if (l->n_runs > 0) memcpy(p->full_runs + f->run_first, l->runs, l->n_runs * sizeof *l->runs);
}

/* ---- arrays ---- */

static vic_status resize(struct assembly *a, int64_t partials, int64_t runs, vic_error *err)
{
    vic_pattern *p = a->p;
    TRY(mem_resize(&p->partial_cluster, (size_t)partials, sizeof *p->partial_cluster, "blocks", err));
    TRY(mem_resize(&p->partial_image, (size_t)partials, sizeof *p->partial_image, "blocks", err));
    TRY(mem_resize(&p->partial_bits, (size_t)partials, sizeof *p->partial_bits, "block masks", err));
    a->partial_capacity = partials;
    TRY(mem_resize(&p->full_runs, (size_t)runs, sizeof *p->full_runs, "runs of full blocks", err));
    a->run_capacity = runs;
    return VIC_OK;
}

/* Room for `needed` of what `done` of `all` tasks have: as much as all will probably have, and 2 % more.  What is too
 * much is never touched, and given back at the end. */
static int64_t foresee(int64_t needed, int64_t done, int64_t all)
{
    double estimate = (double)needed * ((double)all / (double)done) * 1.02;
    return done == all ? needed : estimate > (double)needed ? (int64_t)estimate + 64 : needed;
}

static vic_status make_room(struct assembly *a, int64_t done, int64_t partials, int64_t runs, vic_error *err)
{
    if (partials <= a->partial_capacity && runs <= a->run_capacity) return VIC_OK;
    partials = partials > a->partial_capacity ? foresee(partials, done, a->tasks) : a->partial_capacity;
    runs = runs > a->run_capacity ? foresee(runs, done, a->tasks) : a->run_capacity;
    return resize(a, partials, runs, err);
}

/* ---- waves ---- */

/* Counts what a task of the wave found, and gives its blocks their places. */
static void place_task(struct assembly *a, int64_t task)
{
    vic_pattern *p = a->p;
    struct found *f = &a->found[task];
    int64_t first = (a->wave_first + task) * LIST_STRIPS;
    p->info.pairs += f->list.n_pairs;
    p->info.boundary_pairs += f->list.boundary_pairs;
    p->n_full += f->list.n_full;
    f->partial_first = p->partial_ptr[first];
    f->run_first = p->full_ptr[first];
    for (int i = 0; i < LIST_STRIPS && first + i < p->strips; i++) {
        p->partial_ptr[first + i + 1] = p->partial_ptr[first + i] + f->list.partial_count[i];
        p->full_ptr[first + i + 1] = p->full_ptr[first + i] + f->list.run_count[i];
    }
}

static vic_status gather_wave(struct assembly *a, int64_t tasks, struct pool *pool, vic_error *err)
{
    vic_pattern *p = a->p;
    int64_t done = a->wave_first + tasks, end = done * LIST_STRIPS < p->strips ? done * LIST_STRIPS : p->strips;
    for (int64_t t = 0; t < tasks; t++) {
        if (a->found[t].status != VIC_OK) {
            if (err) *err = a->found[t].error;
            return a->found[t].status;
        }
        place_task(a, t);
    }
    TRY(make_room(a, done, p->partial_ptr[end], p->full_ptr[end], err));
    pool_run(pool, tasks, gather_task, a);
    return VIC_OK;
}

static vic_status run_waves(struct assembly *a, struct pool *pool, vic_error *err)
{
    vic_pattern *p = a->p;
    for (a->wave_first = 0; a->wave_first < a->tasks; a->wave_first += a->wave) {
        int64_t left = a->tasks - a->wave_first, tasks = left < a->wave ? left : a->wave;
        pool_run(pool, tasks, find_task, a);
        TRY(gather_wave(a, tasks, pool, err));
    }
    p->n_partial = p->partial_ptr[p->strips];
    return resize(a, p->n_partial, p->full_ptr[p->strips], err);
}

static vic_status prepare(struct assembly *a, vic_error *err)
{
    vic_pattern *p = a->p;
    size_t n = (size_t)p->strips + 1;
    if (p->partial_ptr && p->full_ptr) {
        a->partial_capacity = p->partial_ptr[p->strips];
        a->run_capacity = p->full_ptr[p->strips];
    }
    if (!p->partial_ptr) TRY(mem_array(n, sizeof *p->partial_ptr, "strips", &p->partial_ptr, err));
    if (!p->full_ptr) TRY(mem_array(n, sizeof *p->full_ptr, "strips", &p->full_ptr, err));
    p->partial_ptr[0] = p->full_ptr[0] = 0;
    TRY(mem_array_zero((size_t)a->wave, sizeof *a->found, "tasks", &a->found, err));
    return mem_array_zero((size_t)a->workers, sizeof *a->fullest, "workers", &a->fullest, err);
}

vic_status assemble(vic_pattern *p, struct pool *pool, strip_source *source, void *context, vic_error *err)
{
    vic_status st = VIC_OK;
    struct assembly a = { .p = p, .source = source, .context = context, .workers = pool_threads(pool) };
    a.tasks = (p->strips + LIST_STRIPS - 1) / LIST_STRIPS;
    a.wave = wave_tasks(a.tasks, a.workers);
    TRY_GOTO(pattern_find_symmetry(p, err), done);
    TRY_GOTO(prepare(&a, err), done);
    TRY_GOTO(run_waves(&a, pool, err), done);
    fullest_report(p, a.fullest, a.workers);
    pattern_fill_info(p);
done:
    for (int64_t t = 0; a.found && t < a.wave; t++) block_list_free(&a.found[t].list);
    free(a.found);
    free(a.fullest);
    return st;
}
