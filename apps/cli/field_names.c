/* SPDX-License-Identifier: Apache-2.0 */
#include "field_names.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *field, *option;
} names[] = {
    { "heads", "--heads" },
    { "kv_heads", "--kv-heads" },
    { "head_dim", "--head-dim" },
    { "head_dim_v", "--head-dim-v" },
    { "dtype", "--dtype" },
    { "device.type", "--device" },
    { "device.index", "--device" },
    { "scale", "--scale" },
    { "bias", "--radial" },
    { "threads", "--threads" },
    { "cutoff", "--cutoff" },
    { "k", "--nearest" },
    { "count", "--nearest" },
    { "windows", "--windows" },
    { "model", "--model" },
    { "altloc", "--altloc" },
    { "pbc", "--pbc" },
    { "cell", "--cell" },
    { "supercell", "--supercell" },
    { "supercell[0]", "--supercell" },
    { "supercell[1]", "--supercell" },
    { "supercell[2]", "--supercell" },
    { "in_graph", "--in-graph" },
    { "launches, warm_up", "--launches" },
    { "drop_water", "--no-water" },
    { "drop_hydrogen", "--no-hydrogen" },
};

void field_names_to_options(vic_error *err)
{
    size_t length = strcspn(err->text, ":");
    char text[sizeof err->text];
    /* Only about arguments: other errors begin with a file, which may be called "cell" or "k". */
    if ((err->status != VIC_BAD_ARGUMENT && err->status != VIC_NO_DEVICE) || err->text[length] != ':') return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].field) != length || strncmp(err->text, names[i].field, length) != 0) continue;
        memcpy(text, err->text, sizeof text);
        snprintf(err->text, sizeof err->text, "%s%.1000s", names[i].option, text + length);
        return;
    }
}
