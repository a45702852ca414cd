// SPDX-License-Identifier: Apache-2.0
#include "device/permute.h"

#include "base/memory.h"
#include "device/cuda_check.h"

#include <cstdlib>

namespace
{
// A thread copies one T, and neighbouring threads copy neighbouring ones.
template <typename T> __global__ void permute_kernel(device_permutation p, const int32_t *order)
{
    const int64_t per_run = p.run / static_cast<int64_t>(sizeof(T)), total = p.n * p.inner[0] * p.inner[1] * per_run;
    for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * blockDim.x) {
        const int64_t in_run = i % per_run, second = i / per_run % p.inner[1], rest = i / per_run / p.inner[1];
        const int64_t first = rest % p.inner[0], row = rest / p.inner[0];
        const int64_t from = p.scatter ? row : order[row], to = p.scatter ? order[row] : row;
        const T *read = reinterpret_cast<const T *>(static_cast<const char *>(p.from) + from * p.from_row +
                                                    first * p.from_inner[0] + second * p.from_inner[1]);
        T *write = reinterpret_cast<T *>(static_cast<char *>(p.to) + to * p.to_row + first * p.to_inner[0] +
                                         second * p.to_inner[1]);
        write[in_run] = read[in_run];
    }
}

template <typename T> cudaError_t launch(const device_permutation *p, const int32_t *order, cudaStream_t stream)
{
    const int64_t total = p->n * p->inner[0] * p->inner[1] * (p->run / static_cast<int64_t>(sizeof(T)));
    const int64_t blocks = (total + 255) / 256;
    device_permutation by_value = *p;
    void *arguments[] = { &by_value, &order };
    // Not <<< >>>: that looks the kernel up once and keeps a failure, and its errors are found only by
    // cudaGetLastError(), which also returns errors that the caller left there.
    return cudaLaunchKernel(reinterpret_cast<const void *>(permute_kernel<T>),
                            dim3(static_cast<unsigned>(blocks < INT32_MAX ? blocks : INT32_MAX)), dim3(256),
                            arguments, 0, stream);
}

// Copies in the widest type that all addresses and strides allow.  The stride of a dimension of size 1 is 0, which
// allows any.
cudaError_t launch_widest(const device_permutation *p, const int32_t *order, cudaStream_t stream)
{
    const int64_t together = reinterpret_cast<intptr_t>(p->from) | reinterpret_cast<intptr_t>(p->to) | p->run |
                             p->from_row | p->from_inner[0] | p->from_inner[1] | p->to_row | p->to_inner[0] |
                             p->to_inner[1];
    if (together % 16 == 0) return launch<uint4>(p, order, stream);
    if (together % 8 == 0) return launch<uint2>(p, order, stream);
    if (together % 4 == 0) return launch<uint32_t>(p, order, stream);
    if (together % 2 == 0) return launch<uint16_t>(p, order, stream);
    return launch<uint8_t>(p, order, stream);
}

// An order that a pattern keeps in the memory of a GPU.
struct kept_order {
    pattern_on_device base;
    vic_device device;
    vic_side side;
    int32_t *order;
};

void kept_free(pattern_on_device *on_device)
{
    kept_order *kept = reinterpret_cast<kept_order *>(on_device);
    device_scope scope;
    (void)device_enter(&scope, kept->device, nullptr);
    cuda_array_free(kept->order);
    device_leave(&scope);
    free(kept);
}

const int32_t *find_kept(const vic_pattern *p, vic_device device, vic_side side)
{
    for (pattern_on_device *d = __atomic_load_n(&p->on_device, __ATOMIC_ACQUIRE); d; d = d->next) {
        const kept_order *kept = reinterpret_cast<const kept_order *>(d);
        if (d->release == kept_free && kept->device.index == device.index && kept->side == side) return kept->order;
    }
    return nullptr;
}

// Sets *out to the order on the device, which is uploaded the first time.  Two threads may both do that; then the
// pattern keeps both.
vic_status keep(const vic_pattern *p, vic_device device, vic_side side, const int32_t *host, const int32_t **out,
                vic_error *err)
{
    const int64_t n = side == VIC_KEY ? p->n_k : p->n_q;
    kept_order *kept = nullptr;
    *out = find_kept(p, device, side);
    if (*out) return VIC_OK;
    TRY(mem_array_zero(1, sizeof *kept, "order on the GPU", &kept, err));
    kept->base.release = kept_free;
    kept->device = device;
    kept->side = side;
    void *order = nullptr;
    vic_status st = cuda_array_make(nullptr, host, size_t(n) * sizeof(int32_t), "copying the order", &order, err);
    kept->order = static_cast<int32_t *>(order);
    if (st != VIC_OK) {
        kept_free(&kept->base);
        return st;
    }
    pattern_on_device **head = const_cast<pattern_on_device **>(&p->on_device);
    kept->base.next = __atomic_load_n(head, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(head, &kept->base.next, &kept->base, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
    *out = kept->order;
    return VIC_OK;
}
} // namespace

extern "C" vic_status device_permute(vic_device device, const device_permutation *m, const vic_pattern *p,
                                     vic_side side, const int32_t *host, void *stream, vic_error *err)
{
    vic_status st = VIC_OK;
    device_scope scope;
    const int32_t *order = nullptr;
    if (m->n == 0 || m->inner[0] == 0 || m->inner[1] == 0 || m->run == 0) return VIC_OK;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(keep(p, device, side, host, &order, err), done);
    TRY_GOTO(cuda_check(launch_widest(m, order, static_cast<cudaStream_t>(stream)), "putting rows in order", err),
             done);
done:
    device_leave(&scope);
    return st;
}
