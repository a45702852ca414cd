/* SPDX-License-Identifier: Apache-2.0 */
/* Colour maps, perceptually ordered: they can be read without seeing all colours. */
#ifndef VICINAL_CLI_COLORMAP_H
#define VICINAL_CLI_COLORMAP_H

#include <stdint.h>

struct colour {
    uint8_t r, g, b;
};

enum colormap { MAP_VIRIDIS, MAP_VIRIDIS_REVERSED, MAP_INFERNO, MAP_BLUES };

struct colour colormap_at(enum colormap map, double t); /* t is clamped to [0, 1]; NaN gives grey */

#endif
