/* SPDX-License-Identifier: Apache-2.0 */
/* The features of this CPU that its operating system supports and VIC_DISABLE_CPU does not disable. */
#ifndef VIC_BASE_CPU_FEATURES_H
#define VIC_BASE_CPU_FEATURES_H

/* Each returns NULL when code that is compiled for the feature may run, else a phrase for why not, which is static.
 * */
const char *cpu_lacks_baseline(void);
const char *cpu_lacks_avx2(void);
const char *cpu_lacks_avx512(void);

#endif
