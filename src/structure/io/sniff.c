/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The one list.  The first that recognises the content reads it: strict ones first. */
static const struct format *const formats[] = {
    &format_poscar, &format_cif, &format_lammps, &format_amber, &format_gro, &format_xyz, &format_pdb,
};

vic_status format_find(const struct source *s, const struct format **out, vic_error *err)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line = { s->text, 0 };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i) {
        if (!formats[i]->looks_like(s)) continue;
        *out = formats[i];
        return VIC_OK;
    }
    while (lines_next(&l, &line) && piece_is_blank(line)) {
    }
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected PDB, CIF, GRO, XYZ, POSCAR, LAMMPS data or Amber rst7, found %s, which "
                    "begins none of them; convert the file to one of these",
                    s->name, (long long)l.number, quoted(line).text);
}

vic_status format_no_model(const struct source *s, int model, const int64_t *numbers, size_t count, vic_error *err)
{
    char list[160];
    size_t at = 0, shown = count <= 12 ? count : 10;
    list[0] = 0;
    for (size_t i = 0; i < shown; ++i)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%lld", i ? ", " : "", (long long)numbers[i]);
    if (shown < count) snprintf(list + at, sizeof list - at, ", ... %lld", (long long)numbers[count - 1]);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: no model %d; the file has %zu: %s; ask for one of these, or -1 for the last", s->name, model,
                    count, list);
}

int64_t format_frame(int model, int64_t frames)
{
    int64_t wanted = model > 0 ? model : model < 0 ? frames + 1 + model : 1;
    return wanted >= 1 && wanted <= frames ? wanted : 0;
}

vic_status format_no_frame(const struct source *s, int model, int64_t frames, vic_error *err)
{
    const int64_t numbers[2] = { 1, frames };
    if (frames <= 2) return format_no_model(s, model, numbers, (size_t)frames, err);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: no frame %d; the file has %lld: 1 to %lld; ask for one of these, or -1 for "
                    "the last",
                    s->name, model, (long long)frames, (long long)frames);
}

vic_status format_no_atoms(const struct source *s, const char *expected, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s: expected %s, found no atoms", s->name, expected);
}

/* Length of the UTF-8 sequence at text, 0 when it is none. */
static size_t utf8_length(const unsigned char *t, size_t left)
{
    size_t length = t[0] < 0x80                   ? 1
                    : t[0] >= 0xc2 && t[0] < 0xe0 ? 2
                    : (t[0] & 0xf0) == 0xe0       ? 3
                    : t[0] >= 0xf0 && t[0] < 0xf5 ? 4
                                                  : 0;
    if (!length || length > left) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((t[i] & 0xc0) != 0x80) return 0;
    if (length == 3 && ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] >= 0xa0))) return 0;
    if (length == 4 && ((t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] >= 0x90))) return 0;
    return length;
}

void format_set_title(char title[512], struct piece text)
{
    size_t at = strlen(title);
    text = piece_trim(text);
    if (at && text.length && at < 511) title[at++] = ' ';
    while (text.length) {
        unsigned char c = (unsigned char)*text.text;
        size_t length = utf8_length((const unsigned char *)text.text, text.length);
        if (at + (length ? length : 1) > 511) break;
        if (length == 0 || c < 0x20 || c == 0x7f) {
            title[at++] = c == '\t' || c == '\n' || c == '\r' ? ' ' : '?';
            length = 1;
        } else {
            memcpy(title + at, text.text, length);
            at += length;
        }
        text.text += length;
        text.length -= length;
    }
    title[at] = 0;
}

void format_note(char notes[1024], const char *format, ...)
{
    char text[1024];
    size_t used = strlen(notes), length;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    length = strlen(text);
    if (strstr(notes, text) || used + length + 2 > 1024) return;
    if (used) notes[used++] = '\n';
    memcpy(notes + used, text, length + 1);
}

bool format_cell_is_dummy(const double p[6])
{
    bool ones = p[0] == 1 && p[1] == 1 && p[2] == 1, zeros = true;
    for (int i = 0; i < 6; ++i) zeros = zeros && (p[i] == 0 || (i >= 3 && p[i] == 90));
    return ones || zeros;
}
