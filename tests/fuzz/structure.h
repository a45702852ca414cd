/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets that read structures share: options out of a byte, and a look at what was read. */
#ifndef VIC_TESTS_FUZZ_STRUCTURE_H
#define VIC_TESTS_FUZZ_STRUCTURE_H

#include "fuzz/file.h"
#include "vicinal_structure.h"

#include <math.h>

enum { FUZZ_MOST_ATOMS = 20000 };

static inline void fuzz_require(bool condition)
{
    if (!condition) abort();
}

static inline vic_read_options fuzz_read_options(uint8_t byte)
{
    vic_read_options options = VIC_INIT(vic_read_options);
    options.max_atoms = FUZZ_MOST_ATOMS;
    options.symmetry = byte & 1;
    options.altloc = byte & 2 ? VIC_ALTLOC_ALL : VIC_ALTLOC_HIGHEST;
    options.drop_water = byte & 4;
    options.drop_hydrogen = byte & 8;
    if (byte & 16) options.supercell[1] = 2;
    if (byte & 32) options.model = 2;
    if (byte & 64) options.model = -1;
    return options;
}

static inline void fuzz_look_at(vic_status st, const vic_structure *s, const vic_error *err)
{
    fuzz_require((st == VIC_OK) == (s != NULL) && (st == VIC_OK || (err->text[0] && err->status == st)));
    if (!s) return;
    vic_structure_info v = VIC_INIT(vic_structure_info);
    fuzz_require(vic_structure_get(s, &v, NULL) == VIC_OK);
    fuzz_require(v.atoms > 0 && v.atoms <= FUZZ_MOST_ATOMS && v.positions && v.atomic_numbers && v.format && v.title);
    for (int64_t i = 0; i < 3 * v.atoms; i++) fuzz_require(isfinite(v.positions[i]));
    for (int64_t i = 0; i < v.atoms; i++) fuzz_require(v.atomic_numbers[i] <= 118);
    for (int x = 0; x < 3; x++) fuzz_require(!v.periodic[x] || v.has_cell);
}

#endif
