/* SPDX-License-Identifier: Apache-2.0 */
#include "numbers.h"
#include "plots/plots.h"
#include "plots/render.h"
#include "plots/svg.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEFT = 28, PANEL = 580, MATRIX = 540, BELOW = 112, SHARPNESS = 2, STRIP_ROWS = 64, CLUSTER_ROWS = 16 };

struct layout {
    struct svg svg;
    const struct pattern_plot *plot;
    vic_pattern_info info;
    bool structure; /* there is one to draw, left of the matrix */
    double width, top, matrix_x;
};

/* A tone for a share of the possible pairs: steeper than linear, so that blocks of a few pairs show, but with room
 * for differences between well-filled ones. */
static double share_tone(double share)
{
    return 0.1 + 0.9 * pow(share, 0.4);
}

/* ---- left: the structure, coloured by row ---- */

static vic_status draw_structure(struct layout *l, vic_error *err)
{
    const struct pattern_plot *p = l->plot;
    const int32_t *order;
    const double bar = 320.0, strips = (double)l->info.strips;
    struct scene scene;
    struct picture picture;
    double height;
    vic_status st;
    TRY(vic_pattern_order(p->pattern, VIC_QUERY, &order, err));
    TRY(scene_make(p->view, &scene, err));
    scene_fit(&scene, PANEL, MATRIX);
    for (int64_t row = 0; row < p->view->atoms; row++) {
        double place = ((double)(row / STRIP_ROWS) + 0.5) / strips;
        scene.spheres[order[row]].colour = colormap_at(MAP_VIRIDIS, place);
    }
    height = floor(fmin(fmax(PANEL * scene.height / scene.width, 200), MATRIX));
    st = scene_render(&scene, SHARPNESS * PANEL, (int)(SHARPNESS * height), p->threads, &picture, err);
    scene_free(&scene);
    if (st != VIC_OK) return st;
    st = svg_image(&l->svg, LEFT, l->top + (MATRIX - height) / 2, PANEL, height, &picture, false, err);
    picture_free(&picture);
    if (st != VIC_OK) return st;
    svg_text(&l->svg, LEFT + PANEL / 2.0, l->top - 20, 15, ANCHOR_MIDDLE, svg_ink, true,
             "the atoms, coloured by strip");
    return svg_colour_bar(&l->svg, LEFT + (PANEL - bar) / 2, l->top + MATRIX + 26, bar, 12, MAP_VIRIDIS, 0.0, strips,
                          true, "strip (64 atoms that follow one another in the pattern's order)", err);
}

/* ---- right: the matrix ---- */

struct matrix {
    int size;             /* pixels a side */
    double *pairs;        /* [size, size] in each pixel */
    double *full;         /* [size, size] of these, in full blocks */
    double rows, columns; /* atoms: queries, keys */
};

/* Spread the pairs of a block evenly over the pixels that it covers. */
static void matrix_add(struct matrix *m, int64_t strip, int64_t cluster, double pairs, bool full)
{
    double down = m->size / m->rows, across = m->size / m->columns;
    double y0 = (double)strip * STRIP_ROWS * down, x0 = (double)cluster * CLUSTER_ROWS * across;
    double y1 = fmin(y0 + STRIP_ROWS * down, m->size), x1 = fmin(x0 + CLUSTER_ROWS * across, m->size);
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

static vic_status matrix_fill(struct matrix *m, const vic_pattern *pattern, int64_t blocks, vic_error *err)
{
    int32_t *strip = NULL, *cluster = NULL, *pairs = NULL;
    vic_status st;
    TRY_GOTO(allocate(blocks, sizeof *strip, "the blocks of a picture", &strip, err), done);
    TRY_GOTO(allocate(blocks, sizeof *cluster, "the blocks of a picture", &cluster, err), done);
    TRY_GOTO(allocate(blocks, sizeof *pairs, "the blocks of a picture", &pairs, err), done);
    TRY_GOTO(vic_pattern_list_blocks(pattern, strip, cluster, pairs, err), done);
    for (int64_t b = 0; b < blocks; b++)
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
    double possible = m->rows / m->size * (m->columns / m->size);
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

static vic_status draw_matrix(struct layout *l, vic_error *err)
{
    struct matrix m = { .size = SHARPNESS * MATRIX, .rows = (double)l->info.n_q, .columns = (double)l->info.n_k };
    struct picture picture;
    vic_status st;
    TRY_GOTO(allocate((int64_t)m.size * m.size, sizeof *m.pairs, "the matrix of a picture", &m.pairs, err), done);
    TRY_GOTO(allocate((int64_t)m.size * m.size, sizeof *m.full, "the matrix of a picture", &m.full, err), done);
    TRY_GOTO(matrix_fill(&m, l->plot->pattern, l->info.blocks, err), done);
    TRY_GOTO(matrix_picture(&m, &picture, err), done);
    st = svg_image(&l->svg, l->matrix_x, l->top, MATRIX, MATRIX, &picture, false, err);
    picture_free(&picture);
    if (st != VIC_OK) goto done;
    svg_frame(&l->svg, l->matrix_x, l->top, MATRIX, MATRIX, svg_faint);
    svg_text(&l->svg, l->matrix_x + MATRIX / 2.0, l->top - 20, 15, ANCHOR_MIDDLE, svg_ink, true,
             "which atom attends to which");
done:
    free(m.full);
    free(m.pairs);
    return st;
}

enum { EDGE = 9 };

/* The colours of the strips along both edges tie the matrix to the structure. */
static vic_status draw_edges(struct layout *l, vic_error *err)
{
    enum { STEPS = 256 };
    struct picture across, down;
    vic_status st;
    TRY(picture_make(&across, STEPS, 1, (struct colour){ 0, 0, 0 }, err));
    for (int i = 0; i < STEPS; i++) across.pixels[i] = colormap_at(MAP_VIRIDIS, (i + 0.5) / STEPS);
    down = (struct picture){ 1, STEPS, across.pixels };
    st = svg_image(&l->svg, l->matrix_x, l->top - EDGE - 3, MATRIX, EDGE, &across, false, err);
    if (st == VIC_OK) st = svg_image(&l->svg, l->matrix_x - EDGE - 3, l->top, EDGE, MATRIX, &down, false, err);
    picture_free(&across);
    return st;
}

/* Ticks count atoms. */
static void draw_ticks(struct layout *l)
{
    const double x = l->matrix_x, y = l->top, edge = l->structure ? EDGE + 3 : 0;
    const struct ticks down = ticks_make(0.0, (double)l->info.n_q, 5, true);
    const struct ticks across = ticks_make(0.0, (double)l->info.n_k, 5, true);
    for (int i = 0; i < across.count; i++) {
        double at = MATRIX * i * across.step / (double)l->info.n_k;
        svg_line(&l->svg, x + at, y + MATRIX, x + at, y + MATRIX + 4, svg_grey, 1);
        svg_text(&l->svg, x + at, y + MATRIX + 17, 12, ANCHOR_MIDDLE, svg_grey, false, "%s",
                 fixed_text(i * across.step, across.decimals).s);
    }
    for (int i = 0; i < down.count; i++) {
        double at = MATRIX * i * down.step / (double)l->info.n_q;
        svg_line(&l->svg, x - edge - 4, y + at, x - edge, y + at, svg_grey, 1);
        svg_text(&l->svg, x - edge - 8, y + at + 4, 12, ANCHOR_END, svg_grey, false, "%s",
                 fixed_text(i * down.step, down.decimals).s);
    }
    svg_text_up(&l->svg, x - edge - 62, y + MATRIX / 2.0, 13, svg_ink, "atoms that attend (queries)");
    svg_text(&l->svg, x + MATRIX / 2.0, y + MATRIX + 36, 13, ANCHOR_MIDDLE, svg_ink, false,
             "atoms that are attended to (keys)");
}

static vic_status draw_scale(struct layout *l, vic_error *err)
{
    enum { STEPS = 256 };
    static const double shares[] = { 0.01, 0.05, 0.2, 0.5, 1.0 };
    const bool any_full = l->info.full_blocks > 0;
    const double width = 240.0, x = l->matrix_x + (any_full ? 20.0 : 150.0), y = l->top + MATRIX + 52;
    struct picture bar;
    vic_status st;
    TRY(picture_make(&bar, STEPS, 1, (struct colour){ 0, 0, 0 }, err));
    for (int i = 0; i < STEPS; i++) bar.pixels[i] = colormap_at(MAP_BLUES, 0.1 + 0.9 * i / (STEPS - 1));
    st = svg_image(&l->svg, x, y, width, 12, &bar, false, err);
    picture_free(&bar);
    if (st != VIC_OK) return st;
    svg_frame(&l->svg, x, y, width, 12, svg_faint);
    for (int i = 0; i < 5; i++) {
        double at = x + width * (share_tone(shares[i]) - 0.1) / 0.9;
        svg_line(&l->svg, at, y + 12, at, y + 16, svg_grey, 1);
        svg_text(&l->svg, at, y + 29, 12, ANCHOR_MIDDLE, svg_grey, false, "%g %%", 100.0 * shares[i]);
    }
    svg_text(&l->svg, x + width / 2, y + 46, 13, ANCHOR_MIDDLE, svg_ink, false,
             "pairs of the pattern, of all pairs there");
    if (any_full) {
        svg_box(&l->svg, x + width + 40, y, 12, 12, (struct colour){ 0xe4, 0x57, 0x2e });
        svg_text(&l->svg, x + width + 58, y + 11, 13, ANCHOR_START, svg_ink, false,
                 "full blocks: all pairs of 64 \xc3\x97 16");
    }
    return VIC_OK;
}

/* ---- words ---- */

/* Title and captions; with `svg` NULL only how far down they go. */
static double draw_header(const struct layout *l, struct svg *svg)
{
    const vic_pattern_info *i = &l->info;
    double fill = i->blocks ? (double)i->pairs / ((double)i->blocks * STRIP_ROWS * CLUSTER_ROWS) : 0.0;
    char title[512], about[2048], keys[64] = "";
    snprintf(title, sizeof title, "Attention pattern of %s", base_name(l->plot->file));
    if (i->n_k != i->n_q) snprintf(keys, sizeof keys, " attending to %s", count_text(i->n_k).s);
    snprintf(about, sizeof about,
             "%s atom%s%s, %s: %s pair%s (%s per atom) in %s block%s of 64 \xc3\x97 16, %s of them full; fill "
             "%s\xc2\xa0%%.",
             count_text(i->n_q).s, i->n_q == 1 ? "" : "s", keys, l->plot->what, count_text(i->pairs).s,
             i->pairs == 1 ? "" : "s", real_text((double)i->pairs / (double)i->n_q, 3).s, count_text(i->blocks).s,
             i->blocks == 1 ? "" : "s", count_text(i->full_blocks).s, real_text(100.0 * fill, 3).s);
    return svg_header(svg, l->width, title, about, l->plot->setting);
}

enum { READING_STEP = 18, READING_MOST = 6 };

/* How to read the picture; how many lines that is.  `svg` NULL only counts. */
static int draw_reading(const struct layout *l, struct svg *svg)
{
    const bool placed = l->info.positions;
    const double y = l->top + MATRIX + BELOW + 8;
    char text[1024];
    snprintf(
        text, sizeof text,
        "How to read it: an atom attends to other atoms and takes values from them. Each row of the matrix is an "
        "atom that attends, each column an atom that is attended to, and every pair of the pattern a point in "
        "it. Rows and columns have one order, %s%s. It is drawn in blocks of 64 rows \xc3\x97 16 columns: blue "
        "where a block has pairs of the pattern, darker where it has more of the possible ones, %sand blank "
        "elsewhere.",
        placed ? "in which atoms near one another in space stand near one another" : "that of the atoms' numbers",
        l->structure ? "; the colours along the edges are those of the atoms on the left" : "",
        l->info.full_blocks ? "orange where it has all, " : "");
    return svg_paragraph(svg, LEFT, y, 13, READING_STEP, svg_grey, l->width - 2 * LEFT, READING_MOST, text);
}

static vic_status draw_all(struct layout *l, vic_error *err)
{
    draw_header(l, &l->svg);
    if (l->structure) {
        TRY(draw_structure(l, err));
        TRY(draw_edges(l, err));
    }
    TRY(draw_matrix(l, err));
    draw_ticks(l);
    TRY(draw_scale(l, err));
    draw_reading(l, &l->svg);
    return VIC_OK;
}

vic_status plot_pattern(const char *path, const struct pattern_plot *plot, vic_error *err)
{
    struct layout l = { .plot = plot, .info = VIC_INIT(vic_pattern_info) };
    vic_status st;
    TRY(vic_pattern_get(plot->pattern, &l.info, err));
    if (l.info.n_q == 0 || l.info.n_k == 0)
        return fail(err, VIC_BAD_INPUT, "--plot: %s has no atoms to draw", plot->file);
    l.structure = plot->view->positions != NULL;
    l.matrix_x = l.structure ? 740 : 2 * LEFT + 80;
    l.width = l.matrix_x + MATRIX + 40;
    l.top = draw_header(&l, NULL) + 54;
    svg_begin(&l.svg, l.width, l.top + MATRIX + BELOW + READING_STEP * draw_reading(&l, NULL) + 8,
              "Attention pattern");
    st = draw_all(&l, err);
    if (st == VIC_OK) return svg_save(&l.svg, path, err);
    svg_free(&l.svg);
    return st;
}
