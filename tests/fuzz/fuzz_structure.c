/* SPDX-License-Identifier: Apache-2.0 */
/* Every structure format, found by content, gzip among them.  The first byte chooses options; what was read must be
 * sane, can be patterned, and must be freed. */
#include "fuzz/file.h"
#include "vicinal.h"

#include <math.h>

static void require(bool condition)
{
    if (!condition) abort();
}

static void look_at(const vic_structure *s)
{
    vic_structure_view v = vic_structure_get(s);
    require(v.atoms > 0 && v.positions && v.atomic_numbers && v.format && v.title);
    for (int64_t i = 0; i < 3 * v.atoms; i++) require(isfinite(v.positions[i]));
    for (int64_t i = 0; i < v.atoms; i++) require(v.atomic_numbers[i] <= 118);
    for (int x = 0; x < 3; x++) require(!v.periodic[x] || v.has_cell);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vic_read_options options = VIC_READ_OPTIONS_INIT;
    vic_structure *s;
    vic_error err = { VIC_OK, "" };
    if (size == 0) return 0;
    options.max_atoms = 20000;
    options.symmetry = *bytes & 1;
    options.altloc = *bytes & 2 ? VIC_ALTLOC_ALL : VIC_ALTLOC_HIGHEST;
    options.drop_water = *bytes & 4;
    options.drop_hydrogen = *bytes & 8;
    if (*bytes & 16) options.supercell[1] = 2;
    if (*bytes & 32) options.model = 2;
    vic_status st = vic_structure_read(fuzz_file(bytes + 1, size - 1), &options, &s, &err);
    require((st == VIC_OK) == (s != NULL) && (st == VIC_OK || (err.text[0] && err.status == st)));
    if (st == VIC_OK) look_at(s);
    vic_structure_free(s);
    return 0;
}
