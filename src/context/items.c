/* SPDX-License-Identifier: Apache-2.0 */
/* Items of attention: several problems at unrelated addresses.  What is written must not overlap anything, and that is
 * checked in O(n log n): ranges that are written are sorted, and every other one is looked up among them. */
#include "base/dtype.h"
#include "base/memory.h"
#include "base/overlap.h"
#include "context/context.h"

#include <stdio.h>
#include <stdlib.h>

enum { TENSORS = 5, OUT = 3, FEW = 64, MOST_ITEMS = 65536, MOST_COMPARED = 1 << 18 };

static const char *const names[TENSORS] = { "q", "k", "v", "out", "lse" };

static void *address_of(const vic_attention_item *item, int tensor)
{
    void *const all[] = { item->q, item->k, item->v, item->out, item->lse };
    return all[tensor];
}

/* The bytes from `begin` to `end` of which tensor number `tensor` of item `item` writes some. */
struct written {
    uintptr_t begin, end, reach; /* reach: the largest end of this one and of all before it */
    int32_t item, tensor;
};

struct check {
    const vic_attention_args *a;
    vic_tensor tensors[TENSORS];            /* shape and strides */
    int64_t before[TENSORS], size[TENSORS]; /* bytes that are reached before the first element, and in all */
    struct written *written;
    int64_t n, compared;
};

static int by_begin(const void *a, const void *b)
{
    const struct written *p = a, *q = b;
    return (p->begin > q->begin) - (p->begin < q->begin);
}

/* Sets *before and *size to the bytes that a tensor reaches before its first element, and to those of its whole span;
 * 0 without elements. */
static void find_span(const vic_tensor *t, int64_t *before, int64_t *size)
{
    int64_t element = (int64_t)vic_dtype_size(t->dtype), behind = element;
    *before = *size = 0;
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach = (t->shape[i] - 1) * t->stride[i] * element;
        if (t->shape[i] == 0) return;
        *(reach < 0 ? before : &behind) += reach < 0 ? -reach : reach;
    }
    *size = *before + behind;
}

static vic_status check_addresses(const vic_attention_args *a, int64_t item, bool lse, const bool needed[TENSORS],
                                  vic_error *err)
{
    const long long at = (long long)item;
    if ((a->items[item].lse != NULL) != lse)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "items[%lld].lse is %s, but items[0].lse is %s: give lse in all items, or in none", at,
                        lse ? "NULL" : "given", lse ? "given" : "NULL");
    for (int t = 0; t < TENSORS; t++) {
        const void *address = address_of(&a->items[item], t);
        size_t size = t == TENSORS - 1 ? sizeof(float) : vic_dtype_size(a->q.dtype);
        if (!needed[t] || (t == TENSORS - 1 && !lse)) continue;
        if (!address || (uintptr_t)address % size != 0)
            return vic_fail(err, VIC_BAD_ARGUMENT, "items[%lld].%s is %s", at, names[t],
                            address ? "not aligned to its type" : "NULL");
    }
    return VIC_OK;
}

static vic_tensor tensor_of(const struct check *c, int64_t item, int tensor)
{
    vic_tensor t = c->tensors[tensor];
    t.data = address_of(&c->a->items[item], tensor);
    return t;
}

/* Two tensors whose spans meet: do elements? */
static vic_status compare(struct check *c, const struct written *w, const vic_tensor *other, const char *other_name,
                          int64_t other_item, vic_error *err)
{
    const vic_tensor t = tensor_of(c, w->item, w->tensor);
    char whose[64] = "";
    if (++c->compared > MOST_COMPARED)
        return vic_fail(
            err, VIC_BAD_ARGUMENT,
            "items: too many of them interleave in memory to be told apart; give them in several calls, or "
            "as a batch");
    if (!tensors_overlap(&t, other)) return VIC_OK;
    if (other_item >= 0) snprintf(whose, sizeof whose, "items[%lld].", (long long)other_item);
    return vic_fail(err, VIC_BAD_ARGUMENT, "items[%d].%s overlaps %s%s in memory: give it memory of its own", w->item,
                    names[w->tensor], whose, other_name);
}

/* How many of the ranges begin before `end`. */
static int64_t begun(const struct check *c, uintptr_t end)
{
    int64_t low = 0, high = c->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (c->written[middle].begin < end)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Compares the span from `begin` to `end` of `other` with all that is written before range `limit` of the sorted ones.
 */
static vic_status look_up(struct check *c, uintptr_t begin, uintptr_t end, int64_t limit, const vic_tensor *other,
                          const char *other_name, int64_t other_item, vic_error *err)
{
    int64_t at = limit >= 0 ? limit : begun(c, end);
    while (at-- > 0 && c->written[at].reach > begin)
        if (c->written[at].end > begin) TRY(compare(c, &c->written[at], other, other_name, other_item, err));
    return VIC_OK;
}

static vic_status check_apart(struct check *c, bool lse, vic_error *err)
{
    uintptr_t reach = 0;
    for (int64_t i = 0; i < c->a->n_items; i++)
        for (int t = OUT; t < TENSORS - !lse; t++) {
            uintptr_t begin = (uintptr_t)address_of(&c->a->items[i], t) - (uintptr_t)c->before[t];
            if (c->size[t] == 0) continue;
            c->written[c->n++] = (struct written){ begin, begin + (uintptr_t)c->size[t], 0, (int32_t)i, t };
        }
    qsort(c->written, (size_t)c->n, sizeof *c->written, by_begin);
    for (int64_t i = 0; i < c->n; i++) {
        struct written *w = &c->written[i];
        const vic_tensor t = tensor_of(c, w->item, w->tensor);
        TRY(look_up(c, w->begin, w->end, i, &t, names[w->tensor], w->item, err));
        if (w->end > reach) reach = w->end;
        w->reach = reach;
    }
    for (int64_t i = 0; i < c->a->n_items; i++)
        for (int t = 0; t < OUT; t++) {
            const vic_tensor read = tensor_of(c, i, t);
            uintptr_t begin = (uintptr_t)read.data - (uintptr_t)c->before[t];
            if (c->size[t] > 0) TRY(look_up(c, begin, begin + (uintptr_t)c->size[t], -1, &read, names[t], i, err));
        }
    const vic_tensor *const shared[] = { &c->a->bias, &c->a->pair_bias };
    for (int t = 0; t < 2; t++) {
        int64_t before, size;
        if (!shared[t]->data) continue;
        find_span(shared[t], &before, &size);
        uintptr_t begin = (uintptr_t)shared[t]->data - (uintptr_t)before;
        TRY(look_up(c, begin, begin + (uintptr_t)size, -1, shared[t], t ? "pair_bias" : "bias", -1, err));
    }
    return VIC_OK;
}

vic_status context_check_items(const vic_attention_args *a, vic_error *err)
{
    struct written few[2 * FEW];
    struct check c = { .a = a, .tensors = { a->q, a->k, a->v, a->out, a->lse }, .written = few };
    const bool lse = a->lse.data != NULL; /* the first item's */
    bool needed[TENSORS];
    vic_status st = VIC_OK;
    if (!a->items) return VIC_OK;
    for (int t = 0; t < TENSORS; t++) {
        if (t < TENSORS - 1 || lse) find_span(&c.tensors[t], &c.before[t], &c.size[t]);
        needed[t] = c.size[t] > 0;
    }
    for (int64_t i = 0; i < a->n_items; i++) TRY(check_addresses(a, i, lse, needed, err));
    if (a->n_items > FEW) TRY(mem_array((size_t)a->n_items, 2 * sizeof *c.written, "items", &c.written, err));
    TRY_GOTO(check_apart(&c, lse, err), done);
done:
    if (c.written != few) free(c.written);
    return st;
}

vic_status context_take_items(vic_attention_args *a, vic_error *err)
{
    vic_tensor *const tensors[TENSORS] = { &a->q, &a->k, &a->v, &a->out, &a->lse };
    if (!a->items && a->n_items == 0) return VIC_OK;
    if (!a->items)
        return vic_fail(err, VIC_BAD_ARGUMENT, "n_items is %lld, but items is NULL", (long long)a->n_items);
    if (a->n_items < 1 || a->n_items > MOST_ITEMS)
        return vic_fail(err, VIC_BAD_ARGUMENT, "n_items: expected 1 to %d, got %lld", (int)MOST_ITEMS,
                        (long long)a->n_items);
    for (int t = 0; t < TENSORS; t++) {
        tensors[t]->data = address_of(&a->items[0], t);
        if (tensors[t]->data && tensors[t]->ndim == (t == TENSORS - 1 ? 3 : 4))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "tensor %s has a batch dimension, and there are items: each item is one problem, whose "
                            "tensors have %d dimensions",
                            names[t], tensors[t]->ndim - 1);
    }
    return VIC_OK;
}
