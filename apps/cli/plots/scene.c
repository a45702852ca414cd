/* SPDX-License-Identifier: Apache-2.0 */
#include "chemistry.h"
#include "plots/render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Eigenvectors of a symmetric 3 x 3 matrix by Jacobi rotations, as rows of `axes`, largest eigenvalue first. */
static void eigenvectors(double m[3][3], double axes[3][3])
{
    double v[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
    int order[3] = { 0, 1, 2 };
    for (int sweep = 0; sweep < 30; sweep++) {
        for (int p = 0; p < 2; p++) {
            for (int q = p + 1; q < 3; q++) {
                double theta, t, c, s;
                if (fabs(m[p][q]) <= 1e-14 * (fabs(m[p][p]) + fabs(m[q][q]))) continue;
                theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
                t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
                c = 1.0 / sqrt(t * t + 1.0);
                s = t * c;
                for (int k = 0; k < 3; k++) {
                    double a = m[k][p], b = m[k][q];
                    m[k][p] = c * a - s * b;
                    m[k][q] = s * a + c * b;
                }
                for (int k = 0; k < 3; k++) {
                    double a = m[p][k], b = m[q][k];
                    m[p][k] = c * a - s * b;
                    m[q][k] = s * a + c * b;
                    a = v[p][k];
                    b = v[q][k];
                    v[p][k] = c * a - s * b;
                    v[q][k] = s * a + c * b;
                }
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        for (int k = i + 1; k < 3; k++) {
            if (m[order[k]][order[k]] > m[order[i]][order[i]]) {
                int swap = order[i];
                order[i] = order[k];
                order[k] = swap;
            }
        }
    }
    for (int i = 0; i < 3; i++) memcpy(axes[i], v[order[i]], sizeof v[0]);
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The signs of eigenvectors mean nothing; the third moment of the atoms along them does. */
static void fix_signs(const vic_structure_info *v, const double centre[3], double axes[3][3])
{
    double skew[2] = { 0.0, 0.0 };
    for (int64_t i = 0; i < v->atoms; i++) {
        double d[3];
        for (int k = 0; k < 3; k++) d[k] = v->positions[3 * i + k] - centre[k];
        for (int a = 0; a < 2; a++) {
            double along = dot(d, axes[a]);
            skew[a] += along * along * along;
        }
    }
    for (int a = 0; a < 2; a++)
        for (int k = 0; k < 3 && skew[a] < 0.0; k++) axes[a][k] = -axes[a][k];
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        axes[2][k] = axes[0][i] * axes[1][j] - axes[0][j] * axes[1][i];
    }
}

/* Turned a little, so that a box shows three of its faces. */
static void tilt(double axes[3][3])
{
    const double yaw = -0.50, pitch = 0.42;
    double x[3], y[3], z[3];
    for (int k = 0; k < 3; k++) {
        x[k] = cos(yaw) * axes[0][k] + sin(yaw) * axes[2][k];
        z[k] = -sin(yaw) * axes[0][k] + cos(yaw) * axes[2][k];
        y[k] = cos(pitch) * axes[1][k] - sin(pitch) * z[k];
        z[k] = sin(pitch) * axes[1][k] + cos(pitch) * z[k];
    }
    memcpy(axes[0], x, sizeof x);
    memcpy(axes[1], y, sizeof y);
    memcpy(axes[2], z, sizeof z);
}

/* Do the atoms fill a periodic cell?  Then its edges are what the eye expects, and principal axes of a near-cube mean
 * nothing.  A lone molecule in a crystal's cell leaves far more than 80 A^3 for each atom. */
static bool fills_cell(const vic_structure_info *v)
{
    double volume = volume_of_cell(v->cell);
    return v->has_cell && v->periodic[0] && v->periodic[1] && v->periodic[2] && volume != 0.0 &&
           volume < 80.0 * (double)v->atoms;
}

/* Along the longest edge of the cell, then as near as can be to the second longest. */
static void cell_axes(const vic_structure_info *v, double axes[3][3])
{
    int order[3] = { 0, 1, 2 };
    double along;
    for (int i = 0; i < 2; i++) {
        for (int k = i + 1; k < 3; k++) {
            const double *one = v->cell + 3 * order[i], *other = v->cell + 3 * order[k];
            if (dot(other, other) > 1.0001 * dot(one, one)) {
                int swap = order[i];
                order[i] = order[k];
                order[k] = swap;
            }
        }
    }
    memcpy(axes[0], v->cell + 3 * order[0], sizeof axes[0]);
    memcpy(axes[1], v->cell + 3 * order[1], sizeof axes[1]);
    along = sqrt(dot(axes[0], axes[0]));
    for (int k = 0; k < 3; k++) axes[0][k] /= along;
    along = dot(axes[0], axes[1]);
    for (int k = 0; k < 3; k++) axes[1][k] -= along * axes[0][k];
    along = sqrt(dot(axes[1], axes[1]));
    for (int k = 0; k < 3; k++) axes[1][k] /= along;
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        axes[2][k] = axes[0][i] * axes[1][j] - axes[0][j] * axes[1][i];
    }
    tilt(axes);
}

static void view_axes(const vic_structure_info *v, double centre[3], double axes[3][3])
{
    double m[3][3] = { { 0 } };
    for (int k = 0; k < 3; k++) centre[k] = 0.0;
    for (int64_t i = 0; i < v->atoms; i++)
        for (int k = 0; k < 3; k++) centre[k] += v->positions[3 * i + k] / (double)v->atoms;
    for (int64_t i = 0; i < v->atoms; i++)
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                m[a][b] += (v->positions[3 * i + a] - centre[a]) * (v->positions[3 * i + b] - centre[b]);
    eigenvectors(m, axes);
    if (fills_cell(v))
        cell_axes(v, axes);
    else
        fix_signs(v, centre, axes);
}

vic_status scene_make(const vic_structure_info *v, struct scene *out, vic_error *err)
{
    double centre[3], axes[3][3], low[3], high[3];
    memset(out, 0, sizeof *out);
    TRY(allocate(v->atoms, sizeof *out->spheres, "the spheres of a picture", &out->spheres, err));
    out->count = v->atoms;
    view_axes(v, centre, axes);
    for (int k = 0; k < 3; k++) {
        low[k] = HUGE_VAL;
        high[k] = -HUGE_VAL;
    }
    for (int64_t i = 0; i < v->atoms; i++) {
        struct sphere *s = &out->spheres[i];
        double d[3], at[3], radius = chemistry_radius(v->atomic_numbers ? v->atomic_numbers[i] : 0);
        for (int k = 0; k < 3; k++) d[k] = v->positions[3 * i + k] - centre[k];
        for (int k = 0; k < 3; k++) {
            at[k] = dot(d, axes[k]);
            low[k] = fmin(low[k], at[k] - radius);
            high[k] = fmax(high[k], at[k] + radius);
        }
        s->x = (float)at[0];
        s->y = (float)at[1];
        s->z = (float)at[2];
        s->radius = (float)radius;
    }
    if (v->atoms == 0) return VIC_OK;
    out->width = high[0] - low[0];
    out->height = high[1] - low[1];
    for (int64_t i = 0; i < v->atoms; i++) {
        out->spheres[i].x -= (float)(0.5 * (low[0] + high[0]));
        out->spheres[i].y -= (float)(0.5 * (low[1] + high[1]));
        out->spheres[i].z -= (float)high[2];
    }
    return VIC_OK;
}

/* The box around the spheres, turned by an angle of this cosine and sine. */
static void turned_box(const struct scene *s, float c, float sine, float low[2], float high[2])
{
    low[0] = low[1] = HUGE_VALF;
    high[0] = high[1] = -HUGE_VALF;
    for (int64_t i = 0; i < s->count; i++) {
        const struct sphere *a = &s->spheres[i];
        float x = c * a->x - sine * a->y, y = sine * a->x + c * a->y;
        low[0] = fminf(low[0], x - a->radius);
        low[1] = fminf(low[1], y - a->radius);
        high[0] = fmaxf(high[0], x + a->radius);
        high[1] = fmaxf(high[1], y + a->radius);
    }
}

void scene_fit(struct scene *s, double width, double height)
{
    enum { STEPS = 11 }; /* of 5 degrees to either side */
    const double worth_it = 1.15, step = 5.0 * 3.14159265358979323846 / 180.0;
    double best = worth_it * fmin(width / s->width, height / s->height), angle = 0.0;
    float low[2], high[2], c, sine;
    if (s->count == 0 || s->height > 0.7 * s->width) return;
    for (int k = 1; k <= 2 * STEPS; k++) {
        double turn = (k % 2 ? 1 : -1) * ((k + 1) / 2) * step, scale;
        turned_box(s, (float)cos(turn), (float)sin(turn), low, high);
        scale = fmin(width / (double)(high[0] - low[0]), height / (double)(high[1] - low[1]));
        if (scale <= 1.001 * best) continue;
        best = scale;
        angle = turn;
    }
    if (angle == 0.0) return;
    c = (float)cos(angle);
    sine = (float)sin(angle);
    turned_box(s, c, sine, low, high);
    for (int64_t i = 0; i < s->count; i++) {
        struct sphere *a = &s->spheres[i];
        float x = c * a->x - sine * a->y, y = sine * a->x + c * a->y;
        a->x = x - 0.5f * (low[0] + high[0]);
        a->y = y - 0.5f * (low[1] + high[1]);
    }
    s->width = (double)(high[0] - low[0]);
    s->height = (double)(high[1] - low[1]);
}

void scene_free(struct scene *s)
{
    free(s->spheres);
    memset(s, 0, sizeof *s);
}
