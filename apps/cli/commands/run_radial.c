/* SPDX-License-Identifier: Apache-2.0 */
/* `vicinal run --radial`: a sum of named terms, or a table from a file. */
#define _POSIX_C_SOURCE 200809L
#include "arrays/tensor_io.h"
#include "commands/run.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct form {
    const char *name;
    vic_bias_kind kind;
    int least, most; /* numbers after the colon */
    double otherwise[3];
    const char *usage;
};

static const struct form forms[] = {
    { "linear", VIC_BIAS_LINEAR, 1, 1, { 0 }, "linear:SLOPE" },
    { "gaussian", VIC_BIAS_GAUSSIAN, 2, 3, { 0, 0, 1 }, "gaussian:CENTER,WIDTH[,HEIGHT]" },
    { "cosine", VIC_BIAS_COSINE, 0, 0, { 0 }, "cosine" },
    { "polynomial", VIC_BIAS_POLYNOMIAL, 0, 1, { 6 }, "polynomial[:P]" },
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static const struct form *find_form(const char *text, size_t length)
{
    for (int i = 0; i < FORMS; i++)
        if (strlen(forms[i].name) == length && strncmp(text, forms[i].name, length) == 0) return &forms[i];
    return NULL;
}

static vic_status unknown_form(const char *spec, const char *term, vic_error *err)
{
    const char *names[FORMS], *near;
    char name[32];
    size_t length = strcspn(term, ":");
    for (int i = 0; i < FORMS; i++) names[i] = forms[i].name;
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, term, length);
    name[length] = '\0';
    near = nearest_name(name, names, FORMS);
    return fail(err, VIC_BAD_ARGUMENT,
                "--radial: expected FILE.npy or a sum of %s, %s, %s and %s, such as linear:-0.5+cosine; got "
                "'%s'%s%s%s",
                forms[0].usage, forms[1].usage, forms[2].usage, forms[3].usage, spec, near ? "; did you mean " : "",
                near ? near : "", near ? "?" : "");
}

/* One term, NUL-terminated, which is cut up; `term` stays as given, for errors. */
static vic_status add_term(char *text, const char *term, double cutoff, struct array *table, vic_error *err)
{
    char *numbers = strchr(text, ':'), *rest = NULL;
    const struct form *form = find_form(text, numbers ? (size_t)(numbers - text) : strlen(text));
    double p[3];
    vic_error why;
    int count = 0;
    if (!form) return unknown_form(term, text, err);
    memcpy(p, form->otherwise, sizeof p);
    for (char *at = numbers ? strtok_r(numbers + 1, ",", &rest) : NULL; at; at = strtok_r(NULL, ",", &rest)) {
        if (count == form->most || !number_real(at, &p[count]))
            return fail(err, VIC_BAD_ARGUMENT, "--radial: expected %s, got '%s'", form->usage, term);
        count++;
    }
    if (count < form->least || (numbers && count == 0))
        return fail(err, VIC_BAD_ARGUMENT, "--radial: expected %s, got '%s'", form->usage, term);
    if (form->kind == VIC_BIAS_GAUSSIAN && !(p[1] > 0.0))
        return fail(err, VIC_BAD_ARGUMENT, "--radial %s: expected a WIDTH above 0, got %g", term, p[1]);
    if (form->kind == VIC_BIAS_POLYNOMIAL && (!(p[0] >= 1.0) || p[0] > 64.0 || p[0] != floor(p[0])))
        return fail(err, VIC_BAD_ARGUMENT, "--radial %s: expected a whole number P from 1 to 64 (usually 6), got %g",
                    term, p[0]);
    if (form->kind == VIC_BIAS_GAUSSIAN) /* the command names the height last, as it is optional */
        memcpy(p, (double[3]){ p[2], p[0], p[1] }, sizeof p);
    if (vic_bias_add(form->kind, p[0], p[1], p[2], cutoff, (int)table->shape[1], table->data, &why) != VIC_OK)
        return fail(err, VIC_BAD_ARGUMENT, "--radial %s: %s", term, why.text);
    return VIC_OK;
}

/* Terms begin with a letter, so the plus of a number is no end of one. */
static char *next_term(char *text)
{
    for (; *text; text++)
        if (*text == '+' && isalpha((unsigned char)text[1])) return text;
    return NULL;
}

static vic_status add_terms(const char *spec, double cutoff, struct array *table, vic_error *err)
{
    char *copy = strdup(spec), *at = copy;
    vic_status st = copy ? VIC_OK : fail(err, VIC_NO_MEMORY, "no memory for --radial");
    while (st == VIC_OK && at) {
        char *end = next_term(at), term[256];
        if (end) *end = '\0';
        strncpy(term, at, sizeof term - 1);
        term[sizeof term - 1] = '\0';
        st = add_term(at, term, cutoff, table, err);
        at = end ? end + 1 : NULL;
    }
    free(copy);
    return st;
}

static vic_status read_table(const char *path, int heads, struct array *out, vic_error *err)
{
    char got[128];
    TRY(npy_read(path, out, err));
    if (out->dtype != VIC_F32)
        return fail(err, VIC_BAD_INPUT, "--radial %s: expected float32, got %s; save it with a.astype(numpy.float32)",
                    path, vic_dtype_name(out->dtype));
    if (out->ndim == 1) {
        out->ndim = 2;
        out->shape[1] = out->shape[0];
        out->shape[0] = 1;
    }
    if (out->ndim != 2 || (out->shape[0] != 1 && out->shape[0] != heads) || out->shape[1] < 2 ||
        out->shape[1] > 65536)
        return fail(err, VIC_BAD_INPUT,
                    "--radial %s: expected shape [points] or [%d heads, points] with 2 to 65536 points, at squared "
                    "distances from 0 to the square of the cutoff; got %s",
                    path, heads, shape_text(out->ndim, out->shape, got));
    for (int64_t i = 0; i < out->shape[0] * out->shape[1]; i++) {
        double b = element_load(VIC_F32, out->data, i);
        if (!isfinite(b) && b != -HUGE_VAL)
            return fail(err, VIC_BAD_INPUT, "--radial %s: expected finite values or -inf, got %g at [%lld, %lld]",
                        path, b, (long long)(i / out->shape[1]), (long long)(i % out->shape[1]));
    }
    return VIC_OK;
}

vic_status run_radial_make(const char *spec, double cutoff, int heads, struct array *out, vic_error *err)
{
    if (tensor_format(spec, strlen(spec)) == FORMAT_NPY) return read_table(spec, heads, out, err);
    *out = (struct array){ VIC_F32, 2, { 1, VIC_BIAS_POINTS }, VIC_BIAS_POINTS * sizeof(float), NULL };
    if (!(cutoff > 0.0))
        return fail(err, VIC_BAD_ARGUMENT,
                    "--radial %s: a radial term reaches from 0 to the cutoff, and this pattern has none; expected a "
                    "pattern made with --cutoff",
                    spec);
    TRY(allocate(VIC_BIAS_POINTS, sizeof(float), "the radial term", &out->data, err));
    memset(out->data, 0, out->bytes);
    return add_terms(spec, cutoff, out, err);
}
