/* SPDX-License-Identifier: Apache-2.0 */
/* The one rule that decides a pair, on every device and in every path:
 *     j under image n is a neighbour of i   when   d2 < cutoff * cutoff,
 * with positions as the caller gave them (never a wrapped copy) and every operation rounded on its own, in the order
 * written here.  It is symmetric: (i, j, n) and (j, i, -n) give the same bits.
 * Files that include this are compiled with -ffp-contract=off; a CUDA version must use __dmul_rn and __dadd_rn. */
#ifndef VIC_CONTRACT_PAIR_RULE_H
#define VIC_CONTRACT_PAIR_RULE_H

#include <stdint.h>

/* Squared distance, A^2, between ri and rj + n . cell (cell vectors are rows). */
static inline double pair_distance2(const double ri[3], const double rj[3], const double cell[3][3], int32_t n1,
                                    int32_t n2, int32_t n3)
{
    double a = (double)n1, b = (double)n2, c = (double)n3;
    double sx = (a * cell[0][0] + b * cell[1][0]) + c * cell[2][0];
    double sy = (a * cell[0][1] + b * cell[1][1]) + c * cell[2][1];
    double sz = (a * cell[0][2] + b * cell[1][2]) + c * cell[2][2];
    double dx = (rj[0] - ri[0]) + sx;
    double dy = (rj[1] - ri[1]) + sy;
    double dz = (rj[2] - ri[2]) + sz;
    return (dx * dx + dy * dy) + dz * dz;
}

#endif
