// SPDX-License-Identifier: Apache-2.0
// One file per head size includes this, so that they compile side by side.
#pragma once
#include "kernels/cuda/sm90/attn_bwd.cuh"
#include "kernels/cuda/sm90/bwd_instance.h"
#include "kernels/cuda/sm90/row_terms.cuh"

namespace sm90
{
template <half_type TYPE, bwd_pass PASS, int D> attn_bwd_pass pass_instance()
{
    using C = attn_bwd_config<PASS, D>;
    return { reinterpret_cast<const void *>(attn_bwd<TYPE, PASS, D>), C::THREADS, C::SHARED_BYTES, C::WARPGROUPS,
             C::REACH };
}

template <half_type TYPE, int D> attn_bwd_instance bwd_instance()
{
    attn_bwd_instance i;
    i.over_queries = pass_instance<TYPE, bwd_pass::queries, D>();
    i.over_keys = pass_instance<TYPE, bwd_pass::keys, D>();
    i.row_terms = reinterpret_cast<const void *>(row_terms<TYPE>);
    i.columns = D;
    i.panel = stage_matrices<D>::PANEL;
    i.weight_shift = weight_shift<TYPE>;
    i.bf16 = TYPE == half_type::bf16;
    return i;
}
} // namespace sm90
