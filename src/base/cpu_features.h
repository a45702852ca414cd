/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU and its operating system let us use, less what VIC_DISABLE_CPU leaves out. */
#ifndef VIC_BASE_CPU_FEATURES_H
#define VIC_BASE_CPU_FEATURES_H

/* Each returns NULL when the code compiled for it may run, else a phrase that says why not; static. */
const char *cpu_lacks_baseline(void);
const char *cpu_lacks_avx2(void);
const char *cpu_lacks_avx512(void);

#endif
