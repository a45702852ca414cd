/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "arrays/tensor_io.h"

#include "parallel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum tensor_format tensor_format(const char *path, size_t length)
{
    static const char npy[] = ".npy", safetensors[] = ".safetensors";
    size_t a = sizeof npy - 1, b = sizeof safetensors - 1;
    if (length > a && strncasecmp(path + length - a, npy, a) == 0) return FORMAT_NPY;
    if (length > b && strncasecmp(path + length - b, safetensors, b) == 0) return FORMAT_SAFETENSORS;
    return FORMAT_NONE;
}

vic_status tensor_check_type(const char *given, const char *option, vic_dtype dtype, const struct array *a,
                             vic_error *err)
{
    if (a->dtype == dtype) return VIC_OK;
    if (a->dtype == VIC_F64) {
        return fail(err, VIC_BAD_INPUT,
                    "--%s %s: expected %s, got float64; nothing is rounded in silence: save it "
                    "with a.astype(numpy.float32)",
                    option, given, vic_dtype_name(dtype));
    }
    return fail(err, VIC_BAD_INPUT, "--%s %s: expected %s, got %s; run with --dtype %s, or convert the file", option,
                given, vic_dtype_name(dtype), vic_dtype_name(a->dtype), vic_dtype_name(a->dtype));
}

static vic_status open_tensor(const char *given, const char *option, bool numbers, struct array *out, vic_error *err)
{
    size_t length = strlen(given);
    const char *colon = strrchr(given, ':'), *tensor = NULL;
    char *path = NULL;
    vic_status st;
    memset(out, 0, sizeof *out);
    if (colon && colon[1] && tensor_format(given, (size_t)(colon - given)) == FORMAT_SAFETENSORS) {
        length = (size_t)(colon - given);
        tensor = colon + 1;
    }
    path = strndup(given, length);
    if (!path) return fail(err, VIC_NO_MEMORY, "no memory for the name of a file");
    switch (tensor_format(path, length)) {
    case FORMAT_NPY: st = (numbers ? npy_read : npy_look)(path, out, err); break;
    case FORMAT_SAFETENSORS:
        st = (numbers ? safetensors_read : safetensors_look)(path, tensor, option, out, err);
        break;
    default:
        st = fail(err, VIC_BAD_ARGUMENT,
                  "--%s: expected FILE.npy, FILE.safetensors or FILE.safetensors:NAME, got "
                  "'%s'",
                  option, given);
    }
    free(path);
    return st;
}

vic_status tensor_look(const char *given, const char *option, struct array *out, vic_error *err)
{
    return open_tensor(given, option, false, out, err);
}

vic_status tensor_load(const char *given, const char *option, vic_dtype dtype, const int64_t shape[3],
                       struct array *out, vic_error *err)
{
    char expected[128], got[128];
    vic_status st;
    TRY_GOTO(open_tensor(given, option, true, out, err), done);
    if (out->ndim != 3 || memcmp(out->shape, shape, 3 * sizeof *shape) != 0) {
        st = fail(err, VIC_BAD_INPUT,
                  "--%s %s: expected shape %s [atoms, heads, head size], got %s; the rows are the atoms in the order "
                  "of the structure",
                  option, given, shape_text(3, shape, expected), shape_text(out->ndim, out->shape, got));
        goto done;
    }
    st = tensor_check_type(given, option, dtype, out, err);
done:
    if (st != VIC_OK) array_free(out);
    return st;
}

/* ---- generated ---- */

uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double random_unit(uint64_t *state)
{
    return (double)(splitmix64(state) >> 11) * 0x1p-53;
}

/* ln x for finite x > 0, to about 1e-15.  The C library's may differ in the last bit from one machine to the next;
 * this one uses only operations that IEEE 754 rounds correctly. */
static double portable_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent), t, t2, sum = 0.0;
    if (m < 0.70710678118654752) {
        m *= 2.0;
        exponent--;
    }
    t = (m - 1.0) / (m + 1.0); /* |t| < 0.1716: 2 atanh(t) = ln m */
    t2 = t * t;
    for (int k = 21; k >= 1; k -= 2) sum = sum * t2 + 1.0 / k;
    return exponent * 0.69314718055994531 + 2.0 * t * sum;
}

/* Two normal numbers by Marsaglia's polar method: no sine or cosine, whose rounding no standard fixes. */
static void normal_pair(uint64_t *state, double out[2])
{
    double x, y, s;
    do {
        x = 2.0 * random_unit(state) - 1.0;
        y = 2.0 * random_unit(state) - 1.0;
        s = x * x + y * y;
    } while (!(s < 1.0) || s == 0.0);
    s = sqrt(-2.0 * portable_log(s) / s);
    out[0] = x * s;
    out[1] = y * s;
}

struct generate {
    uint64_t seed;
    struct array *out;
    int64_t width;
};

static void generate_rows(void *context, int64_t first, int64_t last)
{
    const struct generate *g = context;
    for (int64_t row = first; row < last; row++) {
        uint64_t state = g->seed ^ ((uint64_t)row * 0xd1342543de82ef95u);
        double pair[2] = { 0.0, 0.0 };
        state = splitmix64(&state);
        for (int64_t c = 0; c < g->width; c++) {
            if (c % 2 == 0) normal_pair(&state, pair);
            element_store(g->out->dtype, g->out->data, row * g->width + c, pair[c % 2]);
        }
    }
}

vic_status tensor_generate(uint64_t seed, int stream, vic_dtype dtype, const int64_t shape[3], int threads,
                           struct array *out, vic_error *err)
{
    uint64_t state = seed + (uint64_t)stream * 0xa0761d6478bd642fu;
    struct generate g = { splitmix64(&state), out, 0 };
    memset(out, 0, sizeof *out);
    out->dtype = dtype;
    out->ndim = 3;
    memcpy(out->shape, shape, 3 * sizeof *shape);
    if (!array_bytes(3, shape, vic_dtype_size(dtype), &out->bytes))
        return fail(err, VIC_NO_MEMORY, "a tensor of this many atoms, heads and head size does not fit this machine");
    TRY(allocate((int64_t)out->bytes, 1, "a generated tensor", &out->data, err));
    g.width = shape[1] * shape[2];
    parallel_for(threads, shape[0], generate_rows, &g);
    return VIC_OK;
}
