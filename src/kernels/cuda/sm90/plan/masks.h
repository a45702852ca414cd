/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_MASKS_H
#define VIC_KERNELS_CUDA_SM90_PLAN_MASKS_H

#include "kernels/cuda/sm90/plan/tiles.h"

/* Makes the mask words of a step (struct tile_arrays) from the bits of its eight octets.  Bit r of bits[o][k] is set
 * when row r of the strip attends to key k of octet o; bits[o] NULL = no row attends to a key of it. */
void mask_words(const uint64_t *const bits[STAGE_OCTETS], uint32_t words[STEP_WORDS]);

#endif
