/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/number.h"

#include "structure/io/gemmi_shim.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EXACT_POWERS = 23, LONGEST = 400 };

static const double powers[EXACT_POWERS] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void trim(const char **text, const char **end)
{
    while (*text < *end && (**text == ' ' || **text == '\t')) ++*text;
    while (*text < *end && ((*end)[-1] == ' ' || (*end)[-1] == '\t' || (*end)[-1] == '\r')) --*end;
}

/* Long or extreme numbers: digits and exponent put together again for a correctly rounded reader. */
static bool read_slowly(const char *mantissa, const char *mantissa_end, bool negative, int exponent, double *value)
{
    char buffer[LONGEST + 16];
    size_t length = (size_t)(mantissa_end - mantissa);
    int extra;
    if (length > LONGEST) return false;
    memcpy(buffer, mantissa, length);
    extra = snprintf(buffer + length, sizeof buffer - length, "e%d", exponent);
    if (!shim_read_double(buffer, buffer + length + extra, value)) return false;
    if (negative) *value = -*value;
    return isfinite(*value);
}

/* The usual number, "  -6.004": blanks, perhaps a sign, digits and a point among them.  At most 15 characters, so that
 * digits and power of ten are exact and one division rounds once.  false: another form, for number_read_any(). */
static bool read_usual(const char *text, size_t length, int shift, double *value)
{
    static const double signs[2] = { 1, -1 }; /* no branch on the sign, which is as good as random */
    const char *at = text, *end = text + length, *begin, *decimals;
    uint64_t digits = 0;
    bool negative = false;
    if (length > 15) return false;
    while (at < end && *at == ' ') ++at;
    if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    for (begin = at; at < end && is_digit(*at); ++at) digits = digits * 10 + (uint64_t)(*at - '0');
    if (at == end || *at != '.') return false;
    for (decimals = ++at; at < end && is_digit(*at); ++at) digits = digits * 10 + (uint64_t)(*at - '0');
    if (at != end || at == begin + 1 || shift < 0 || at - decimals < shift) return false;
    *value = (double)digits / (powers[at - decimals - shift] * signs[negative]);
    return true;
}

bool number_read(const char *text, size_t length, int shift, double *value)
{
    return read_usual(text, length, shift, value) || number_read_any(text, length, shift, value);
}

bool number_read_any(const char *text, size_t length, int shift, double *value)
{
    const char *at = text, *end = text + length, *mantissa, *mantissa_end;
    bool negative = false, any = false;
    uint64_t digits = 0;
    int used = 0, point = 0, exponent = 0; /* used: digits from the first but 0 on; as 20 when there are more */
    trim(&at, &end);
    if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    mantissa = at;
    for (; at < end && is_digit(*at); ++at, any = true) {
        if (used < 20 && (used || *at != '0')) ++used;
        if (used <= 19) digits = digits * 10 + (uint64_t)(*at - '0');
    }
    if (at < end && *at == '.') {
        for (++at; at < end && is_digit(*at); ++at, any = true) {
            if (used < 20 && (used || *at != '0')) ++used;
            if (used <= 19) digits = digits * 10 + (uint64_t)(*at - '0');
            if (point < 2 * LONGEST) ++point;
        }
    }
    mantissa_end = at;
    if (!any) return false;
    if (at < end && (*at == 'e' || *at == 'E' || *at == 'd' || *at == 'D')) {
        bool minus = false, found = false;
        if (++at < end && (*at == '-' || *at == '+')) minus = *at++ == '-';
        for (; at < end && is_digit(*at); ++at, found = true)
            if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
        if (!found) return false;
        if (minus) exponent = -exponent;
    }
    if (at != end) return false;
    exponent += shift;
    /* Below 2^53 and within 10^22 both factors are exact, so one multiplication or division rounds once. */
    if (used <= 19 && digits < (uint64_t)1 << 53 && exponent - point > -EXACT_POWERS &&
        exponent - point < EXACT_POWERS) {
        double exact = (double)digits;
        exact = exponent < point ? exact / powers[point - exponent] : exact * powers[exponent - point];
        *value = negative ? -exact : exact;
        return true;
    }
    return read_slowly(mantissa, mantissa_end, negative, exponent, value);
}

bool number_read_integer(const char *text, size_t length, int64_t *value)
{
    const char *at = text, *end = text + length;
    bool negative = false;
    int64_t result = 0;
    trim(&at, &end);
    if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    if (at == end) return false;
    for (; at < end; ++at) {
        int digit = *at - '0';
        if (!is_digit(*at)) return false;
        if (__builtin_mul_overflow(result, 10, &result)) return false;
        if (__builtin_add_overflow(result, negative ? -digit : digit, &result)) return false;
    }
    *value = result;
    return true;
}

bool number_is_none(const char *text, size_t length)
{
    static const char *const words[] = { "inf", "infinity", "nan" };
    while (length && (*text == ' ' || *text == '\t')) ++text, --length;
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t')) --length;
    if (length && (*text == '-' || *text == '+')) ++text, --length;
    if (length && *text == '*') {
        while (length && *text == '*') ++text, --length;
        return length == 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        size_t k = 0;
        while (k < length && words[i][k] && (text[k] | 0x20) == words[i][k]) ++k;
        if (k == length && !words[i][k]) return true;
    }
    return false;
}

int number_print(char *buffer, size_t size, const char *format, double value)
{
    int length;
    const char *point = localeconv()->decimal_point;
    char *found;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    length = snprintf(buffer, size, format, value);
#pragma GCC diagnostic pop
    if (length < 0 || (size_t)length >= size) return -1;
    if (strcmp(point, ".") != 0 && (found = strstr(buffer, point)) != NULL) {
        size_t width = strlen(point);
        *found = '.';
        memmove(found + 1, found + width, strlen(found + width) + 1);
        length -= (int)width - 1;
    }
    return length;
}

int number_print_exact(char *buffer, size_t size, double value)
{
    double back;
    int length;
    if (!isfinite(value)) {
        length = snprintf(buffer, size, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return length < (int)size ? length : -1;
    }
    length = number_print(buffer, size, "%.15g", value);
    if (length > 0 && number_read(buffer, (size_t)length, 0, &back) && back == value) return length;
    length = number_print(buffer, size, "%.16g", value);
    if (length > 0 && number_read(buffer, (size_t)length, 0, &back) && back == value) return length;
    return number_print(buffer, size, "%.17g", value);
}
