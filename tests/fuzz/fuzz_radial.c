/* SPDX-License-Identifier: Apache-2.0 */
/* --radial: sums of terms, as text, and tables from .npy files. */
#include "cli/arrays/tensor_io.h"
#include "cli/commands/run.h"
#include "fuzz/file.h"

static char link_folder[] = "/tmp/vic-fuzz-XXXXXX", link_path[64];

static void remove_link(void)
{
    unlink(link_path);
    rmdir(link_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct array table = { .data = NULL };
    vic_error err;
    if (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) {
        const char *path = fuzz_file(bytes, size);
        if (!link_path[0]) { /* the name's ending chooses */
            if (!mkdtemp(link_folder)) abort();
            snprintf(link_path, sizeof link_path, "%s/table.npy", link_folder);
            if (symlink(path, link_path) != 0) abort();
            atexit(remove_link);
        }
        (void)!run_radial_make(link_path, 8.0, 4, &table, &err);
    } else {
        char *text = fuzz_text(bytes, size);
        if (tensor_format(text, strlen(text)) == FORMAT_NONE) (void)!run_radial_make(text, 8.0, 4, &table, &err);
        free(text);
    }
    array_free(&table);
    return 0;
}
