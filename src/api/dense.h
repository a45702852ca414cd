/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of the API as the dense host arrays that src/pattern works on: borrowed where they are that already, else
 * converted and owned. */
#ifndef VIC_API_DENSE_H
#define VIC_API_DENSE_H

#include "base/status.h"

struct dense {
    const void *data; /* NULL = none */
    void *owned;
};
void dense_free(struct dense *a);

/* [n] or [n, columns] of type `as`: F64 from F32 and F64, I32 and I64 from both, U8 from BOOL and U8.  `n` negative =
 * whatever comes.  BAD_ARGUMENT names the tensor.  A tensor without data gives none. */
struct dense_form {
    const char *name;
    vic_dtype as;
    int64_t n;
    int columns; /* 0 = one dimension */
};
vic_status dense_take(const vic_tensor *t, const struct dense_form *form, struct dense *out, vic_error *err);

#endif
