/* SPDX-License-Identifier: Apache-2.0 */
/* Human output: aligned "label  value" lines on stdout, coloured only on a terminal without NO_COLOR. */
#ifndef VICINAL_CLI_TEXT_H
#define VICINAL_CLI_TEXT_H

#include "cli.h"

#include <stdio.h>

bool stream_is_terminal(FILE *stream);
bool stream_has_colour(FILE *stream); /* a terminal, TERM not dumb, NO_COLOR unset or empty */

void text_title(const char *format, ...) __attribute__((format(printf, 1, 2))); /* bold */
void text_row(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_verdict(bool good, const char *label); /* PASS or FAIL */

/* Flush stdout; a full disk or a closed pipe is an error like any other. */
vic_status text_end(vic_error *err);

#endif
