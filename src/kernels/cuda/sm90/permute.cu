// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/permute.h"

#include "kernels/cuda/host.cuh"

namespace
{
// A thread copies a vector of 8 numbers.  Neighbouring threads copy from one row, so that reads and writes are whole
// sectors.
__global__ void permute_kernel(permute_params p)
{
    const int vectors = p.d / 8;
    const int64_t total = p.n * p.heads * p.batches * vectors;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int vector = i % vectors;
        const int64_t row = i / vectors % p.n, rest = i / vectors / p.n;
        const int head = rest % p.heads, batch = rest / p.heads;
        const int64_t at = p.rows ? p.rows[row] : row;
        const void *data = !p.entries ? p.from : p.values ? p.entries[batch].v : p.entries[batch].k;
        const uint16_t *from =
            static_cast<const uint16_t *>(data) + at * p.row + head * p.head + batch * p.batch + 8 * vector;
        uint4 words;
        if (p.vectors) {
            words = __ldg(reinterpret_cast<const uint4 *>(from));
        } else {
            uint16_t *halves = reinterpret_cast<uint16_t *>(&words);
            for (int c = 0; c < 8; c++) halves[c] = from[c];
        }
        reinterpret_cast<uint4 *>(p.to)[i] = words; // [batch, head, row, vector]
    }
}
} // namespace

cudaError_t permute_rows(const permute_params *p, cudaStream_t stream)
{
    const int64_t total = p->n * p->heads * p->batches * (p->d / 8), blocks = (total + 255) / 256;
    if (total == 0) return cudaSuccess;
    return cuda_host::launch(permute_kernel, static_cast<unsigned>(blocks < 65536 ? blocks : 65536), 256, stream, *p);
}
