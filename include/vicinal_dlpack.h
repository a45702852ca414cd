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

/* Devices and types that vicinal does not have are unknown, which calls refuse by the tensor's name. */
static inline vic_device vic_device_from_dlpack(DLDevice from)
{
    static const int known[] = { VIC_CPU, VIC_CUDA, VIC_CUDA_HOST, VIC_CUDA_MANAGED };
    vic_device device = { VIC_DEVICE_UNKNOWN, from.device_id };
    for (int i = 0; i < 4; i++)
        if (VIC_CAST_(int, from.device_type) == known[i]) device.type = VIC_CAST_(vic_device_type, known[i]);
    return device;
}

static inline vic_dtype vic_dtype_from_dlpack(DLDataType from)
{
    vic_dtype dtype = VIC_CAST_(vic_dtype, from.code | from.bits << 8 | 1 << 16);
    return from.lanes == 1 && vic_dtype_size(dtype) > 0 ? dtype : VIC_DTYPE_UNKNOWN;
}

/* A view of `from`, which must outlive it.  A tensor of more dimensions than VIC_MAX_DIMS comes out as none (data
 * NULL, ndim its number). */
static inline vic_tensor vic_tensor_from_dlpack(const DLTensor *from)
{
    vic_tensor t;
    int64_t dense = 1;
    memset(&t, 0, sizeof t);
    t.ndim = from->ndim;
    t.device = vic_device_from_dlpack(from->device);
    t.dtype = vic_dtype_from_dlpack(from->dtype);
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
