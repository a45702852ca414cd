/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/boxes.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { FAN_OUT = 4 };

/* A conversion to float is off by half a unit in the last place at most; 2^-23 of the value is one at least, and the
 * constant is for values too small to have one. */
static inline float round_down(double x)
{
    float f = (float)x;
    return f - (fabsf(f) * 0x1p-23f + 1e-37f);
}

static inline float round_up(double x)
{
    float f = (float)x;
    return f + (fabsf(f) * 0x1p-23f + 1e-37f);
}

struct box box_of_points(const double (*points)[3], int64_t n)
{
    struct box b;
    for (int x = 0; x < 3; x++) {
        double low = points[0][x], high = points[0][x];
        for (int64_t i = 1; i < n; i++) {
            low = points[i][x] < low ? points[i][x] : low;
            high = points[i][x] > high ? points[i][x] : high;
        }
        b.low[x] = round_down(low);
        b.high[x] = round_up(high);
    }
    return b;
}

struct box box_shifted(const struct box *b, const double shift[3])
{
    struct box moved;
    for (int x = 0; x < 3; x++) {
        moved.low[x] = round_down((double)b->low[x] + shift[x]);
        moved.high[x] = round_up((double)b->high[x] + shift[x]);
    }
    return moved;
}

struct box4 box4_shifted(const struct box4 *b, const double shift[3])
{
    struct box4 moved;
    for (int x = 0; x < 3; x++) {
        for (int i = 0; i < 4; i++) {
            moved.low[x][i] = round_down((double)b->low[x][i] + shift[x]);
            moved.high[x][i] = round_up((double)b->high[x][i] + shift[x]);
        }
    }
    return moved;
}

void box_join(struct box *b, const struct box *other)
{
    for (int x = 0; x < 3; x++) {
        b->low[x] = other->low[x] < b->low[x] ? other->low[x] : b->low[x];
        b->high[x] = other->high[x] > b->high[x] ? other->high[x] : b->high[x];
    }
}

struct box box_nowhere(void)
{
    const float far = 3e18f; /* beyond every position and cutoff; squares of differences are finite */
    return (struct box){ { far, far, far }, { far, far, far } };
}

void box4_set(struct box4 *b, int lane, const struct box *box)
{
    for (int x = 0; x < 3; x++) {
        b->low[x][lane] = box->low[x];
        b->high[x][lane] = box->high[x];
    }
}

vic_status box_tree_make(struct box *boxes, int64_t n, struct box_tree *out, vic_error *err)
{
    vic_status st = VIC_OK;
    memset(out, 0, sizeof *out);
    out->box[0] = boxes;
    out->count[0] = n;
    if (n == 0) return VIC_OK;
    out->levels = 1;
    while (n > 1) { /* 2^31 rows need 14 levels */
        const struct box *below = out->box[out->levels - 1];
        struct box *level;
        int64_t end = n;
        n = (n + FAN_OUT - 1) / FAN_OUT;
        TRY_GOTO(mem_array((size_t)n, sizeof *level, "boxes", &level, err), fail);
        for (int64_t i = 0; i < end; i++) {
            if (i % FAN_OUT == 0)
                level[i / FAN_OUT] = below[i];
            else
                box_join(&level[i / FAN_OUT], &below[i]);
        }
        out->box[out->levels] = level;
        out->count[out->levels++] = n;
    }
    return VIC_OK;
fail:
    box_tree_free(out);
    return st;
}

void box_tree_free(struct box_tree *tree)
{
    for (int l = 0; l < BOX_LEVELS; l++) free(tree->box[l]);
    memset(tree, 0, sizeof *tree);
}

static inline float gap2(const struct box *a, const struct box *b)
{
    float sum = 0.0f;
    for (int x = 0; x < 3; x++) {
        float above = b->low[x] - a->high[x], under = a->low[x] - b->high[x];
        float gap = above > under ? above : under;
        gap = gap > 0.0f ? gap : 0.0f;
        sum += gap * gap;
    }
    return sum;
}

struct search {
    const struct box_tree *tree;
    const struct box *query;
    float limit2;
    int32_t *out;
    int64_t n;
};

static void visit(struct search *s, int level, int64_t first, int64_t end)
{
    const struct box *boxes = s->tree->box[level];
    for (int64_t i = first; i < end; i++) {
        if (gap2(s->query, &boxes[i]) > s->limit2) continue;
        if (level == 0) {
            s->out[s->n++] = (int32_t)i;
        } else {
            int64_t below = s->tree->count[level - 1], last = (i + 1) * FAN_OUT;
            visit(s, level - 1, i * FAN_OUT, last < below ? last : below);
        }
    }
}

void box_tree_near(const struct box_tree *tree, const struct box *query, float reach, int32_t *out, int64_t *n)
{
    struct search s = { tree, query, reach * reach, out, *n };
    if (tree->levels > 0) visit(&s, tree->levels - 1, 0, 1);
    *n = s.n;
}
