/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/element.h"

#include <math.h>
#include <string.h>

static const char *const symbols[ELEMENT_COUNT] = {
    "X",  "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",
    "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn",
    "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
    "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
    "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md",
    "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
};

/* Standard atomic weights (IUPAC 2021, abridged); of elements without one the mass number of the longest-lived
 * isotope. */
static const double masses[ELEMENT_COUNT] = {
    0,      1.008,  4.0026, 6.94,   9.0122, 10.81,  12.011, 14.007, 15.999, 18.998, 20.180, 22.990, 24.305, 26.982,
    28.085, 30.974, 32.06,  35.45,  39.95,  39.098, 40.078, 44.956, 47.867, 50.942, 51.996, 54.938, 55.845, 58.933,
    58.693, 63.546, 65.38,  69.723, 72.630, 74.922, 78.971, 79.904, 83.798, 85.468, 87.62,  88.906, 91.224, 92.906,
    95.95,  98,     101.07, 102.91, 106.42, 107.87, 112.41, 114.82, 118.71, 121.76, 127.60, 126.90, 131.29, 132.91,
    137.33, 138.91, 140.12, 140.91, 144.24, 145,    150.36, 151.96, 157.25, 158.93, 162.50, 164.93, 167.26, 168.93,
    173.05, 174.97, 178.49, 180.95, 183.84, 186.21, 190.23, 192.22, 195.08, 196.97, 200.59, 204.38, 207.2,  208.98,
    209,    210,    222,    223,    226,    227,    232.04, 231.04, 238.03, 237,    244,    243,    247,    247,
    251,    252,    257,    258,    259,    262,    267,    268,    267,    270,    271,    278,    281,    282,
    285,    286,    290,    290,    293,    294,    294,
};

/* Blank-separated words; a word of any length up to 7 is looked up with blanks around it. */
static const char waters[] =
    " HOH H2O DOD WAT SOL SPC SPCE TIP TIP2 TIP3 TIP3P TIP4 TIP4P TIP5 TIP5P TIPS TP3 TP4 TP5 "
    "TP3M T3P T4P T4E T3H OPC OPC3 HHO OHH ";

static const char polymers[] =
    " ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL MSE SEC PYL ASX GLX PCA HYP "
    "HSD HSE HSP HID HIE HIP HISA HISB HISH HISD HISE CYX CYM CYSH CYS2 ASH ASPP GLH GLUP LYN LSN LYSH ACE NME NMA "
    "NH2 SEP TPO PTR MLY CSO KCX "
    "A C G U I T DA DC DG DT DI DU RA RC RG RU A3 A5 C3 C5 G3 G5 U3 U5 DA3 DA5 DC3 DC5 DG3 DG5 DT3 DT5 "
    "RA3 RA5 RC3 RC5 RG3 RG5 RU3 RU5 ADE CYT GUA THY URA ";

static const char hemes[] = " HEM HEME HEC HEA HEB HAS HDD ";

/* residue (and often atom) names of single ions, in file formats and force fields */
static const struct {
    const char *name, *symbol;
} ions[] = {
    { "SOD", "Na" }, { "NA+", "Na" }, { "CLA", "Cl" }, { "CL-", "Cl" },  { "POT", "K" },  { "K+", "K" },
    { "CES", "Cs" }, { "CS+", "Cs" }, { "CAL", "Ca" }, { "CA2+", "Ca" }, { "CA2", "Ca" }, { "MG2+", "Mg" },
    { "MG2", "Mg" }, { "ZN2", "Zn" }, { "LIT", "Li" }, { "LI+", "Li" },  { "RUB", "Rb" }, { "RB+", "Rb" },
    { "BAR", "Ba" }, { "CAD", "Cd" }, { "CD2", "Cd" }, { "FE2", "Fe" },  { "FE3", "Fe" }, { "CU1", "Cu" },
    { "CU2", "Cu" }, { "MN2", "Mn" }, { "MN3", "Mn" }, { "3CO", "Co" },  { "3NI", "Ni" }, { "BR-", "Br" },
    { "IOD", "I" },  { "I-", "I" },   { "F-", "F" },   { "NIO", "Na" },  { "CIO", "Cs" }, { "CIP", "Cl" },
    { "CIM", "Cl" }, { "IP", "Na" },  { "IM", "Cl" },  { "QC", "Cs" },   { "QK", "K" },   { "QL", "Li" },
    { "QR", "Rb" },  { "IB", "Br" },  { "MNH", "Mn" }, { "NA", "Na" },   { "CL", "Cl" },  { "K", "K" },
    { "MG", "Mg" },  { "CA", "Ca" },  { "ZN", "Zn" },  { "FE", "Fe" },   { "CU", "Cu" },  { "MN", "Mn" },
    { "NI", "Ni" },  { "CO", "Co" },  { "CD", "Cd" },  { "HG", "Hg" },   { "LI", "Li" },  { "RB", "Rb" },
    { "CS", "Cs" },  { "SR", "Sr" },  { "BA", "Ba" },  { "BR", "Br" },   { "I", "I" },    { "F", "F" },
    { "AG", "Ag" },  { "AU", "Au" },  { "PT", "Pt" },  { "PB", "Pb" },   { "AL", "Al" },  { "XE", "Xe" },
    { "KR", "Kr" },  { "AR", "Ar" },  { "NE", "Ne" },  { "HE", "He" },   { "YB", "Yb" },  { "GD", "Gd" },
};

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_letter(char c)
{
    return upper(c) >= 'A' && upper(c) <= 'Z';
}

static bool has_word(const char *list, const char *word)
{
    char padded[16];
    size_t length = strlen(word);
    if (!length || length > 7) return false;
    padded[0] = ' ';
    for (size_t i = 0; i < length; ++i) padded[1 + i] = upper(word[i]);
    padded[1 + length] = ' ';
    padded[2 + length] = 0;
    return strstr(list, padded) != NULL;
}

bool residue_is_water(const char *residue)
{
    return has_word(waters, residue);
}

bool residue_is_polymer(const char *residue)
{
    if (has_word(polymers, residue)) return true;
    /* Amber's termini, NALA and CALA */
    return strlen(residue) == 4 && (upper(residue[0]) == 'N' || upper(residue[0]) == 'C') &&
           has_word(polymers, residue + 1);
}

const char *element_symbol(uint8_t number)
{
    return symbols[number < ELEMENT_COUNT ? number : 0];
}

uint8_t element_from_symbol(const char *text, size_t length)
{
    char first, second;
    if (length < 1 || length > 2) return 0;
    first = upper(text[0]);
    second = length == 2 ? upper(text[1]) : 0;
    if (!second && (first == 'D' || first == 'T')) return 1;
    for (int z = 1; z < ELEMENT_COUNT; ++z)
        if (symbols[z][0] == first && upper(symbols[z][1]) == second) return (uint8_t)z;
    return 0;
}

/* Among light elements united atoms (CH2, 14.027) and hydrogens made heavy by what their neighbours lose come within
 * 0.1 u of another element; only the weight itself counts there, or the weight cut to fewer decimals. */
static bool is_weight(double mass, double weight, bool exactly)
{
    double away = fabs(mass - weight);
    if (away <= 0.015) return true;
    if (exactly || away > 0.1) return false;
    return weight > 20 || mass == round(weight) || fabs(mass * 10 - round(weight * 10)) < 1e-9;
}

uint8_t element_from_mass(double mass, bool exactly)
{
    uint8_t best = 0;
    if (is_weight(mass, 2.014, exactly)) return 1; /* deuterium */
    for (int z = 1; z < ELEMENT_COUNT; ++z)
        if (is_weight(mass, masses[z], exactly) && (!best || fabs(masses[z] - mass) < fabs(masses[best] - mass)))
            best = (uint8_t)z;
    return best;
}

static uint8_t ion_element(const char *name)
{
    char first = upper(*name);
    for (size_t i = 0; i < sizeof ions / sizeof *ions; ++i) {
        size_t k = 0;
        if (ions[i].name[0] != first) continue;
        while (name[k] && upper(name[k]) == ions[i].name[k]) ++k;
        if (!name[k] && !ions[i].name[k]) return element_from_symbol(ions[i].symbol, strlen(ions[i].symbol));
    }
    return 0;
}

/* H, C, N, O, P, S, F, I and the like by the first letter after leading digits ("1HB"). */
static uint8_t one_letter(const char *name, const char *allowed)
{
    char first;
    while (*name >= '0' && *name <= '9') ++name;
    first = upper(*name);
    if (!first || !strchr(allowed, first)) return 0;
    return element_from_symbol(&first, 1);
}

/* Symbols that no atom of a molecule has for a name in this spelling, with a small letter; in capitals PT, CU and NA
 * may be one of P, C and N. */
static const char *const metals[] = { "Na", "Ni", "Cu", "Cr", "Cs", "Pt", "Pd", "Pb",
                                      "Pr", "Pu", "Sn", "Sb", "Sr", "Sc", "Sm" };

uint8_t element_from_name(const char *name, const char *residue, enum element_column column, bool hetero)
{
    size_t letters = 0;
    uint8_t pair, ion;
    bool only_letters;
    if (residue_is_water(residue)) return one_letter(name, "HDO");
    if (residue_is_polymer(residue)) {
        if ((strcmp(residue, "MSE") == 0 || strcmp(residue, "SEC") == 0) && upper(name[0]) == 'S' &&
            upper(name[1]) == 'E')
            return 34;
        return one_letter(name, "HDCNOPS");
    }
    /* An ion is alone in its residue, which has its name: "SOD SOD", "NA NA+". */
    ion = ion_element(residue);
    if (ion) {
        uint8_t own = ion_element(name);
        if (own == ion || (column != ELEMENT_COLUMN_ONE && !own && one_letter(name, "HDCNOS") == 0)) return ion;
    }
    if (strcmp(name, "FE") == 0 && has_word(hemes, residue)) return 26; /* whatever the column */
    for (size_t i = 0; i < sizeof metals / sizeof *metals; ++i)
        if (strcmp(name, metals[i]) == 0) return element_from_symbol(name, 2);
    while (is_letter(name[letters])) ++letters;
    only_letters = name[letters] == 0;
    pair = letters >= 2 ? element_from_symbol(name, 2) : 0;
    if (pair && column != ELEMENT_COLUMN_ONE && letters == 2) {
        char first = upper(name[0]);
        /* "CA", "HG" and their like are more often carbon and hydrogen; a heterogen written from column 13 speaks for
         * the metal, but not "HG1" or "NE1". */
        bool ambiguous = strchr("HCNOPS", first) != NULL && pair != 14 && pair != 17 && pair != 34; /* Si, Cl, Se */
        bool same = strncmp(name, residue, 2) == 0 && strlen(residue) == 2;
        bool metal = column == ELEMENT_COLUMN_TWO && hetero && (only_letters || (first != 'H' && first != 'N'));
        if (!ambiguous || same || metal) return pair;
    }
    if (upper(name[0]) == 'D' && letters > 1) return 0; /* "DUM" */
    if (one_letter(name, "HDCNOPSFI")) return one_letter(name, "HDCNOPSFI");
    if (letters <= 1) return one_letter(name, "BKVUY");
    if (letters == 2) return pair;
    return 0;
}

uint8_t element_recall(struct element_memory *memory, const char name[8], const char residue[8],
                       enum element_column column, bool hetero)
{
    const uint8_t question = (uint8_t)(1 + 2 * (int)column + hetero);
    uint64_t key, of_residue;
    struct element_answer *a;
    memcpy(&key, name, sizeof key);
    memcpy(&of_residue, residue, sizeof of_residue);
    key = (key * 0x9e3779b97f4a7c15u) ^ (of_residue * 0xff51afd7ed558ccdu);
    a = &memory->answers[key >> 54];
    if (a->question == question && memcmp(a->name, name, 8) == 0 && memcmp(a->residue, residue, 8) == 0)
        return a->number;
    memcpy(a->name, name, 8);
    memcpy(a->residue, residue, 8);
    a->question = question;
    a->number = element_from_name(name, residue, column, hetero);
    return a->number;
}
