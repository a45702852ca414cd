/* SPDX-License-Identifier: Apache-2.0 */
/* SVG, written directly: real text and lines around embedded PNG pictures, nothing outside the file. */
#ifndef VICINAL_CLI_SVG_H
#define VICINAL_CLI_SVG_H

#include "picture.h"

struct svg {
    struct buffer text;
};

enum anchor { ANCHOR_START, ANCHOR_MIDDLE, ANCHOR_END };

extern const char svg_ink[], svg_grey[], svg_faint[]; /* text, lesser text, lines */

void svg_begin(struct svg *s, double width, double height, const char *title);
void svg_text(struct svg *s, double x, double y, double size, enum anchor anchor, const char *colour, bool bold,
              const char *format, ...) __attribute__((format(printf, 8, 9)));
void svg_text_up(struct svg *s, double x, double y, double size, const char *colour, const char *text);
void svg_line(struct svg *s, double x0, double y0, double x1, double y1, const char *colour, double width);
void svg_frame(struct svg *s, double x, double y, double width, double height, const char *colour);
void svg_box(struct svg *s, double x, double y, double width, double height, struct colour fill);
/* Scaled to the box; `crisp` keeps pixels square where the box is larger than the picture. */
vic_status svg_image(struct svg *s, double x, double y, double width, double height, const struct picture *p,
                     bool crisp, vic_error *err);
/* A horizontal bar with ticks below it and a label below those.  `whole`: of counts, so no ticks between them. */
vic_status svg_colour_bar(struct svg *s, double x, double y, double width, double height, enum colormap map,
                          double low, double high, bool whole, const char *label, vic_error *err);
vic_status svg_save(struct svg *s, const char *path, vic_error *err); /* ends and frees it, also on failure */
void svg_free(struct svg *s);

const char *base_name(const char *path); /* after the last slash */

/* Round numbers in [low, high], about `wanted` of them: first, step, and how many decimals they need. */
struct ticks {
    double first, step;
    int count, decimals;
};
struct ticks ticks_make(double low, double high, int wanted, bool whole); /* whole: steps of 1 at least */

#endif
