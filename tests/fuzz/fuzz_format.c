/* SPDX-License-Identifier: Apache-2.0 */
/* One structure format, from memory: FUZZ_FORMAT is its row (CMakeLists.txt makes a program of each).  A text that is
 * recognised as it goes the whole way; any other is given to the reader all the same. */
#include "fuzz/structure.h"
#include "structure/io/format.h"
#include "structure/structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct source source;
    const struct format *found;
    vic_error err = { VIC_OK, "" };
    vic_status st;
    if (size == 0 || source_from_bytes("fuzz", bytes + 1, size - 1, &source, &err) != VIC_OK) return 0;
    vic_read_options options = fuzz_read_options(*bytes);
    if (format_find(&source, &found, &err) == VIC_OK && found == &FUZZ_FORMAT) {
        vic_structure *s = NULL;
        st = structure_from_source(&source, &options, &s, &err);
        fuzz_look_at(st, s, &err);
        vic_structure_free(s);
    } else {
        struct file_content content = { 0 };
        st = FUZZ_FORMAT.read(&source, options.model, &content, &err);
        fuzz_require(st == VIC_OK ? content.atoms.count > 0 : err.text[0] != 0);
        format_free_content(&content);
    }
    source_free(&source);
    return 0;
}
