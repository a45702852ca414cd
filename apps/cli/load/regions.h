/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that this process and a server on the same machine share, by Triton's extensions for it: one region that
 * requests take their inputs from, one that answers go to. */
#ifndef VICINAL_CLI_REGIONS_H
#define VICINAL_CLI_REGIONS_H

#include "load/http.h"

enum region_kind { REGIONS_NONE, REGIONS_SYSTEM, REGIONS_CUDA };

struct region {
    char name[64]; /* by which requests name it */
    void *data;
    size_t bytes;
    bool registered;
};

struct regions {
    enum region_kind kind;
    vic_device device; /* of REGIONS_CUDA */
    struct region in, out;
};

/* Makes both, fills the first from `inputs` and the second with zeros, and registers them with the server.  A system
 * region has lost its name when this returns: nothing is left behind, however the process ends.  regions_close()
 * frees, also after a failure, what a zeroed `r` was given. */
vic_status regions_open(const struct http_server *s, enum region_kind kind, vic_device device, const void *inputs,
                        size_t input_bytes, size_t output_bytes, struct regions *r, vic_error *err);
vic_status regions_read(const struct regions *r, size_t at, void *to, size_t bytes, vic_error *err);
void regions_close(const struct http_server *s, struct regions *r);

#endif
