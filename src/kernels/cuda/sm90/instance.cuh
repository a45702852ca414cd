// SPDX-License-Identifier: Apache-2.0
// One file per head size includes this, so that they compile side by side.
#pragma once
#include "kernels/cuda/sm90/attn_fwd.cuh"
#include "kernels/cuda/sm90/instance.h"

namespace sm90
{
template <half_type TYPE, int D> attn_fwd_instance instance()
{
    using C = attn_fwd_config<D>;
    attn_fwd_instance i;
    i.split = reinterpret_cast<const void *>(attn_fwd<TYPE, D, true>);
    // At D = 32 the kernel for splits is faster even where no tile is split.
    if constexpr (D == 32)
        i.whole = i.split;
    else
        i.whole = reinterpret_cast<const void *>(attn_fwd<TYPE, D, false>);
    i.combine = reinterpret_cast<const void *>(combine_splits<TYPE, D>);
    i.threads = C::THREADS;
    i.shared_bytes = C::SHARED_BYTES;
    i.partial_bytes = partial_layout<D>::BYTES;
    i.places = C::WARPGROUPS;
    i.reach = C::REACH;
    i.columns = D;
    i.panel = C::PANEL;
    i.bf16 = TYPE == half_type::bf16;
    return i;
}
} // namespace sm90
