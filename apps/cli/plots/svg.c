/* SPDX-License-Identifier: Apache-2.0 */
#include "plots/svg.h"

#include "numbers.h"
#include "outfile.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char svg_ink[] = "#1c2733", svg_grey[] = "#5b6875", svg_faint[] = "#c4ccd4";

/* Bytes of the UTF-8 character at `s`; *whole: they are all there. */
static size_t character(const unsigned char *s, bool *whole)
{
    size_t length = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2, have = 1;
    while (have < length && (s[have] & 0xc0) == 0x80) have++;
    *whole = have == length;
    return have;
}

/* As XML text: marks escaped, control characters and whatever is not UTF-8 as a question mark. */
static void escaped(struct buffer *b, const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        bool whole;
        size_t have = character(s, &whole);
        if (*s == '&')
            buffer_text(b, "&amp;");
        else if (*s == '<')
            buffer_text(b, "&lt;");
        else if (*s == '>')
            buffer_text(b, "&gt;");
        else if (*s == '"')
            buffer_text(b, "&quot;");
        else if (*s < 0x20 || *s == 0x7f || (*s >= 0x80 && (*s < 0xc2 || *s > 0xf4)) || !whole)
            buffer_text(b, "?");
        else
            buffer_add(b, s, have);
        s += have;
    }
}

void svg_begin(struct svg *s, double width, double height, const char *title)
{
    memset(s, 0, sizeof *s);
    buffer_printf(&s->text,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
                  "width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\" font-family=\"Helvetica, Arial, 'Liberation "
                  "Sans', 'DejaVu Sans', sans-serif\">\n<title>",
                  width, height, width, height);
    escaped(&s->text, title);
    buffer_printf(&s->text, "</title>\n<rect width=\"%g\" height=\"%g\" fill=\"#ffffff\"/>\n", width, height);
}

void svg_text(struct svg *s, double x, double y, double size, enum anchor anchor, const char *colour, bool bold,
              const char *format, ...)
{
    static const char *const anchors[] = { "start", "middle", "end" };
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&s->text, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%g\" text-anchor=\"%s\" fill=\"%s\"%s>", x, y,
                  size, anchors[anchor], colour, bold ? " font-weight=\"bold\"" : "");
    escaped(&s->text, text);
    buffer_text(&s->text, "</text>\n");
}

/* In em; of Helvetica, Arial, Liberation Sans and DejaVu Sans the widest, which is the last. */
static double character_width(unsigned char c)
{
    if (c >= 0xe1) return 1.05; /* most of three bytes and more are as wide as they are high */
    if (c >= 0x80) return 0.8;
    if (strchr(" ,.'ijlI|:;/\\", c)) return 0.36;
    if (strchr("ft()[]-r!", c)) return 0.44;
    if (strchr("mMW%@", c)) return 1.01;
    if (strchr("<>=+~^#w&OQGDHNUC", c)) return 0.85;
    return c >= 'A' && c <= 'Z' ? 0.72 : 0.64;
}

double svg_text_width(const char *text, size_t bytes, double size, bool bold)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + bytes;
    double width = 0.0;
    bool whole;
    for (; s < end; s += character(s, &whole)) width += character_width(*s);
    return width * size * (bold ? 1.12 : 1.0);
}

/* How many bytes of the text, whole characters, are at most `width` wide. */
static size_t bytes_within(const char *text, size_t bytes, double size, bool bold, double width)
{
    size_t used = 0;
    bool whole;
    while (used < bytes) {
        size_t next = used + character((const unsigned char *)text + used, &whole);
        if (svg_text_width(text + used, next - used, size, bold) > width) break;
        width -= svg_text_width(text + used, next - used, size, bold);
        used = next;
    }
    return used < bytes ? used : bytes;
}

static const char ellipsis[] = "\xe2\x80\xa6";

void svg_text_within(struct svg *s, double x, double y, double size, enum anchor anchor, const char *colour,
                     bool bold, double width, const char *text)
{
    size_t bytes = strlen(text);
    bool fits = svg_text_width(text, bytes, size, bold) <= width;
    if (!fits) bytes = bytes_within(text, bytes, size, bold, width - svg_text_width(ellipsis, 3, size, bold));
    svg_text(s, x, y, size, anchor, colour, bold, "%.*s%s", (int)bytes, text, fits ? "" : ellipsis);
}

int svg_paragraph(struct svg *s, double x, double y, double size, double step, const char *colour, double width,
                  int most, const char *text)
{
    int lines = 0;
    while (*text && lines < most) {
        size_t bytes = strlen(text), taken = bytes_within(text, bytes, size, false, width);
        bool last = taken == bytes || lines + 1 == most;
        if (!last) { /* back to the last space, if there is one */
            size_t space = taken;
            while (space > 0 && text[space] != ' ') space--;
            if (space > 0) taken = space;
        }
        if (s && last)
            svg_text_within(s, x, y + lines * step, size, ANCHOR_START, colour, false, width, text);
        else if (s)
            svg_text(s, x, y + lines * step, size, ANCHOR_START, colour, false, "%.*s", (int)taken, text);
        lines++;
        text += last ? bytes : taken;
        text += strspn(text, " ");
    }
    return lines;
}

double svg_header(struct svg *s, double width, const char *title, const char *first, const char *second)
{
    enum { LEFT = 28, STEP = 20, MOST = 4 };
    const char *const captions[] = { first, second };
    double y = 38.0;
    width -= 2 * LEFT;
    if (s) svg_text_within(s, LEFT, y, 22, ANCHOR_START, svg_ink, true, width, title);
    y += 4;
    for (int k = 0; k < 2; k++)
        if (captions[k]) y += STEP * svg_paragraph(s, LEFT, y + STEP, 14, STEP, svg_grey, width, MOST, captions[k]);
    return y;
}

void svg_text_up(struct svg *s, double x, double y, double size, const char *colour, const char *text)
{
    buffer_printf(&s->text,
                  "<text transform=\"translate(%.2f %.2f) rotate(-90)\" font-size=\"%g\" text-anchor=\"middle\" "
                  "fill=\"%s\">",
                  x, y, size, colour);
    escaped(&s->text, text);
    buffer_text(&s->text, "</text>\n");
}

void svg_line(struct svg *s, double x0, double y0, double x1, double y1, const char *colour, double width)
{
    buffer_printf(&s->text, "<path d=\"M%.2f %.2fL%.2f %.2f\" stroke=\"%s\" stroke-width=\"%g\"/>\n", x0, y0, x1, y1,
                  colour, width);
}

void svg_frame(struct svg *s, double x, double y, double width, double height, const char *colour)
{
    buffer_printf(&s->text,
                  "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" stroke=\"%s\"/>\n", x, y,
                  width, height, colour);
}

void svg_box(struct svg *s, double x, double y, double width, double height, struct colour fill)
{
    buffer_printf(&s->text, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#%02x%02x%02x\"/>\n",
                  x, y, width, height, fill.r, fill.g, fill.b);
}

vic_status svg_image(struct svg *s, double x, double y, double width, double height, const struct picture *p,
                     bool crisp, vic_error *err)
{
    struct buffer png = { NULL, 0, 0, false };
    vic_status st = png_encode(p, &png, err);
    if (st == VIC_OK) {
        buffer_printf(&s->text,
                      "<image x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" preserveAspectRatio=\"none\"%s "
                      "xlink:href=\"data:image/png;base64,",
                      x, y, width, height, crisp ? " style=\"image-rendering:pixelated\"" : "");
        buffer_base64(&s->text, png.data, png.size);
        buffer_text(&s->text, "\"/>\n");
    }
    buffer_free(&png);
    return st;
}

struct ticks ticks_make(double low, double high, int wanted, bool whole)
{
    struct ticks t = { low, 1.0, 1, 0 };
    double rough = (high - low) / wanted, power, unit;
    if (!(rough > 0.0) || !isfinite(rough)) return t;
    power = pow(10.0, floor(log10(rough)));
    unit = rough / power;
    t.step = power * (unit <= 1.0 ? 1.0 : unit <= 2.0 ? 2.0 : unit <= 5.0 ? 5.0 : 10.0);
    if (whole && t.step < 1.0) t.step = 1.0;
    t.first = ceil(low / t.step - 1e-9) * t.step;
    t.count = (int)floor((high - t.first) / t.step + 1e-9) + 1;
    t.decimals = t.step >= 1.0 ? 0 : (int)ceil(-log10(t.step) - 1e-9);
    return t;
}

vic_status svg_colour_bar(struct svg *s, double x, double y, double width, double height, enum colormap map,
                          double low, double high, bool whole, const char *label, vic_error *err)
{
    enum { STEPS = 256 };
    struct ticks t = ticks_make(low, high, 5, whole);
    struct picture bar;
    vic_status st;
    TRY(picture_make(&bar, STEPS, 1, (struct colour){ 0, 0, 0 }, err));
    for (int i = 0; i < STEPS; i++) bar.pixels[i] = colormap_at(map, (double)i / (STEPS - 1));
    st = svg_image(s, x, y, width, height, &bar, false, err);
    picture_free(&bar);
    if (st != VIC_OK) return st;
    svg_frame(s, x, y, width, height, svg_faint);
    for (int i = 0; i < t.count; i++) {
        double value = t.first + i * t.step, at = high > low ? x + width * (value - low) / (high - low) : x;
        svg_line(s, at, y + height, at, y + height + 4, svg_grey, 1);
        svg_text(s, at, y + height + 17, 12, ANCHOR_MIDDLE, svg_grey, false, "%s", fixed_text(value, t.decimals).s);
    }
    svg_text(s, x + width / 2, y + height + 36, 13, ANCHOR_MIDDLE, svg_ink, false, "%s", label);
    return VIC_OK;
}

vic_status svg_save(struct svg *s, const char *path, vic_error *err)
{
    vic_status st;
    buffer_text(&s->text, "</svg>\n");
    st = buffer_check(&s->text, "a picture", err);
    if (st == VIC_OK) st = outfile_save(path, s->text.data, s->text.size, err);
    svg_free(s);
    return st;
}

void svg_free(struct svg *s)
{
    buffer_free(&s->text);
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}
