/* SPDX-License-Identifier: Apache-2.0 */
/* Colour maps: perceptually ordered ones for values, a wheel-like one for order. */
#ifndef VICINAL_CLI_COLORMAP_H
#define VICINAL_CLI_COLORMAP_H

#include <stdint.h>

struct colour {
    uint8_t r, g, b;
};

enum colormap { MAP_VIRIDIS, MAP_VIRIDIS_REVERSED, MAP_INFERNO, MAP_TURBO, MAP_BLUES };

struct colour colormap_at(enum colormap map, double t); /* t is clamped to [0, 1]; NaN gives grey */

#endif
