/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/lattice.h"

#include "base/memory.h"
#include "base/vec3.h"
#include "pattern/images.h"
#include "pattern/limits.h"

#include <math.h>
#include <string.h>

enum { MAX_REDUCTIONS = 1000 /* a few are enough for any sane cell */ };

/* Vector k from its integers: always fresh from the given cell, so that rounding does not pile up. */
static void basis_from_cell(struct lattice *l, int k, const double cell[3][3])
{
    for (int x = 0; x < 3; x++)
        l->basis[k][x] = ((double)l->to_cell[k][0] * cell[0][x] + (double)l->to_cell[k][1] * cell[1][x]) +
                         (double)l->to_cell[k][2] * cell[2][x];
}

static void reduce(struct lattice *l, const double cell[3][3])
{
    for (int pass = 0; pass < MAX_REDUCTIONS; pass++) {
        bool changed = false;
        for (int i = 0; i < l->rank; i++) {
            for (int j = 0; j < l->rank; j++) {
                double t =
                    i == j ? 0.0 : round(vec3_dot(l->basis[i], l->basis[j]) / vec3_dot(l->basis[j], l->basis[j]));
                double before[3];
                int32_t integers[3];
                if (!(fabs(t) >= 1.0 && fabs(t) <= 1e6)) continue; /* also when a vector has vanished */
                memcpy(before, l->basis[i], sizeof before);
                memcpy(integers, l->to_cell[i], sizeof integers);
                bool fits = true;
                for (int x = 0; x < 3; x++) {
                    int64_t n = l->to_cell[i][x] - (int64_t)t * l->to_cell[j][x];
                    fits = fits && n > -MAX_WRAP && n < MAX_WRAP;
                    l->to_cell[i][x] = (int32_t)n;
                }
                if (fits) basis_from_cell(l, i, cell);
                if (fits && vec3_dot(l->basis[i], l->basis[i]) < vec3_dot(before, before) * (1 - 1e-12)) {
                    changed = true;
                } else {
                    memcpy(l->basis[i], before, sizeof before);
                    memcpy(l->to_cell[i], integers, sizeof integers);
                }
            }
        }
        if (!changed) return;
    }
}

/* Unit vectors orthogonal to the periodic ones complete the basis. */
static void complete(struct lattice *l)
{
    if (l->rank == 0) {
        for (int k = 0; k < 3; k++)
            for (int x = 0; x < 3; x++) l->basis[k][x] = k == x;
    } else if (l->rank == 1) {
        double *a = l->basis[0], axis[3] = { 0, 0, 0 };
        int least = fabs(a[0]) < fabs(a[1]) ? 0 : 1;
        if (fabs(a[2]) < fabs(a[least])) least = 2;
        axis[least] = 1;
        vec3_cross(a, axis, l->basis[1]);
        vec3_cross(a, l->basis[1], l->basis[2]);
    } else if (l->rank == 2) {
        vec3_cross(l->basis[0], l->basis[1], l->basis[2]);
    }
    for (int k = l->rank; k < 3; k++) {
        double size = vec3_length(l->basis[k]);
        for (int x = 0; x < 3; x++) l->basis[k][x] /= size;
    }
}

vic_status lattice_make(const double cell[3][3], const bool periodic[3], struct lattice *out, vic_error *err)
{
    struct lattice *l = out;
    double volume, edges = 1.0;
    memset(l, 0, sizeof *l);
    for (int axis = 0; axis < 3; axis++) {
        if (!periodic[axis]) continue;
        for (int x = 0; x < 3; x++)
            if (!(fabs(cell[axis][x]) <= 1e9))
                return vic_fail(err, VIC_BAD_INPUT,
                                "cell vector %c, component %d: expected a number within 1e9 A, got %g", 'a' + axis,
                                x + 1, cell[axis][x]);
        l->to_cell[l->rank][axis] = 1;
        basis_from_cell(l, l->rank, cell);
        if (!(vec3_length(l->basis[l->rank]) > 1e-3))
            return vic_fail(err, VIC_BAD_INPUT,
                            "cell vector %c is %g A long, but the cell is periodic along it: expected more than "
                            "0.001 A; give the cell, or make the axis open",
                            'a' + axis, vec3_length(l->basis[l->rank]));
        l->rank++;
    }
    reduce(l, cell);
    complete(l);

    /* Rows of the inverse are the reciprocal vectors. */
    for (int k = 0; k < 3; k++) vec3_cross(l->basis[(k + 1) % 3], l->basis[(k + 2) % 3], l->inverse[k]);
    volume = vec3_dot(l->basis[0], l->inverse[0]);
    for (int k = 0; k < l->rank; k++) edges *= vec3_length(l->basis[k]);
    if (!(fabs(volume) > 1e-6 * edges))
        return vic_fail(err, VIC_BAD_INPUT,
                        "the periodic cell vectors are not independent: they span %g A^%d where their lengths allow "
                        "%g; check the cell",
                        fabs(volume), l->rank, edges);
    for (int k = 0; k < 3; k++) {
        for (int x = 0; x < 3; x++) l->inverse[k][x] /= volume;
        l->spacing[k] = 1.0 / vec3_length(l->inverse[k]);
    }
    for (int k = 0; k < l->rank; k++) l->diameter += vec3_length(l->basis[k]);
    return VIC_OK;
}

bool lattice_wrap(const struct lattice *l, const double r[3], double wrapped[3], int32_t wrap[3])
{
    int64_t n[3] = { 0, 0, 0 };
    double w[3] = { 0, 0, 0 };
    for (int k = 0; k < l->rank; k++) {
        w[k] = -floor(vec3_dot(r, l->inverse[k]));
        if (!(fabs(w[k]) < MAX_WRAP)) return false;
        for (int x = 0; x < 3; x++) n[x] += (int64_t)w[k] * l->to_cell[k][x];
    }
    for (int x = 0; x < 3; x++) {
        if (n[x] <= -MAX_WRAP || n[x] >= MAX_WRAP) return false;
        wrap[x] = (int32_t)n[x];
        wrapped[x] = r[x];
        for (int k = 0; k < l->rank; k++) wrapped[x] += w[k] * l->basis[k][x];
    }
    return true;
}

static int by_integers(const void *a, const void *b)
{
    const struct lattice_image *p = a, *q = b;
    return integers_compare(p->n, q->n);
}

vic_status lattice_images(const struct lattice *l, double reach, struct lattice_image **out, int64_t *count,
                          vic_error *err)
{
    int64_t most[3] = { 0, 0, 0 };
    double boxes = 1.0;
    struct lattice_image *images;
    *out = NULL;
    *count = 0;
    /* Fractional coordinates of two wrapped points differ by less than 1, and by at most reach / spacing when the
     * points are within reach; 0.01 covers rounding. */
    for (int k = 0; k < l->rank; k++) {
        double m = floor(reach / l->spacing[k] + 1.01);
        boxes *= 2 * m + 1;
        if (boxes > 4.0 * MAX_IMAGES)
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "a cutoff of %g A reaches more than %d periodic images of this cell (shortest plane "
                            "spacing %.3g A): check units, or take a smaller cutoff",
                            reach, MAX_IMAGES, l->spacing[k]);
        most[k] = (int64_t)m;
    }
    TRY(mem_array((size_t)boxes, sizeof *images, "periodic images", &images, err));
    for (int64_t i = -most[0]; i <= most[0]; i++) {
        for (int64_t j = -most[1]; j <= most[1]; j++) {
            for (int64_t k = -most[2]; k <= most[2]; k++) {
                struct lattice_image *image = &images[*count];
                const int64_t m[3] = { i, j, k };
                bool fits = true;
                for (int x = 0; x < 3; x++) {
                    int64_t n = i * l->to_cell[0][x] + j * l->to_cell[1][x] + k * l->to_cell[2][x];
                    fits = fits && n > -MAX_WRAP && n < MAX_WRAP;
                    image->n[x] = (int32_t)n;
                    image->shift[x] = 0.0;
                    for (int b = 0; b < l->rank; b++) image->shift[x] += (double)m[b] * l->basis[b][x];
                }
                if (!fits) {
                    free(images);
                    *count = 0;
                    return vic_fail(err, VIC_BAD_INPUT,
                                    "the cell is so skewed that its images need more than 29 bits: "
                                    "give a reduced cell");
                }
                if (vec3_length(image->shift) <= 1.000001 * (reach + l->diameter)) ++*count;
            }
        }
    }
    qsort(images, (size_t)*count, sizeof *images, by_integers);
    *out = images;
    return VIC_OK;
}
