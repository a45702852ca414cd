/* SPDX-License-Identifier: Apache-2.0 */
/* A request's body: how large it may be, where it goes, and what its encoding says. */
#ifndef VICINAL_SERVE_BODY_H
#define VICINAL_SERVE_BODY_H

#include "request.h"

/* After the head: false: refused, with r->why. */
bool body_begin(struct request *r);
/* A piece; false: refused, with r->why: more than is allowed, or no memory. */
bool body_take(struct request *r, const char *bytes, size_t size);
/* All of it is there: unpacked where it is gzip or deflate.  false: refused. */
bool body_end(struct request *r);

#endif
