/* SPDX-License-Identifier: Apache-2.0 */
/* Positions to pattern:
 *   frame    reduce the periodic vectors, wrap atoms into one cell, list the images within reach      lattice.c
 *   order    k-d bisection of the wrapped positions                                                   order.c
 *   search   per strip and image, the clusters whose boxes come within the cutoff                     boxes.c
 *   bits     per candidate block, 1024 distances at once                                              blocks.c
 *   gather   what the tasks found, into the CSR arrays of contract/pattern.h                          here
 * No pair list is made on the way, and nothing is quadratic in strips. */
#include "pattern/build.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/blocks.h"
#include "pattern/boxes.h"
#include "pattern/lattice.h"
#include "pattern/order.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

enum { STRIPS_PER_TASK = 8 };

static const double max_coordinate = 1e12; /* A; beyond, doubles are coarser than 1e-4 A */
static const double max_cutoff = 1e9;      /* A; its square is finite in float */

/* What one task found, for its strips in order. */
struct chunk {
    size_t n_partial, partial_capacity, image_capacity, bits_capacity;
    int32_t *cluster, *image;
    struct block_bits *bits;
    size_t n_runs, run_capacity;
    struct full_run *runs;
    int64_t partial_count[STRIPS_PER_TASK], run_count[STRIPS_PER_TASK];
    int64_t pairs, boundary, full;
    vic_status status;
    vic_error error;
};

/* Scratch of one worker: candidates of one strip. */
struct scratch {
    int32_t *near;   /* [clusters] */
    uint64_t *found; /* cluster << 32 | image, grows */
    size_t found_capacity;
};

struct build {
    vic_pattern *p;
    struct lattice lattice;
    struct lattice_image *images;
    double (*q_points)[3]; /* wrapped, row order */
    double (*k_points)[3];
    struct box_tree tree;
    struct block_test test;
    float reach;
    int64_t tasks;
    struct chunk *chunks;
    struct scratch *scratch;
    int workers;
    /* gather */
    int64_t *partial_first, *run_first; /* [tasks + 1] */
    int32_t *partial_cluster, *partial_image;
    struct block_bits *partial_bits;
    struct full_run *runs;
};

/* ---- frame and order ---- */

static vic_status check_positions(const char *what, int64_t n, const double *positions, vic_error *err)
{
    if (n > INT32_MAX - STRIP)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld %s atoms: a pattern holds at most %d", (long long)n, what,
                        INT32_MAX - STRIP);
    for (int64_t i = 0; i < 3 * n; i++)
        if (!(fabs(positions[i]) <= max_coordinate))
            return vic_fail(err, VIC_BAD_INPUT, "%s atom %lld: coordinate %c is %g, expected a number within %g A",
                            what, (long long)(i / 3), (int)('x' + i % 3), positions[i], max_coordinate);
    return VIC_OK;
}

/* Copy positions, wrap and order one set of atoms.  Everything lands in the pattern but *points, which is in row
 * order. */
static vic_status prepare_set(const struct build *b, int64_t n, const double *positions, struct pool *pool,
                              const double **positions_out, const int32_t (**wrap_out)[3], const int32_t **order_out,
                              double (**points)[3], vic_error *err)
{
    vic_status st = VIC_OK;
    double *copy, (*wrapped)[3] = NULL;
    int32_t *order, (*wrap)[3] = NULL;
    TRY(mem_array((size_t)n, 3 * sizeof *copy, "positions", &copy, err));
    *positions_out = copy; /* the pattern owns it from here, also on failure */
    if (n > 0) memcpy(copy, positions, (size_t)n * 3 * sizeof *copy);
    TRY(mem_array((size_t)n, sizeof *order, "rows", &order, err));
    *order_out = order;
    TRY(mem_array((size_t)n, sizeof **points, "positions in row order", points, err));
    TRY_GOTO(mem_array((size_t)n, sizeof *wrapped, "wrapped positions", &wrapped, err), done);
    if (b->lattice.rank > 0) {
        TRY_GOTO(mem_array((size_t)n, sizeof *wrap, "wraps", &wrap, err), done);
        *wrap_out = (const int32_t(*)[3])wrap;
        for (int64_t i = 0; i < n; i++) {
            if (!lattice_wrap(&b->lattice, copy + 3 * i, wrapped[i], wrap[i])) {
                st =
                    vic_fail(err, VIC_BAD_INPUT,
                             "atom %lld at (%g, %g, %g) is more than 2^29 cells away from the origin: check the cell "
                             "and the units",
                             (long long)i, copy[3 * i], copy[3 * i + 1], copy[3 * i + 2]);
                goto done;
            }
        }
    } else if (n > 0) {
        memcpy(wrapped, copy, (size_t)n * sizeof *wrapped);
    }
    TRY_GOTO(order_kd(n, (const double(*)[3])wrapped, pool, order, err), done);
    for (int64_t row = 0; row < n; row++) memcpy((*points)[row], wrapped[order[row]], sizeof **points);
done:
    free(wrapped);
    return st;
}

static double largest_component(int64_t n, const double *values)
{
    double largest = 0.0;
    for (int64_t i = 0; i < 3 * n; i++) largest = fmax(largest, fabs(values[i]));
    return largest;
}

static vic_status prepare_images(struct build *b, vic_error *err)
{
    vic_pattern *p = b->p;
    int32_t(*integers)[3];
    double far_component = largest_component(p->n_q, p->q_positions), size = b->lattice.diameter + p->cutoff, reach;
    far_component = fmax(far_component, largest_component(p->n_k, p->k_positions));
    /* Wrapping multiplies and adds a few times at the size of the position itself; so does the rule.  No image that
     * matters is shifted by more than the cell's diameter and the cutoff. */
    b->test.point_error = 32 * 0x1p-53 * (far_component + 3 * size);
    reach = p->cutoff * (1 + 4e-6) + 8 * b->test.point_error;
    TRY(lattice_images(&b->lattice, reach, &b->images, &p->n_images, err));
    TRY(mem_array((size_t)p->n_images, sizeof *integers, "images", &integers, err));
    p->images = (const int32_t(*)[3])integers;
    for (int64_t i = 0; i < p->n_images; i++) memcpy(integers[i], b->images[i].n, sizeof integers[i]);
    b->reach = nextafterf((float)reach, INFINITY);
    return VIC_OK;
}

/* ---- search and bits ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Candidate blocks of a strip, by cluster and image. */
static vic_status find_candidates(const struct build *b, struct scratch *s, const struct box *strip_box,
                                  size_t *count, vic_error *err)
{
    int contributors = 0;
    *count = 0;
    for (int64_t m = 0; m < b->p->n_images; m++) {
        const double *shift = b->images[m].shift, back[3] = { -shift[0], -shift[1], -shift[2] };
        struct box query = box_shifted(strip_box, back);
        int64_t near = 0;
        box_tree_near(&b->tree, &query, b->reach, s->near, &near);
        if (near == 0) continue;
        contributors++;
        TRY(mem_grow(&s->found, &s->found_capacity, *count + (size_t)near, sizeof *s->found, "candidate blocks",
                     err));
        for (int64_t i = 0; i < near; i++) s->found[(*count)++] = (uint64_t)s->near[i] << 32 | (uint64_t)m;
    }
    if (contributors > 1) qsort(s->found, *count, sizeof *s->found, by_value);
    return VIC_OK;
}

static vic_status add_full(struct chunk *c, int64_t *strip_runs, int32_t cluster, int32_t image, vic_error *err)
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

static vic_status add_partial(struct chunk *c, int32_t cluster, int32_t image, const struct block_bits *bits,
                              vic_error *err)
{
    size_t n = c->n_partial + 1;
    TRY(mem_grow(&c->cluster, &c->partial_capacity, n, sizeof *c->cluster, "blocks", err));
    TRY(mem_grow(&c->image, &c->image_capacity, n, sizeof *c->image, "blocks", err));
    TRY(mem_grow(&c->bits, &c->bits_capacity, n, sizeof *c->bits, "block masks", err));
    c->cluster[c->n_partial] = cluster;
    c->image[c->n_partial] = image;
    c->bits[c->n_partial] = *bits;
    c->n_partial = n;
    return VIC_OK;
}

static vic_status build_strip(const struct build *b, struct scratch *s, struct chunk *c, int64_t strip, int in_task,
                              vic_error *err)
{
    struct strip_rows rows;
    struct box box;
    size_t candidates;
    strip_rows_load(&b->test, strip, &rows);
    box = box_of_points(b->test.q_points + rows.first, rows.count);
    TRY(find_candidates(b, s, &box, &candidates, err));
    for (size_t i = 0; i < candidates; i++) {
        int32_t cluster = (int32_t)(s->found[i] >> 32), image = (int32_t)(s->found[i] & UINT32_MAX);
        struct block_bits bits;
        int pairs =
            block_bits_make(&b->test, &rows, strip, cluster, image, b->images[image].shift, &bits, &c->boundary);
        if (pairs == 0) continue;
        c->pairs += pairs;
        if (pairs == BLOCK) {
            TRY(add_full(c, &c->run_count[in_task], cluster, image, err));
        } else {
            TRY(add_partial(c, cluster, image, &bits, err));
            c->partial_count[in_task]++;
        }
    }
    return VIC_OK;
}

static void build_task(void *context, int64_t task, int worker)
{
    struct build *b = context;
    struct chunk *c = &b->chunks[task];
    for (int i = 0; i < STRIPS_PER_TASK && c->status == VIC_OK; i++) {
        int64_t strip = task * STRIPS_PER_TASK + i;
        if (strip < b->p->strips) c->status = build_strip(b, &b->scratch[worker], c, strip, i, &c->error);
    }
}

/* ---- gather ---- */

static void chunk_free(struct chunk *c)
{
    free(c->cluster);
    free(c->image);
    free(c->bits);
    free(c->runs);
    c->cluster = c->image = NULL;
    c->bits = NULL;
    c->runs = NULL;
}

static void gather_task(void *context, int64_t task, int worker)
{
    struct build *b = context;
    struct chunk *c = &b->chunks[task];
    int64_t at = b->partial_first[task];
    (void)worker;
    if (c->n_partial > 0) {
        memcpy(b->partial_cluster + at, c->cluster, c->n_partial * sizeof *c->cluster);
        memcpy(b->partial_image + at, c->image, c->n_partial * sizeof *c->image);
        memcpy(b->partial_bits + at, c->bits, c->n_partial * sizeof *c->bits);
    }
    if (c->n_runs > 0) memcpy(b->runs + b->run_first[task], c->runs, c->n_runs * sizeof *c->runs);
    chunk_free(c); /* at once, so that the blocks are hardly ever held twice */
}

static vic_status gather(struct build *b, struct pool *pool, vic_error *err)
{
    vic_pattern *p = b->p;
    int64_t *partial_ptr, *full_ptr;
    TRY(mem_array((size_t)b->tasks + 1, sizeof *b->partial_first, "tasks", &b->partial_first, err));
    TRY(mem_array((size_t)b->tasks + 1, sizeof *b->run_first, "tasks", &b->run_first, err));
    TRY(mem_array_zero((size_t)p->strips + 1, sizeof *partial_ptr, "strips", &partial_ptr, err));
    p->partial_ptr = partial_ptr;
    TRY(mem_array_zero((size_t)p->strips + 1, sizeof *full_ptr, "strips", &full_ptr, err));
    p->full_ptr = full_ptr;
    b->partial_first[0] = b->run_first[0] = 0;
    for (int64_t t = 0; t < b->tasks; t++) {
        const struct chunk *c = &b->chunks[t];
        b->partial_first[t + 1] = b->partial_first[t] + (int64_t)c->n_partial;
        b->run_first[t + 1] = b->run_first[t] + (int64_t)c->n_runs;
        p->info.pairs += c->pairs;
        p->info.boundary_pairs += c->boundary;
        p->n_full += c->full;
        for (int i = 0; i < STRIPS_PER_TASK && t * STRIPS_PER_TASK + i < p->strips; i++) {
            int64_t strip = t * STRIPS_PER_TASK + i;
            partial_ptr[strip + 1] = partial_ptr[strip] + c->partial_count[i];
            full_ptr[strip + 1] = full_ptr[strip] + c->run_count[i];
        }
    }
    p->n_partial = partial_ptr[p->strips];
    TRY(mem_array((size_t)p->n_partial, sizeof *b->partial_cluster, "blocks", &b->partial_cluster, err));
    p->partial_cluster = b->partial_cluster;
    TRY(mem_array((size_t)p->n_partial, sizeof *b->partial_image, "blocks", &b->partial_image, err));
    p->partial_image = b->partial_image;
    TRY(mem_array((size_t)p->n_partial, sizeof *b->partial_bits, "block masks", &b->partial_bits, err));
    p->partial_bits = b->partial_bits;
    TRY(mem_array((size_t)full_ptr[p->strips], sizeof *b->runs, "runs of full blocks", &b->runs, err));
    p->full_runs = b->runs;
    pool_run(pool, b->tasks, gather_task, b);
    return VIC_OK;
}

static void fill_info(vic_pattern *p)
{
    vic_pattern_info *info = &p->info;
    size_t per_query = 3 * sizeof(double) + sizeof(int32_t) + (p->q_wrap ? 3 * sizeof(int32_t) : 0);
    info->n_q = p->n_q;
    info->n_k = p->n_k;
    info->strips = p->strips;
    info->clusters = p->clusters;
    info->blocks = p->n_partial + p->n_full;
    info->full_blocks = p->n_full;
    info->cutoff = p->cutoff;
    info->block128_grid = ((p->n_q + 127) / 128) * ((p->n_k + 127) / 128);
    info->bytes = sizeof *p + per_query * (size_t)(p->n_q + (p->one_set ? 0 : p->n_k)) +
                  (size_t)p->n_images * sizeof *p->images +
                  (size_t)p->n_partial * (2 * sizeof(int32_t) + sizeof(struct block_bits)) +
                  (size_t)p->full_ptr[p->strips] * sizeof(struct full_run) +
                  2 * (size_t)(p->strips + 1) * sizeof(int64_t);
}

/* ---- all of it ---- */

static void build_free(struct build *b)
{
    for (int64_t t = 0; b->chunks && t < b->tasks; t++) chunk_free(&b->chunks[t]);
    for (int w = 0; b->scratch && w < b->workers; w++) {
        free(b->scratch[w].near);
        free(b->scratch[w].found);
    }
    free(b->chunks);
    free(b->scratch);
    free(b->partial_first);
    free(b->run_first);
    free(b->images);
    box_tree_free(&b->tree);
    if (b->k_points != b->q_points) free(b->k_points);
    free(b->q_points);
}

static vic_status check_input(const struct pattern_input *in, vic_error *err)
{
    if (!(in->cutoff > 0) || in->cutoff > max_cutoff)
        return vic_fail(err, VIC_BAD_ARGUMENT, "cutoff: expected a distance above 0 and up to %g A, got %g",
                        max_cutoff, in->cutoff);
    if (in->n_q < 0 || in->n_k < 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "numbers of atoms: expected 0 or more, got %lld queries and %lld keys",
                        (long long)in->n_q, (long long)in->n_k);
    TRY(check_positions(in->k_positions ? "query" : "input", in->n_q, in->q_positions, err));
    if (in->k_positions) TRY(check_positions("key", in->n_k, in->k_positions, err));
    return VIC_OK;
}

vic_status pattern_build(const struct pattern_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct build b = { 0 };
    vic_pattern *p = NULL;
    double start = clock_seconds();
    *out = NULL;
    TRY(check_input(in, err));
    TRY(mem_array_zero(1, sizeof *p, "pattern", &p, err));
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
    TRY_GOTO(prepare_set(&b, p->n_q, in->q_positions, pool, &p->q_positions, &p->q_wrap, &p->q_order, &b.q_points,
                         err),
             done);
    if (p->one_set) {
        p->k_positions = p->q_positions;
        p->k_wrap = p->q_wrap;
        p->k_order = p->q_order;
        b.k_points = b.q_points;
    } else {
        TRY_GOTO(prepare_set(&b, p->n_k, in->k_positions, pool, &p->k_positions, &p->k_wrap, &p->k_order, &b.k_points,
                             err),
                 done);
    }
    p->info.seconds_order = clock_seconds() - start;
    start = clock_seconds();

    TRY_GOTO(prepare_images(&b, err), done);
    TRY_GOTO(box_tree_make((const double(*)[3])b.k_points, p->n_k, &b.tree, err), done);
    b.test.p = p;
    b.test.q_points = (const double(*)[3])b.q_points;
    b.test.k_points = (const double(*)[3])b.k_points;
    b.test.cutoff2 = p->cutoff * p->cutoff;
    b.tasks = (p->strips + STRIPS_PER_TASK - 1) / STRIPS_PER_TASK;
    b.workers = pool_threads(pool);
    TRY_GOTO(mem_array_zero((size_t)b.tasks, sizeof *b.chunks, "tasks", &b.chunks, err), done);
    TRY_GOTO(mem_array_zero((size_t)b.workers, sizeof *b.scratch, "workers", &b.scratch, err), done);
    for (int w = 0; w < b.workers; w++)
        TRY_GOTO(mem_array((size_t)p->clusters, sizeof(int32_t), "candidates", &b.scratch[w].near, err), done);
    pool_run(pool, b.tasks, build_task, &b);
    for (int64_t t = 0; t < b.tasks; t++) {
        if (b.chunks[t].status == VIC_OK) continue;
        st = b.chunks[t].status;
        if (err) *err = b.chunks[t].error;
        goto done;
    }
    TRY_GOTO(gather(&b, pool, err), done);
    fill_info(p);
    TRY_GOTO(pattern_statistics(p, pool, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    build_free(&b);
    pattern_release(p);
    return st;
}
