/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/points.h"

#include "base/memory.h"
#include "pattern/limits.h"
#include "pattern/order.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

enum { TASK_ATOMS = 1 << 13 }; /* a multiple of STRIP */

/* What a task saw of its atoms. */
struct seen {
    double largest;
    int64_t not_finite, too_far; /* first such atom, or -1 */
};

struct job {
    int64_t n;
    const double *given;
    const struct lattice *lattice;
    double (*wrapped)[3]; /* by atom; the positions themselves in an open system */
    struct points_kept *kept;
    struct points *points;
    struct box *strip_boxes;
    struct seen *seen; /* [tasks] */
    double largest;    /* component of a position, in size */
};

static int64_t task_end(int64_t first, int64_t n)
{
    return n - first < TASK_ATOMS ? n : first + TASK_ATOMS;
}

static void wrap_task(void *context, int64_t task, int worker)
{
    const struct job *job = context;
    struct seen *seen = &job->seen[task];
    int64_t first = task * TASK_ATOMS, end = task_end(first, job->n);
    double *positions = job->kept->positions;
    (void)worker;
    *seen = (struct seen){ 0.0, -1, -1 };
    memcpy(positions + 3 * first, job->given + 3 * first, (size_t)(end - first) * 3 * sizeof *positions);
    for (int64_t i = 3 * first; i < 3 * end; i++) {
        double size = fabs(positions[i]);
        if (!(size <= max_coordinate)) {
            seen->not_finite = i;
            return;
        }
        seen->largest = size > seen->largest ? size : seen->largest;
    }
    if (job->lattice->rank == 0) return;
    for (int64_t i = first; i < end; i++) {
        if (lattice_wrap(job->lattice, positions + 3 * i, job->wrapped[i], job->kept->wrap[i])) continue;
        seen->too_far = i;
        return;
    }
}

static vic_status wrong_coordinate(const char *what, const double *positions, int64_t at, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s atom %lld: coordinate %c is %g, expected a number within %g A", what,
                    (long long)(at / 3), (int)('x' + at % 3), positions[at], max_coordinate);
}

static vic_status look_at_seen(const char *what, struct job *job, int64_t tasks, vic_error *err)
{
    for (int64_t t = 0; t < tasks; t++)
        if (job->seen[t].not_finite >= 0) return wrong_coordinate(what, job->given, job->seen[t].not_finite, err);
    for (int64_t t = 0; t < tasks; t++) {
        const struct seen *seen = &job->seen[t];
        const double *r = job->given + 3 * seen->too_far;
        if (seen->too_far >= 0)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s atom %lld at (%g, %g, %g) is more than 2^29 cells away from the origin: check the "
                            "cell and the units",
                            what, (long long)seen->too_far, r[0], r[1], r[2]);
        job->largest = fmax(job->largest, seen->largest);
    }
    return VIC_OK;
}

/* Rows first .. first + n - 1, n >= 0, as a cluster; gives its box. */
static struct box make_cluster(const struct job *job, int64_t first, int n, struct cluster_points *c)
{
    double at[CLUSTER][3], radius2 = 0.0;
    struct box box;
    for (int i = 0; i < n; i++) memcpy(at[i], job->wrapped[job->kept->order[first + i]], sizeof at[i]);
    for (int x = 0; x < 3; x++)
        for (int i = n; i < CLUSTER; i++) c->at[x][i] = -far_away;
    memset(c->centre, 0, sizeof c->centre);
    c->radius = 0.0f;
    if (n == 0) return box_nowhere();
    box = box_of_points((const double(*)[3])at, n);
    for (int x = 0; x < 3; x++) c->centre[x] = 0.5f * (box.low[x] + box.high[x]);
    for (int i = 0; i < n; i++) {
        double length2 = 0.0;
        for (int x = 0; x < 3; x++) {
            double d = at[i][x] - (double)c->centre[x];
            c->at[x][i] = (float)d;
            length2 += d * d;
        }
        radius2 = length2 > radius2 ? length2 : radius2;
    }
    c->radius = (float)sqrt(radius2) * (1.0f + 0x1p-20f) + 1e-37f;
    return box;
}

static void clusters_task(void *context, int64_t task, int worker)
{
    const struct job *job = context;
    int64_t end = task_end(task * TASK_ATOMS, job->n);
    (void)worker;
    for (int64_t row = task * TASK_ATOMS; row < end; row += STRIP) {
        int64_t strip = row / STRIP;
        for (int c = 0; c < STRIP / CLUSTER; c++) {
            int64_t first = row + c * CLUSTER, n = end - first;
            struct box box = make_cluster(job, first,
                                          n < 0         ? 0
                                          : n > CLUSTER ? CLUSTER
                                                        : (int)n,
                                          &job->points->clusters[first / CLUSTER]);
            box4_set(&job->points->boxes[strip], c, &box);
            if (c == 0)
                job->strip_boxes[strip] = box;
            else if (n > 0)
                box_join(&job->strip_boxes[strip], &box);
        }
    }
}

static void job_free(struct job *job)
{
    if (job->lattice->rank > 0) free(job->wrapped);
    free(job->seen);
}

/* Positions, wraps and order into job->kept, and job->wrapped.  job_free() also after a failure. */
static vic_status place(const char *what, struct job *job, struct pool *pool, vic_error *err)
{
    struct points_kept *kept = job->kept;
    bool periodic = job->lattice->rank > 0;
    size_t n = (size_t)job->n, tasks = (n + TASK_ATOMS - 1) / TASK_ATOMS;
    if (!kept->positions) TRY(mem_array(n, 3 * sizeof *kept->positions, "positions", &kept->positions, err));
    if (!kept->order) TRY(mem_array(n, sizeof *kept->order, "rows", &kept->order, err));
    if (periodic && !kept->wrap) TRY(mem_array(n, sizeof *kept->wrap, "wraps", &kept->wrap, err));
    TRY(mem_array(tasks, sizeof *job->seen, "tasks", &job->seen, err));
    if (periodic)
        TRY(mem_array(n, sizeof *job->wrapped, "wrapped positions", &job->wrapped, err));
    else
        job->wrapped = (double(*)[3])kept->positions;
    pool_run(pool, (int64_t)tasks, wrap_task, job);
    TRY(look_at_seen(what, job, (int64_t)tasks, err));
    return order_kd(job->n, (const double(*)[3])job->wrapped, pool, kept->order, err);
}

static vic_status make_clusters(struct job *job, struct pool *pool, vic_error *err)
{
    struct points *out = job->points;
    size_t strips = (size_t)(job->n + STRIP - 1) / STRIP;
    out->largest = job->largest;
    TRY(mem_array(strips, (STRIP / CLUSTER) * sizeof *out->clusters, "clusters", &out->clusters, err));
    TRY(mem_array(strips, sizeof *out->boxes, "boxes", &out->boxes, err));
    TRY(mem_array(strips, sizeof *job->strip_boxes, "boxes", &job->strip_boxes, err));
    pool_run(pool, (job->n + TASK_ATOMS - 1) / TASK_ATOMS, clusters_task, job);
    return box_tree_make(job->strip_boxes, (int64_t)strips, &out->tree, err);
}

vic_status points_make(const char *what, int64_t n, const double *positions, const struct lattice *lattice,
                       struct pool *pool, struct points_kept *kept, struct points *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .n = n, .given = positions, .lattice = lattice, .kept = kept, .points = out };
    memset(out, 0, sizeof *out);
    out->n = n;
    TRY_GOTO(place(what, &job, pool, err), done);
    st = make_clusters(&job, pool, err);
done:
    job_free(&job);
    return st;
}

void points_free(struct points *p)
{
    box_tree_free(&p->tree);
    free(p->boxes);
    free(p->clusters);
}

/* Like points_make(), but for the wrapped positions in row order; `rows` NULL = they are not wanted. */
static vic_status make_rows(const char *what, int64_t n, const double *positions, const struct lattice *lattice,
                            struct pool *pool, struct points_kept *kept, double (**rows)[3], vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .n = n, .given = positions, .lattice = lattice, .kept = kept };
    TRY_GOTO(place(what, &job, pool, err), done);
    if (!rows) goto done;
    TRY_GOTO(mem_array((size_t)n, sizeof **rows, "positions in row order", rows, err), done);
    for (int64_t row = 0; row < n; row++) memcpy((*rows)[row], job.wrapped[kept->order[row]], sizeof **rows);
done:
    job_free(&job);
    return st;
}

/* ---- of a pattern ---- */

static vic_status place_side(vic_pattern *p, bool keys, const double *positions, enum place_wanted wanted,
                             struct pool *pool, struct placed *out, vic_error *err)
{
    double **mine = keys ? &p->k_positions : &p->q_positions;
    int32_t(**wrap)[3] = keys ? &p->k_wrap : &p->q_wrap, **order = keys ? &p->k_order : &p->q_order;
    const char *what = keys ? "key" : p->one_set ? "input" : "query";
    struct points_kept kept = { *mine, *wrap, *order };
    int64_t n = keys ? p->n_k : p->n_q;
    vic_status st;
    if (wanted == PLACE_POINTS)
        st = points_make(what, n, positions, &out->lattice, pool, &kept, keys ? &out->keys : &out->queries, err);
    else
        st = make_rows(what, n, positions, &out->lattice, pool, &kept,
                       wanted == PLACE_ORDER ? NULL
                       : keys                ? &out->k_rows
                                             : &out->q_rows,
                       err);
    *mine = kept.positions; /* owned by the pattern, also on failure */
    *wrap = kept.wrap;
    *order = kept.order;
    return st;
}

vic_status pattern_place(vic_pattern *p, const double *q, const double *k, enum place_wanted wanted,
                         struct pool *pool, struct placed *out, vic_error *err)
{
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY(lattice_make((const double(*)[3])p->cell, p->periodic, &out->lattice, err));
    st = place_side(p, false, q, wanted, pool, out, err);
    pattern_share_sides(p);
    if (p->one_set) out->k_rows = out->q_rows;
    return st != VIC_OK || p->one_set ? st : place_side(p, true, k, wanted, pool, out, err);
}

void placed_free(struct placed *placed)
{
    points_free(&placed->queries);
    points_free(&placed->keys);
    if (placed->k_rows != placed->q_rows) free(placed->k_rows);
    free(placed->q_rows);
}

vic_status positions_copy(const char *what, int64_t n, const double *positions, double **out, vic_error *err)
{
    for (int64_t i = 0; i < 3 * n; i++)
        if (!(fabs(positions[i]) <= max_coordinate)) return wrong_coordinate(what, positions, i, err);
    return n > 0 ? array_copy(positions, n, 3 * sizeof **out, out, err)
                 : mem_array(0, 3 * sizeof **out, "positions", out, err);
}
