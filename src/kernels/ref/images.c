/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/images.h"

#include "base/vec3.h"

#include <math.h>
#include <string.h>

double largest_norm(int64_t n, const double *positions)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, vec3_dot(positions + 3 * i, positions + 3 * i));
    return sqrt(largest);
}

vic_status image_search_make(const double cell[3][3], const bool periodic[3], double extent, double cutoff,
                             struct image_search *s, vic_error *err)
{
    double basis[3][3];
    memset(s, 0, sizeof *s);
    memcpy(s->periodic, periodic, sizeof s->periodic);
    /* Open axes get vectors at right angles to the periodic vectors, so that the duals of the periodic vectors lie in
     * their span. */
    memcpy(basis, cell, sizeof basis);
    for (int a = 0; a < 3; a++) {
        const double *b = basis[(a + 1) % 3], *c = basis[(a + 2) % 3];
        if (!periodic[a] || periodic[(a + 1) % 3]) continue;
        if (periodic[(a + 2) % 3]) {
            vec3_cross(c, basis[a], basis[(a + 1) % 3]);
        } else {
            int least = 0;
            double axis[3] = { 0.0, 0.0, 0.0 };
            for (int i = 1; i < 3; i++)
                if (fabs(basis[a][i]) < fabs(basis[a][least])) least = i;
            axis[least] = 1.0;
            vec3_cross(basis[a], axis, basis[(a + 1) % 3]);
            vec3_cross(basis[a], b, basis[(a + 2) % 3]);
        }
    }
    for (int a = 0; a < 3; a++) {
        const double *b = basis[(a + 1) % 3], *c = basis[(a + 2) % 3];
        double norm, most;
        if (!periodic[a]) continue;
        vec3_cross(b, c, s->dual[a]);
        double volume = vec3_dot(basis[a], s->dual[a]);
        for (int i = 0; i < 3; i++) s->dual[a][i] /= volume;
        norm = sqrt(vec3_dot(s->dual[a], s->dual[a]));
        most = norm * (extent + cutoff);
        if (!(most < 1e9))
            return vic_fail(err, VIC_BAD_INPUT,
                            "positions and cutoff span %g cells along axis %d: expected fewer than 1e9; wrap the "
                            "positions into the cell, or check it",
                            most, a + 1);
        s->reach[a] = norm * cutoff + 1e-6 * (1.0 + most);
    }
    return VIC_OK;
}

/* *first .. *last: the integers n for which n + (coordinate of r_key - r_query) can be in reach along `axis`. */
static void image_range(const struct image_search *s, int axis, const double difference[3], int32_t *first,
                        int32_t *last)
{
    double at = vec3_dot(s->dual[axis], difference), low = -at - s->reach[axis], high = -at + s->reach[axis];
    *first = (int32_t)low; /* towards 0: then up or down to the ceiling and the floor */
    *first += (double)*first < low;
    *last = (int32_t)high;
    *last -= (double)*last > high;
}

bool image_search_range(const struct image_search *s, const double difference[3], int32_t first[3], int32_t last[3])
{
    for (int a = 0; a < 3; a++) {
        first[a] = last[a] = 0;
        if (!s->periodic[a]) continue;
        image_range(s, a, difference, &first[a], &last[a]);
        if (first[a] > last[a]) return false;
    }
    return true;
}
