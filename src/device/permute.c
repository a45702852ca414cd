/* SPDX-License-Identifier: Apache-2.0 */
/* The build without CUDA; with it, permute.cu. */
#include "device/permute.h"
#include "device/cuda_check.h"

#ifndef VIC_HAVE_CUDA

vic_status device_permute(vic_device device, const struct device_permutation *p, const int32_t *order, vic_error *err)
{
    (void)device;
    (void)p;
    (void)order;
    return cuda_missing(err);
}

#endif
