/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "structure/io/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one list: strict ones first. */
static const struct format *const formats[] = {
    &format_poscar, &format_cif, &format_lammps, &format_amber, &format_gro, &format_xyz, &format_pdb,
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* The first whose rows are found in the head; without one, the first that the head looks like. */
static const struct format *find(const struct source *s, bool *sure)
{
    const struct format *likely = NULL;
    *sure = true;
    for (size_t i = 0; i < FORMATS; ++i) {
        if (!formats[i]->looks_like(s)) continue;
        if (formats[i]->is_sure && formats[i]->is_sure(s)) return formats[i];
        if (!likely) likely = formats[i];
    }
    *sure = false;
    return likely;
}

static vic_status unknown(const struct source *s, vic_error *err)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line = { s->text, 0 };
    while (lines_next(&l, &line) && piece_is_blank(line)) {
    }
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected PDB, CIF, GRO, XYZ, POSCAR, LAMMPS data or Amber rst7, found %s, which "
                    "begins none of them; convert the file to one of these",
                    s->name, (long long)l.number, quoted(line).text);
}

vic_status format_find(const struct source *s, const struct format **out, vic_error *err)
{
    bool sure;
    *out = find(s, &sure);
    return *out ? VIC_OK : unknown(s, err);
}

void format_free_content(struct file_content *c)
{
    free(c->operations);
    atoms_free(&c->atoms);
    free(c->places);
    memset(c, 0, sizeof *c);
}

vic_status format_read(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    bool sure;
    const struct format *first = find(s, &sure);
    vic_status st;
    if (!first) return unknown(s, err);
    st = first->read(s, model, out, err);
    if (st != VIC_BAD_INPUT || sure) return st;
    for (size_t i = 0; i < FORMATS; ++i) {
        vic_status other;
        if (formats[i] == first || !formats[i]->looks_like(s)) continue;
        format_free_content(out);
        other = formats[i]->read(s, model, out, NULL);
        if (other == VIC_NO_MEMORY) return vic_fail(err, other, "out of memory: %s", s->name);
        if (other != VIC_OK) continue;
        if (err) memset(err, 0, sizeof *err);
        format_note(out->notes, "The file begins like %s, but cannot be read as that; it was read as %s.",
                    first->name, formats[i]->name);
        return VIC_OK;
    }
    return st;
}

vic_status format_no_model(const struct source *s, int model, const int64_t *numbers, size_t count, vic_error *err)
{
    char list[160];
    size_t at = 0, shown = count <= 12 ? count : 10;
    list[0] = 0;
    if (count == 1)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: no model %d; the file has 1: %lld; ask for this one, or -1 for the last", s->name, model,
                        (long long)numbers[0]);
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

vic_status format_no_frame(const struct source *s, const char *what, int model, int64_t frames, vic_error *err)
{
    if (frames == 1)
        return vic_fail(err, VIC_BAD_INPUT, "%s: no %s %d; the file has one; ask for 1, or -1 for the last", s->name,
                        what, model);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: no %s %d; the file has %lld: 1 to %lld; ask for one of these, or -1 for the last", s->name,
                    what, model, (long long)frames, (long long)frames);
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

void format_none(struct file_content *out, const char *what, int64_t line)
{
    if (out->none_count++) return;
    out->none_what = what;
    out->none_line = line;
}

void format_note_none(struct file_content *out)
{
    if (!out->none_count) return;
    format_note(out->notes, "%lld value%s inf, nan or stars (%s in line %lld is the first): taken as not stated.",
                (long long)out->none_count, out->none_count == 1 ? " is" : "s are", out->none_what,
                (long long)out->none_line);
}

vic_status format_append(struct file_content *out, const struct atom *a, size_t at, vic_error *err)
{
    size_t row = out->atoms.count;
    TRY(mem_grow(&out->places, &out->places_capacity, row + 1, sizeof *out->places, "places of atoms", err));
    out->places[row] = at;
    return atoms_append(&out->atoms, a, err);
}

void format_note_models(struct file_content *out, int model, const char *what)
{
    if (model != 0 || out->models < 2) return;
    format_note(out->notes, "The file has %lld %s; the first was taken.", (long long)out->models, what);
}

void format_note_fault(struct file_content *out, int64_t frame, const struct source *s, const vic_error *fault)
{
    const char *text = fault->text;
    size_t length = strlen(s->name);
    const char *advice = NULL;
    if (strncmp(text, s->name, length) == 0 && text[length] == ' ') text += length + 1;
    for (const char *at = text; (at = strstr(at, "; ")); ++at) advice = at;
    format_note(out->notes, "What follows frame %lld cannot be read and is left out: %.*s.", (long long)frame,
                (int)(advice ? advice - text : 400), text);
}

bool format_cell_is_dummy(const double p[6])
{
    bool ones = p[0] == 1 && p[1] == 1 && p[2] == 1, zeros = true;
    for (int i = 0; i < 6; ++i) zeros = zeros && (p[i] == 0 || (i >= 3 && p[i] == 90));
    return ones || zeros;
}
