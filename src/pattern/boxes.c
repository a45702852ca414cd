/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/boxes.h"

#include "base/memory.h"
#include "contract/pattern.h"

#include <math.h>
#include <string.h>

enum { FAN_OUT = 4 };

static float round_down(double x)
{
    float f = (float)x;
    return (double)f > x ? nextafterf(f, -INFINITY) : f;
}

static float round_up(double x)
{
    float f = (float)x;
    return (double)f < x ? nextafterf(f, INFINITY) : f;
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

vic_status box_tree_make(const double (*points)[3], int64_t n, struct box_tree *out, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t count = (n + CLUSTER - 1) / CLUSTER;
    memset(out, 0, sizeof *out);
    while (count > 0) {
        struct box *level;
        int l = out->levels;
        TRY_GOTO(mem_array((size_t)count, sizeof *level, "boxes", &out->box[l], err), fail);
        out->count[l] = count;
        out->levels++;
        level = out->box[l];
        for (int64_t i = 0; i < count; i++) {
            if (l == 0) {
                int64_t first = i * CLUSTER;
                level[i] = box_of_points(points + first, n - first < CLUSTER ? n - first : CLUSTER);
                continue;
            }
            const struct box *below = out->box[l - 1];
            int64_t end = (i + 1) * FAN_OUT < out->count[l - 1] ? (i + 1) * FAN_OUT : out->count[l - 1];
            level[i] = below[i * FAN_OUT];
            for (int64_t c = i * FAN_OUT + 1; c < end; c++) {
                for (int x = 0; x < 3; x++) {
                    level[i].low[x] = fminf(level[i].low[x], below[c].low[x]);
                    level[i].high[x] = fmaxf(level[i].high[x], below[c].high[x]);
                }
            }
        }
        if (count == 1) break;
        count = (count + FAN_OUT - 1) / FAN_OUT; /* 2^31 rows need 15 levels */
    }
    return VIC_OK;
fail:
    box_tree_free(out);
    return st;
}

void box_tree_free(struct box_tree *tree)
{
    for (int l = 0; l < tree->levels; l++) free(tree->box[l]);
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
