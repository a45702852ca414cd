/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/pdb_record.h"

#include "structure/element.h"
#include "structure/number.h"

#include <string.h>

/* Columns as the format counts them, from 1; fields are [first, last]. */
static struct piece columns(struct piece line, size_t first, size_t last)
{
    return piece_field(line, first - 1, last);
}

/* Of the first 54, which every record has that is looked into. */
static char column(struct piece line, size_t at)
{
    return line.text[at - 1];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

bool pdb_is_atom(struct piece line)
{
    if (piece_begins(line, "HETATM")) return true;
    /* Programs with six-digit serials begin them in column 6. */
    return piece_begins(line, "ATOM") && (line.length == 4 || line.text[4] == ' ' || is_digit(line.text[4]));
}

static vic_status read_coordinate(const char *file, int64_t number, struct piece line, int axis, double *value,
                                  vic_error *err)
{
    size_t first = 31 + 8 * (size_t)axis;
    struct piece field = columns(line, first, first + 7);
    if (number_read(field.text, field.length, 0, value)) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %c as a number in columns %zu to %zu, found %s; mend or remove this atom",
                    file, (long long)number, "xyz"[axis], first, first + 7, quoted(field).text);
}

static vic_status read_optional(const char *file, int64_t number, struct piece line, size_t first, const char *what,
                                float missing, float *value, bool *present, vic_error *err)
{
    struct piece field = columns(line, first, first + 5);
    double read;
    *value = missing;
    *present = !piece_is_blank(field);
    if (!*present) return VIC_OK;
    if (!number_read(field.text, field.length, 0, &read))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %s as a number (or blanks) in columns %zu to %zu, found %s; mend the "
                        "field or blank it",
                        file, (long long)number, what, first, first + 5, quoted(field).text);
    *value = (float)read;
    return VIC_OK;
}

/* Residue numbers above 9999 in four columns: A000 is 10000, a000 comes after ZZZZ (hybrid-36). */
static bool read_hybrid36(struct piece p, int32_t *value)
{
    enum { POWER = 36 * 36 * 36 };
    int32_t result = 0;
    bool upper;
    if (p.length != 4 || !is_letter(p.text[0])) return false;
    upper = is_upper(p.text[0]);
    for (size_t i = 0; i < 4; ++i) {
        char c = p.text[i];
        if (is_digit(c))
            result = 36 * result + (c - '0');
        else if (is_letter(c) && is_upper(c) == upper)
            result = 36 * result + (c - (upper ? 'A' : 'a') + 10);
        else
            return false;
    }
    *value = result - 10 * POWER + 10000 + (upper ? 0 : 26 * POWER);
    return true;
}

static bool read_sequence(struct piece line, vic_atom_label *label)
{
    struct piece field = columns(line, 23, 26);
    int64_t number;
    char after = column(line, 27);
    label->insertion = ' ';
    if (is_digit(after) && is_digit(column(line, 26))) { /* five digits: insertion codes are letters */
        field = columns(line, 23, 27);
        after = ' ';
    }
    if (after > ' ' && after <= '~') label->insertion = after;
    if (number_read_integer(field.text, field.length, &number)) {
        label->sequence = (int32_t)number;
        return true;
    }
    return read_hybrid36(field, &label->sequence);
}

/* Column 21 belongs to a four-letter residue (CHARMM's TIP3, POPC) or to a two-letter chain (large entries). */
static void read_residue_and_chain(struct piece line, vic_atom_label *label)
{
    static const char four_letters[] =
        " SPCE POPC POPE POPS POPG POPA POPI DPPC DPPE DPPS DPPG DMPC DMPE DMPG DOPC DOPE "
        "DOPS DOPG DLPC DLPE DLPG DSPC DSPE DAPC PLPC PLPE PAPC SAPC SAPE SDPC SOPC SLPC "
        "CHL1 HEME HISA HISB HISD HISE HISH CYSH CYS2 LYSH ASPP GLUP ";
    struct piece residue = columns(line, 18, 20), chain = columns(line, 21, 22);
    char padded[7] = " .... ";
    if (column(line, 21) != ' ' && column(line, 18) != ' ' && column(line, 20) != ' ') {
        for (size_t i = 0; i < 4; ++i) padded[i + 1] = column(line, 18 + i);
        if (column(line, 22) == ' ' || memcmp(padded + 1, "TIP", 3) == 0 || strstr(four_letters, padded)) {
            residue = columns(line, 18, 21);
            chain = columns(line, 22, 22);
        }
    }
    label_set(label->residue, sizeof label->residue, residue.text, residue.length);
    label_set(label->chain, sizeof label->chain, chain.text, chain.length);
}

static uint8_t read_element(struct piece line, const vic_atom_label *label)
{
    struct piece symbol = piece_trim(columns(line, 77, 78));
    char first = column(line, 13);
    enum element_column where = first == ' ' || is_digit(first) ? ELEMENT_COLUMN_ONE : ELEMENT_COLUMN_TWO;
    uint8_t number = element_from_symbol(symbol.text, symbol.length);
    return number ? number : element_from_name(label->name, label->residue, where, label->hetero);
}

/* The columns needed are not all there: says which field, or that the file seems to end too early. */
static vic_status short_record(const char *file, struct piece line, const struct lines *l, vic_error *err)
{
    struct piece end = piece_field(line, line.length > 30 ? line.length - 30 : 0, line.length);
    bool last = lines_only_blank_left(l);
    double ignored;
    for (int axis = 0; axis < 3 && !last; ++axis) TRY(read_coordinate(file, l->number, line, axis, &ignored, err));
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected an atom record with x, y, z in columns 31 to 54 and whole fields after, "
                    "found one that ends in column %zu with %s; %s",
                    file, (long long)l->number, line.length, quoted(end).text,
                    last ? "the file seems to have been cut: fetch it again" : "mend or remove this atom");
}

vic_status pdb_read_atom(const char *file, struct piece line, const struct lines *l, struct pdb_record *out,
                         vic_error *err)
{
    struct atom *a = &out->atom;
    const size_t length = line.length;
    const int64_t number = l->number;
    const bool cut = l->open && ((length > 54 && length < 60) || (length > 60 && length < 66));
    struct piece name = columns(line, 13, 16), segment = columns(line, 73, 76);
    memset(out, 0, sizeof *out);
    if (length < 54 || cut) return short_record(file, line, l, err);
    for (int axis = 0; axis < 3; ++axis) TRY(read_coordinate(file, number, line, axis, &a->position[axis], err));
    TRY(read_optional(file, number, line, 55, "the occupancy", 1.0f, &a->occupancy, &out->has_occupancy, err));
    TRY(read_optional(file, number, line, 61, "the B-factor", 0.0f, &a->b_factor, &out->has_b_factor, err));
    label_set(a->label.name, sizeof a->label.name, name.text, name.length);
    label_set(out->segment, sizeof out->segment, segment.text, segment.length);
    read_residue_and_chain(line, &a->label);
    out->numbered = read_sequence(line, &a->label);
    a->label.altloc = column(line, 17) > ' ' && column(line, 17) <= '~' ? column(line, 17) : ' ';
    a->label.hetero = line.text[0] == 'H';
    a->number = read_element(line, &a->label);
    return VIC_OK;
}
