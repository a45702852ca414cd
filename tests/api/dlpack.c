/* SPDX-License-Identifier: Apache-2.0 */
/* vicinal_dlpack.h, compiled as C17 and (from dlpack.cpp) as C++17: tensors from DLPack and back, of all types and
 * devices, with offsets and with or without strides; and attention over what another program owns. */
#include "vicinal_dlpack.h"

#include <stdio.h>
#include <stdlib.h>

static void need(bool condition, int line)
{
    if (condition) return;
    fprintf(stderr, "dlpack.c line %d: not so\n", line);
    exit(1);
}
#define NEED(condition) need(condition, __LINE__)

static DLTensor make(void *data, int ndim, int64_t *shape, int64_t *strides)
{
    DLTensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.device.device_type = kDLCPU;
    t.ndim = ndim;
    t.dtype.code = kDLFloat;
    t.dtype.bits = 32;
    t.dtype.lanes = 1;
    t.shape = shape;
    t.strides = strides;
    return t;
}

/* By number, since older copies of dlpack.h lack the names of some. */
static void types(void)
{
    static const struct {
        vic_dtype dtype;
        uint8_t code, bits;
    } all[] = { { VIC_I32, 0, 32 }, { VIC_I64, 0, 64 }, { VIC_U8, 1, 8 },    { VIC_F16, 2, 16 },
                { VIC_F32, 2, 32 }, { VIC_F64, 2, 64 }, { VIC_BF16, 4, 16 }, { VIC_BOOL, 6, 8 } };
    float data[4] = { 0 };
    int64_t shape[] = { 4 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        DLTensor from = make(data, 1, shape, NULL);
        from.dtype.code = all[i].code;
        from.dtype.bits = all[i].bits;
        vic_tensor t = vic_tensor_from_dlpack(&from);
        NEED(t.dtype == all[i].dtype);
        DLTensor back = vic_tensor_to_dlpack(&t);
        NEED(back.dtype.code == all[i].code && back.dtype.bits == all[i].bits && back.dtype.lanes == 1);
    }
    NEED(kDLInt == 0 && kDLUInt == 1 && kDLFloat == 2 && kDLBfloat == 4);
    DLTensor other = make(data, 1, shape, NULL); /* types that vicinal does not have: vectors, complex numbers, any */
    other.dtype.lanes = 4;
    NEED(vic_tensor_from_dlpack(&other).dtype == VIC_DTYPE_UNKNOWN);
    other.dtype.lanes = 1;
    other.dtype.code = 5;
    NEED(vic_tensor_from_dlpack(&other).dtype == VIC_DTYPE_UNKNOWN);
    other.dtype.code = other.dtype.bits = 255;
    NEED(vic_tensor_from_dlpack(&other).dtype == VIC_DTYPE_UNKNOWN);
}

static void devices(void)
{
    static const struct {
        int number;
        vic_device_type type;
    } all[] = {
        { kDLCPU, VIC_CPU }, { kDLCUDA, VIC_CUDA }, { kDLCUDAHost, VIC_CUDA_HOST }, { 13, VIC_CUDA_MANAGED }
    };
    float data[4] = { 0 };
    int64_t shape[] = { 4 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        DLTensor from = make(data, 1, shape, NULL);
        memcpy(&from.device.device_type, &all[i].number, sizeof all[i].number);
        from.device.device_id = 3;
        vic_tensor t = vic_tensor_from_dlpack(&from);
        NEED(t.device.type == all[i].type && t.device.index == 3);
        DLTensor back = vic_tensor_to_dlpack(&t);
        int number;
        memcpy(&number, &back.device.device_type, sizeof number);
        NEED(number == all[i].number && back.device.device_id == 3);
    }
    NEED(sizeof(vic_device) == sizeof(DLDevice));
    DLTensor elsewhere = make(data, 1, shape, NULL);
    elsewhere.device.device_type = kDLMetal;
    NEED(vic_tensor_from_dlpack(&elsewhere).device.type == VIC_DEVICE_UNKNOWN);
}

static void shapes(void)
{
    double data[2 * 3 * 4 * 5];
    int64_t shape[] = { 2, 3, 4, 5, 1, 1, 1 }, strides[] = { 1, 40, -10, 2 };
    for (int ndim = 0; ndim <= 4; ndim++) { /* without strides: dense */
        DLTensor from = make(data, ndim, shape, NULL);
        vic_tensor t = vic_tensor_from_dlpack(&from), made = vic_tensor_make(data, VIC_F32, ndim, shape);
        NEED(memcmp(&t, &made, sizeof t) == 0);
        DLTensor back = vic_tensor_to_dlpack(&t);
        NEED(back.data == data && back.ndim == ndim && back.byte_offset == 0);
        for (int i = 0; i < ndim; i++) NEED(back.shape[i] == shape[i] && back.strides[i] == made.stride[i]);
    }
    DLTensor from = make(data, 4, shape, strides);
    from.byte_offset = 24;
    vic_tensor t = vic_tensor_from_dlpack(&from);
    NEED(t.data == &data[3]);
    for (int i = 0; i < 4; i++) NEED(t.shape[i] == shape[i] && t.stride[i] == strides[i]);
    for (int ndim = VIC_MAX_DIMS; ndim <= VIC_MAX_DIMS + 1; ndim++) {
        from = make(data, ndim, shape, NULL);
        t = vic_tensor_from_dlpack(&from);
        NEED((t.data == NULL) == (ndim > VIC_MAX_DIMS) && t.ndim == ndim);
    }
    from = make(NULL, 1, shape, NULL); /* none */
    from.byte_offset = 64;
    NEED(vic_tensor_from_dlpack(&from).data == NULL);
}

/* Two points that see each other, with q, k and v packed in one tensor of the owner's: out is the mean of v. */
static void attention(void)
{
    enum { N = 2, DIM = 8 };
    double at[N * 3] = { 0, 0, 0, 1, 0, 0 };
    float packed[N * 3 * DIM], out[N * DIM];
    int64_t shape[] = { N, 1, DIM }, strides[] = { 3 * DIM, DIM, 1 }, at_shape[] = { N, 3 };
    vic_points points = VIC_INIT(vic_points);
    vic_plan_options options = VIC_INIT(vic_plan_options);
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_pattern *pattern;
    vic_plan *plan;
    vic_error err;
    for (int i = 0; i < N * 3 * DIM; i++) packed[i] = 1.0f;
    for (int i = 0; i < DIM; i++) packed[(3 + 2) * DIM + i] = 3.0f; /* the second v */
    DLTensor positions = make(at, 2, at_shape, NULL), from = make(packed, 3, shape, strides);
    positions.dtype.bits = 64;
    points.positions = vic_tensor_from_dlpack(&positions);
    NEED(vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &pattern, &err) == VIC_OK);
    options.dtype = VIC_F32;
    options.head_dim = DIM;
    NEED(vic_plan_create(NULL, pattern, &options, &plan, &err) == VIC_OK);
    args.q = vic_tensor_from_dlpack(&from);
    from.byte_offset = DIM * sizeof(float);
    args.k = vic_tensor_from_dlpack(&from);
    from.byte_offset = 2 * DIM * sizeof(float);
    args.v = vic_tensor_from_dlpack(&from);
    from = make(out, 3, shape, NULL);
    args.out = vic_tensor_from_dlpack(&from);
    NEED(vic_attention(NULL, plan, &args, &err) == VIC_OK);
    for (int i = 0; i < N * DIM; i++) NEED(out[i] == 2.0f);
    vic_plan_free(plan);
    vic_pattern_free(pattern);
}

int main(void)
{
    types();
    devices();
    shapes();
    attention();
    return 0;
}
