/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/points.h"

#include "base/memory.h"
#include "pattern/order.h"

#include <math.h>
#include <string.h>

enum { TASK_ATOMS = 1 << 13 }; /* a multiple of STRIP */

static const double max_coordinate = 1e12; /* A; beyond, doubles are coarser than 1e-4 A */

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

static vic_status look_at_seen(const char *what, const struct job *job, int64_t tasks, vic_error *err)
{
    for (int64_t t = 0; t < tasks; t++) {
        const struct seen *seen = &job->seen[t];
        int64_t bad = seen->not_finite;
        if (bad >= 0)
            return vic_fail(err, VIC_BAD_INPUT, "%s atom %lld: coordinate %c is %g, expected a number within %g A",
                            what, (long long)(bad / 3), (int)('x' + bad % 3), job->given[bad], max_coordinate);
    }
    for (int64_t t = 0; t < tasks; t++) {
        const struct seen *seen = &job->seen[t];
        const double *r = job->given + 3 * seen->too_far;
        if (seen->too_far >= 0)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s atom %lld at (%g, %g, %g) is more than 2^29 cells away from the origin: check the "
                            "cell "
                            "and the units",
                            what, (long long)seen->too_far, r[0], r[1], r[2]);
        job->points->largest = fmax(job->points->largest, seen->largest);
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

vic_status points_make(const char *what, int64_t n, const double *positions, const struct lattice *lattice,
                       struct pool *pool, struct points_kept *kept, struct points *out, vic_error *err)
{
    vic_status st = VIC_OK;
    bool periodic = lattice->rank > 0;
    int64_t tasks = (n + TASK_ATOMS - 1) / TASK_ATOMS, strips = (n + STRIP - 1) / STRIP;
    struct job job = { .n = n, .given = positions, .lattice = lattice, .kept = kept, .points = out };
    memset(out, 0, sizeof *out);
    out->n = n;
    if (!kept->positions)
        TRY_GOTO(mem_array((size_t)n, 3 * sizeof *kept->positions, "positions", &kept->positions, err), done);
    if (!kept->order) TRY_GOTO(mem_array((size_t)n, sizeof *kept->order, "rows", &kept->order, err), done);
    if (periodic && !kept->wrap) TRY_GOTO(mem_array((size_t)n, sizeof *kept->wrap, "wraps", &kept->wrap, err), done);
    TRY_GOTO(mem_array((size_t)tasks, sizeof *job.seen, "tasks", &job.seen, err), done);
    if (periodic)
        TRY_GOTO(mem_array((size_t)n, sizeof *job.wrapped, "wrapped positions", &job.wrapped, err), done);
    else
        job.wrapped = (double(*)[3])kept->positions;
    pool_run(pool, tasks, wrap_task, &job);
    TRY_GOTO(look_at_seen(what, &job, tasks, err), done);
    TRY_GOTO(order_kd(n, (const double(*)[3])job.wrapped, pool, kept->order, err), done);
    TRY_GOTO(mem_array((size_t)strips, (STRIP / CLUSTER) * sizeof *out->clusters, "clusters", &out->clusters, err),
             done);
    TRY_GOTO(mem_array((size_t)strips, sizeof *out->boxes, "boxes", &out->boxes, err), done);
    TRY_GOTO(mem_array((size_t)strips, sizeof *job.strip_boxes, "boxes", &job.strip_boxes, err), done);
    pool_run(pool, tasks, clusters_task, &job);
    st = box_tree_make(job.strip_boxes, strips, &out->tree, err);
done:
    if (periodic) free(job.wrapped);
    free(job.seen);
    return st;
}

void points_free(struct points *p)
{
    box_tree_free(&p->tree);
    free(p->boxes);
    free(p->clusters);
}
