/* SPDX-License-Identifier: Apache-2.0 */
/* Block masks named by a text.  A valid one may ask for seconds of work, which is no finding: grids from a million
 * places, ten thousand on a side or 100,000 atoms up to the most that is accepted are left out. */
#include "fuzz/file.h"
#include "vicinal_dev.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = fuzz_text(bytes, size);
    vic_pattern *p;
    vic_error err;
    long long rows = 0, columns = 0, side = 128;
    const char *block = strstr(text, "block=");
    if (block && strlen(block) > 10) { /* five digits and more: few blocks are many atoms */
        free(text);
        return 0;
    }
    if (sscanf(text, "blocks:%lldx%lld", &rows, &columns) == 2 && rows > 0 && rows <= INT32_MAX && columns > 0 &&
        columns <= INT32_MAX && rows * columns <= 1LL << 32 &&
        (rows * columns > 1000000 || rows + columns > 10000 ||
         (block && sscanf(block, "block=%lld", &side) == 1 && (rows + columns) * side > 100000))) {
        free(text);
        return 0;
    }
    if (vic_pattern_generate(NULL, text, NULL, &p, &err) == VIC_OK && !p) abort();
    vic_pattern_free(p);
    free(text);
    return 0;
}
