/* SPDX-License-Identifier: Apache-2.0 */
/* For builds without CUDA; with CUDA permute.cu is used. */
#include "device/permute.h"
#include "device/cuda_check.h"

#ifndef VIC_HAVE_CUDA

vic_status device_permute(vic_device device, const struct device_permutation *m, const vic_pattern *p, vic_side side,
                          const int32_t *order, void *stream, vic_error *err)
{
    (void)device;
    (void)m;
    (void)p;
    (void)side;
    (void)order;
    (void)stream;
    return cuda_missing(err);
}

#endif
