/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"

#include <stdio.h>

size_t vic_dtype_size(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_U8:
    case VIC_BOOL: return 1;
    case VIC_F16:
    case VIC_BF16: return 2;
    case VIC_F32:
    case VIC_I32: return 4;
    case VIC_F64:
    case VIC_I64: return 8;
    case VIC_DTYPE_UNKNOWN: break;
    }
    return 0;
}

const char *vic_dtype_name(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_U8: return "uint8";
    case VIC_BOOL: return "bool";
    case VIC_F16: return "float16";
    case VIC_BF16: return "bfloat16";
    case VIC_F32: return "float32";
    case VIC_I32: return "int32";
    case VIC_F64: return "float64";
    case VIC_I64: return "int64";
    case VIC_DTYPE_UNKNOWN: break;
    }
    return "unknown type";
}

vic_tensor vic_tensor_make(void *data, vic_dtype dtype, int ndim, const int64_t *shape)
{
    vic_tensor t = { .data = data, .device = { VIC_CPU, 0 }, .dtype = dtype, .ndim = ndim };
    int64_t stride = 1;
    for (int i = (ndim < VIC_MAX_DIMS ? ndim : VIC_MAX_DIMS) - 1; shape && i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = stride;
        /* A tensor that does not fit into memory is refused where it is used. */
        if (__builtin_mul_overflow(stride, shape[i], &stride)) stride = INT64_MAX;
    }
    return t;
}

const char *device_type_name(vic_device_type type)
{
    switch (type) {
    case VIC_CPU: return "cpu";
    case VIC_CUDA: return "cuda";
    case VIC_CUDA_HOST: return "pinned host memory";
    case VIC_CUDA_MANAGED: return "managed memory";
    case VIC_DEVICE_UNKNOWN: break;
    }
    return "an unknown device";
}

const char *device_text(vic_device device, char text[DEVICE_TEXT])
{
    snprintf(text, DEVICE_TEXT, "%s:%d", device_type_name(device.type), device.index);
    return text;
}

bool device_is_cpu(vic_device device)
{
    return device.type == VIC_CPU || device.type == VIC_CUDA_HOST;
}

bool device_is_cuda(vic_device device)
{
    return device.type == VIC_CUDA || device.type == VIC_CUDA_MANAGED;
}

bool device_same(vic_device a, vic_device b)
{
    if (device_is_cpu(a) || device_is_cpu(b)) return device_is_cpu(a) && device_is_cpu(b);
    if (a.type == VIC_CUDA_MANAGED || b.type == VIC_CUDA_MANAGED) return device_is_cuda(a) && device_is_cuda(b);
    return a.type == b.type && a.index == b.index;
}
