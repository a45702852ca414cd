/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people read them.  The text lives as long as the expression that calls: printf("%s",
 * count_text(n).s). */
#ifndef VICINAL_CLI_NUMBERS_H
#define VICINAL_CLI_NUMBERS_H

#include <stdint.h>

struct number {
    char s[48];
};

struct number count_text(int64_t value);                /* 1,234,567 */
struct number counted(int64_t value, const char *one);  /* 1 atom; 1,234 atoms */
struct number real_text(double value, int significant); /* 12,345.6; 0.00123; 1.2e-9; "inf" and "nan" as such */
struct number plain_text(double value);                 /* 7.35, 10, 0.001: as short as it says the same */
struct number exact_text(double value);                 /* the shortest that reads back as the same number */
struct number fixed_text(double value, int decimals);   /* 12,345.60 */
struct number seconds_text(double seconds);             /* 12.3 ms */
struct number bytes_text(uint64_t bytes);               /* 1.25 MB (powers of ten) */

#endif
