/* SPDX-License-Identifier: Apache-2.0 */
#include "numbers.h"
#include "plots/plots.h"
#include "plots/render.h"
#include "plots/svg.h"
#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 28, PANEL = 470, CHART = 300, BELOW = 96, SHARPNESS = 2 };

/* The part of `values` that colours and axes cover: all but the extreme hundredths. */
struct range {
    double low, high;
};

static struct range range_of(const double *sorted, int64_t count, double cut)
{
    struct range r = { quantile(sorted, count, cut), quantile(sorted, count, 1.0 - cut) };
    if (!(r.high > r.low)) {
        r.low -= 1.0;
        r.high += 1.0;
    }
    return r;
}

/* Room for the marks of the extreme values. */
static struct range widened(struct range r)
{
    double room = 0.03 * (r.high - r.low);
    return (struct range){ r.low - room, r.high + room };
}

struct layout {
    struct svg svg;
    struct scene scene;
    double width, top, panel_height; /* top: of the panels */
    double left;                     /* of the chart */
    const struct packing_plot *plot;
    double *b; /* [atoms] or NULL */
    struct range count_colours, b_colours, count_axis, b_axis;
};

static vic_status find_ranges(struct layout *l, vic_error *err)
{
    int64_t n = l->plot->view->atoms;
    double *sorted;
    TRY(allocate(n, sizeof *sorted, "the ranges of a picture", &sorted, err));
    memcpy(sorted, l->plot->counts, (size_t)n * sizeof *sorted);
    sort_doubles(sorted, n);
    l->count_colours = range_of(sorted, n, 0.02);
    l->count_axis = widened(range_of(sorted, n, 0.0005));
    l->count_axis.low = fmax(l->count_axis.low, 0.0);
    if (l->b) {
        memcpy(sorted, l->b, (size_t)n * sizeof *sorted);
        sort_doubles(sorted, n);
        l->b_colours = range_of(sorted, n, 0.02);
        l->b_axis = widened(range_of(sorted, n, 0.002));
    }
    free(sorted);
    return VIC_OK;
}

static vic_status draw_panel(struct layout *l, double x, const double *values, struct range range, enum colormap map,
                             const char *title, const char *unit, vic_error *err)
{
    const double bar = 280.0;
    struct picture picture;
    vic_status st;
    for (int64_t i = 0; i < l->scene.count; i++)
        l->scene.spheres[i].colour = colormap_at(map, (values[i] - range.low) / (range.high - range.low));
    TRY(scene_render(&l->scene, SHARPNESS * PANEL, (int)(SHARPNESS * l->panel_height), l->plot->threads, &picture,
                     err));
    st = svg_image(&l->svg, x, l->top, PANEL, l->panel_height, &picture, false, err);
    picture_free(&picture);
    if (st != VIC_OK) return st;
    svg_text(&l->svg, x + PANEL / 2.0, l->top - 8, 15, ANCHOR_MIDDLE, svg_ink, true, "%s", title);
    return svg_colour_bar(&l->svg, x + (PANEL - bar) / 2, l->top + l->panel_height + 14, bar, 12, map, range.low,
                          range.high, map == MAP_VIRIDIS_REVERSED, unit, err);
}

/* ---- the chart on the right ---- */

static double chart_x(const struct layout *l, double count)
{
    return l->left + CHART * (count - l->count_axis.low) / (l->count_axis.high - l->count_axis.low);
}

static double chart_top(const struct layout *l)
{
    return l->top + fmax(0.0, (l->panel_height - CHART) / 2.0);
}

static void draw_axes(struct layout *l, struct range across, struct range up, const char *label)
{
    double top = chart_top(l), bottom = top + CHART;
    struct ticks x = ticks_make(across.low, across.high, 5, true), y = ticks_make(up.low, up.high, 5, !l->b);
    for (int i = 0; i < x.count; i++) {
        double value = x.first + i * x.step, at = l->left + CHART * (value - across.low) / (across.high - across.low);
        svg_line(&l->svg, at, bottom, at, bottom + 4, svg_grey, 1);
        svg_text(&l->svg, at, bottom + 17, 12, ANCHOR_MIDDLE, svg_grey, false, "%s", fixed_text(value, x.decimals).s);
    }
    for (int i = 0; i < y.count; i++) {
        double value = y.first + i * y.step, at = bottom - CHART * (value - up.low) / (up.high - up.low);
        svg_line(&l->svg, l->left - 4, at, l->left, at, svg_grey, 1);
        svg_text(&l->svg, l->left - 8, at + 4, 12, ANCHOR_END, svg_grey, false, "%s",
                 fixed_text(value, y.decimals).s);
    }
    svg_frame(&l->svg, l->left, top, CHART, CHART, svg_faint);
    svg_text(&l->svg, l->left + CHART / 2.0, bottom + 36, 13, ANCHOR_MIDDLE, svg_ink, false,
             "neighbours (atoms within %s \xc3\x85)", plain_text(l->plot->cutoff).s);
    svg_text_up(&l->svg, l->left - 52, top + CHART / 2.0, 13, svg_ink, label);
}

/* Hexagons of two interleaved lattices: a point belongs to the nearer of its two candidate centres. */
enum { HEX_COLUMNS = 30, HEX_ROWS = 36 };

struct hexagons {
    int64_t count[2][HEX_ROWS + 1][HEX_COLUMNS + 1];
};

static void hexagon_add(struct hexagons *h, double x, double y)
{
    double row_height = CHART * sqrt(3.0) / HEX_COLUMNS, u = x * HEX_COLUMNS / CHART, v = y / row_height;
    int c0 = (int)floor(u + 0.5), r0 = (int)floor(v + 0.5), c1 = (int)floor(u), r1 = (int)floor(v);
    double d0 = (u - c0) * (u - c0) + 3.0 * (v - r0) * (v - r0);
    double d1 = (u - c1 - 0.5) * (u - c1 - 0.5) + 3.0 * (v - r1 - 0.5) * (v - r1 - 0.5);
    if (d0 <= d1)
        h->count[0][r0][c0]++;
    else
        h->count[1][r1][c1]++;
}

static void hexagon_draw(struct svg *svg, double x, double y, struct colour c)
{
    double side = CHART / (sqrt(3.0) * HEX_COLUMNS), half = 0.5 * CHART / HEX_COLUMNS;
    buffer_printf(&svg->text,
                  "<path d=\"M%.2f %.2fl%.2f %.2fv%.2fl%.2f %.2fl%.2f %.2fv%.2fz\" fill=\"#%02x%02x%02x\"/>\n", x,
                  y - side, half, side / 2, side, -half, side / 2, -half, -side / 2, -side, c.r, c.g, c.b);
}

static const char fit_line[] = "#e4572e";

/* B = a + b / count by least squares, across the chart. */
static void draw_fit(struct layout *l)
{
    int64_t n = l->plot->view->atoms;
    double sx = 0, sy = 0, sxx = 0, sxy = 0, slope, level, top = chart_top(l);
    bool open = false;
    for (int64_t i = 0; i < n; i++) {
        double x = 1.0 / l->plot->counts[i], y = l->b[i];
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    slope = ((double)n * sxy - sx * sy) / ((double)n * sxx - sx * sx);
    level = (sy - slope * sx) / (double)n;
    if (!isfinite(slope)) return;
    buffer_text(&l->svg.text, "<path d=\"");
    for (int i = 0; i <= 100; i++) {
        double count = l->count_axis.low + (l->count_axis.high - l->count_axis.low) * i / 100.0;
        double up = (level + slope / count - l->b_axis.low) / (l->b_axis.high - l->b_axis.low);
        bool inside = count > 0.0 && up >= 0.0 && up <= 1.0;
        if (inside)
            buffer_printf(&l->svg.text, "%c%.2f %.2f", open ? 'L' : 'M', chart_x(l, count), top + CHART * (1.0 - up));
        open = inside;
    }
    buffer_printf(&l->svg.text, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\"/>\n", fit_line);
}

/* What line and shades mean, below the chart: nothing stands over the hexagons. */
static void draw_key(struct layout *l, int64_t most)
{
    enum { SHADES = 5, SIDE = 12 };
    double y = chart_top(l) + CHART + 58;
    svg_line(&l->svg, l->left, y - 4, l->left + 5 * SIDE, y - 4, fit_line, 2.5);
    svg_text(&l->svg, l->left + 5 * SIDE + 8, y, 12, ANCHOR_START, svg_ink, false, "B = a + b / neighbours, r = %.3f",
             l->plot->pearson);
    for (int k = 0; k < SHADES; k++)
        svg_box(&l->svg, l->left + SIDE * k, y + 10, SIDE, SIDE, colormap_at(MAP_BLUES, (k + 1.0) / SHADES));
    svg_text(&l->svg, l->left + SHADES * SIDE + 8, y + 20, 12, ANCHOR_START, svg_ink, false,
             "darker: more atoms, at most %s a hexagon", count_text(most).s);
}

static vic_status draw_scatter(struct layout *l, vic_error *err)
{
    struct hexagons *h;
    int64_t n = l->plot->view->atoms, most = 1;
    double row_height = CHART * sqrt(3.0) / HEX_COLUMNS, top = chart_top(l);
    TRY(allocate(1, sizeof *h, "a chart", &h, err));
    for (int64_t i = 0; i < n; i++) {
        double x = (l->plot->counts[i] - l->count_axis.low) / (l->count_axis.high - l->count_axis.low);
        double y = (l->b[i] - l->b_axis.low) / (l->b_axis.high - l->b_axis.low);
        if (x >= 0.0 && x <= 1.0 && y >= 0.0 && y <= 1.0) hexagon_add(h, x * CHART, (1.0 - y) * CHART);
    }
    for (int k = 0; k < 2; k++)
        for (int r = 0; r <= HEX_ROWS; r++)
            for (int c = 0; c <= HEX_COLUMNS; c++)
                if (h->count[k][r][c] > most) most = h->count[k][r][c];
    buffer_printf(&l->svg.text,
                  "<clipPath id=\"chart\"><rect x=\"%.0f\" y=\"%.2f\" width=\"%d\" height=\"%d\"/></clipPath>\n"
                  "<g clip-path=\"url(#chart)\">\n",
                  l->left, top, CHART, CHART);
    for (int k = 0; k < 2; k++) {
        for (int r = 0; r <= HEX_ROWS; r++) {
            for (int c = 0; c <= HEX_COLUMNS; c++) {
                double share = log(1.0 + (double)h->count[k][r][c]) / log(1.0 + (double)most);
                if (h->count[k][r][c] == 0) continue;
                hexagon_draw(&l->svg, l->left + (c + 0.5 * k) * CHART / HEX_COLUMNS, top + (r + 0.5 * k) * row_height,
                             colormap_at(MAP_BLUES, share));
            }
        }
    }
    free(h);
    buffer_text(&l->svg.text, "</g>\n");
    draw_fit(l);
    draw_key(l, most);
    draw_axes(l, l->count_axis, l->b_axis, "B-factor (\xc3\x85\xc2\xb2)");
    svg_text(&l->svg, l->left + CHART / 2.0, chart_top(l) - 8, 15, ANCHOR_MIDDLE, svg_ink, true,
             "packing against B-factor");
    return VIC_OK;
}

static void draw_histogram(struct layout *l)
{
    enum { MOST_BARS = 60 };
    int64_t heights[MOST_BARS] = { 0 }, most = 1;
    double low = floor(l->count_axis.low) - 0.5, high = floor(l->count_axis.high) + 0.5;
    double step = ceil((high - low) / MOST_BARS), top = chart_top(l);
    int bars = (int)ceil((high - low) / step);
    struct range across = { low, low + bars * step }, up = { 0.0, 0.0 };
    for (int64_t i = 0; i < l->plot->view->atoms; i++) {
        double bar = floor((l->plot->counts[i] - low) / step);
        if (bar >= 0 && bar < bars) heights[(int)bar]++;
    }
    for (int i = 0; i < bars; i++)
        if (heights[i] > most) most = heights[i];
    up.high = 1.05 * (double)most;
    for (int i = 0; i < bars; i++) {
        double height = CHART * (double)heights[i] / up.high, width = (double)CHART / bars;
        if (heights[i]) {
            svg_box(&l->svg, l->left + i * width, top + CHART - height, width > 4 ? width - 1 : width, height,
                    colormap_at(MAP_BLUES, 0.6));
        }
    }
    draw_axes(l, across, up, "atoms");
    svg_text(&l->svg, l->left + CHART / 2.0, top - 8, 15, ANCHOR_MIDDLE, svg_ink, true,
             "how often each count occurs");
}

/* Title and captions; with `svg` NULL only how far down they go. */
static double draw_header(const struct layout *l, struct svg *svg)
{
    const struct packing_plot *p = l->plot;
    const char *atoms = p->view->atoms == 1 ? "atom" : "atoms";
    const struct number cutoff = plain_text(p->cutoff);
    char title[512], about[512];
    snprintf(title, sizeof title, "Packing of %s", base_name(p->file));
    if (l->b)
        snprintf(about, sizeof about,
                 "%s %s, cutoff %s \xc3\x85; 1 / neighbours against the experimental B-factors: r = %.3f. Bright "
                 "atoms are loosely packed on the left and mobile on the right.",
                 count_text(p->view->atoms).s, atoms, cutoff.s, p->pearson);
    else
        snprintf(about, sizeof about,
                 "%s %s, cutoff %s \xc3\x85. Bright atoms are loosely packed. There are no B-factors to compare "
                 "with.",
                 count_text(p->view->atoms).s, atoms, cutoff.s);
    return svg_header(svg, l->width, title, about, p->setting);
}

static vic_status draw_all(struct layout *l, vic_error *err)
{
    const struct packing_plot *p = l->plot;
    char unit[96];
    draw_header(l, &l->svg);
    snprintf(unit, sizeof unit, "atoms within %s \xc3\x85 (itself included)", plain_text(p->cutoff).s);
    TRY(draw_panel(l, LEFT, p->counts, l->count_colours, MAP_VIRIDIS_REVERSED, "neighbours", unit, err));
    if (l->b) {
        TRY(draw_panel(l, LEFT + PANEL + 16, l->b, l->b_colours, MAP_INFERNO, "experimental B-factor",
                       "B-factor (\xc3\x85\xc2\xb2)", err));
        return draw_scatter(l, err);
    }
    draw_histogram(l);
    return VIC_OK;
}

vic_status plot_packing(const char *path, const struct packing_plot *plot, vic_error *err)
{
    struct layout l = { .plot = plot };
    vic_status st;
    if (plot->view->atoms == 0) return fail(err, VIC_BAD_INPUT, "--plot: %s has no atoms to draw", plot->file);
    if (plot->b) {
        TRY(allocate(plot->view->atoms, sizeof *l.b, "the B-factors", &l.b, err));
        for (int64_t i = 0; i < plot->view->atoms; i++) l.b[i] = (double)plot->b[i];
    }
    TRY_GOTO(scene_make(plot->view, &l.scene, err), done);
    TRY_GOTO(find_ranges(&l, err), done);
    scene_fit(&l.scene, PANEL, PANEL);
    l.panel_height = floor(fmin(fmax(PANEL * l.scene.height / l.scene.width, CHART), 1.15 * PANEL));
    l.left = LEFT + (l.b ? 2 * PANEL + 16 : PANEL) + 92;
    l.width = l.left + CHART + 24;
    l.top = draw_header(&l, NULL) + 42;
    svg_begin(&l.svg, l.width, l.top + l.panel_height + BELOW, "Packing");
    TRY_GOTO(draw_all(&l, err), done);
    TRY_GOTO(svg_save(&l.svg, path, err), done);
done:
    svg_free(&l.svg);
    scene_free(&l.scene);
    free(l.b);
    return st;
}
