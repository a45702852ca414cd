/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels, and PNG made of them. */
#ifndef VICINAL_CLI_PICTURE_H
#define VICINAL_CLI_PICTURE_H

#include "buffer.h"
#include "plots/colormap.h"

struct picture {
    int width, height;
    struct colour *pixels; /* [height][width], from the top left */
};

vic_status picture_make(struct picture *p, int width, int height, struct colour fill, vic_error *err);
void picture_free(struct picture *p);

/* The picture as a PNG file. */
vic_status png_encode(const struct picture *p, struct buffer *out, vic_error *err);

#endif
