// SPDX-License-Identifier: Apache-2.0
// The architecture that this folder is compiled for, as an answer that needs neither GPU nor driver; the kernel beside
// it makes the build produce machine code for it.

namespace
{
__global__ void nothing()
{
}
} // namespace

extern "C" int cuda_compiled_arch(void);

// 90 for sm_90a.  Does not touch the GPU.
extern "C" int cuda_compiled_arch(void)
{
    void (*volatile kept)() = nothing; // an unused kernel with internal linkage would be dropped
    return kept != nullptr ? 90 : 0;
}
