/* SPDX-License-Identifier: Apache-2.0 */
/* q, k and v of `vicinal run`: all three from files, whose shapes then say what heads there are, or all three
 * random. */
#include "arrays/tensor_io.h"
#include "commands/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_HEADS = 65536, LEAST_SIZE = 8, MOST_SIZE = 128 };

static const char *const names[INPUTS] = { "q", "k", "v" };

static bool from_files(const struct run_options *r)
{
    return r->input[0] != NULL;
}

/* All or none: one that is missing is a slip, not a wish for random numbers beside real ones. */
static vic_status check_given(const struct run_options *r, vic_error *err)
{
    char given[32] = "", missing[32] = "";
    int count = 0;
    for (int i = 0; i < INPUTS; i++) {
        char *list = r->input[i] ? given : missing;
        size_t used = strlen(list);
        snprintf(list + used, 32 - used, "%s--%s", used ? " and " : "", names[i]);
        count += r->input[i] != NULL;
    }
    if (count == 0 || count == INPUTS) return VIC_OK;
    return fail(err, VIC_BAD_ARGUMENT,
                "%s without %s: attention needs all three; give %s too, or none of them for random ones (--seed)",
                given, missing, missing);
}

/* A size from a file, where the option that would set it is not there or is the same. */
static vic_status take(const char *option, int *size, const struct run_options *r, int input, const struct array *a,
                       int axis, vic_error *err)
{
    char shape[128];
    if (*size != 0 && *size != a->shape[axis])
        return fail(err, VIC_BAD_INPUT,
                    "%s %d and --%s %s contradict each other: its shape is %s [atoms, heads, head "
                    "size]; leave %s out, as the file states it",
                    option, *size, names[input], r->input[input], shape_text(a->ndim, a->shape, shape), option);
    *size = (int)a->shape[axis];
    return VIC_OK;
}

static vic_status check_shape(const struct run_options *r, int i, const struct array *a, vic_error *err)
{
    char shape[128];
    if (a->ndim != 3)
        return fail(err, VIC_BAD_INPUT, "--%s %s: expected shape [atoms, heads, head size], got %s", names[i],
                    r->input[i], shape_text(a->ndim, a->shape, shape));
    if (a->shape[1] < 1 || a->shape[1] > MOST_HEADS)
        return fail(err, VIC_BAD_INPUT, "--%s %s: expected 1 to %d heads, got shape %s [atoms, heads, head size]",
                    names[i], r->input[i], MOST_HEADS, shape_text(a->ndim, a->shape, shape));
    if (a->shape[2] < LEAST_SIZE || a->shape[2] > MOST_SIZE || a->shape[2] % LEAST_SIZE != 0)
        return fail(err, VIC_BAD_INPUT,
                    "--%s %s: expected a head size that is a multiple of %d from %d to %d, got shape %s [atoms, "
                    "heads, head size]; pad the heads with zeros",
                    names[i], r->input[i], LEAST_SIZE, LEAST_SIZE, MOST_SIZE, shape_text(a->ndim, a->shape, shape));
    return VIC_OK;
}

/* Two files that must agree in one thing. */
static vic_status check_same(const struct run_options *r, int i, int j, const struct array *a, const struct array *b,
                             int axis, const char *what, vic_error *err)
{
    char one[128], other[128];
    if (a->shape[axis] == b->shape[axis]) return VIC_OK;
    return fail(err, VIC_BAD_INPUT, "--%s %s and --%s %s: expected as many %s in both, got shapes %s and %s",
                names[i], r->input[i], names[j], r->input[j], what, shape_text(3, a->shape, one),
                shape_text(3, b->shape, other));
}

static vic_status take_types(struct run_options *r, const struct array a[INPUTS], vic_error *err)
{
    for (int i = 0; i < INPUTS; i++)
        if (r->dtype_given || a[i].dtype == VIC_F64)
            TRY(tensor_check_type(r->input[i], names[i], r->dtype, &a[i], err));
    r->dtype = a[0].dtype;
    for (int i = 1; i < INPUTS; i++)
        if (a[i].dtype != a[0].dtype)
            return fail(err, VIC_BAD_INPUT,
                        "--q %s is %s, --%s %s is %s: expected all three of one type; convert one", r->input[0],
                        vic_dtype_name(a[0].dtype), names[i], r->input[i], vic_dtype_name(a[i].dtype));
    return VIC_OK;
}

vic_status run_tensors_look(struct run_options *r, vic_error *err)
{
    struct array a[INPUTS];
    TRY(check_given(r, err));
    if (!from_files(r)) return VIC_OK;
    for (int i = 0; i < INPUTS; i++) {
        TRY(tensor_look(r->input[i], names[i], &a[i], err));
        TRY(check_shape(r, i, &a[i], err));
    }
    TRY(take_types(r, a, err));
    TRY(take("--heads", &r->heads, r, 0, &a[0], 1, err));
    TRY(take("--kv-heads", &r->kv_heads, r, 1, &a[1], 1, err));
    TRY(take("--head-dim", &r->head_dim, r, 0, &a[0], 2, err));
    TRY(take("--head-dim-v", &r->head_dim_v, r, 2, &a[2], 2, err));
    TRY(check_same(r, 0, 1, &a[0], &a[1], 2, "numbers in a head", err));
    TRY(check_same(r, 1, 2, &a[1], &a[2], 1, "heads", err));
    TRY(check_same(r, 1, 2, &a[1], &a[2], 0, "atoms", err));
    if (r->heads % r->kv_heads != 0)
        return fail(err, VIC_BAD_INPUT,
                    "--q %s has %d heads and --k %s has %d: expected a number of key heads that divides that of the "
                    "query heads",
                    r->input[0], r->heads, r->input[1], r->kv_heads);
    return VIC_OK;
}

vic_status run_tensors_make(const struct run_options *r, int64_t atoms, int64_t keys, struct run_result *out,
                            vic_error *err)
{
    struct array *arrays[INPUTS] = { &out->q, &out->k, &out->v };
    const int64_t shapes[INPUTS][3] = { { atoms, r->heads, r->head_dim },
                                        { keys, r->kv_heads, r->head_dim },
                                        { keys, r->kv_heads, r->head_dim_v } };
    for (int i = 0; i < INPUTS; i++) {
        if (r->input[i])
            TRY(tensor_load(r->input[i], names[i], r->dtype, shapes[i], arrays[i], err));
        else
            TRY(tensor_generate(r->seed, i, r->dtype, shapes[i], r->pattern.structure.threads, arrays[i], err));
    }
    return VIC_OK;
}

static const char *random_text(const struct run_options *r, char out[48])
{
    snprintf(out, 48, "random (seed %" PRIu64 ")", r->seed);
    return out;
}

void run_tensors_text(const struct run_options *r, char *out, size_t size)
{
    char random[48];
    if (from_files(r))
        snprintf(out, size, "from %s, %s, %s", r->input[0], r->input[1], r->input[2]);
    else
        snprintf(out, size, "%s", random_text(r, random));
}

void run_tensors_json(struct json *j, const struct run_options *r)
{
    char random[48];
    json_put_object(j, "inputs");
    for (int i = 0; i < INPUTS; i++) json_put_text(j, names[i], r->input[i] ? r->input[i] : random_text(r, random));
    json_put_object_end(j);
}

void run_tensors_room(struct run_options *r, int batch)
{
    double size = (double)vic_dtype_size(r->dtype), lse = sizeof(float);
    r->pattern.bytes_per_query = batch * (double)r->heads * ((r->head_dim + r->head_dim_v) * size + lse);
    r->pattern.bytes_per_key = batch * (double)r->kv_heads * (r->head_dim + r->head_dim_v) * size;
}
