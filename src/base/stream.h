/* SPDX-License-Identifier: Apache-2.0 */
/* A stream to a descriptor that the caller goes on owning. */
#ifndef VIC_BASE_STREAM_H
#define VIC_BASE_STREAM_H

#include "vicinal.h"

#include <stdio.h>

/* To write to a copy of `descriptor`, at its place; closing the stream leaves the descriptor open.  `name`: in
 * errors. BAD_ARGUMENT where it is not open, CANNOT_WRITE where it is, but not for writing. */
vic_status stream_to(int descriptor, const char *name, FILE **out, vic_error *err);

/* Close it.  CANNOT_WRITE, with the system's reason, when anything that was written before did not arrive. */
vic_status stream_close(FILE *stream, const char *name, vic_error *err);

#endif
