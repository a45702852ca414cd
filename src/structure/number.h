/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in text, the same whatever the locale of the program is. */
#ifndef VIC_STRUCTURE_NUMBER_H
#define VIC_STRUCTURE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole of text[0, length) must be one finite decimal number, blanks around it allowed: "1", "-.5", "3.2e-4"
 * (also with Fortran's d).  *value = number * 10^shift, rounded once, so nanometres become the angstrom that were
 * meant. */
bool number_read(const char *text, size_t length, int shift, double *value);
/* The same without the short way for the usual form. */
bool number_read_any(const char *text, size_t length, int shift, double *value);

/* The same for an integer that fits int64. */
bool number_read_integer(const char *text, size_t length, int64_t *value);

/* What programs write for a number that they did not have, or had no room for: inf, nan, stars; signs and blanks
 * around it allowed. */
bool number_is_none(const char *text, size_t length);

/* snprintf() of one double with a decimal point, never a comma: number_print(buffer, size, "%8.3f", x).  Returns the
 * length, which is < size, or -1 when it does not fit. */
int number_print(char *buffer, size_t size, const char *format, double value) __attribute__((format(printf, 3, 0)));

/* Shortest decimal that reads back as the same double; "nan", "inf", "-inf" for those. */
int number_print_exact(char *buffer, size_t size, double value);

#endif
