/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are being written, under temporary names.  A signal that ends the command (Ctrl-C, SIGTERM, SIGHUP, ...)
 * removes them first, and then ends it as it would have done.  Called by one thread. */
#ifndef VICINAL_CLI_UNFINISHED_H
#define VICINAL_CLI_UNFINISHED_H

/* mkstemp(), and the file is one of them from its first moment; -1 with errno.  `name` stays the caller's and must
 * live, at its place, until it is given to unfinished_end(). */
int unfinished_begin(char *name);

/* It has been renamed or removed; harmless for a name that is not one of them. */
void unfinished_end(const char *name);

#endif
