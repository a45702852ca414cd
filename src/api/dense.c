/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dense.h"

#include "base/dtype.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "device/memory.h"

#include <string.h>

void dense_free(struct dense *a)
{
    free(a->owned);
    *a = (struct dense){ 0 };
}

static bool is_integer(vic_dtype type)
{
    return type == VIC_I32 || type == VIC_I64;
}

static bool converts(vic_dtype from, vic_dtype to)
{
    if (to == VIC_F64) return from == VIC_F32 || from == VIC_F64;
    if (to == VIC_U8) return from == VIC_BOOL || from == VIC_U8;
    return is_integer(from) && is_integer(to);
}

static const char *expected_types(vic_dtype as)
{
    return as == VIC_F64 ? "float32 or float64" : as == VIC_U8 ? "bool or uint8" : "int32 or int64";
}

static vic_status check(const vic_tensor *t, const struct dense_form *f, vic_error *err)
{
    char text[DEVICE_TEXT];
    int ndim = f->columns ? 2 : 1;
    if (!converts(t->dtype, f->as))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected %s, got %s", f->name, expected_types(f->as),
                        vic_dtype_name(t->dtype));
    if (t->ndim != ndim || (f->n >= 0 && t->shape[0] != f->n) || (f->columns && t->shape[1] != f->columns)) {
        if (f->n >= 0)
            return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected shape [%lld%s], got %d dimensions, the first %lld",
                            f->name, (long long)f->n, f->columns ? ", 3" : "", t->ndim, (long long)t->shape[0]);
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected shape [n%s], got %d dimensions%s", f->name,
                        f->columns ? ", 3" : "", t->ndim, t->ndim == ndim ? ", the last not 3" : "");
    }
    if (!size_tensor_fits(t))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: its shape and strides reach further than memory does", f->name);
    if (!device_is_cpu(t->device) && !device_is_cuda(t->device))
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected memory of the CPU or a GPU, got that of %s", f->name,
                        device_text(t->device, text));
    if ((uintptr_t)t->data % vic_dtype_size(t->dtype) != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: data is not aligned to its type", f->name);
    return VIC_OK;
}

/* Copies the memory that the tensor's elements span from a GPU to *owned; *out is the tensor there. */
static vic_status to_host(const vic_tensor *t, vic_tensor *out, void **owned, vic_error *err)
{
    int64_t below = 0, above = 0, size = (int64_t)vic_dtype_size(t->dtype);
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach = t->shape[i] < 2 ? 0 : (t->shape[i] - 1) * t->stride[i];
        *(reach < 0 ? &below : &above) += reach;
    }
    size_t bytes = (size_t)((above - below + 1) * size);
    *out = *t;
    TRY(mem_array(bytes, 1, "bytes of a tensor from the GPU", owned, err));
    out->device = (vic_device){ VIC_CPU, 0 };
    out->data = (char *)*owned - below * size;
    return device_copy(out->device, *owned, t->device, (const char *)t->data + below * size, bytes, err);
}

static bool is_dense(const vic_tensor *t, vic_dtype as, int columns)
{
    bool same = t->dtype == as || (as == VIC_U8 && t->dtype == VIC_BOOL);
    if (!same || !device_is_cpu(t->device)) return false;
    if (columns) return t->stride[1] == 1 && (t->stride[0] == columns || t->shape[0] < 2);
    return t->stride[0] == 1 || t->shape[0] < 2;
}

/* Converts one element; returns false where an integer does not fit. */
static bool convert(const void *from, vic_dtype is, void *to, vic_dtype as)
{
    if (as == VIC_F64) {
        *(double *)to = is == VIC_F32 ? (double)*(const float *)from : *(const double *)from;
    } else if (as == VIC_U8) {
        *(uint8_t *)to = *(const uint8_t *)from != 0;
    } else {
        int64_t value = is == VIC_I32 ? *(const int32_t *)from : *(const int64_t *)from;
        if (as == VIC_I64)
            *(int64_t *)to = value;
        else
            *(int32_t *)to = (int32_t)value;
        return as == VIC_I64 || value == (int32_t)value;
    }
    return true;
}

static vic_status convert_all(const vic_tensor *t, const struct dense_form *f, char *to, vic_error *err)
{
    size_t from_size = vic_dtype_size(t->dtype), size = vic_dtype_size(f->as);
    int columns = f->columns ? f->columns : 1;
    for (int64_t i = 0; i < t->shape[0]; i++)
        for (int c = 0; c < columns; c++, to += size) {
            int64_t at = i * t->stride[0] + (f->columns ? c * t->stride[1] : 0);
            if (!convert((const char *)t->data + at * (int64_t)from_size, t->dtype, to, f->as))
                return vic_fail(err, VIC_BAD_ARGUMENT, "%s: entry %lld is beyond what 32 bits hold", f->name,
                                (long long)i);
        }
    return VIC_OK;
}

vic_status dense_take(const vic_tensor *t, const struct dense_form *form, struct dense *out, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_tensor host = *t;
    void *copied = NULL;
    *out = (struct dense){ 0 };
    if (!t->data) return VIC_OK;
    TRY(check(t, form, err));
    if (is_dense(t, form->as, form->columns)) {
        out->data = t->data;
        return VIC_OK;
    }
    if (!device_is_cpu(t->device) && t->shape[0] > 0) TRY_GOTO(to_host(t, &host, &copied, err), done);
    size_t n = (size_t)t->shape[0] * (size_t)(form->columns ? form->columns : 1);
    TRY_GOTO(mem_array(n ? n : 1, vic_dtype_size(form->as), form->name, &out->owned, err), done);
    TRY_GOTO(convert_all(&host, form, out->owned, err), done);
    out->data = out->owned;
done:
    free(copied);
    if (st != VIC_OK) dense_free(out);
    return st;
}
