/* SPDX-License-Identifier: Apache-2.0 */
/* The status page: one HTML document without anything from elsewhere, which asks for /status.json each second. */
#ifndef VICINAL_SERVE_PAGE_H
#define VICINAL_SERVE_PAGE_H

#include "request.h"

unsigned page_write(struct request *r); /* a route's work() */

#endif
