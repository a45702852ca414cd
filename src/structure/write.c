/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms with a value each, as PDB, mmCIF (write_mmcif.c) or extXYZ.  Written to a file beside the wanted one and
 * renamed when it is whole. */
#define _POSIX_C_SOURCE 200809L
#include "structure/write.h"
#include "base/stream.h"
#include "structure/cell.h"
#include "structure/element.h"
#include "structure/number.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- PDB ---- */

/* Decimal while it fits, then hybrid-36: A000 ..., a000 ...; false beyond. */
static bool put_hybrid36(char *field, int width, int64_t value)
{
    static const char upper[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                      lower[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const char *digits = upper;
    int64_t most = 1, block = 26, first = 10;
    char text[24];
    for (int i = 0; i < width; ++i) most *= 10;
    for (int i = 1; i < width; ++i) block *= 36, first *= 36;
    if (value < most && value > -most / 10) {
        snprintf(text, sizeof text, "%*lld", width, (long long)value);
        memcpy(field, text, (size_t)width);
        return true;
    }
    value -= most;
    if (value >= block) {
        value -= block;
        digits = lower;
    }
    if (value < 0 || value >= block) return false;
    value += first;
    for (int i = width; i-- > 0; value /= 36) field[i] = digits[value % 36];
    return true;
}

static bool put_number(char *field, int width, const char *format, double value)
{
    char text[64];
    int length = number_print(text, sizeof text, format, value);
    if (length != width) return false;
    memcpy(field, text, (size_t)width);
    return true;
}

static void put_text(char *field, size_t width, const char *text)
{
    size_t length = strlen(text);
    memcpy(field, text, length < width ? length : width);
}

/* Columns 13 to 16: a one-letter element stands in column 14, unless the name needs all four. */
static void put_name(char *field, const char *name, const char *symbol)
{
    size_t length = strlen(name), letters = strlen(symbol);
    bool two = letters == 2 && (name[0] | 0x20) == (symbol[0] | 0x20) && (name[1] | 0x20) == (symbol[1] | 0x20);
    put_text(field + (length >= 4 || two ? 0 : 1), length >= 4 || two ? 4 : 3, name);
}

static vic_status does_not_fit(const struct writing *w, size_t i, const char *what, double value, const char *range,
                               vic_error *err)
{
    return vic_fail(err, VIC_CANNOT_WRITE,
                    "%s: expected %s of atom %zu within %s, as PDB columns hold no more, found %g; write extXYZ "
                    "(.extxyz) instead",
                    w->path, what, i + 1, range, value);
}

static vic_status write_pdb_atom(const struct writing *w, const struct vic_structure *s, size_t i, vic_error *err)
{
    char line[82], symbol[4] = "";
    const struct atoms *a = &s->atoms;
    const double *r = a->positions + 3 * i;
    const vic_atom_label *label = a->has_labels ? &a->labels[i] : NULL;
    memset(line, ' ', 80);
    line[80] = '\n';
    line[81] = 0;
    put_text(line, 6, label && label->hetero ? "HETATM" : "ATOM");
    if (!put_hybrid36(line + 6, 5, (int64_t)i + 1))
        return does_not_fit(w, i, "the serial number", (double)i + 1, "87440031", err);
    if (a->numbers[i]) snprintf(symbol, sizeof symbol, "%s", element_symbol(a->numbers[i]));
    for (char *c = symbol; *c; ++c)
        if (*c >= 'a') *c = (char)(*c - 'a' + 'A');
    put_name(line + 12, label ? label->name : *symbol ? symbol : "X", symbol);
    if (label) {
        size_t residue = strlen(label->residue), chain = strlen(label->chain);
        line[16] = label->altloc;
        put_text(line + 17 + (residue < 3 ? 3 - residue : 0), residue > 3 && chain < 2 ? 4 : 3, label->residue);
        if (chain >= 2)
            put_text(line + 20, 2, label->chain);
        else
            put_text(line + 21, 1, label->chain);
        if (!put_hybrid36(line + 22, 4, label->sequence)) put_text(line + 22, 4, "****");
        line[26] = label->insertion;
    } else {
        put_text(line + 17, 9, "MOL     1");
    }
    for (int k = 0; k < 3; ++k)
        if (!put_number(line + 30 + 8 * k, 8, "%8.3f", r[k]))
            return does_not_fit(w, i, "the position", r[k], "-999.999 to 9999.999", err);
    if (!put_number(line + 54, 6, "%6.2f", a->has_occupancies ? (double)a->occupancies[i] : 1.0))
        put_text(line + 54, 6, "  1.00");
    if (!(w->values[i] - w->values[i] == 0) || !put_number(line + 60, 6, "%6.2f", w->values[i]))
        return does_not_fit(w, i, "the value", w->values[i], "-99.99 to 999.99", err);
    memcpy(line + 78 - strlen(symbol), symbol, strlen(symbol));
    fputs(line, w->file);
    return VIC_OK;
}

/* The frame of the atoms, where it is not the one that CRYST1 implies. */
static vic_status write_scale(const struct writing *w, const struct vic_structure *s, vic_error *err)
{
    double inverse[3][3];
    cell_invert(CELL(s->cell), inverse);
    for (int i = 0; i < 3; ++i) {
        char line[56];
        memset(line, ' ', sizeof line);
        memcpy(line, "SCALE", 5);
        line[5] = (char)('1' + i);
        for (int k = 0; k < 3; ++k)
            if (!put_number(line + 10 + 10 * k, 10, "%10.6f", inverse[k][i]))
                return vic_fail(err, VIC_CANNOT_WRITE,
                                "%s: expected a cell that PDB's SCALE columns hold, found %g in its inverse; write "
                                "extXYZ (.extxyz) instead",
                                w->path, inverse[k][i]);
        if (!put_number(line + 45, 10, "%10.5f", s->origin[i])) put_text(line + 45, 10, "   0.00000");
        line[55] = 0;
        fprintf(w->file, "%s                         \n", line);
    }
    return VIC_OK;
}

static vic_status write_pdb(const struct writing *w, const struct vic_structure *s, vic_error *err)
{
    if (s->has_cell && cell_is_full(CELL(s->cell))) {
        static const int width[6] = { 9, 9, 9, 7, 7, 7 };
        const char *group = s->expanded || !*s->space_group ? "P 1" : s->space_group;
        double p[6];
        char line[56];
        int at = 6;
        if (cell_volume(CELL(s->cell)) < 0)
            return vic_fail(err, VIC_CANNOT_WRITE,
                            "%s: expected a right-handed cell, as PDB's CRYST1 means, found a left-handed one; write "
                            "extXYZ (.extxyz) instead",
                            w->path);
        cell_to_parameters(CELL(s->cell), p);
        memcpy(line, "CRYST1", 6);
        for (int i = 0; i < 6; at += width[i++])
            if (!put_number(line + at, width[i], i < 3 ? "%9.3f" : "%7.2f", p[i]))
                return vic_fail(err, VIC_CANNOT_WRITE,
                                "%s: expected cell edges below 100000 A, found %g; write extXYZ (.extxyz) instead",
                                w->path, p[i]);
        line[at] = 0;
        fprintf(w->file, "%s %-11.11s%4d          \n", line, group, 1);
        if (!cell_is_upright(CELL(s->cell))) TRY(write_scale(w, s, err));
    }
    for (size_t i = 0; i < s->atoms.count; ++i) TRY(write_pdb_atom(w, s, i, err));
    fputs("END\n", w->file);
    return VIC_OK;
}

/* ---- extXYZ ---- */

static void put_exact(FILE *file, const char *before, double value)
{
    char text[40];
    if (number_print_exact(text, sizeof text, value) > 0) fprintf(file, "%s%s", before, text);
}

static vic_status write_extxyz(const struct writing *w, const struct vic_structure *s, vic_error *err)
{
    size_t length = w->value_name ? strlen(w->value_name) : 0;
    bool plain = length > 0 && length <= 64;
    for (size_t i = 0; plain && i < length; ++i) {
        char c = w->value_name[i];
        plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    if (!plain || strcmp(w->value_name, "species") == 0 || strcmp(w->value_name, "pos") == 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "value_name: expected a column name of letters, digits, _ and -, other than species and pos, "
                        "found \"%.64s\"",
                        w->value_name ? w->value_name : "");
    fprintf(w->file, "%zu\n", s->atoms.count);
    if (s->has_cell) {
        fputs("Lattice=\"", w->file);
        for (int i = 0; i < 9; ++i) put_exact(w->file, i ? " " : "", s->cell[i / 3][i % 3]);
        fputs("\" ", w->file);
    }
    fprintf(w->file, "pbc=\"%c %c %c\" Properties=species:S:1:pos:R:3:%s:R:1\n", s->periodic[0] ? 'T' : 'F',
            s->periodic[1] ? 'T' : 'F', s->periodic[2] ? 'T' : 'F', w->value_name);
    for (size_t i = 0; i < s->atoms.count; ++i) {
        fputs(element_symbol(s->atoms.numbers[i]), w->file);
        for (int k = 0; k < 3; ++k) put_exact(w->file, " ", s->atoms.positions[3 * i + (size_t)k]);
        put_exact(w->file, " ", w->values[i]);
        putc('\n', w->file);
    }
    return VIC_OK;
}

/* ---- Either ---- */

typedef vic_status writer(const struct writing *w, const struct vic_structure *s, vic_error *err);

static writer *find_writer(const char *path)
{
    static const struct {
        const char *ending;
        writer *write;
    } writers[] = { { ".pdb", write_pdb },
                    { ".cif", write_mmcif },
                    { ".mmcif", write_mmcif },
                    { ".xyz", write_extxyz },
                    { ".extxyz", write_extxyz } };
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; ++i) {
        size_t ending = strlen(writers[i].ending), k = 0;
        if (length <= ending) continue;
        while (k < ending && (path[length - ending + k] | (k ? 0x20 : 0)) == writers[i].ending[k]) ++k;
        if (k == ending) return writers[i].write;
    }
    return NULL;
}

static vic_status no_writer(const char *path, vic_error *err)
{
    return vic_fail(err, VIC_BAD_ARGUMENT,
                    "%s: expected a name that ends in .pdb, .cif, .mmcif, .xyz or .extxyz, which choose the format",
                    path);
}

vic_status structure_write_to(const struct vic_structure *s, int descriptor, const char *name, const char *value_name,
                              const double *values, vic_error *err)
{
    struct writing w = { NULL, name, value_name, values };
    writer *write = find_writer(name);
    vic_status st, closed;
    if (!write) return no_writer(name, err);
    TRY(stream_to(descriptor, name, &w.file, err));
    st = write(&w, s, err);
    closed = stream_close(w.file, name, st == VIC_OK ? err : NULL); /* the first error is reported */
    return st == VIC_OK ? closed : st;
}

/* A new file beside `path`; its name in `part`. */
static FILE *open_beside(const char *path, char *part, size_t part_size)
{
    for (int i = 0; i < 100; ++i) {
        int descriptor, length = snprintf(part, part_size, "%s.part-%ld-%d", path, (long)getpid(), i);
        FILE *file;
        if (length < 0 || (size_t)length >= part_size) {
            errno = ENAMETOOLONG;
            return NULL;
        }
        descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0) {
            if (errno == EEXIST) continue;
            return NULL;
        }
        file = fdopen(descriptor, "w");
        if (!file) {
            close(descriptor);
            unlink(part);
        }
        return file;
    }
    return NULL;
}

vic_status structure_write(const struct vic_structure *s, const char *path, const char *value_name,
                           const double *values, vic_error *err)
{
    struct writing w = { NULL, path, value_name, values };
    writer *write = find_writer(path);
    char part[4096];
    struct stat info;
    vic_status st, closed;
    if (!write) return no_writer(path, err);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* renaming would replace a device or fail at a directory */
        return vic_fail(err, VIC_CANNOT_WRITE,
                        "%s: expected a regular file to write or replace, found something else", path);
    w.file = open_beside(path, part, sizeof part);
    if (!w.file)
        return vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot create a file beside it: %s", path, strerror(errno));
    st = write(&w, s, err);
    closed = stream_close(w.file, path, st == VIC_OK ? err : NULL);
    if (st == VIC_OK) st = closed;
    if (st == VIC_OK && rename(part, path) != 0)
        st = vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot rename %s to it: %s", path, part, strerror(errno));
    if (st != VIC_OK) unlink(part);
    return st;
}
