/* SPDX-License-Identifier: Apache-2.0 */
/* The one rule that decides a pair, on every device and in every path:
 *     j under image n is a neighbour of i   when   d2 < cutoff * cutoff,
 * with positions as the caller gave them (never a wrapped copy) and every operation rounded on its own, in the order
 * written here.  It is symmetric: (i, j, n) and (j, i, -n) give the same bits.
 * Files that include this are compiled with -ffp-contract=off; a CUDA version must use __dmul_rn and __dadd_rn. */
#ifndef VIC_CONTRACT_PAIR_RULE_H
#define VIC_CONTRACT_PAIR_RULE_H

#include <stdint.h>

/* The translation n . cell (cell vectors are rows). */
static inline void pair_shift(const double cell[3][3], int32_t n1, int32_t n2, int32_t n3, double shift[3])
{
    double a = (double)n1, b = (double)n2, c = (double)n3;
    for (int x = 0; x < 3; x++) shift[x] = (a * cell[0][x] + b * cell[1][x]) + c * cell[2][x];
}

/* Squared distance, A^2, between ri and rj + shift. */
static inline double pair_shifted_distance2(const double ri[3], const double rj[3], const double shift[3])
{
    double dx = (rj[0] - ri[0]) + shift[0];
    double dy = (rj[1] - ri[1]) + shift[1];
    double dz = (rj[2] - ri[2]) + shift[2];
    return (dx * dx + dy * dy) + dz * dz;
}

/* Squared distance, A^2, between ri and rj + n . cell. */
static inline double pair_distance2(const double ri[3], const double rj[3], const double cell[3][3], int32_t n1,
                                    int32_t n2, int32_t n3)
{
    double shift[3];
    pair_shift(cell, n1, n2, n3, shift);
    return pair_shifted_distance2(ri, rj, shift);
}

#endif
