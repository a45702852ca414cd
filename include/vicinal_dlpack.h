/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors from and to DLPack (https://dmlc.github.io/dlpack), whose header <dlpack/dlpack.h> this one includes. */
#ifndef VICINAL_DLPACK_H
#define VICINAL_DLPACK_H

#include "vicinal.h"

#include <dlpack/dlpack.h>
#include <string.h>

#ifdef __cplusplus
#define VIC_CAST_(type, value) static_cast<type>(value)
#else
#define VIC_CAST_(type, value) ((type)(value))
#endif

/* A view of `from`, which must outlive it.  A tensor of more dimensions than VIC_MAX_DIMS comes out as none (data
 * NULL, ndim its number), and a type that vicinal does not know as DLPack's number, which calls refuse by name. */
static inline vic_tensor vic_tensor_from_dlpack(const DLTensor *from)
{
    vic_tensor t;
    int64_t dense = 1;
    memset(&t, 0, sizeof t);
    t.ndim = from->ndim;
    t.device.type = VIC_CAST_(vic_device_type, from->device.device_type);
    t.device.index = from->device.device_id;
    t.dtype = VIC_CAST_(vic_dtype, from->dtype.code | from->dtype.bits << 8 | from->dtype.lanes << 16);
    if (from->ndim < 0 || from->ndim > VIC_MAX_DIMS || from->data == NULL) return t;
    t.data = VIC_CAST_(char *, from->data) + from->byte_offset;
    for (int i = from->ndim - 1; i >= 0; i--) {
        t.shape[i] = from->shape[i];
        t.stride[i] = from->strides ? from->strides[i] : dense;
        dense *= from->shape[i];
    }
    return t;
}

/* A view of `from`: its shape and strides stay in `from`, which must outlive it. */
static inline DLTensor vic_tensor_to_dlpack(vic_tensor *from)
{
    DLTensor t;
    t.data = from->data;
    t.device.device_type = VIC_CAST_(DLDeviceType, from->device.type);
    t.device.device_id = from->device.index;
    t.ndim = from->ndim;
    t.dtype.code = VIC_CAST_(uint8_t, from->dtype & 255);
    t.dtype.bits = VIC_CAST_(uint8_t, from->dtype >> 8 & 255);
    t.dtype.lanes = VIC_CAST_(uint16_t, from->dtype >> 16);
    t.shape = from->shape;
    t.strides = from->stride;
    t.byte_offset = 0;
    return t;
}

#endif
