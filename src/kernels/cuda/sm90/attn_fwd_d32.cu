// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/instance.cuh"

const attn_fwd_instance attn_fwd_f16_d32 = sm90::instance<sm90::half_type::f16, 32>();
const attn_fwd_instance attn_fwd_bf16_d32 = sm90::instance<sm90::half_type::bf16, 32>();
