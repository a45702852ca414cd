// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/sm90/instance.cuh"

attn_fwd_instance attn_fwd_d128(bool bf16, bool shares)
{
    return sm90::instance<128>(bf16, shares);
}
