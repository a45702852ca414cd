/* SPDX-License-Identifier: Apache-2.0 */
/* Block masks named by a text.  A valid text may ask for a large pattern, which is no finding: digits beyond six are
 * tried with the checks only, through an allocation that is refused (tools/fuzz sets max_allocation_size_mb). */
#include "fuzz/file.h"
#include "vicinal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = fuzz_text(bytes, size);
    vic_pattern_options options = VIC_PATTERN_OPTIONS_INIT;
    vic_pattern *p;
    vic_error err;
    long long rows = 0, columns = 0;
    options.threads = 1;
    if (sscanf(text, "blocks:%lldx%lld", &rows, &columns) != 2 || rows <= 0 || columns <= 0 ||
        rows > 100000 / columns || rows > 3000 || columns > 3000) {
        if (rows > 0 && columns > 0 && rows < 1 << 17 && columns < 1 << 17) { /* accepted, and minutes of work */
            free(text);
            return 0;
        }
    }
    if (vic_pattern_generate(text, &options, &p, &err) == VIC_OK && !p) abort();
    vic_pattern_free(p);
    free(text);
    return 0;
}
