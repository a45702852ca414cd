/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_features.h"

#include "base/switches.h"

#include <string.h>

/* Every word of VIC_DISABLE_CPU is a feature. */
static bool words_known(void)
{
    const char *at = switch_value(SWITCH_DISABLE_CPU);
    while (*at) {
        size_t length = strcspn(at, ",");
        bool known = length == 0 || (length == 4 && memcmp(at, "avx2", 4) == 0) ||
                     (length == 6 && memcmp(at, "avx512", 6) == 0);
        if (!known) return false;
        at += length + (at[length] == ',');
    }
    return true;
}

const char *cpu_lacks_baseline(void)
{
    return words_known() ? NULL : "VIC_DISABLE_CPU has a word that is neither avx2 nor avx512";
}

/* __builtin_cpu_supports() asks the CPU once and includes whether the operating system saves the registers. */
const char *cpu_lacks_avx2(void)
{
    if (!words_known()) return cpu_lacks_baseline();
    if (switch_has_word(SWITCH_DISABLE_CPU, "avx2")) return "avx2 is switched off by VIC_DISABLE_CPU";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return NULL;
#endif
    return "this CPU has no AVX2 and FMA";
}

const char *cpu_lacks_avx512(void)
{
    if (!words_known()) return cpu_lacks_baseline();
    if (switch_has_word(SWITCH_DISABLE_CPU, "avx512")) return "avx512 is switched off by VIC_DISABLE_CPU";
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        return NULL;
#endif
    return "this CPU has no AVX-512 (F, BW, VL and DQ)";
}
