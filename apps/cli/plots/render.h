/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms as shaded spheres, in software: a depth buffer, then one shading pass. */
#ifndef VICINAL_CLI_RENDER_H
#define VICINAL_CLI_RENDER_H

#include "plots/picture.h"
#include "vicinal_structure.h"

struct sphere {
    float x, y, z; /* view coordinates, A: x right, y up, z towards the viewer */
    float radius;
    struct colour colour;
};

struct scene {
    int64_t count;
    struct sphere *spheres; /* uncoloured (0, 0, 0) at first */
    double width, height;   /* of what is to be seen, A, radii included; its middle is at x = y = 0 */
};

/* Turn the atoms of `v` so that their principal axes lie along x, y and z, widest first, and the widest side
 * faces the viewer; atoms that fill a periodic cell are turned by its edges instead.  Always a rotation:
 * handedness stays. */
vic_status scene_make(const vic_structure_info *v, struct scene *out, vic_error *err);
/* Turn what is long and narrow (a wire, an edge-on slab) within the plane of the picture, towards the diagonal, where
 * it comes out clearly larger in a panel of width x height that way. */
void scene_fit(struct scene *s, double width, double height);
void scene_free(struct scene *s);

/* Draw into `out` (made here, white elsewhere), as large as fits. */
vic_status scene_render(const struct scene *s, int width, int height, int threads, struct picture *out,
                        vic_error *err);

#endif
