/* SPDX-License-Identifier: Apache-2.0 */
/* Every structure format, found by content in a file, gzip among them.  The first byte chooses options; what was read
 * must be sane and must be freed.  The readers alone, without files, are in fuzz_format.c. */
#include "fuzz/structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vic_structure *s;
    vic_error err = { VIC_OK, "" };
    if (size == 0) return 0;
    vic_read_options options = fuzz_read_options(*bytes);
    vic_status st = vic_structure_read(fuzz_file(bytes + 1, size - 1), &options, &s, &err);
    fuzz_look_at(st, s, &err);
    vic_structure_free(s);
    return 0;
}
