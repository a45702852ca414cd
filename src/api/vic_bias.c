/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* The value of a kind of bias at point m of `intervals`.  Envelopes need 1 - x without cancellation, which is
 * (1 - x^2) / (1 + x) with x^2 = m / intervals. */
static double value(vic_bias_kind kind, double a, double center, double width, double cutoff, int m, int intervals)
{
    double x = sqrt((double)m / intervals), d = x * cutoff;
    double rest = (double)(intervals - m) / intervals / (1.0 + x);
    switch (kind) {
    case VIC_BIAS_LINEAR: return a * d;
    case VIC_BIAS_GAUSSIAN: return a * exp(-0.5 * (d - center) / width * ((d - center) / width));
    case VIC_BIAS_COSINE: return 2.0 * log(sin(0.5 * pi * rest)); /* (1 + cos(pi x)) / 2 = sin(pi (1 - x) / 2)^2 */
    case VIC_BIAS_POLYNOMIAL: break;
    }
    /* The polynomial has a triple zero at 1 and no terms x to x^(a-1), so it is (1 - x)^3 times the first `a` terms
     * of the series of (1 - x)^-3, which all have one sign. */
    double series = 0.0;
    for (int k = (int)a - 1; k >= 0; k--) series = series * x + 0.5 * (k + 1) * (k + 2);
    return 3.0 * log(rest) + log(series);
}

vic_status vic_bias_add(vic_bias_kind kind, double a, double center, double width, double cutoff, int points,
                        float *table, vic_error *err)
{
    NEED(table, "table", "expected room for one head's values");
    if (points < 2 || points > 65536)
        return vic_fail(err, VIC_BAD_ARGUMENT, "points: expected 2 to 65536, got %d", points);
    if (!(cutoff > 0.0) || !isfinite(cutoff))
        return vic_fail(err, VIC_BAD_ARGUMENT, "cutoff: expected a finite length > 0, that of the pattern, got %g",
                        cutoff);
    switch (kind) {
    case VIC_BIAS_LINEAR:
        if (!isfinite(a)) return vic_fail(err, VIC_BAD_ARGUMENT, "a: expected a finite slope, got %g", a);
        break;
    case VIC_BIAS_GAUSSIAN:
        if (!isfinite(a) || !isfinite(center) || !isfinite(width) || !(width > 0.0))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "a, center, width: expected a finite height, a finite centre and a width > 0, got %g, "
                            "%g, %g",
                            a, center, width);
        break;
    case VIC_BIAS_COSINE: break;
    case VIC_BIAS_POLYNOMIAL:
        if (!(a >= 1.0) || a > 64.0 || a != floor(a))
            return vic_fail(err, VIC_BAD_ARGUMENT, "a: expected a whole number from 1 to 64 (usually 6), got %g", a);
        break;
    default:
        return vic_fail(err, VIC_BAD_ARGUMENT, "kind: expected a VIC_BIAS_ value from 0 to 3, got %d", (int)kind);
    }
    for (int m = 0; m < points; m++)
        table[m] = (float)((double)table[m] + value(kind, a, center, width, cutoff, m, points - 1));
    return VIC_OK;
}
