/* SPDX-License-Identifier: Apache-2.0 */
/* One line on stderr that says what is going on and for how long, for whatever takes more than a second; only on a
 * terminal, and gone when done. */
#ifndef VICINAL_CLI_PROGRESS_H
#define VICINAL_CLI_PROGRESS_H

void progress_phase(const char *phase); /* a static text, "building the pattern"; starts the clock of that phase */
void progress_end(void);                /* wipes the line; harmless when nothing was started */

#endif
