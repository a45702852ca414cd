/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/cell.h"

#include "base/vec3.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* cos(90 degrees) of libm is 6e-17, which would tilt every right-angled cell. */
static double cosine(double degrees)
{
    if (degrees == 90.0) return 0.0;
    if (degrees == 60.0) return 0.5;
    if (degrees == 120.0) return -0.5;
    return cos(degrees * (pi / 180.0));
}

static double sine(double degrees)
{
    return degrees == 90.0 ? 1.0 : sin(degrees * (pi / 180.0));
}

bool cell_from_parameters(const double p[6], double cell[3][3], char *why, size_t why_size)
{
    static const char *const names[6] = { "a", "b", "c", "alpha", "beta", "gamma" };
    double cos_alpha, cos_beta, cos_gamma, sin_gamma, x, y, z2;
    for (int i = 0; i < 6; ++i) {
        bool fine = isfinite(p[i]) && p[i] > 0 && (i < 3 ? p[i] <= 1e9 : p[i] < 180.0);
        if (fine) continue;
        if (i < 3)
            snprintf(why, why_size, "expected a cell edge %s between 0 and 1e9 A, found %g", names[i], p[i]);
        else
            snprintf(why, why_size, "expected a cell angle %s between 0 and 180 degrees, found %g", names[i], p[i]);
        return false;
    }
    cos_alpha = cosine(p[3]);
    cos_beta = cosine(p[4]);
    cos_gamma = cosine(p[5]);
    sin_gamma = sine(p[5]);
    x = cos_beta;
    y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma;
    z2 = 1.0 - x * x - y * y;
    if (!(z2 > 1e-10)) {
        snprintf(why, why_size,
                 "expected cell angles that close a cell (each smaller than the sum of the others, "
                 "all three together below 360), found %g, %g, %g",
                 p[3], p[4], p[5]);
        return false;
    }
    memset(cell, 0, 9 * sizeof(double));
    cell[0][0] = p[0];
    cell[1][0] = p[1] * cos_gamma;
    cell[1][1] = p[1] * sin_gamma;
    cell[2][0] = p[2] * x;
    cell[2][1] = p[2] * y;
    cell[2][2] = x == 0.0 && y == 0.0 ? p[2] : p[2] * sqrt(z2);
    return true;
}

static double angle(const double a[3], const double b[3])
{
    double n[3], c = vec3_dot(a, b);
    if (c == 0.0) return 90.0;
    vec3_cross(a, b, n);
    return atan2(vec3_length(n), c) * (180.0 / pi);
}

void cell_to_parameters(const double cell[3][3], double p[6])
{
    for (int i = 0; i < 3; ++i) {
        p[i] = vec3_length(cell[i]);
        p[3 + i] = angle(cell[(i + 1) % 3], cell[(i + 2) % 3]);
    }
}

bool cell_is_zero(const double cell[3][3])
{
    for (int i = 0; i < 9; ++i)
        if (cell[i / 3][i % 3] != 0.0) return false;
    return true;
}

bool cell_is_full(const double cell[3][3])
{
    const bool all[3] = { true, true, true };
    char why[1];
    return cell_check_periodic(CELL(cell), all, why, sizeof why);
}

bool cell_is_upright(const double cell[3][3])
{
    double tiny = 1e-6 * (vec3_length(cell[0]) + vec3_length(cell[1]) + vec3_length(cell[2]));
    return fabs(cell[0][1]) <= tiny && fabs(cell[0][2]) <= tiny && fabs(cell[1][2]) <= tiny && cell[0][0] > 0 &&
           cell[1][1] > 0 && cell[2][2] > 0;
}

double cell_volume(const double cell[3][3])
{
    double n[3];
    vec3_cross(cell[0], cell[1], n);
    return vec3_dot(n, cell[2]);
}

void cell_invert(const double cell[3][3], double inverse[3][3])
{
    double volume = cell_volume(CELL(cell));
    for (int i = 0; i < 3; ++i) { /* columns of the inverse are the reciprocal vectors */
        double n[3];
        vec3_cross(cell[(i + 1) % 3], cell[(i + 2) % 3], n);
        for (int k = 0; k < 3; ++k) inverse[k][i] = n[k] / volume;
    }
}

bool cell_check_periodic(const double cell[3][3], const bool periodic[3], char *why, size_t why_size)
{
    static const char names[3] = { 'a', 'b', 'c' };
    double unit[3][3] = { { 0 } }, n[3], independent = 1.0;
    int count = 0;
    for (int i = 0; i < 3; ++i) {
        double size = vec3_length(cell[i]);
        if (!isfinite(size)) {
            snprintf(why, why_size, "expected finite cell vectors, found %c = (%g, %g, %g)", names[i], cell[i][0],
                     cell[i][1], cell[i][2]);
            return false;
        }
        if (!periodic[i]) continue;
        if (!(size > 1e-12) || size > 1e9) {
            snprintf(why, why_size,
                     "expected a cell vector %c of some length along this periodic axis, found "
                     "(%g, %g, %g)",
                     names[i], cell[i][0], cell[i][1], cell[i][2]);
            return false;
        }
        for (int k = 0; k < 3; ++k) unit[count][k] = cell[i][k] / size;
        ++count;
    }
    if (count >= 2) {
        vec3_cross(unit[0], unit[1], n);
        independent = count == 2 ? vec3_length(n) : fabs(vec3_dot(n, unit[2]));
    }
    if (!(independent > 1e-8)) {
        snprintf(why, why_size,
                 "expected periodic cell vectors that point in different directions, found "
                 "(%g, %g, %g), (%g, %g, %g), (%g, %g, %g)",
                 cell[0][0], cell[0][1], cell[0][2], cell[1][0], cell[1][1], cell[1][2], cell[2][0], cell[2][1],
                 cell[2][2]);
        return false;
    }
    return true;
}

void cell_multiply(const double row[3], const double matrix[3][3], double out[3])
{
    for (int k = 0; k < 3; ++k) out[k] = row[0] * matrix[0][k] + row[1] * matrix[1][k] + row[2] * matrix[2][k];
}

bool cell_turn_to_frame(const double fractional_matrix[3][3], double cell[3][3])
{
    double transposed[3][3], shown[3][3], frame[3][3], turned[3][3];
    double ours[6], theirs[6], along;
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < 3; ++k) transposed[i][k] = fractional_matrix[k][i];
    /* fract = matrix . r with columns is fract = r . transposed with rows: its inverse has the vectors as rows */
    if (!(fabs(cell_volume(CELL(transposed))) > 0) || !isfinite(1.0 / cell_volume(CELL(transposed)))) return false;
    cell_invert(CELL(transposed), shown);
    if (!cell_is_full(CELL(shown)) || cell_volume(CELL(shown)) < 0) return false;
    cell_to_parameters(CELL(cell), ours);
    cell_to_parameters(CELL(shown), theirs);
    for (int i = 0; i < 6; ++i)
        if (fabs(ours[i] - theirs[i]) > (i < 3 ? 0.005 * ours[i] : 0.5)) return false;
    for (int k = 0; k < 3; ++k) frame[0][k] = shown[0][k] / theirs[0];
    along = vec3_dot(shown[1], frame[0]);
    for (int k = 0; k < 3; ++k) frame[1][k] = shown[1][k] - along * frame[0][k];
    along = vec3_length(frame[1]);
    for (int k = 0; k < 3; ++k) frame[1][k] /= along;
    vec3_cross(frame[0], frame[1], frame[2]);
    /* Within the rounding of the printed matrix nothing is turned, and the exact zeros stay. */
    if (fabs(frame[0][0] - 1) + fabs(frame[1][1] - 1) + fabs(frame[2][2] - 1) < 1e-6) return true;
    for (int i = 0; i < 3; ++i) cell_multiply(cell[i], CELL(frame), turned[i]);
    memcpy(cell, turned, sizeof turned);
    return true;
}
