/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CUDA_SM90_ENTRIES_H
#define VIC_KERNELS_CUDA_SM90_ENTRIES_H

#include "vicinal.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

/* So many entries are written by one launch: its parameters, in which they are, have 4 KB at most on old drivers. */
enum { ENTRIES_AT_ONCE = 64 };

/* Writes where entries of a batch are to memory of the device. */
struct entries_params {
    CUtensorMap maps[2]; /* of K and V of any entry: those of the others differ in the address alone */
    vic_attention_item items[ENTRIES_AT_ONCE];
    vic_attention_item *to; /* [entries] */
    CUtensorMap *to_maps;   /* [entries, 2] of K, V, aligned to 128 bytes; NULL = not wanted */
};
cudaError_t write_entries(const struct entries_params *p, int entries, cudaStream_t stream);

#endif
