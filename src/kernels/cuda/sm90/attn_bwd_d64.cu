// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/bwd_instance.cuh"

const attn_bwd_instance attn_bwd_f16_d64 = sm90::bwd_instance<sm90::half_type::f16, 64>();
const attn_bwd_instance attn_bwd_bf16_d64 = sm90::bwd_instance<sm90::half_type::bf16, 64>();
