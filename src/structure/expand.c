/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/expand.h"

#include "base/memory.h"
#include "structure/cell.h"

#include <math.h>
#include <string.h>

enum { MOST_OPERATIONS = 192 };

struct expansion {
    const struct expand_operation *operations;
    int count;
    double origin[3];
    double cell[3][3], inverse[3][3];
};

int64_t expand_repetitions(const int repetitions[3])
{
    int64_t product = repetitions[0];
    for (int i = 1; i < 3; ++i)
        if (__builtin_mul_overflow(product, (int64_t)repetitions[i], &product)) return INT64_MAX;
    return product;
}

vic_status expand_check_size(int64_t atoms, int64_t repetitions, int64_t max_atoms, const char *name, vic_error *err)
{
    int64_t total;
    if (!__builtin_mul_overflow(atoms, repetitions, &total) && total <= max_atoms) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: expected at most %lld atoms (max_atoms), found %lld in each of %lld repetitions of the "
                    "cell; ask for fewer repetitions, or raise the limit",
                    name, (long long)max_atoms, (long long)atoms, (long long)repetitions);
}

static void apply(const struct expansion *e, int k, const double fractional[3], double out[3])
{
    const struct expand_operation *op = &e->operations[k];
    for (int i = 0; i < 3; ++i)
        out[i] = op->rotation[i][0] * fractional[0] + op->rotation[i][1] * fractional[1] +
                 op->rotation[i][2] * fractional[2] + op->translation[i];
}

/* Rounding finds the nearest lattice translation of points that are this close: their difference is an integer vector
 * plus at most 0.1 A, less than half of it unless the cell is thinner than 0.2 A. */
static bool coincide(const struct expansion *e, const double a[3], const double b[3])
{
    double f[3], d[3];
    for (int i = 0; i < 3; ++i) f[i] = (a[i] - b[i]) - nearbyint(a[i] - b[i]);
    cell_multiply(f, CELL(e->cell), d);
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < EXPAND_MERGE_DISTANCE * EXPAND_MERGE_DISTANCE;
}

/* Which copies of one atom stay; bit k of a set. */
struct copy_set {
    uint64_t bits[MOST_OPERATIONS / 64];
};

static bool has_copy(const struct copy_set *set, int k)
{
    return (set->bits[k / 64] >> (k % 64)) & 1;
}

static void to_fractional(const struct expansion *e, const double position[3], double fractional[3])
{
    cell_multiply(position, CELL(e->inverse), fractional);
    for (int i = 0; i < 3; ++i) fractional[i] += e->origin[i];
}

/* Returns how many copies stay.  In a group two copies coincide only where some copy coincides with the atom itself,
 * so that all pairs need to be looked at for the few atoms on special positions alone. */
static int choose_copies(const struct expansion *e, const double position[3], struct copy_set *set)
{
    double fractional[3], copies[MOST_OPERATIONS][3];
    bool special = false;
    int kept = 0;
    memset(set, 0, sizeof *set);
    to_fractional(e, position, fractional);
    for (int k = 0; k < e->count; ++k) {
        apply(e, k, fractional, copies[k]);
        special = special || (k && coincide(e, copies[0], copies[k]));
    }
    for (int k = 0; k < e->count; ++k) {
        bool keep = true;
        for (int j = 0; special && keep && j < k; ++j)
            keep = !(has_copy(set, j) && coincide(e, copies[j], copies[k]));
        if (keep) set->bits[k / 64] |= (uint64_t)1 << (k % 64);
        kept += keep;
    }
    return kept;
}

/* Every operation must carry the lattice into itself, or the file's cell and group do not belong together. */
static bool fits_cell(const struct expansion *e)
{
    double left[3][3], cartesian[3][3];
    for (int k = 0; k < e->count; ++k) {
        double transposed[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) transposed[i][j] = e->operations[k].rotation[j][i];
        for (int i = 0; i < 3; ++i) cell_multiply(e->inverse[i], CELL(transposed), left[i]);
        for (int i = 0; i < 3; ++i) cell_multiply(left[i], CELL(e->cell), cartesian[i]);
        for (int i = 0; i < 3; ++i) /* orthogonal: rows of length 1, at right angles */
            for (int j = 0; j <= i; ++j) {
                double product = 0;
                for (int m = 0; m < 3; ++m) product += cartesian[i][m] * cartesian[j][m];
                if (fabs(product - (i == j)) > 0.02) return false;
            }
    }
    return true;
}

vic_status expand_symmetry(struct vic_structure *s, const struct expand_operation *operations, int count,
                           const double origin[3], int64_t repetitions, int64_t max_atoms, const char *name,
                           vic_error *err)
{
    vic_status st = VIC_OK;
    struct expansion e = { operations, count, { origin[0], origin[1], origin[2] }, { { 0 } }, { { 0 } } };
    size_t atoms = s->atoms.count, at = atoms;
    int64_t total = 0;
    struct copy_set *sets = NULL;
    memcpy(e.cell, s->cell, sizeof e.cell);
    cell_invert(CELL(s->cell), e.inverse);
    if (count > MOST_OPERATIONS || !fits_cell(&e))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected a cell of the symmetry that space group %s has, found one that its operations "
                        "distort; correct the cell or the group, or read without symmetry",
                        name, s->space_group);
    TRY_GOTO(mem_array(atoms, sizeof *sets, "symmetry flags", &sets, err), done);
    for (size_t i = 0; i < atoms; ++i) total += choose_copies(&e, s->atoms.positions + 3 * i, &sets[i]);
    TRY_GOTO(expand_check_size(total, repetitions, max_atoms, name, err), done);
    TRY_GOTO(atoms_reserve(&s->atoms, (size_t)total, err), done);
    for (int k = 1; k < count; ++k) {
        for (size_t i = 0; i < atoms; ++i) {
            double fractional[3], copy[3];
            if (!has_copy(&sets[i], k)) continue;
            to_fractional(&e, s->atoms.positions + 3 * i, fractional);
            apply(&e, k, fractional, copy);
            for (int j = 0; j < 3; ++j) copy[j] -= e.origin[j];
            atoms_copy_row(&s->atoms, at, i);
            cell_multiply(copy, CELL(e.cell), s->atoms.positions + 3 * at);
            ++at;
        }
    }
    s->atoms.count = at;
    s->symmetry_operations = count;
    s->expanded = s->expanded || count > 1;
done:
    free(sets);
    return st;
}

vic_status expand_supercell(struct vic_structure *s, const int n[3], int64_t max_atoms, const char *name,
                            vic_error *err)
{
    size_t atoms = s->atoms.count, at = 0;
    int64_t repetitions = expand_repetitions(n);
    if (repetitions == 1) return VIC_OK;
    for (int axis = 0; axis < 3; ++axis) {
        const double *v = s->cell[axis];
        if (n[axis] == 1 || (s->has_cell && (v[0] != 0 || v[1] != 0 || v[2] != 0))) continue;
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: expected a cell vector %c to repeat %d times, found none; give a cell (--cell a,b,c)",
                        name, "abc"[axis], n[axis]);
    }
    TRY(expand_check_size((int64_t)atoms, repetitions, max_atoms, name, err));
    TRY(atoms_reserve(&s->atoms, atoms * (size_t)repetitions, err));
    for (int i = 0; i < n[0]; ++i)
        for (int j = 0; j < n[1]; ++j)
            for (int k = 0; k < n[2]; ++k)
                for (size_t m = 0; m < atoms; ++m, ++at) {
                    atoms_copy_row(&s->atoms, at, m);
                    for (int x = 0; x < 3; ++x)
                        s->atoms.positions[3 * at + (size_t)x] +=
                            (i * s->cell[0][x] + j * s->cell[1][x]) + k * s->cell[2][x];
                }
    s->atoms.count = at;
    for (int axis = 0; axis < 3; ++axis)
        for (int x = 0; x < 3; ++x) s->cell[axis][x] *= n[axis];
    for (int axis = 0; axis < 3; ++axis) s->origin[axis] /= n[axis];
    s->expanded = true;
    return VIC_OK;
}
