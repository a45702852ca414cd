/* SPDX-License-Identifier: Apache-2.0 */
/* Chemical elements: symbols, and what an atom's name says where the file has no element column. */
#ifndef VIC_STRUCTURE_ELEMENT_H
#define VIC_STRUCTURE_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ELEMENT_COUNT = 119 }; /* 0 = unknown, 1 = H ... 118 = Og */

const char *element_symbol(uint8_t number); /* "X" for 0 and beyond 118 */

/* "C", "cl", "FE"; D and T are hydrogen.  0 when text[0, length) is no symbol. */
uint8_t element_from_symbol(const char *text, size_t length);

/* The element whose atomic weight is meant: the nearest within 0.1 u, below 20 u within 0.015 u or that weight cut to
 * one decimal or none (deuterium is hydrogen); `exactly`: within 0.015 u.  0 when there is none. */
uint8_t element_from_mass(double mass, bool exactly);

/* Where a name may stand for more than one element ("CA"), how it was written decides. */
enum element_column {
    ELEMENT_COLUMN_ONE, /* PDB: the name begins in column 14, so its element has one letter */
    ELEMENT_COLUMN_TWO, /* PDB: it begins in column 13: two letters, or a four-letter name */
    ELEMENT_COLUMN_NONE /* the format has no such rule */
};

/* From the atom's name and residue, by common sense: CA of an amino acid is carbon, SOD of residue SOD is sodium,
 * HG21 is hydrogen.  0 where it cannot be inferred (virtual sites, coarse-grained beads). */
uint8_t element_from_name(const char *name, const char *residue, enum element_column column, bool hetero);

/* Answers of element_from_name() that were given before, as a few names make up most of a file.  Begins as zeros. */
struct element_memory {
    struct element_answer {
        char name[8], residue[8];
        uint8_t question; /* column and hetero; 0: none yet */
        uint8_t number;
    } answers[1024];
};

/* element_from_name() of names that are filled up with zeros, as label_set() leaves them. */
uint8_t element_recall(struct element_memory *memory, const char name[8], const char residue[8],
                       enum element_column column, bool hetero);

bool residue_is_water(const char *residue);
bool residue_is_polymer(const char *residue); /* amino acids and nucleotides, also of force fields (HSD, DA5) */

#endif
