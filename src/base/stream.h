/* SPDX-License-Identifier: Apache-2.0 */
/* A stream to a file descriptor that remains the caller's. */
#ifndef VIC_BASE_STREAM_H
#define VIC_BASE_STREAM_H

#include "vicinal.h"

#include <stdio.h>

/* Opens a stream that writes to a copy of `descriptor`, from its present position on; closing the stream leaves the
 * descriptor open.  `name` is for errors.  BAD_ARGUMENT where the descriptor is not open, CANNOT_WRITE where it is
 * not open for writing. */
vic_status stream_to(int descriptor, const char *name, FILE **out, vic_error *err);

/* Closes the stream.  CANNOT_WRITE, with the system's reason, when something that was written could not be stored. */
vic_status stream_close(FILE *stream, const char *name, vic_error *err);

#endif
