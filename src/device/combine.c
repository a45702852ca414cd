/* SPDX-License-Identifier: Apache-2.0 */
/* For builds without CUDA; with CUDA combine.cu is used. */
#include "device/combine.h"
#include "device/cuda_check.h"

#ifndef VIC_HAVE_CUDA

vic_status device_combine(vic_device device, const struct combine_problem *p, void *stream, vic_error *err)
{
    (void)device;
    (void)p;
    (void)stream;
    return cuda_missing(err);
}

#endif
