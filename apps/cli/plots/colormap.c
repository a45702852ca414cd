/* SPDX-License-Identifier: Apache-2.0 */
#include "plots/colormap.h"

#include <math.h>

/* Knots at equal distances, linear between them.  viridis and inferno: van der Walt & Smith (CC0), blues: after
 * Brewer's sequential scheme.  All grow lighter or darker throughout, so that no two colours differ in hue alone. */
/* Without its dark end, which hides the shading of a sphere. */
static const uint32_t viridis[] = { 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89,
                                    0x35b779, 0x6ece58, 0xb5de2b, 0xfde725 };
static const uint32_t viridis_reversed[] = { 0xfde725, 0xaddc30, 0x5ec962, 0x28ae80, 0x21918c,
                                             0x2c728e, 0x3b528b, 0x472d7b, 0x440154 };
/* Without its ends: black hides the shading of a sphere, and near-white the sphere on white paper. */
static const uint32_t inferno[] = { 0x2a0b54, 0x57106e, 0x8a226a, 0xbc3754, 0xe45a31, 0xf98e09, 0xf9cb35, 0xf6e26a };
static const uint32_t blues[] = { 0xe3eef8, 0xc3daee, 0x94c4df, 0x5ba3cf, 0x2f7ebc, 0x1561a9, 0x08458a, 0x08306b };

static const struct {
    const uint32_t *knots;
    int count;
} maps[] = {
    [MAP_VIRIDIS] = { viridis, sizeof viridis / sizeof *viridis },
    [MAP_VIRIDIS_REVERSED] = { viridis_reversed, sizeof viridis_reversed / sizeof *viridis_reversed },
    [MAP_INFERNO] = { inferno, sizeof inferno / sizeof *inferno },
    [MAP_BLUES] = { blues, sizeof blues / sizeof *blues },
};

static uint8_t between(uint32_t a, uint32_t b, int shift, double f)
{
    double x = (double)(a >> shift & 0xff), y = (double)(b >> shift & 0xff);
    return (uint8_t)lround(x + (y - x) * f);
}

struct colour colormap_at(enum colormap map, double t)
{
    int last = maps[map].count - 1, k;
    double at;
    uint32_t a, b;
    if (isnan(t)) return (struct colour){ 0xa0, 0xa0, 0xa0 };
    at = fmin(fmax(t, 0.0), 1.0) * last;
    k = at >= last ? last - 1 : (int)at;
    a = maps[map].knots[k];
    b = maps[map].knots[k + 1];
    return (struct colour){ between(a, b, 16, at - k), between(a, b, 8, at - k), between(a, b, 0, at - k) };
}
