/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VICINAL_CLI_STATS_H
#define VICINAL_CLI_STATS_H

#include "cli.h"

void sort_doubles(double *values, int64_t count);
double quantile(const double *sorted, int64_t count, double share); /* linear between neighbours */

/* Of counts: the standard deviation over the mean; NaN for fewer than two, or for a mean of 0. */
double variation(const int64_t *counts, int64_t count);

/* Pearson's r; NaN when either side does not vary. */
double pearson(const double *x, const double *y, int64_t count);

/* Spearman's: Pearson's of the ranks, equal values sharing their mean rank. */
vic_status spearman(const double *x, const double *y, int64_t count, double *out, vic_error *err);

#endif
