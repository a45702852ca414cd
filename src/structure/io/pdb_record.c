/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/pdb_record.h"

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

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool pdb_begins(struct piece line, const char *name)
{
    for (size_t i = 0; name[i]; ++i)
        if (i == line.length || upper(line.text[i]) != name[i]) return false;
    return true;
}

/* Three words, one after the other, that are numbers with a decimal point. */
static bool has_three_decimals(struct piece line)
{
    struct piece word;
    double number;
    int found = 0;
    while (found < 3 && piece_next_word(&line, &word))
        found =
            memchr(word.text, '.', word.length) && number_read(word.text, word.length, 0, &number) ? found + 1 : 0;
    return found == 3;
}

static bool has_coordinates_in_columns(struct piece line)
{
    double number;
    for (size_t first = 31; first <= 47; first += 8) {
        struct piece field = columns(line, first, first + 7);
        if (!memchr(field.text, '.', field.length) || !number_read(field.text, field.length, 0, &number))
            return false;
    }
    return true;
}

/* Where an atom has them also its serial, its residue's number and blanks, and each coordinate's point in its place:
 * a table of numbers, as modelling programs write behind the atoms, has no such columns. */
static bool has_columns_of_an_atom(struct piece line)
{
    struct piece serial = columns(line, 7, 11), residue = columns(line, 23, 26);
    int64_t number;
    return has_coordinates_in_columns(line) && column(line, 35) == '.' && column(line, 43) == '.' &&
           column(line, 51) == '.' && piece_is_blank(columns(line, 28, 30)) &&
           number_read_integer(serial.text, serial.length, &number) &&
           number_read_integer(residue.text, residue.length, &number);
}

/* Records of the format that hold numbers where an atom has its coordinates. */
static bool is_other_record(struct piece line)
{
    static const char *const names[] = {
        "HEADER", "OBSLTE", "TITLE",  "SPLIT",  "CAVEAT", "COMPND", "SOURCE", "KEYWDS", "EXPDTA", "NUMMDL",
        "MDLTYP", "AUTHOR", "REVDAT", "SPRSDE", "JRNL",   "REMARK", "DBREF",  "SEQADV", "SEQRES", "MODRES",
        "HET ",   "HETNAM", "HETSYN", "FORMUL", "HELIX",  "SHEET",  "TURN",   "SSBOND", "LINK",   "HYDBND",
        "SLTBRG", "CISPEP", "SITE",   "CRYST",  "ORIGX",  "SCALE",  "MTRIX",  "TVECT",  "MODEL",  "ANISOU",
        "SIGATM", "SIGUIJ", "TER",    "ENDMDL", "CONECT", "MASTER", "END",    "USER",   "FTNOTE", "#",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (pdb_begins(line, names[i])) return true;
    return false;
}

/* Without a quotation sign, "> ", a no-break space or the like in front; but what begins as a comment stays one. */
static struct piece without_mark(struct piece line)
{
    line = piece_trim(line);
    if (line.length && strchr("!;*%/", *line.text)) return line;
    while (line.length && !is_letter(*line.text) && !is_digit(*line.text)) ++line.text, --line.length;
    return line;
}

enum pdb_kind pdb_kind_of(struct piece line)
{
    struct piece word, rest;
    bool atom_like, capitals = piece_begins(line, "ATOM") || piece_begins(line, "HETATM");
    if (line.length && upper(*line.text) != 'A' && upper(*line.text) != 'H' && is_other_record(line))
        return PDB_OTHER;
    /* In small letters it may also be a word of a remark.  Programs with six-digit serials begin them in column 6. */
    if (capitals || has_coordinates_in_columns(line)) {
        if (pdb_begins(line, "HETATM") && (line.length < 7 || line.text[6] != '\t')) return PDB_ATOM;
        if (pdb_begins(line, "ATOM") && (line.length == 4 || line.text[4] == ' ' || is_digit(line.text[4])))
            return PDB_ATOM;
    }
    if (is_other_record(line)) return PDB_OTHER;
    rest = without_mark(line);
    if (!piece_next_word(&rest, &word)) return PDB_OTHER;
    atom_like = pdb_begins(word, "ATO") || pdb_begins(word, "ATM") || pdb_begins(word, "HETA") ||
                pdb_begins(word, "HETM") || pdb_begins(word, "HTATM") || pdb_begins(word, "HEATM");
    if (atom_like ? has_three_decimals(line) : has_columns_of_an_atom(line)) return PDB_UNCLEAR;
    return PDB_OTHER;
}

vic_status pdb_refuse_unclear(const char *file, int64_t number, struct piece line, vic_error *err)
{
    bool tab = line.length && memchr(line.text, '\t', line.length);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected ATOM or HETATM from column 1 on before coordinates in columns 31 to 54, "
                    "found %s; %s",
                    file, (long long)number, quoted(line).text,
                    tab ? "write blanks for the tab, so that the columns stand where they belong"
                        : "fix the record, or remove it (REMARK before it keeps it as a remark)");
}

/* Where the decimal point stands in the field that begins in column `first`; -1 without one. */
static int point_in(struct piece line, size_t first, size_t last)
{
    struct piece field = columns(line, first, last);
    const char *point = field.length ? memchr(field.text, '.', field.length) : NULL;
    return point ? (int)(point - field.text) : -1;
}

static bool is_filled(struct piece line, size_t at)
{
    return at <= line.length && column(line, at) != ' ' && column(line, at) != '\t';
}

static bool is_sign(char c)
{
    return c == '-' || c == '+';
}

static bool is_of_number(char c)
{
    return is_digit(c) || c == '.';
}

/* A number that touches the next one is whole only where the columns are those of the format: the next begins with
 * its sign, or has its point where the format has it (or both have it further left, for more digits behind it).  A
 * field that is too wide for its number pushes all points to the right. */
static bool touches_badly(struct piece line, size_t first, size_t edge, size_t last, int point)
{
    int left, right;
    if (line.length <= edge || !is_of_number(column(line, edge)) || !is_of_number(column(line, edge + 1)))
        return false;
    left = point_in(line, first, edge);
    right = point_in(line, edge + 1, last);
    return !(right == point || (right >= 0 && right < point && right == left));
}

static vic_status bad_edge(const char *file, int64_t number, struct piece line, const char *what, size_t from,
                           size_t to, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %s whole and in its columns, found %s in columns %zu to %zu; a number "
                    "stands over their edge: write it with fewer digits, or move it where it belongs",
                    file, (long long)number, what, quoted(columns(line, from, to)).text, from, to);
}

/* The last column of the residue number, which may have more digits than its four columns. */
static size_t end_of_sequence(struct piece line)
{
    size_t end = 26;
    while (end < 30 && is_digit(column(line, end)) && is_digit(column(line, end + 1))) ++end;
    return end;
}

/* No number's sign or digit may stand outside of the field that is read. */
static vic_status check_coordinate_edges(const char *file, int64_t number, struct piece line, vic_error *err)
{
    size_t end = end_of_sequence(line);
    for (size_t at = end > 27 ? end + 1 : 28; at <= 30; ++at)
        if (is_filled(line, at)) return bad_edge(file, number, line, "x", 28, 38, err);
    if (end == 30 && is_filled(line, 31) && !is_sign(column(line, 31)))
        return bad_edge(file, number, line, "the residue number and x", 23, 38, err);
    if (touches_badly(line, 31, 38, 46, 4)) return bad_edge(file, number, line, "x and y", 31, 46, err);
    if (touches_badly(line, 39, 46, 54, 4)) return bad_edge(file, number, line, "y and z", 39, 54, err);
    if (touches_badly(line, 47, 54, 60, 3)) return bad_edge(file, number, line, "z and the occupancy", 47, 60, err);
    return VIC_OK;
}

static vic_status read_coordinate(const char *file, int64_t number, struct piece line, int axis, double *value,
                                  vic_error *err)
{
    size_t first = 31 + 8 * (size_t)axis;
    struct piece field = columns(line, first, first + 7);
    if (number_read(field.text, field.length, 0, value)) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected %c as a number in columns %zu to %zu, found %s; fix or remove this atom",
                    file, (long long)number, "xyz"[axis], first, first + 7, quoted(field).text);
}

/* A number that may be missing. */
struct optional {
    const char *what;
    size_t first, last; /* columns */
    float missing;      /* its value then */
};

static vic_status read_optional(const char *file, int64_t number, struct piece line, const struct optional *o,
                                float *value, bool *present, struct pdb_record *record, vic_error *err)
{
    struct piece field = columns(line, o->first, o->last);
    double read;
    *value = o->missing;
    *present = false;
    if (piece_is_blank(field)) return VIC_OK;
    *present = number_read(field.text, field.length, 0, &read);
    if (!*present && number_is_none(field.text, field.length)) {
        record->no_number = o->what;
        return VIC_OK;
    }
    if (!*present)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s line %lld: expected %s as a number (or blanks) in columns %zu to %zu, found %s; fix the "
                        "field or blank it",
                        file, (long long)number, o->what, o->first, o->last, quoted(field).text);
    *value = (float)read;
    return VIC_OK;
}

/* The B-factor's last column: it may have more digits than room, with nothing behind it that they could run into. */
static size_t end_of_b_factor(struct piece line)
{
    size_t end = 66;
    while (end < 72 && line.length > end && is_of_number(column(line, end)) && is_of_number(column(line, end + 1)))
        ++end;
    return end;
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

/* Stars and blanks leave it 0. */
static void read_sequence(struct piece line, vic_atom_label *label)
{
    size_t end = end_of_sequence(line); /* insertion codes are letters */
    struct piece field = columns(line, 23, end);
    int64_t number;
    char after = end == 26 ? column(line, 27) : ' ';
    label->insertion = after > ' ' && after <= '~' ? after : ' ';
    if (number_read_integer(field.text, field.length, &number))
        label->sequence = (int32_t)number;
    else
        read_hybrid36(field, &label->sequence);
}

/* A digit behind a name that fills its columns, of an atom that is there as a whole, is the end of a name of four
 * that begins a column too far right, and no altloc label. */
static void read_name(struct piece line, const struct pdb_record *record, vic_atom_label *label)
{
    char altloc = column(line, 17);
    bool whole = !(record->atom.occupancy > 0 && record->atom.occupancy < 1);
    bool moved = whole && is_digit(altloc) && column(line, 13) == ' ' && is_filled(line, 14) && is_filled(line, 15) &&
                 is_filled(line, 16);
    struct piece name = moved ? columns(line, 14, 17) : columns(line, 13, 16);
    label_set(label->name, sizeof label->name, name.text, name.length);
    label->altloc = !moved && altloc > ' ' && altloc <= '~' ? altloc : ' ';
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

/* `moved` columns to the right of where it belongs. */
static uint8_t read_element(struct piece line, size_t moved, const vic_atom_label *label,
                            struct element_memory *memory)
{
    struct piece symbol = piece_trim(columns(line, 77 + moved, 78 + moved));
    char first = column(line, 13);
    enum element_column where = first == ' ' || is_digit(first) ? ELEMENT_COLUMN_ONE : ELEMENT_COLUMN_TWO;
    uint8_t number = element_from_symbol(symbol.text, symbol.length);
    return number ? number : element_recall(memory, label->name, label->residue, where, label->hetero);
}

bool pdb_holds_atom(struct piece line, size_t from)
{
    enum { LEAST = 30, MOST = 100 }; /* characters up to z */
    for (size_t at = from; at + LEAST <= line.length; ++at) {
        struct piece rest = piece_field(line, at, at + MOST);
        if ((*rest.text == 'A' || *rest.text == 'H') &&
            (piece_begins(rest, "ATOM  ") || piece_begins(rest, "HETATM")) && has_three_decimals(rest))
            return true;
    }
    return false;
}

vic_status pdb_refuse_joined(const char *file, int64_t number, struct piece line, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s line %lld: expected one record, found another atom behind it (%zu characters) in %s; begin "
                    "a new line before each ATOM and HETATM",
                    file, (long long)number, line.length, quoted(line).text);
}

/* The columns needed are not all there: reports which field, or that the file seems to end too early. */
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
                    last ? "the file seems to have been cut: fetch it again" : "fix or remove this atom");
}

vic_status pdb_read_atom(const char *file, struct piece line, const struct lines *l, struct element_memory *memory,
                         struct pdb_record *out, vic_error *err)
{
    struct atom *a = &out->atom;
    const size_t length = line.length;
    const int64_t number = l->number;
    const bool cut = l->open && ((length > 54 && length < 60) || (length > 60 && length < 66));
    const size_t end = end_of_b_factor(line), moved = is_filled(line, 61) ? end - 66 : 0;
    const struct optional occupancy = { "the occupancy", 55, 60, 1.0f }, b_factor = { "the B-factor", 61, end, 0.0f };
    struct piece segment = columns(line, 73 + moved, 76 + moved);
    memset(out, 0, sizeof *out);
    if (length < 54 || cut) return short_record(file, line, l, err);
    if (pdb_holds_atom(line, 54)) return pdb_refuse_joined(file, number, line, err);
    TRY(check_coordinate_edges(file, number, line, err));
    for (int axis = 0; axis < 3; ++axis) TRY(read_coordinate(file, number, line, axis, &a->position[axis], err));
    TRY(read_optional(file, number, line, &occupancy, &a->occupancy, &out->has_occupancy, out, err));
    TRY(read_optional(file, number, line, &b_factor, &a->b_factor, &out->has_b_factor, out, err));
    if (touches_badly(line, 55, 60, 66, 3) && point_in(line, 55, 60) != 3)
        return bad_edge(file, number, line, "the occupancy and the B-factor", 55, 66, err);
    read_name(line, out, &a->label);
    label_set(a->segment, sizeof a->segment, segment.text, segment.length);
    read_residue_and_chain(line, &a->label);
    read_sequence(line, &a->label);
    a->label.hetero = upper(line.text[0]) == 'H';
    a->number = read_element(line, moved, &a->label, memory);
    return VIC_OK;
}
