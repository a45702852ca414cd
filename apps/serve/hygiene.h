/* SPDX-License-Identifier: Apache-2.0 */
/* What of a request's head is refused before anything else looks at it: whatever two programs could read in two ways,
 * which is how requests are smuggled past a proxy. */
#ifndef VICINAL_SERVE_HYGIENE_H
#define VICINAL_SERVE_HYGIENE_H

#include "request.h"

/* Reads the headers into `r`.  false: refused, with r->why and r->close. */
bool hygiene_check(struct request *r, const char *method, const char *url, const char *version);

#endif
