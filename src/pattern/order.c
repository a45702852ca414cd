/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/order.h"

#include "base/memory.h"
#include "contract/pattern.h"

enum {
    LEAF = 8,          /* half a cluster: the CPU kernel's pieces are 16 rows x 8 keys */
    TILE = 4 * STRIP,  /* what one CTA works on */
    SERIAL = 1 << 12,  /* below this many points a subtree is one task */
    MAX_RANGES = 1024, /* tasks that the serial top of the tree is cut into, at most */
};

struct item {
    double at[3];
    int32_t atom;
};

struct range {
    int64_t first, count;
};

struct job {
    struct item *items;
    struct range ranges[MAX_RANGES];
    int64_t n_ranges;
    int32_t *order;
};

static inline bool before(const struct item *a, const struct item *b, int axis)
{
    return a->at[axis] < b->at[axis] || (a->at[axis] == b->at[axis] && a->atom < b->atom);
}

static inline void swap(struct item *a, struct item *b)
{
    struct item t = *a;
    *a = *b;
    *b = t;
}

/* Partition so that the first `count` items are the smallest along `axis` (quickselect; pivots are the median of
 * three pseudo-random items, so that no arrangement of input makes it quadratic by design). */
static void select_smallest(struct item *items, int64_t n, int64_t count, int axis)
{
    uint64_t state = (uint64_t)n;
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const struct item *three[3];
        struct item pivot;
        int64_t i = low, j = high, span = high - low + 1;
        for (int k = 0; k < 3; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            three[k] = &items[low + (int64_t)((state >> 33) % (uint64_t)span)];
        }
        if (before(three[1], three[0], axis)) {
            const struct item *t = three[0];
            three[0] = three[1];
            three[1] = t;
        }
        pivot = *(before(three[2], three[0], axis)   ? three[0]
                  : before(three[2], three[1], axis) ? three[2]
                                                     : three[1]);
        while (i <= j) {
            while (before(&items[i], &pivot, axis)) i++;
            while (before(&pivot, &items[j], axis)) j--;
            if (i <= j) swap(&items[i++], &items[j--]);
        }
        if (count - 1 <= j)
            high = j;
        else if (count >= i + 1)
            low = i;
        else
            return; /* the boundary lies between j and i, on the pivot */
    }
}

static int longest_side(const struct item *items, int64_t n)
{
    double low[3], high[3];
    int longest = 0;
    for (int x = 0; x < 3; x++) low[x] = high[x] = items[0].at[x];
    for (int64_t i = 1; i < n; i++) {
        for (int x = 0; x < 3; x++) {
            low[x] = items[i].at[x] < low[x] ? items[i].at[x] : low[x];
            high[x] = items[i].at[x] > high[x] ? items[i].at[x] : high[x];
        }
    }
    for (int x = 1; x < 3; x++)
        if (high[x] - low[x] > high[longest] - low[longest]) longest = x;
    return longest;
}

/* Rows of the left half: a multiple of the largest unit that fits, nearest to the middle. */
static int64_t left_half(int64_t count)
{
    int64_t unit = count > TILE ? TILE : count > STRIP ? STRIP : count > CLUSTER ? CLUSTER : LEAF;
    int64_t left = (count / 2 + unit / 2) / unit * unit;
    if (left < unit) left = unit;
    return left;
}

static int64_t split(struct item *items, int64_t count)
{
    int64_t left = left_half(count);
    select_smallest(items, count, left, longest_side(items, count));
    return left;
}

static void sort_subtree(struct item *items, int64_t count)
{
    while (count > LEAF) {
        int64_t left = split(items, count);
        sort_subtree(items, left); /* depth: log2 of count */
        items += left;
        count -= left;
    }
    if (count == 0) return;
    int axis = longest_side(items, count);
    for (int64_t i = 1; i < count; i++)
        for (int64_t j = i; j > 0 && before(&items[j], &items[j - 1], axis); j--) swap(&items[j], &items[j - 1]);
}

static void sort_task(void *context, int64_t task, int worker)
{
    struct job *job = context;
    struct range r = job->ranges[task];
    (void)worker;
    sort_subtree(job->items + r.first, r.count);
    for (int64_t i = r.first; i < r.first + r.count; i++) job->order[i] = job->items[i].atom;
}

vic_status order_kd(int64_t n, const double (*points)[3], struct pool *pool, int32_t *order, vic_error *err)
{
    vic_status st = VIC_OK;
    struct job *job = NULL;
    struct item *items = NULL;
    int64_t wanted = pool_threads(pool) > 1 ? (int64_t)8 * pool_threads(pool) : 1;
    if (wanted > MAX_RANGES / 2) wanted = MAX_RANGES / 2;
    if (n == 0) return VIC_OK;
    TRY_GOTO(mem_array(1, sizeof *job, "order", &job, err), done);
    TRY_GOTO(mem_array((size_t)n, sizeof *items, "atoms to order", &items, err), done);
    for (int64_t i = 0; i < n; i++)
        items[i] = (struct item){ { points[i][0], points[i][1], points[i][2] }, (int32_t)i };
    job->items = items;
    job->order = order;
    job->ranges[0] = (struct range){ 0, n };
    job->n_ranges = 1;
    /* The top of the tree here, one level at a time, until there is a task for everyone. */
    while (job->n_ranges < wanted && job->ranges[0].count > SERIAL) {
        int64_t level = job->n_ranges;
        for (int64_t i = 0; i < level; i++) {
            struct range *r = &job->ranges[i];
            if (r->count <= SERIAL) continue;
            int64_t left = split(items + r->first, r->count);
            job->ranges[job->n_ranges++] = (struct range){ r->first + left, r->count - left };
            r->count = left;
        }
    }
    pool_run(pool, job->n_ranges, sort_task, job);
done:
    free(items);
    free(job);
    return st;
}
