/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of the API as the dense host arrays that src/pattern takes: used as they are where they have that form,
 * else converted to memory of their own. */
#ifndef VIC_API_DENSE_H
#define VIC_API_DENSE_H

#include "base/status.h"

struct dense {
    const void *data; /* NULL = there is no tensor */
    void *owned;      /* NULL = data is the caller's */
};
void dense_free(struct dense *a);

/* The wanted form: [n] or [n, columns] of type `as`, which is converted to F64 from F32, to I32 and I64 from each
 * other, and to U8 from BOOL. */
struct dense_form {
    const char *name;
    vic_dtype as;
    int64_t n;   /* negative = any */
    int columns; /* 0 = one dimension */
};
/* BAD_ARGUMENT names the tensor.  A tensor without data gives NULL. */
vic_status dense_take(const vic_tensor *t, const struct dense_form *form, struct dense *out, vic_error *err);

#endif
