/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/assemble.h"

#include "base/memory.h"
#include "base/switches.h"
#include "pattern/pattern.h"
#include "pattern/ways.h"

#include <string.h>

enum { STRIPS_PER_TASK = 8 };

/* ---- entries ---- */

static vic_status new_entry(struct block_entries *e, int32_t cluster, int32_t image, struct block_entry **out,
                            vic_error *err)
{
    TRY(mem_grow(&e->list, &e->capacity, e->n + 1, sizeof *e->list, "blocks of a strip", err));
    *out = &e->list[e->n++];
    (*out)->cluster = cluster;
    (*out)->image = image;
    return VIC_OK;
}

vic_status entries_add(struct block_entries *e, int32_t cluster, int32_t image, const struct block_bits *bits,
                       vic_error *err)
{
    struct block_entry *entry;
    TRY(new_entry(e, cluster, image, &entry, err));
    entry->bits = *bits;
    return VIC_OK;
}

vic_status entries_add_rectangle(struct block_entries *e, uint64_t rows, int64_t first, int64_t end, vic_error *err)
{
    for (int64_t cluster = first / CLUSTER; rows && cluster * CLUSTER < end; cluster++) {
        struct block_entry *entry;
        TRY(new_entry(e, (int32_t)cluster, 0, &entry, err));
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = cluster * CLUSTER + c;
            entry->bits.key[c] = key >= first && key < end ? rows : 0;
        }
    }
    return VIC_OK;
}

static int by_cluster_and_image(const void *a, const void *b)
{
    const struct block_entry *p = a, *q = b;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    return (p->image > q->image) - (p->image < q->image);
}

struct place {
    uint64_t value;
    size_t index;
};

static int by_value(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    return (p->value > q->value) - (p->value < q->value);
}

static bool has_bit(const struct block_bits *bits)
{
    uint64_t any = 0;
    for (int c = 0; c < CLUSTER; c++) any |= bits->key[c];
    return any != 0;
}

static bool is_sorted(const struct block_entries *e)
{
    for (size_t i = 1; i < e->n; i++)
        if (by_cluster_and_image(&e->list[i - 1], &e->list[i]) > 0) return false;
    return true;
}

/* Entries are large, so places are sorted and the entries moved once. */
static vic_status sort_entries(struct block_entries *e, vic_error *err)
{
    vic_status st = VIC_OK;
    struct place *places = NULL;
    struct block_entry *sorted = NULL;
    TRY_GOTO(mem_array(e->n, sizeof *places, "blocks of a strip", &places, err), done);
    TRY_GOTO(mem_array(e->n, sizeof *sorted, "blocks of a strip", &sorted, err), done);
    for (size_t i = 0; i < e->n; i++)
        places[i] = (struct place){ (uint64_t)(uint32_t)e->list[i].cluster << 32 | (uint32_t)e->list[i].image, i };
    qsort(places, e->n, sizeof *places, by_value);
    for (size_t i = 0; i < e->n; i++) sorted[i] = e->list[places[i].index];
    memcpy(e->list, sorted, e->n * sizeof *sorted);
done:
    free(sorted);
    free(places);
    return st;
}

vic_status entries_unite(struct block_entries *e, vic_error *err)
{
    size_t kept = 0;
    if (!is_sorted(e)) TRY(sort_entries(e, err));
    for (size_t i = 0; i < e->n; i++) {
        struct block_entry *last = kept > 0 ? &e->list[kept - 1] : NULL;
        if (!has_bit(&e->list[i].bits)) continue;
        if (last && by_cluster_and_image(last, &e->list[i]) == 0)
            for (int c = 0; c < CLUSTER; c++) last->bits.key[c] |= e->list[i].bits.key[c];
        else
            e->list[kept++] = e->list[i];
    }
    e->n = kept;
    return VIC_OK;
}

/* ---- tasks ---- */

/* What one task found, for its strips in order. */
struct chunk {
    struct block_entries partial;
    size_t n_runs, run_capacity;
    struct full_run *runs;
    int64_t partial_count[STRIPS_PER_TASK], run_count[STRIPS_PER_TASK];
    int64_t pairs, full;
    vic_status status;
    vic_error error;
};

struct assembly {
    vic_pattern *p;
    strip_source *source;
    void *context;
    int64_t tasks;
    struct chunk *chunks;
    struct block_entries *scratch; /* [workers] */
    int64_t *partial_first, *run_first;
    int32_t *cluster, *image;
    struct block_bits *bits;
    struct full_run *runs;
};

static vic_status add_full(struct chunk *c, int64_t *strip_runs, const struct block_entry *entry, vic_error *err)
{
    struct full_run *last = *strip_runs > 0 ? &c->runs[c->n_runs - 1] : NULL;
    c->full++;
    if (last && last->image == entry->image && last->first + last->count == entry->cluster) {
        last->count++;
        return VIC_OK;
    }
    TRY(mem_grow(&c->runs, &c->run_capacity, c->n_runs + 1, sizeof *c->runs, "runs of full blocks", err));
    c->runs[c->n_runs++] = (struct full_run){ entry->cluster, 1, entry->image };
    ++*strip_runs;
    return VIC_OK;
}

static vic_status assemble_strip(const struct assembly *a, struct chunk *c, int64_t strip, int in_task, int worker,
                                 vic_error *err)
{
    struct block_entries *found = &a->scratch[worker];
    found->n = 0;
    TRY(a->source(a->context, strip, worker, found, err));
    TRY(entries_unite(found, err));
    for (size_t i = 0; i < found->n; i++) {
        const struct block_entry *entry = &found->list[i];
        int pairs = 0;
        for (int key = 0; key < CLUSTER; key++) pairs += __builtin_popcountll(entry->bits.key[key]);
        c->pairs += pairs;
        if (pairs == BLOCK) {
            TRY(add_full(c, &c->run_count[in_task], entry, err));
        } else {
            TRY(entries_add(&c->partial, entry->cluster, entry->image, &entry->bits, err));
            c->partial_count[in_task]++;
        }
    }
    return VIC_OK;
}

static void assemble_task(void *context, int64_t task, int worker)
{
    struct assembly *a = context;
    struct chunk *c = &a->chunks[task];
    for (int i = 0; i < STRIPS_PER_TASK && c->status == VIC_OK; i++) {
        int64_t strip = task * STRIPS_PER_TASK + i;
        if (strip < a->p->strips) c->status = assemble_strip(a, c, strip, i, worker, &c->error);
    }
}

static void chunk_free(struct chunk *c)
{
    free(c->partial.list);
    free(c->runs);
    c->partial.list = NULL;
    c->runs = NULL;
}

static void gather_task(void *context, int64_t task, int worker)
{
    struct assembly *a = context;
    struct chunk *c = &a->chunks[task];
    int64_t at = a->partial_first[task];
    (void)worker;
    for (size_t i = 0; i < c->partial.n; i++, at++) {
        a->cluster[at] = c->partial.list[i].cluster;
        a->image[at] = c->partial.list[i].image;
        a->bits[at] = c->partial.list[i].bits;
    }
    if (c->n_runs > 0) memcpy(a->runs + a->run_first[task], c->runs, c->n_runs * sizeof *c->runs);
    chunk_free(c);
}

static vic_status gather(struct assembly *a, struct pool *pool, vic_error *err)
{
    vic_pattern *p = a->p;
    int64_t *partial_ptr, *full_ptr;
    TRY(mem_array((size_t)a->tasks + 1, sizeof *a->partial_first, "tasks", &a->partial_first, err));
    TRY(mem_array((size_t)a->tasks + 1, sizeof *a->run_first, "tasks", &a->run_first, err));
    TRY(mem_array_zero((size_t)p->strips + 1, sizeof *partial_ptr, "strips", &partial_ptr, err));
    p->partial_ptr = partial_ptr;
    TRY(mem_array_zero((size_t)p->strips + 1, sizeof *full_ptr, "strips", &full_ptr, err));
    p->full_ptr = full_ptr;
    a->partial_first[0] = a->run_first[0] = 0;
    for (int64_t t = 0; t < a->tasks; t++) {
        const struct chunk *c = &a->chunks[t];
        a->partial_first[t + 1] = a->partial_first[t] + (int64_t)c->partial.n;
        a->run_first[t + 1] = a->run_first[t] + (int64_t)c->n_runs;
        p->info.pairs += c->pairs;
        p->n_full += c->full;
        for (int64_t i = 0, s = t * STRIPS_PER_TASK; i < STRIPS_PER_TASK && s < p->strips; i++, s++) {
            partial_ptr[s + 1] = partial_ptr[s] + c->partial_count[i];
            full_ptr[s + 1] = full_ptr[s] + c->run_count[i];
        }
    }
    p->n_partial = partial_ptr[p->strips];
    TRY(mem_array((size_t)p->n_partial, sizeof *a->cluster, "blocks", &a->cluster, err));
    p->partial_cluster = a->cluster;
    TRY(mem_array((size_t)p->n_partial, sizeof *a->image, "blocks", &a->image, err));
    p->partial_image = a->image;
    TRY(mem_array((size_t)p->n_partial, sizeof *a->bits, "block masks", &a->bits, err));
    p->partial_bits = a->bits;
    TRY(mem_array((size_t)full_ptr[p->strips], sizeof *a->runs, "runs of full blocks", &a->runs, err));
    p->full_runs = a->runs;
    pool_run(pool, a->tasks, gather_task, a);
    return VIC_OK;
}

vic_status assemble(vic_pattern *p, struct pool *pool, strip_source *source, void *context, vic_error *err)
{
    vic_status st = VIC_OK;
    struct assembly a = { .p = p, .source = source, .context = context };
    int workers = pool_threads(pool);
    a.tasks = (p->strips + STRIPS_PER_TASK - 1) / STRIPS_PER_TASK;
    TRY_GOTO(mem_array_zero((size_t)a.tasks, sizeof *a.chunks, "tasks", &a.chunks, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *a.scratch, "workers", &a.scratch, err), done);
    pool_run(pool, a.tasks, assemble_task, &a);
    for (int64_t t = 0; t < a.tasks; t++) {
        if (a.chunks[t].status == VIC_OK) continue;
        st = a.chunks[t].status;
        if (err) *err = a.chunks[t].error;
        goto done;
    }
    TRY_GOTO(gather(&a, pool, err), done);
done:
    free(a.partial_first);
    free(a.run_first);
    for (int w = 0; a.scratch && w < workers; w++) free(a.scratch[w].list);
    free(a.scratch);
    for (int64_t t = 0; a.chunks && t < a.tasks; t++) chunk_free(&a.chunks[t]);
    free(a.chunks);
    return st;
}

/* ---- info ---- */

static size_t rule_bytes(const vic_pattern *p, const struct pattern_rule *r)
{
    size_t bytes = sizeof *r + (size_t)r->n * sizeof *r->index;
    if (r->ptr) bytes += ((size_t)r->rows + 1) * sizeof *r->ptr;
    if (r->image) bytes += (size_t)r->n * sizeof *r->image;
    if (r->q_skip) bytes += (size_t)p->n_q;
    if (r->k_skip && r->k_skip != r->q_skip) bytes += (size_t)p->n_k;
    return bytes;
}

void pattern_fill_info(vic_pattern *p)
{
    vic_pattern_info *info = &p->info;
    size_t rows = (size_t)(p->n_q + (p->one_set ? 0 : p->n_k));
    size_t per_row = sizeof(int32_t) + (p->q_positions ? 3 * sizeof(double) : 0);
    if (p->q_wrap) per_row += 3 * sizeof(int32_t);
    info->n_q = p->n_q;
    info->n_k = p->n_k;
    info->strips = p->strips;
    info->clusters = p->clusters;
    info->blocks = p->n_partial + p->n_full;
    info->full_blocks = p->n_full;
    info->cutoff = p->cutoff;
    info->block128_grid = ((p->n_q + 127) / 128) * ((p->n_k + 127) / 128);
    info->bytes = sizeof *p + per_row * rows + (size_t)p->n_images * sizeof *p->images +
                  (size_t)p->n_partial * (2 * sizeof(int32_t) + sizeof(struct block_bits)) +
                  (size_t)p->full_ptr[p->strips] * sizeof(struct full_run) +
                  2 * (size_t)(p->strips + 1) * sizeof(int64_t);
    if (p->offsets) info->bytes += (size_t)p->structures * (sizeof *p->offsets + sizeof *p->cells);
    for (int64_t r = 0; r < p->n_rules; r++) info->bytes += rule_bytes(p, &p->rules[r]);
    log_line("pattern",
             "%s of %lld queries and %lld keys: %lld pairs, %lld blocks (%lld full), %lld image%s, %zu bytes",
             pattern_kind(p), (long long)p->n_q, (long long)p->n_k, (long long)info->pairs, (long long)info->blocks,
             (long long)info->full_blocks, (long long)p->n_images, p->n_images == 1 ? "" : "s", info->bytes);
}

vic_status pattern_finish(vic_pattern *p, struct pool *pool, vic_error *err)
{
    pattern_fill_info(p);
    return pattern_statistics(p, pool, err);
}
