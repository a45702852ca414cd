/* SPDX-License-Identifier: Apache-2.0 */
#include "numbers.h"
#include "plots.h"
#include "render.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>

enum {
    WIDTH = 1320,
    PANEL = 580,
    TOP = 104,
    MATRIX = 540,
    MATRIX_X = 740,
    SHARPNESS = 2,
    STRIP_ROWS = 64,
    CLUSTER_ROWS = 16
};

/* A tone for a share of the possible pairs: steeper than linear, so that blocks of a few pairs show, but with room
 * for differences between well-filled ones. */
static double share_tone(double share)
{
    return 0.1 + 0.9 * pow(share, 0.4);
}

/* ---- left: the structure, coloured by row ---- */

static vic_status draw_structure(struct svg *svg, const struct pattern_plot *p, int64_t strips, vic_error *err)
{
    const int32_t *order = vic_pattern_query_order(p->pattern);
    const double bar = 320.0;
    struct scene scene;
    struct picture picture;
    double height;
    vic_status st;
    TRY(scene_make(p->view, &scene, err));
    for (int64_t row = 0; row < p->view->atoms; row++) {
        double place = ((double)(row / STRIP_ROWS) + 0.5) / (double)strips;
        scene.spheres[order[row]].colour = colormap_at(MAP_TURBO, place);
    }
    height = floor(fmin(fmax(PANEL * scene.height / scene.width, 200), MATRIX));
    st = scene_render(&scene, SHARPNESS * PANEL, (int)(SHARPNESS * height), p->threads, &picture, err);
    scene_free(&scene);
    if (st != VIC_OK) return st;
    st = svg_image(svg, 28, TOP + (MATRIX - height) / 2, PANEL, height, &picture, false, err);
    picture_free(&picture);
    if (st != VIC_OK) return st;
    svg_text(svg, 28 + PANEL / 2.0, TOP - 8, 15, ANCHOR_MIDDLE, svg_ink, true, "atoms, coloured by strip");
    return svg_colour_bar(svg, 28 + (PANEL - bar) / 2, TOP + MATRIX + 26, bar, 12, MAP_TURBO, 0.0, (double)strips,
                          true, "strip (64 consecutive rows)", err);
}

/* ---- right: the matrix ---- */

struct matrix {
    int size;      /* pixels a side */
    double *pairs; /* [size, size] in each pixel */
    double *full;  /* [size, size] of these, in full blocks */
    double rows;   /* atoms a side */
};

/* Spread the pairs of a block evenly over the pixels that it covers. */
static void matrix_add(struct matrix *m, int64_t strip, int64_t cluster, double pairs, bool full)
{
    double unit = m->size / m->rows;
    double y0 = (double)strip * STRIP_ROWS * unit, x0 = (double)cluster * CLUSTER_ROWS * unit;
    double y1 = fmin(y0 + STRIP_ROWS * unit, m->size), x1 = fmin(x0 + CLUSTER_ROWS * unit, m->size);
    double density = pairs / ((y1 - y0) * (x1 - x0));
    for (int y = (int)y0; y < m->size && y < y1; y++) {
        double tall = fmin(y + 1, y1) - fmax(y, y0);
        for (int x = (int)x0; x < m->size && x < x1; x++) {
            double share = density * tall * (fmin(x + 1, x1) - fmax(x, x0));
            m->pairs[(int64_t)y * m->size + x] += share;
            if (full) m->full[(int64_t)y * m->size + x] += share;
        }
    }
}

static vic_status matrix_fill(struct matrix *m, const vic_pattern *pattern, vic_error *err)
{
    vic_pattern_info info = vic_pattern_get(pattern);
    int32_t *strip = NULL, *cluster = NULL, *pairs = NULL;
    vic_status st;
    TRY_GOTO(allocate(info.blocks, sizeof *strip, "the blocks of a picture", &strip, err), done);
    TRY_GOTO(allocate(info.blocks, sizeof *cluster, "the blocks of a picture", &cluster, err), done);
    TRY_GOTO(allocate(info.blocks, sizeof *pairs, "the blocks of a picture", &pairs, err), done);
    TRY_GOTO(vic_pattern_blocks(pattern, strip, cluster, pairs, err), done);
    for (int64_t b = 0; b < info.blocks; b++)
        matrix_add(m, strip[b], cluster[b], (double)pairs[b], pairs[b] == STRIP_ROWS * CLUSTER_ROWS);
done:
    free(pairs);
    free(cluster);
    free(strip);
    return st;
}

static vic_status matrix_picture(const struct matrix *m, struct picture *out, vic_error *err)
{
    const struct colour paper = { 0xf7, 0xf8, 0xfa }, full = { 0xe4, 0x57, 0x2e };
    double possible = m->rows / m->size * (m->rows / m->size);
    TRY(picture_make(out, m->size, m->size, paper, err));
    for (int64_t i = 0; i < (int64_t)m->size * m->size; i++) {
        struct colour c;
        double f, share;
        if (m->pairs[i] <= 0.0) continue;
        share = fmin(m->pairs[i] / possible, 1.0);
        c = colormap_at(MAP_BLUES, share_tone(share));
        f = m->full[i] / m->pairs[i];
        c.r = (uint8_t)lround(c.r + f * (full.r - c.r));
        c.g = (uint8_t)lround(c.g + f * (full.g - c.g));
        c.b = (uint8_t)lround(c.b + f * (full.b - c.b));
        out->pixels[i] = c;
    }
    return VIC_OK;
}

static vic_status draw_matrix(struct svg *svg, const struct pattern_plot *p, vic_error *err)
{
    struct matrix m = { .size = SHARPNESS * MATRIX, .rows = (double)p->view->atoms };
    struct picture picture;
    vic_status st;
    TRY_GOTO(allocate((int64_t)m.size * m.size, sizeof *m.pairs, "the matrix of a picture", &m.pairs, err), done);
    TRY_GOTO(allocate((int64_t)m.size * m.size, sizeof *m.full, "the matrix of a picture", &m.full, err), done);
    TRY_GOTO(matrix_fill(&m, p->pattern, err), done);
    TRY_GOTO(matrix_picture(&m, &picture, err), done);
    st = svg_image(svg, MATRIX_X, TOP, MATRIX, MATRIX, &picture, false, err);
    picture_free(&picture);
done:
    free(m.full);
    free(m.pairs);
    return st;
}

/* The colours of the strips along both edges tie the matrix to the structure; ticks count rows. */
static vic_status draw_edges(struct svg *svg, double rows, vic_error *err)
{
    enum { STEPS = 256, EDGE = 9 };
    struct ticks t = ticks_make(0.0, rows, 5, true);
    struct picture across, down;
    vic_status st;
    TRY(picture_make(&across, STEPS, 1, (struct colour){ 0, 0, 0 }, err));
    for (int i = 0; i < STEPS; i++) across.pixels[i] = colormap_at(MAP_TURBO, (i + 0.5) / STEPS);
    down = (struct picture){ 1, STEPS, across.pixels };
    st = svg_image(svg, MATRIX_X, TOP - EDGE - 3, MATRIX, EDGE, &across, false, err);
    if (st == VIC_OK) st = svg_image(svg, MATRIX_X - EDGE - 3, TOP, EDGE, MATRIX, &down, false, err);
    picture_free(&across);
    if (st != VIC_OK) return st;
    svg_frame(svg, MATRIX_X, TOP, MATRIX, MATRIX, svg_faint);
    for (int i = 0; i < t.count; i++) {
        double at = MATRIX * i * t.step / rows;
        svg_line(svg, MATRIX_X + at, TOP + MATRIX, MATRIX_X + at, TOP + MATRIX + 4, svg_grey, 1);
        svg_text(svg, MATRIX_X + at, TOP + MATRIX + 17, 12, ANCHOR_MIDDLE, svg_grey, false, "%s",
                 fixed_text(i * t.step, t.decimals).s);
        svg_line(svg, MATRIX_X - EDGE - 7, TOP + at, MATRIX_X - EDGE - 3, TOP + at, svg_grey, 1);
        svg_text(svg, MATRIX_X - EDGE - 11, TOP + at + 4, 12, ANCHOR_END, svg_grey, false, "%s",
                 fixed_text(i * t.step, t.decimals).s);
    }
    svg_text_up(svg, MATRIX_X - 74, TOP + MATRIX / 2.0, 13, svg_ink, "query rows (strips of 64)");
    svg_text(svg, MATRIX_X + MATRIX / 2.0, TOP + MATRIX + 36, 13, ANCHOR_MIDDLE, svg_ink, false,
             "key rows (clusters of 16)");
    return VIC_OK;
}

static vic_status draw_scale(struct svg *svg, bool any_full, vic_error *err)
{
    enum { STEPS = 256 };
    static const double shares[] = { 0.01, 0.05, 0.2, 0.5, 1.0 };
    const double width = 240.0, x = MATRIX_X + (any_full ? 60.0 : 150.0), y = TOP + MATRIX + 52;
    struct picture bar;
    vic_status st;
    TRY(picture_make(&bar, STEPS, 1, (struct colour){ 0, 0, 0 }, err));
    for (int i = 0; i < STEPS; i++) bar.pixels[i] = colormap_at(MAP_BLUES, 0.1 + 0.9 * i / (STEPS - 1));
    st = svg_image(svg, x, y, width, 12, &bar, false, err);
    picture_free(&bar);
    if (st != VIC_OK) return st;
    svg_frame(svg, x, y, width, 12, svg_faint);
    for (int i = 0; i < 5; i++) {
        double at = x + width * (share_tone(shares[i]) - 0.1) / 0.9;
        svg_line(svg, at, y + 12, at, y + 16, svg_grey, 1);
        svg_text(svg, at, y + 29, 12, ANCHOR_MIDDLE, svg_grey, false, "%g %%", 100.0 * shares[i]);
    }
    svg_text(svg, x + width / 2, y + 46, 13, ANCHOR_MIDDLE, svg_ink, false, "pairs, of those possible there");
    if (any_full) {
        svg_box(svg, x + width + 60, y, 12, 12, (struct colour){ 0xe4, 0x57, 0x2e });
        svg_text(svg, x + width + 78, y + 11, 13, ANCHOR_START, svg_ink, false, "full blocks");
    }
    return VIC_OK;
}

static vic_status draw_all(struct svg *svg, const struct pattern_plot *p, vic_error *err)
{
    vic_pattern_info info = vic_pattern_get(p->pattern);
    double fill = info.blocks ? (double)info.pairs / ((double)info.blocks * STRIP_ROWS * CLUSTER_ROWS) : 0.0;
    svg_text(svg, 28, 38, 22, ANCHOR_START, svg_ink, true, "Attention pattern of %s", base_name(p->file));
    svg_text(svg, 28, 62, 14, ANCHOR_START, svg_grey, false,
             "%s atoms, cutoff %s \xc3\x85: %s pairs (%s per atom) in %s blocks of 64 \xc3\x97 16, %s of them full; "
             "fill %s %%",
             count_text(info.n_q).s, plain_text(info.cutoff).s, count_text(info.pairs).s,
             real_text((double)info.pairs / (double)info.n_q, 3).s, count_text(info.blocks).s,
             count_text(info.full_blocks).s, real_text(100.0 * fill, 3).s);
    TRY(draw_structure(svg, p, info.strips, err));
    TRY(draw_matrix(svg, p, err));
    TRY(draw_edges(svg, (double)info.n_k, err));
    return draw_scale(svg, info.full_blocks > 0, err);
}

vic_status plot_pattern(const char *path, const struct pattern_plot *plot, vic_error *err)
{
    struct svg svg;
    vic_status st;
    if (plot->view->atoms == 0) return fail(err, VIC_BAD_INPUT, "--plot: %s has no atoms to draw", plot->file);
    svg_begin(&svg, WIDTH, TOP + MATRIX + 112, "Attention pattern");
    st = draw_all(&svg, plot, err);
    if (st == VIC_OK) return svg_save(&svg, path, err);
    svg_free(&svg);
    return st;
}
