/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu_features.h"

#include "base/switches.h"

const char *cpu_lacks_baseline(void)
{
    return switch_disable_cpu_wrong();
}

/* __builtin_cpu_supports() queries the CPU once, and checks that the operating system saves the registers. */
const char *cpu_lacks_avx2(void)
{
    if (switch_disable_cpu_wrong()) return switch_disable_cpu_wrong();
    if (switch_has_word(SWITCH_DISABLE_CPU, "avx2")) return "avx2 is switched off by VIC_DISABLE_CPU";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return NULL;
#endif
    return "this CPU has no AVX2 and FMA";
}

const char *cpu_lacks_avx512(void)
{
    if (switch_disable_cpu_wrong()) return switch_disable_cpu_wrong();
    if (switch_has_word(SWITCH_DISABLE_CPU, "avx512")) return "avx512 is switched off by VIC_DISABLE_CPU";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        return NULL;
#endif
    return "this CPU has no AVX-512 (F, BW, VL and DQ)";
}
