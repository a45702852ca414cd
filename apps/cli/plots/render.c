/* SPDX-License-Identifier: Apache-2.0 */
#include "plots/render.h"

#include "parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each pixel of the picture is SAMPLES x SAMPLES of the drawing; shadows are looked up on a map COARSE times coarser
 * than the drawing. */
enum { SAMPLES = 2, COARSE = 4 };

struct drawing {
    const struct scene *scene;
    int width, height; /* samples */
    float scale;       /* samples per A */
    float nearest, farthest;
    float *depth;  /* z in A; -inf where there is nothing */
    int32_t *hit;  /* which sphere */
    int cw, ch;    /* the coarse maps */
    float *narrow; /* mean depth of the surroundings, some angstrom wide */
    float *wide;   /* and some tens of angstrom */
    struct picture *out;
};

/* ---- depth ---- */

static void draw_band(void *context, int64_t first, int64_t last)
{
    const struct drawing *d = context;
    for (int64_t i = first * d->width; i < last * d->width; i++) {
        d->depth[i] = -HUGE_VALF;
        d->hit[i] = -1;
    }
    for (int64_t n = 0; n < d->scene->count; n++) {
        const struct sphere *s = &d->scene->spheres[n];
        float cx = 0.5f * (float)d->width + s->x * d->scale, cy = 0.5f * (float)d->height - s->y * d->scale;
        float r = fmaxf(s->radius * d->scale, 0.75f); /* never so small that it falls between samples */
        int64_t y0 = (int64_t)ceilf(cy - r - 0.5f), y1 = (int64_t)floorf(cy + r - 0.5f);
        if (y0 < first) y0 = first;
        if (y1 >= last) y1 = last - 1;
        for (int64_t y = y0; y <= y1; y++) {
            float dy = (float)y + 0.5f - cy, half = r * r - dy * dy;
            int64_t x0, x1;
            if (half <= 0.0f) continue;
            half = sqrtf(half);
            x0 = (int64_t)ceilf(cx - half - 0.5f);
            x1 = (int64_t)floorf(cx + half - 0.5f);
            if (x0 < 0) x0 = 0;
            if (x1 >= d->width) x1 = d->width - 1;
            for (int64_t x = x0; x <= x1; x++) {
                float dx = (float)x + 0.5f - cx, z2 = r * r - dx * dx - dy * dy;
                float z = s->z + (z2 > 0.0f ? sqrtf(z2) / d->scale : 0.0f);
                if (z > d->depth[y * d->width + x]) {
                    d->depth[y * d->width + x] = z;
                    d->hit[y * d->width + x] = (int32_t)n;
                }
            }
        }
    }
}

/* ---- surroundings: the mean depth around a sample says whether it lies in a hollow ---- */

/* A box mean of half-width `reach` over `n` values at distance `step`; three of them are nearly a Gaussian. */
static void box_mean(float *values, float *line, int n, int step, int reach)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) line[i] = values[(int64_t)i * step];
    for (int i = -reach; i <= reach; i++) sum += (double)line[i < 0 ? 0 : i >= n ? n - 1 : i];
    for (int i = 0; i < n; i++) {
        int leaves = i - reach, enters = i + reach + 1;
        values[(int64_t)i * step] = (float)(sum / (2 * reach + 1));
        sum += (double)line[enters >= n ? n - 1 : enters] - (double)line[leaves < 0 ? 0 : leaves];
    }
}

static void blur(float *map, float *line, int width, int height, int reach)
{
    for (int pass = 0; pass < 3; pass++) {
        for (int y = 0; y < height; y++) box_mean(map + (int64_t)y * width, line, width, 1, reach);
        for (int x = 0; x < width; x++) box_mean(map + x, line, height, width, reach);
    }
}

static void find_range(struct drawing *d)
{
    d->nearest = -HUGE_VALF;
    d->farthest = HUGE_VALF;
    for (int64_t i = 0; i < (int64_t)d->width * d->height; i++) {
        if (d->hit[i] < 0) continue;
        d->nearest = fmaxf(d->nearest, d->depth[i]);
        d->farthest = fminf(d->farthest, d->depth[i]);
    }
}

static vic_status map_surroundings(struct drawing *d, vic_error *err)
{
    float *line = NULL;
    int longer = d->cw > d->ch ? d->cw : d->ch;
    float per_angstrom = d->scale / COARSE;
    int narrow = (int)lroundf(1.6f * per_angstrom), wide = (int)lroundf(6.0f * per_angstrom);
    TRY(allocate(longer, sizeof *line, "the shadows of a picture", &line, err));
    for (int y = 0; y < d->ch; y++) {
        for (int x = 0; x < d->cw; x++) {
            float sum = 0.0f;
            for (int k = 0; k < COARSE * COARSE; k++) {
                int64_t at = (int64_t)(y * COARSE + k / COARSE) * d->width + x * COARSE + k % COARSE;
                sum += d->hit[at] < 0 ? d->farthest : d->depth[at];
            }
            d->narrow[(int64_t)y * d->cw + x] = sum / (COARSE * COARSE);
        }
    }
    memcpy(d->wide, d->narrow, (size_t)d->cw * (size_t)d->ch * sizeof *d->wide);
    blur(d->narrow, line, d->cw, d->ch, narrow < 1 ? 1 : narrow > 40 ? 40 : narrow);
    blur(d->wide, line, d->cw, d->ch, wide < 3 ? 3 : wide > longer / 8 + 1 ? longer / 8 + 1 : wide);
    free(line);
    return VIC_OK;
}

static float bilinear(const float *map, int width, int height, float x, float y)
{
    float fx = fminf(fmaxf(x, 0.0f), (float)(width - 1)), fy = fminf(fmaxf(y, 0.0f), (float)(height - 1));
    int x0 = (int)fx, y0 = (int)fy, x1 = x0 + 1 < width ? x0 + 1 : x0, y1 = y0 + 1 < height ? y0 + 1 : y0;
    float ax = fx - (float)x0, ay = fy - (float)y0;
    const float *top = map + (int64_t)y0 * width, *bottom = map + (int64_t)y1 * width;
    return (top[x0] * (1 - ax) + top[x1] * ax) * (1 - ay) + (bottom[x0] * (1 - ax) + bottom[x1] * ax) * ay;
}

/* ---- light ---- */

static float clamped(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

/* How much a sample is an outline: something lies far behind one of its neighbours. */
static float outline(const struct drawing *d, int x, int y)
{
    static const int steps[4][2] = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } };
    float here = d->depth[(int64_t)y * d->width + x], most = 0.0f;
    for (int k = 0; k < 4; k++) {
        int nx = x + steps[k][0] * SAMPLES, ny = y + steps[k][1] * SAMPLES;
        float there = d->farthest - 4.0f;
        if (nx >= 0 && ny >= 0 && nx < d->width && ny < d->height && d->hit[(int64_t)ny * d->width + nx] >= 0)
            there = d->depth[(int64_t)ny * d->width + nx];
        most = fmaxf(most, here - there);
    }
    return clamped((most - 0.9f) / 3.5f);
}

/* Linear light of one sample, [0, 1] a channel. */
static void shade(const struct drawing *d, int x, int y, float out[3])
{
    static const float light[3] = { -0.37f, 0.51f, 0.776f }, middle[3] = { -0.196f, 0.270f, 0.942f };
    int64_t at = (int64_t)y * d->width + x;
    const struct sphere *s;
    float n[3], r, z, level, gleam, hollow, fog, edge;
    if (d->hit[at] < 0) {
        out[0] = out[1] = out[2] = 1.0f;
        return;
    }
    s = &d->scene->spheres[d->hit[at]];
    z = d->depth[at];
    r = fmaxf(s->radius * d->scale, 0.75f);
    n[0] = ((float)x + 0.5f - 0.5f * (float)d->width - s->x * d->scale) / r;
    n[1] = -((float)y + 0.5f - 0.5f * (float)d->height + s->y * d->scale) / r;
    n[2] = sqrtf(fmaxf(0.0f, 1.0f - n[0] * n[0] - n[1] * n[1]));
    level = n[0] * light[0] + n[1] * light[1] + n[2] * light[2];
    level = 0.5f * level + 0.5f; /* wrapped round, so that no side is black */
    level = 0.34f + 0.74f * level * level;
    gleam = fmaxf(0.0f, n[0] * middle[0] + n[1] * middle[1] + n[2] * middle[2]);
    gleam *= gleam;
    gleam *= gleam;
    gleam *= gleam;
    gleam = 0.10f * gleam * gleam; /* ^16 */
    {
        float cx = ((float)x + 0.5f) / COARSE - 0.5f, cy = ((float)y + 0.5f) / COARSE - 0.5f;
        float near_hollow = bilinear(d->narrow, d->cw, d->ch, cx, cy) - z;
        float far_hollow = bilinear(d->wide, d->cw, d->ch, cx, cy) - z;
        hollow = (1.0f - 0.55f * clamped(near_hollow / 4.0f)) * (1.0f - 0.45f * clamped(far_hollow / 14.0f));
    }
    edge = 1.0f - 0.7f * outline(d, x, y);
    fog = d->nearest > d->farthest ? 0.20f * (d->nearest - z) / (d->nearest - d->farthest) : 0.0f;
    for (int k = 0; k < 3; k++) {
        const uint8_t channel = k == 0 ? s->colour.r : k == 1 ? s->colour.g : s->colour.b;
        float c = (float)channel / 255.0f;
        c = c * c * level * hollow + gleam * hollow; /* squared: close enough to linear light */
        out[k] = clamped((c + (1.0f - c) * fog * 0.55f) * edge);
    }
}

/* 86 levels: no eye sees the steps on a sphere, and the picture takes a third less room than with 256. */
static uint8_t level_of(float light)
{
    return (uint8_t)(3 * lroundf(85.0f * sqrtf(light)));
}

static void shade_band(void *context, int64_t first, int64_t last)
{
    const struct drawing *d = context;
    for (int y = (int)first; y < (int)last; y++) {
        for (int x = 0; x < d->out->width; x++) {
            float sum[3] = { 0, 0, 0 };
            uint8_t mean[3];
            for (int k = 0; k < SAMPLES * SAMPLES; k++) {
                float one[3];
                shade(d, x * SAMPLES + k % SAMPLES, y * SAMPLES + k / SAMPLES, one);
                for (int c = 0; c < 3; c++) sum[c] += one[c];
            }
            for (int c = 0; c < 3; c++) mean[c] = level_of(sum[c] / (SAMPLES * SAMPLES));
            d->out->pixels[(int64_t)y * d->out->width + x] = (struct colour){ mean[0], mean[1], mean[2] };
        }
    }
}

vic_status scene_render(const struct scene *s, int width, int height, int threads, struct picture *out,
                        vic_error *err)
{
    const struct colour white = { 255, 255, 255 };
    struct drawing d = { .scene = s, .out = out };
    int64_t samples;
    vic_status st;
    /* Whole cells of the coarse map. */
    d.width = width * SAMPLES / COARSE * COARSE;
    d.height = height * SAMPLES / COARSE * COARSE;
    TRY(picture_make(out, d.width / SAMPLES, d.height / SAMPLES, white, err));
    if (s->count == 0) return VIC_OK;
    samples = (int64_t)d.width * d.height;
    d.cw = d.width / COARSE;
    d.ch = d.height / COARSE;
    d.scale = (float)(0.98 * fmin(d.width / s->width, d.height / s->height));
    TRY_GOTO(allocate(samples, sizeof *d.depth, "the depths of a picture", &d.depth, err), done);
    TRY_GOTO(allocate(samples, sizeof *d.hit, "the depths of a picture", &d.hit, err), done);
    TRY_GOTO(allocate((int64_t)d.cw * d.ch, sizeof *d.narrow, "the shadows of a picture", &d.narrow, err), done);
    TRY_GOTO(allocate((int64_t)d.cw * d.ch, sizeof *d.wide, "the shadows of a picture", &d.wide, err), done);
    parallel_for(threads, d.height, draw_band, &d);
    find_range(&d);
    TRY_GOTO(map_surroundings(&d, err), done);
    parallel_for(threads, out->height, shade_band, &d);
done:
    if (st != VIC_OK) picture_free(out);
    free(d.wide);
    free(d.narrow);
    free(d.hit);
    free(d.depth);
    return st;
}
