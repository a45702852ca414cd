// SPDX-License-Identifier: Apache-2.0
// One file per head size includes this, so that they compile side by side.
#pragma once
#include "kernels/cuda/sm90/attn_fwd.cuh"
#include "kernels/cuda/sm90/launch.h"

namespace sm90
{
template <int D, bool SHARES> const void *fused(bool bf16)
{
    return bf16 ? reinterpret_cast<const void *>(attn_fwd<half_type::bf16, D, SHARES>)
                : reinterpret_cast<const void *>(attn_fwd<half_type::f16, D, SHARES>);
}

template <int D> attn_fwd_instance instance(bool bf16, bool shares)
{
    using C = attn_fwd_config<D>;
    attn_fwd_instance i;
    // At D = 32 the kernel for shares is the faster one for whole tiles, too.
    if constexpr (D == 32)
        i.kernel = fused<D, true>(bf16);
    else
        i.kernel = shares ? fused<D, true>(bf16) : fused<D, false>(bf16);
    i.join = bf16 ? reinterpret_cast<const void *>(join_shares<half_type::bf16, D>)
                  : reinterpret_cast<const void *>(join_shares<half_type::f16, D>);
    i.columns = D;
    i.slot_bytes = slot_layout<D>::BYTES;
    i.threads = C::THREADS;
    i.shared_bytes = C::SHARED_BYTES;
    i.places = C::WARPGROUPS;
    i.reach = C::REACH;
    i.panel = C::PANEL;
    return i;
}
} // namespace sm90
