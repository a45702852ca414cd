/* SPDX-License-Identifier: Apache-2.0 */
/* Near the top of the tree all threads work on one level at a time, each range in chunks: a histogram along its
 * longest side finds the bin of the middle, a scatter into the other buffer parts the range around that bin, and the
 * few points of the bin are selected among one by one.  Below, a subtree is one task.  Which points a node holds is
 * fixed by (coordinate, index) alone, so how they got there, and on how many threads, does not show. */
#include "pattern/order.h"

#include "base/memory.h"
#include "contract/pattern.h"

#include <string.h>

enum {
    LEAF = 8,          /* half a cluster: the CPU kernel's pieces are 16 rows x 8 keys */
    TILE = 4 * STRIP,  /* what one CTA works on */
    SUBTREE = 1 << 14, /* up to this many points (256 kB) a subtree is one task */
    CHUNK = 1 << 14,   /* points of a task above that */
    BINS = 1024,
    SMALL = 16, /* sorted outright */
};

/* Coordinates in units of 2^-32 of the longest side of the box of all points, and the atom. */
struct item {
    int32_t at[3], atom;
};

typedef int32_t vec4 __attribute__((vector_size(16)));

struct bounds {
    vec4 low, high; /* lane 3, the atom, means nothing */
};

struct range {
    int64_t first, count;
    bool swapped; /* its items are in the second buffer */
};

struct chunk {
    int64_t range, first, count;
    struct bounds bounds;
    int32_t *histogram;           /* [BINS] */
    int64_t below, inside, above; /* where its items go */
};

/* How a range is being split. */
struct split {
    int axis, shift;
    int32_t low;
    int bin;
    int64_t left, below, inside; /* rows of the left half; items below and in the bin */
};

struct job {
    const double (*points)[3];
    int64_t n;
    double low[3], scale;
    struct item *items[2];
    struct range *ranges;
    struct split *splits;
    struct chunk *chunks;
    int32_t *histograms;
    int64_t n_ranges, n_chunks;
    int32_t *order;
};

/* ---- one range, one thread ---- */

/* All different, and smaller for the smaller coordinate. */
static inline int64_t sort_key(const struct item *i, int axis)
{
    return (int64_t)((uint64_t)(uint32_t)i->at[axis] << 32 | (uint32_t)i->atom);
}

static inline vec4 smaller(vec4 a, vec4 b)
{
    vec4 less = a < b;
    return (a & less) | (b & ~less);
}

static inline vec4 larger(vec4 a, vec4 b)
{
    vec4 more = a > b;
    return (a & more) | (b & ~more);
}

static struct bounds bounds_of(const struct item *items, int64_t n)
{
    struct bounds b;
    memcpy(&b.low, &items[0], sizeof b.low);
    b.high = b.low;
    for (int64_t i = 1; i < n; i++) {
        vec4 at;
        memcpy(&at, &items[i], sizeof at);
        b.low = smaller(b.low, at);
        b.high = larger(b.high, at);
    }
    return b;
}

static int longest_side(const struct bounds *b)
{
    int longest = 0;
    int64_t length = -1;
    for (int x = 0; x < 3; x++) {
        int64_t side = (int64_t)b->high[x] - b->low[x];
        if (side > length) {
            longest = x;
            length = side;
        }
    }
    return longest;
}

/* Items with smaller keys than the pivot first; returns their number.  Without a branch on the data. */
static int64_t partition(struct item *items, int64_t n, int64_t pivot, int axis)
{
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) {
        bool before = sort_key(&items[i], axis) < pivot;
        struct item item = items[i];
        items[i] = items[left];
        items[left] = item;
        left += before;
    }
    return left;
}

/* At most SMALL items, by counting for each how many come before it. */
static void sort_small(struct item *items, int n, int axis)
{
    struct item sorted[SMALL];
    int64_t keys[SMALL];
    int place[SMALL] = { 0 };
    for (int i = 0; i < n; i++) keys[i] = sort_key(&items[i], axis);
    for (int i = 1; i < n; i++) {
        int before = 0;
        for (int j = 0; j < i; j++) {
            int after = keys[j] > keys[i];
            place[j] += after;
            before += !after;
        }
        place[i] += before;
    }
    for (int i = 0; i < n; i++) sorted[place[i]] = items[i];
    memcpy(items, sorted, (size_t)n * sizeof *items);
}

/* A key near the one of rank `count`, from a sample at pseudo-random places (so that no arrangement of the input is
 * bad by design), and rather on the side that leaves less to do. */
static int64_t pick_pivot(const struct item *items, int64_t n, int64_t count, int axis, uint64_t *state)
{
    enum { MOST = 31 };
    int64_t keys[MOST];
    int size = n >= 512 ? MOST : n >= 128 ? 15 : 7;
    for (int i = 0; i < size; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        int64_t key = sort_key(&items[((*state >> 33) * (uint64_t)n) >> 31], axis); /* n < 2^31 */
        int at = i;
        for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
    int64_t rank = count * size / n, bias = 1 + size / 16;
    rank += 2 * count < n ? bias : -bias;
    return keys[rank < 0 ? 0 : rank >= size ? size - 1 : rank];
}

/* Arrange that the first `count` items are the smallest along `axis`. */
static void select_smallest(struct item *items, int64_t n, int64_t count, int axis)
{
    uint64_t state = (uint64_t)n;
    while (n > SMALL && count > 0 && count < n) {
        int64_t pivot = pick_pivot(items, n, count, axis, &state);
        int64_t left = partition(items, n, pivot, axis);
        if (left == 0) left = partition(items, n, pivot + 1, axis); /* it was the smallest */
        if (count <= left) {
            n = left;
        } else {
            items += left;
            n -= left;
            count -= left;
        }
    }
    if (n <= SMALL) sort_small(items, (int)n, axis);
}

/* Rows of the left half: a multiple of the largest unit that fits, nearest to the middle. */
static int64_t left_half(int64_t count)
{
    int64_t unit = count > TILE ? TILE : count > STRIP ? STRIP : count > CLUSTER ? CLUSTER : LEAF;
    int64_t left = (count / 2 + unit / 2) / unit * unit;
    if (left < unit) left = unit;
    return left;
}

static void sort_subtree(struct item *items, int64_t count)
{
    struct bounds b;
    while (count > LEAF) {
        int64_t left = left_half(count);
        b = bounds_of(items, count);
        select_smallest(items, count, left, longest_side(&b));
        sort_subtree(items, left); /* depth: log2 of count */
        items += left;
        count -= left;
    }
    if (count == 0) return;
    b = bounds_of(items, count);
    sort_small(items, (int)count, longest_side(&b));
}

static void sort_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    const struct range *r = &job->ranges[task];
    struct item *items = job->items[r->swapped] + r->first;
    (void)worker;
    sort_subtree(items, r->count);
    for (int64_t i = 0; i < r->count; i++) job->order[r->first + i] = items[i].atom;
}

/* ---- all points ---- */

static int64_t chunk_end(int64_t first, int64_t n)
{
    return n - first < CHUNK ? n : first + CHUNK;
}

static void box_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    int64_t first = task * CHUNK, end = chunk_end(first, job->n);
    double low[3], high[3];
    (void)worker;
    memcpy(low, job->points[first], sizeof low);
    memcpy(high, low, sizeof high);
    for (int64_t i = first + 1; i < end; i++) {
        for (int x = 0; x < 3; x++) {
            double at = job->points[i][x];
            low[x] = at < low[x] ? at : low[x];
            high[x] = at > high[x] ? at : high[x];
        }
    }
    /* The chunk's place holds two doubles per axis until it is needed: no other array for a few numbers. */
    memcpy(job->histograms + task * BINS, low, sizeof low);
    memcpy(job->histograms + task * BINS + 6, high, sizeof high);
}

static void items_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    int64_t first = task * CHUNK, end = chunk_end(first, job->n);
    (void)worker;
    for (int64_t i = first; i < end; i++) {
        struct item *item = &job->items[0][i];
        for (int x = 0; x < 3; x++) item->at[x] = (int32_t)((job->points[i][x] - job->low[x]) * job->scale - 0x1p31);
        item->atom = (int32_t)i;
    }
}

static void make_items(struct job *job, struct pool *pool)
{
    int64_t tasks = (job->n + CHUNK - 1) / CHUNK;
    double high[3], longest = 0.0;
    pool_run(pool, tasks, box_task, job);
    for (int64_t t = 0; t < tasks; t++) {
        double box[6];
        memcpy(box, job->histograms + t * BINS, sizeof box);
        for (int x = 0; x < 3; x++) {
            job->low[x] = t == 0 || box[x] < job->low[x] ? box[x] : job->low[x];
            high[x] = t == 0 || box[3 + x] > high[x] ? box[3 + x] : high[x];
        }
    }
    for (int x = 0; x < 3; x++) longest = high[x] - job->low[x] > longest ? high[x] - job->low[x] : longest;
    job->scale = longest > 1e-200 ? (0x1p32 - 256) / longest : 0.0; /* 256: rounding must not reach 2^32 */
    pool_run(pool, tasks, items_task, job);
}

/* ---- one level of large ranges, all threads ---- */

static inline struct item *source(const struct job *job, const struct chunk *c)
{
    return job->items[job->ranges[c->range].swapped] + c->first;
}

static void bounds_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct chunk *c = &job->chunks[task];
    (void)worker;
    c->bounds = bounds_of(source(job, c), c->count);
}

static inline int bin_of(const struct item *item, const struct split *s)
{
    return (int)(((uint32_t)item->at[s->axis] - (uint32_t)s->low) >> s->shift);
}

static void histogram_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct chunk *c = &job->chunks[task];
    const struct split *s = &job->splits[c->range];
    const struct item *items = source(job, c);
    (void)worker;
    memset(c->histogram, 0, BINS * sizeof *c->histogram);
    for (int64_t i = 0; i < c->count; i++) c->histogram[bin_of(&items[i], s)]++;
}

static void scatter_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct chunk *c = &job->chunks[task];
    const struct split *s = &job->splits[c->range];
    const struct item *items = source(job, c);
    struct item *to = job->items[!job->ranges[c->range].swapped] + job->ranges[c->range].first;
    int64_t at[3] = { c->below, c->inside, c->above };
    (void)worker;
    for (int64_t i = 0; i < c->count; i++) {
        int bin = bin_of(&items[i], s), side = (bin >= s->bin) + (bin > s->bin);
        to[at[side]++] = items[i];
    }
}

static void select_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct range *r = &job->ranges[task];
    const struct split *s = &job->splits[task];
    (void)worker;
    if (r->count <= SUBTREE) return;
    r->swapped = !r->swapped;
    select_smallest(job->items[r->swapped] + r->first + s->below, s->inside, s->left - s->below, s->axis);
}

/* From the bounds of the chunks first .. end of a range: the axis, and bins over its side. */
static void choose_axis(const struct job *job, int64_t first, int64_t end, struct split *s)
{
    struct bounds b = job->chunks[first].bounds;
    for (int64_t c = first + 1; c < end; c++) {
        b.low = smaller(b.low, job->chunks[c].bounds.low);
        b.high = larger(b.high, job->chunks[c].bounds.high);
    }
    s->axis = longest_side(&b);
    s->low = b.low[s->axis];
    uint32_t side = (uint32_t)b.high[s->axis] - (uint32_t)s->low;
    s->shift = 0;
    while (side >> s->shift >= BINS) s->shift++;
}

/* From the histograms: the bin in which the left half ends, and where every chunk's items go. */
static void place_chunks(struct job *job, int64_t first, int64_t end, struct split *s)
{
    int64_t below = 0, inside = 0;
    for (s->bin = 0;; s->bin++) {
        inside = 0;
        for (int64_t c = first; c < end; c++) inside += job->chunks[c].histogram[s->bin];
        if (below + inside >= s->left) break;
        below += inside;
    }
    s->below = below;
    s->inside = inside;
    int64_t at[3] = { 0, below, below + inside };
    for (int64_t i = first; i < end; i++) {
        struct chunk *c = &job->chunks[i];
        int64_t under = 0, in = c->histogram[s->bin];
        for (int bin = 0; bin < s->bin; bin++) under += c->histogram[bin];
        c->below = at[0];
        c->inside = at[1];
        c->above = at[2];
        at[0] += under;
        at[1] += in;
        at[2] += c->count - under - in;
    }
}

/* Split every range above SUBTREE; false when there is none left. */
static bool split_level(struct job *job, struct pool *pool)
{
    int64_t level = job->n_ranges;
    job->n_chunks = 0;
    for (int64_t i = 0; i < level; i++) {
        const struct range *r = &job->ranges[i];
        if (r->count <= SUBTREE) continue;
        job->splits[i].left = left_half(r->count);
        for (int64_t at = 0; at < r->count; at += CHUNK) {
            struct chunk *c = &job->chunks[job->n_chunks];
            c->range = i;
            c->first = r->first + at;
            c->count = chunk_end(at, r->count) - at;
            c->histogram = job->histograms + job->n_chunks++ * BINS;
        }
    }
    if (job->n_chunks == 0) return false;
    pool_run(pool, job->n_chunks, bounds_task, job);
    for (int64_t first = 0, end; first < job->n_chunks; first = end) {
        for (end = first + 1; end < job->n_chunks && job->chunks[end].range == job->chunks[first].range;) end++;
        choose_axis(job, first, end, &job->splits[job->chunks[first].range]);
    }
    pool_run(pool, job->n_chunks, histogram_task, job);
    for (int64_t first = 0, end; first < job->n_chunks; first = end) {
        for (end = first + 1; end < job->n_chunks && job->chunks[end].range == job->chunks[first].range;) end++;
        place_chunks(job, first, end, &job->splits[job->chunks[first].range]);
    }
    pool_run(pool, job->n_chunks, scatter_task, job);
    pool_run(pool, level, select_task, job);
    for (int64_t i = 0; i < level; i++) {
        struct range *r = &job->ranges[i];
        int64_t left = job->splits[i].left;
        if (r->count <= SUBTREE) continue;
        job->ranges[job->n_ranges++] = (struct range){ r->first + left, r->count - left, r->swapped };
        r->count = left;
    }
    return true;
}

vic_status order_kd(int64_t n, const double (*points)[3], struct pool *pool, int32_t *order, vic_error *err)
{
    vic_status st = VIC_OK;
    struct job job = { .points = points, .n = n, .order = order, .n_ranges = 1 };
    /* A half has at least (count - TILE) / 2 > SUBTREE / 2 - TILE rows, and chunks are full but for one a range. */
    size_t ranges = (size_t)n / (SUBTREE / 2 - TILE) + 1, chunks = (size_t)n / CHUNK + ranges;
    if (n == 0) return VIC_OK;
    TRY_GOTO(mem_array((size_t)n, sizeof *job.items[0], "atoms to order", &job.items[0], err), done);
    if (n > SUBTREE) TRY_GOTO(mem_array((size_t)n, sizeof *job.items[1], "atoms to order", &job.items[1], err), done);
    TRY_GOTO(mem_array(ranges, sizeof *job.ranges, "ranges of atoms", &job.ranges, err), done);
    TRY_GOTO(mem_array(ranges, sizeof *job.splits, "ranges of atoms", &job.splits, err), done);
    TRY_GOTO(mem_array(chunks, sizeof *job.chunks, "ranges of atoms", &job.chunks, err), done);
    TRY_GOTO(mem_array(chunks, BINS * sizeof *job.histograms, "histograms", &job.histograms, err), done);
    make_items(&job, pool);
    job.ranges[0] = (struct range){ 0, n, false };
    while (split_level(&job, pool)) {
    }
    pool_run(pool, job.n_ranges, sort_task, &job);
done:
    free(job.histograms);
    free(job.chunks);
    free(job.splits);
    free(job.ranges);
    free(job.items[1]);
    free(job.items[0]);
    return st;
}
