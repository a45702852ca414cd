/* SPDX-License-Identifier: Apache-2.0 */
#include "numbers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Commas between the thousands of the leading digits; the rest (point, exponent) is copied. */
static struct number with_commas(const char *plain)
{
    struct number out = { "" };
    size_t sign = plain[0] == '-', digits = strspn(plain + sign, "0123456789"), at = 0;
    for (size_t i = 0; plain[i]; i++) { /* at most 39 characters, and 6 commas between 19 digits */
        if (i > sign && i < sign + digits && (sign + digits - i) % 3 == 0) out.s[at++] = ',';
        out.s[at++] = plain[i];
    }
    out.s[at] = '\0';
    return out;
}

struct number count_text(int64_t value)
{
    char plain[32];
    snprintf(plain, sizeof plain, "%" PRId64, value);
    return with_commas(plain);
}

struct number counted(int64_t value, const char *one)
{
    struct number out = count_text(value);
    size_t used = strlen(out.s); /* at most 26 */
    snprintf(out.s + used, sizeof out.s - used, " %s%s", one, value == 1 ? "" : "s");
    return out;
}

struct number fixed_text(double value, int decimals)
{
    char plain[40];
    if (!(fabs(value) < 1e15)) return real_text(value, 6);
    snprintf(plain, sizeof plain, "%.*f", decimals, value);
    return with_commas(*plain == '-' && !plain[strspn(plain, "-0.")] ? plain + 1 : plain); /* 0.00, never -0.00 */
}

struct number real_text(double value, int significant)
{
    struct number out;
    double size = fabs(value);
    int decimals;
    if (!isfinite(value) || size >= 1e15 || (size < 1e-4 && size > 0.0)) {
        snprintf(out.s, sizeof out.s, "%.*g", significant, value);
        return out;
    }
    decimals = size > 0.0 ? significant - 1 - (int)floor(log10(size)) : 0;
    return fixed_text(value, decimals < 0 ? 0 : decimals);
}

struct number plain_text(double value)
{
    struct number out;
    snprintf(out.s, sizeof out.s, "%.6g", value);
    return out;
}

struct number exact_text(double value)
{
    struct number out;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out.s, sizeof out.s, "%.*g", digits, value);
        if (strtod(out.s, NULL) == value) break;
    }
    return out;
}

struct number seconds_text(double seconds)
{
    struct number out;
    if (seconds >= 999.5)
        snprintf(out.s, sizeof out.s, "%.0f s", seconds);
    else if (seconds >= 0.9995)
        snprintf(out.s, sizeof out.s, "%.3g s", seconds);
    else if (seconds >= 0.9995e-3)
        snprintf(out.s, sizeof out.s, "%.3g ms", seconds * 1e3);
    else
        snprintf(out.s, sizeof out.s, "%.3g us", seconds * 1e6);
    return out;
}

struct number bytes_text(uint64_t bytes)
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" }; /* 18.4 EB is 2^64 */
    struct number out;
    double value = (double)bytes;
    int unit = 0;
    while (value >= 999.5) {
        value /= 1000.0;
        unit++;
    }
    snprintf(out.s, sizeof out.s, "%.3g %s", value, units[unit]);
    return out;
}
