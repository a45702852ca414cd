// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/tensors.h"

#include "device/cuda_check.h"

#include <atomic>
#include <cuda_runtime_api.h>

namespace
{
using encode_tiled = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                  const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                                  CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// Finds the driver's function at run time, because libcuda is not linked.  It is kept once it is found; a failure is
// not kept.
vic_status find_encode_tiled(encode_tiled *out, vic_error *err)
{
    static std::atomic<encode_tiled> known;
    void *function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    *out = known;
    if (*out) return VIC_OK;
    TRY(cuda_check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                                    &found),
                   "looking for tensor maps in the driver", err));
    if (found != cudaDriverEntryPointSuccess || !function)
        return vic_fail(err, VIC_NO_DEVICE,
                        "the NVIDIA driver has no tensor maps (cuTensorMapEncodeTiled): update it");
    known = *out = reinterpret_cast<encode_tiled>(function);
    return VIC_OK;
}
} // namespace

vic_status tensor_map_make(const attention_tensor *t, uintptr_t addresses, const map_shape *shape, const char *names,
                           CUtensorMap *map, vic_error *err)
{
    encode_tiled encode;
    TRY(find_encode_tiled(&encode, err));
    const int64_t strides[] = { t->row_stride, t->head_stride, t->batch_stride };
    const cuuint64_t sizes[] = { static_cast<cuuint64_t>(shape->columns), static_cast<cuuint64_t>(shape->rows),
                                 static_cast<cuuint64_t>(shape->heads), static_cast<cuuint64_t>(shape->batch) };
    cuuint64_t bytes[3];
    for (int i = 0; i < 3; i++) {
        // The stride of a dimension of size 1 is never used; it only has to be legal.
        const bool stepped = sizes[i + 1] > 1;
        if (stepped && (strides[i] <= 0 || strides[i] % 8 != 0))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "%s: on the GPU, in pattern order, strides must be positive multiples of 8 elements "
                            "(16 bytes), got %lld; copy them, or plan for the caller's order",
                            names, static_cast<long long>(strides[i]));
        bytes[i] = stepped ? static_cast<cuuint64_t>(strides[i]) * 2 : 16;
    }
    if (addresses % 16 != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: on the GPU, in pattern order, data must be aligned to 16 bytes",
                        names);
    const cuuint32_t box[] = { static_cast<cuuint32_t>(shape->panel), static_cast<cuuint32_t>(shape->box_rows), 1,
                               1 },
                     step[] = { 1, 1, 1, 1 };
    const CUresult code =
        encode(map, shape->bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4, t->data,
               sizes, bytes, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
               shape->panel == 64 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (code != CUDA_SUCCESS && code != CUDA_ERROR_INVALID_VALUE)
        return vic_fail(err, VIC_FAILED, "making a tensor map of %s: CUDA error %d", names, static_cast<int>(code));
    if (code != CUDA_SUCCESS)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: the driver refuses a tensor map of these strides (CUDA error %d)",
                        names, static_cast<int>(code));
    return VIC_OK;
}

bool tensor_aligned(const attention_tensor *t, uintptr_t addresses, int elements)
{
    return addresses % (2 * elements) == 0 && t->row_stride % elements == 0 && t->head_stride % elements == 0 &&
           t->batch_stride % elements == 0;
}

vic_status tensor_permute(const attention_tensor *from, uintptr_t addresses, permute_params *p, attention_tensor *out,
                          cudaStream_t stream, vic_error *err)
{
    p->from = from->data;
    p->row = from->row_stride;
    p->head = from->head_stride;
    p->batch = from->batch_stride;
    p->vectors = tensor_aligned(from, addresses, 8);
    out->data = p->to;
    out->row_stride = p->d;
    out->head_stride = p->n * p->d;
    out->batch_stride = p->heads * out->head_stride;
    return cuda_check(permute_rows(p, stream), "putting rows in order", err);
}
