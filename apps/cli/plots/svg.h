/* SPDX-License-Identifier: Apache-2.0 */
/* SVG, written directly: real text and lines around embedded PNG pictures, nothing outside the file. */
#ifndef VICINAL_CLI_SVG_H
#define VICINAL_CLI_SVG_H

#include "plots/picture.h"

struct svg {
    struct buffer text;
};

enum anchor { ANCHOR_START, ANCHOR_MIDDLE, ANCHOR_END };

extern const char svg_ink[], svg_grey[], svg_faint[]; /* text, lesser text, lines */

void svg_begin(struct svg *s, double width, double height, const char *title);
void svg_text(struct svg *s, double x, double y, double size, enum anchor anchor, const char *colour, bool bold,
              const char *format, ...) __attribute__((format(printf, 8, 9)));
/* The same, cut with an ellipsis so that it is no wider than `width`, whatever the font (svg_text_width()). */
void svg_text_within(struct svg *s, double x, double y, double size, enum anchor anchor, const char *colour,
                     bool bold, double width, const char *text);
/* Words in lines of at most `width`, `step` apart, from the baseline y on; the last of `most` lines ends in an
 * ellipsis where there is more.  Returns how many lines it is; s NULL only counts. */
int svg_paragraph(struct svg *s, double x, double y, double size, double step, const char *colour, double width,
                  int most, const char *text);
/* Title and up to two captions (NULL: none), from the top and cut or wrapped to a picture of `width`; returns the
 * baseline of the last line.  s NULL only counts. */
double svg_header(struct svg *s, double width, const char *title, const char *first, const char *second);
/* At most so wide, whichever of the usual sans-serif fonts draws it. */
double svg_text_width(const char *text, size_t bytes, double size, bool bold);
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
