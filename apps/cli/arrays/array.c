/* SPDX-License-Identifier: Apache-2.0 */
#include "arrays/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool array_bytes(int ndim, const int64_t *shape, size_t item, size_t *bytes)
{
    size_t total = item;
    bool empty = false;
    for (int k = 0; k < ndim; k++) {
        if (shape[k] < 0) return false;
        empty |= shape[k] == 0;
    }
    for (int k = 0; k < ndim && !empty; k++)
        if (__builtin_mul_overflow(total, (size_t)shape[k], &total) || total > PTRDIFF_MAX) return false;
    *bytes = empty ? 0 : total;
    return true;
}

const char *shape_text(int ndim, const int64_t *shape, char out[128])
{
    size_t used = (size_t)snprintf(out, 128, "[");
    for (int k = 0; k < ndim && used < 100; k++)
        used += (size_t)snprintf(out + used, 128 - used, "%s%lld", k ? ", " : "", (long long)shape[k]);
    snprintf(out + used, 128 - used, "]");
    return out;
}

static const struct {
    const char *name;
    vic_dtype dtype;
} npy_types[] = { { "<f4", VIC_F32 }, { "<f2", VIC_F16 }, { "<f8", VIC_F64 } };
enum { NPY_TYPES = sizeof npy_types / sizeof npy_types[0] };

const char *npy_type(vic_dtype dtype)
{
    for (int i = 0; i < NPY_TYPES; i++)
        if (npy_types[i].dtype == dtype) return npy_types[i].name;
    return NULL;
}

vic_dtype npy_dtype(const char *type)
{
    for (int i = 0; i < NPY_TYPES; i++)
        if (strcmp(npy_types[i].name, type) == 0) return npy_types[i].dtype;
    return VIC_DTYPE_UNKNOWN;
}

void array_free(struct array *a)
{
    free(a->data);
    a->data = NULL;
}

/* ---- elements ---- */

static double from_half(uint16_t h)
{
    double sign = h >> 15 ? -1.0 : 1.0;
    int exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
    if (exponent == 0x1f) return fraction ? (double)NAN : sign * HUGE_VAL;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

/* Round a double to a format of `bits` fraction bits whose smallest normal exponent is `least`, straight from the
 * double, so that nothing is rounded twice. */
static double rounded(double x, int bits, int least)
{
    int exponent;
    double unit;
    frexp(x, &exponent);
    exponent--;
    if (exponent < least) exponent = least;
    unit = ldexp(1.0, exponent - bits);
    return nearbyint(x / unit) * unit;
}

static uint16_t to_half(double x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    int exponent;
    if (isnan(x)) return (uint16_t)(sign | 0x7e00);
    x = isinf(x) ? HUGE_VAL : rounded(fabs(x), 10, -14);
    if (x >= 65536.0) return (uint16_t)(sign | 0x7c00);
    if (x < 0x1p-14) return (uint16_t)(sign | (uint16_t)(x * 0x1p24));
    frexp(x, &exponent);
    return (uint16_t)(sign | (exponent + 14) << 10 | ((int)ldexp(x, 11 - exponent) & 0x3ff));
}

static uint16_t to_bfloat(double x)
{
    float narrow = isnan(x) || isinf(x) ? (float)x : (float)rounded(x, 7, -126);
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (isnan(x)) bits |= 0x400000;
    return (uint16_t)(bits >> 16);
}

double element_load(vic_dtype dtype, const void *data, int64_t index)
{
    uint16_t half;
    uint32_t bits;
    float single;
    switch (dtype) {
    case VIC_F32: return (double)((const float *)data)[index];
    case VIC_F64: return ((const double *)data)[index];
    case VIC_F16: return from_half(((const uint16_t *)data)[index]);
    case VIC_BF16:
        half = ((const uint16_t *)data)[index];
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    default: return (double)NAN;
    }
}

void element_store(vic_dtype dtype, void *data, int64_t index, double value)
{
    switch (dtype) {
    case VIC_F32: ((float *)data)[index] = (float)value; break;
    case VIC_F64: ((double *)data)[index] = value; break;
    case VIC_F16: ((uint16_t *)data)[index] = to_half(value); break;
    case VIC_BF16: ((uint16_t *)data)[index] = to_bfloat(value); break;
    default: break;
    }
}
