/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/structures.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/join.h"
#include "pattern/pattern.h"
#include "pattern/points.h"

#include <math.h>
#include <string.h>

/* A structure so large gets all threads for itself. */
enum { LARGE = 1 << 14 };

static vic_status check_structures(const struct structures_input *in, vic_error *err)
{
    TRY(cutoff_check(in->cutoff, err));
    if (in->structures < 1 || in->structures > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "structures: expected 1 to %d, got %lld", INT32_MAX,
                        (long long)in->structures);
    if (in->offsets[0] != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[0]: expected 0, got %lld", (long long)in->offsets[0]);
    for (int64_t s = 0; s < in->structures; s++)
        if (in->offsets[s + 1] < in->offsets[s])
            return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[%lld]: expected at least %lld, as before it, got %lld",
                            (long long)s + 1, (long long)in->offsets[s], (long long)in->offsets[s + 1]);
    if (!in->positions && in->offsets[in->structures] > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "positions is NULL, but there are %lld atoms",
                        (long long)in->offsets[in->structures]);
    for (int64_t s = 0; in->periodic && !in->cells && s < in->structures; s++)
        for (int x = 0; x < 3; x++)
            if (in->periodic[3 * s + x])
                return vic_fail(err, VIC_BAD_ARGUMENT, "structure %lld: periodic along %c, but no cells were given",
                                (long long)s, 'a' + x);
    return VIC_OK;
}

/* A cell of zeros says that this structure has none. */
static void take_cell(const struct structures_input *in, int64_t s, struct pattern_cell *out)
{
    bool has_cell = false;
    memset(out, 0, sizeof *out);
    for (int i = 0; in->cells && i < 9; i++) has_cell |= in->cells[9 * s + i] != 0.0;
    for (int x = 0; x < 3; x++) {
        out->periodic[x] = in->periodic ? in->periodic[3 * s + x] : has_cell;
        if (out->periodic[x]) memcpy(out->cell[x], in->cells + 9 * s + 3 * x, sizeof out->cell[x]);
    }
}

/* ---- rows ---- */

/* Which structure comes next: one that ends at the end of a strip, else of a cluster, so that few strips, clusters
 * and groups of 16 rows hold two; else the first that is left.  A function of the sizes alone. */
struct queue {
    int64_t *next;       /* [structures] the next one with as many atoms beyond whole strips, or -1 */
    int64_t head[STRIP]; /* by that number */
    int64_t first;       /* no structure before it is left */
    bool *taken;         /* [structures] */
};

static int64_t take_next(struct queue *q, int64_t row)
{
    int64_t s = -1;
    for (int64_t short_of = 0; short_of < STRIP && s < 0; short_of += CLUSTER) {
        int64_t *head = &q->head[((STRIP - row % STRIP) + STRIP - short_of) % STRIP];
        while (*head >= 0 && q->taken[*head]) *head = q->next[*head];
        s = *head;
    }
    if (s < 0) {
        while (q->taken[q->first]) q->first++;
        s = q->first;
    }
    q->taken[s] = true;
    return s;
}

/* sequence [structures] and first [structures + 1]: the structure of each place, and its first row. */
static vic_status place_structures(const struct structures_input *in, int64_t *sequence, int64_t *first,
                                   vic_error *err)
{
    vic_status st = VIC_OK;
    struct queue q = { .next = NULL };
    int64_t *kept = NULL, n = in->structures;
    TRY_GOTO(mem_array((size_t)n, sizeof *kept, "structures", &kept, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *q.next, "structures", &q.next, err), done);
    TRY_GOTO(mem_array_zero((size_t)n, sizeof *q.taken, "structures", &q.taken, err), done);
    for (int i = 0; i < STRIP; i++) q.head[i] = -1;
    for (int64_t s = n; s-- > 0;) {
        kept[s] = 0;
        for (int64_t i = in->offsets[s]; i < in->offsets[s + 1]; i++) kept[s] += !(in->skip && in->skip[i]);
        q.next[s] = q.head[kept[s] % STRIP];
        q.head[kept[s] % STRIP] = s;
    }
    first[0] = 0;
    for (int64_t place = 0; place < n; place++) {
        sequence[place] = take_next(&q, first[place]);
        first[place + 1] = first[place] + kept[sequence[place]];
    }
done:
    free(q.taken);
    free(q.next);
    free(kept);
    return st;
}

/* The atoms that take part, structure by structure in the order of rows, then the others. */
static void place_atoms(const struct structures_input *in, const int64_t *sequence, struct side *side)
{
    int64_t at = 0;
    for (int64_t place = 0; place < in->structures; place++)
        for (int64_t i = in->offsets[sequence[place]]; i < in->offsets[sequence[place] + 1]; i++)
            if (!in->skip || !in->skip[i]) side->atoms[at++] = (int32_t)i;
}

/* ---- builds ---- */

struct builds {
    const struct structures_input *in;
    struct join *j;
    int64_t *sequence, *first; /* by place in the order of rows: the structure, its first row */
    struct pool **pools;       /* [workers] of one thread each */
    vic_status *status;        /* [structures] by place */
};

static vic_status build_one(const struct builds *b, int64_t place, struct pool *pool, vic_error *err)
{
    const vic_pattern *whole = b->j->whole;
    struct part *part = &b->j->parts[place];
    int64_t s = b->sequence[place];
    double *own = NULL;
    vic_error reason;
    vic_status st;
    struct pattern_input input = { .n_q = b->first[place + 1] - b->first[place],
                                   .cutoff = b->in->cutoff,
                                   .exclude_self = b->in->exclude_self };
    memcpy(input.cell, whole->cells[s].cell, sizeof input.cell);
    memcpy(input.periodic, whole->cells[s].periodic, sizeof input.periodic);
    part->q_first = part->k_first = b->first[place];
    part->n = input.n_q;
    if (b->in->skip) {
        TRY(join_positions(&b->j->q, part->q_first, input.n_q, whole->q_positions, &own, err));
        input.q_positions = own;
    } else {
        input.q_positions = whole->q_positions + 3 * b->in->offsets[s];
    }
    if (input.n_q <= SMALL_ATOMS && !input.periodic[0] && !input.periodic[1] && !input.periodic[2])
        st = small_place(&b->j->small, part->q_first, part->n, input.q_positions, pool, &reason);
    else
        st = pattern_build(&input, pool, &part->p, &reason);
    free(own);
    if (st != VIC_OK) return vic_fail(err, st, "structure %lld: %.980s", (long long)s, reason.text);
    return VIC_OK;
}

static void build_task(void *context, int64_t place, int worker)
{
    struct builds *b = context;
    if (b->first[place + 1] - b->first[place] < LARGE) b->status[place] = build_one(b, place, b->pools[worker], NULL);
}

/* Small structures side by side, a thread each; large ones one by one with all threads. */
static vic_status build_all(struct builds *b, struct pool *pool, vic_error *err)
{
    pool_run(pool, b->in->structures, build_task, b);
    for (int64_t place = 0; place < b->in->structures; place++) {
        bool large = b->first[place + 1] - b->first[place] >= LARGE;
        /* One that failed is built once more, for its words. */
        if (large || b->status[place] != VIC_OK) TRY(build_one(b, place, pool, err));
    }
    return VIC_OK;
}

static vic_status make_cells(const struct structures_input *in, vic_pattern *whole, vic_error *err)
{
    struct pattern_cell *cells;
    int64_t *offsets;
    size_t n = (size_t)in->structures;
    TRY(mem_array(n + 1, sizeof *offsets, "structures", &offsets, err));
    memcpy(offsets, in->offsets, (n + 1) * sizeof *offsets);
    whole->offsets = offsets;
    whole->structures = in->structures;
    TRY(mem_array(n, sizeof *cells, "structures", &cells, err));
    whole->cells = cells;
    for (int64_t s = 0; s < in->structures; s++) take_cell(in, s, &cells[s]);
    return VIC_OK;
}

vic_status pattern_build_structures(const struct structures_input *in, struct pool *pool, vic_pattern **out,
                                    vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct join j = { 0 };
    struct builds b = { .in = in, .j = &j };
    int workers = pool_threads(pool);
    *out = NULL;
    TRY(check_structures(in, err));
    size_t n = (size_t)in->structures;
    TRY_GOTO(join_make(in->offsets[n], 0, true, in->cutoff, in->exclude_self, in->skip, NULL, &j, err), done);
    TRY_GOTO(positions_copy("input", j.whole->n_q, in->positions, &j.whole->q_positions, err), done);
    TRY_GOTO(make_cells(in, j.whole, err), done);
    TRY_GOTO(mem_array_zero(n, sizeof *j.parts, "structures", &j.parts, err), done);
    j.n_parts = in->structures;
    TRY_GOTO(mem_array(n, sizeof *b.sequence, "structures", &b.sequence, err), done);
    TRY_GOTO(mem_array(n + 1, sizeof *b.first, "structures", &b.first, err), done);
    TRY_GOTO(mem_array_zero(n, sizeof *b.status, "structures", &b.status, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *b.pools, "workers", &b.pools, err), done);
    for (int w = 0; w < workers; w++) TRY_GOTO(pool_create(1, &b.pools[w], err), done);
    TRY_GOTO(place_structures(in, b.sequence, b.first, err), done);
    place_atoms(in, b.sequence, &j.q);
    TRY_GOTO(small_make(b.first[n], in->cutoff, in->exclude_self, &j.small, err), done);
    for (int64_t i = 0; i < 3 * j.whole->n_q; i++)
        j.small.far_component = fmax(j.small.far_component, fabs(in->positions[i]));
    TRY_GOTO(build_all(&b, pool, err), done);
    TRY_GOTO(join_parts(&j, pool, err), done);
    j.whole->info.seconds_order = 0; /* of parts at once: all of it is in the build */
    j.whole->info.seconds_build = clock_seconds() - start;
    *out = j.whole;
    j.whole = NULL;
done:
    for (int w = 0; b.pools && w < workers; w++) pool_free(b.pools[w]);
    free(b.pools);
    free(b.status);
    free(b.first);
    free(b.sequence);
    join_free(&j);
    return st;
}
