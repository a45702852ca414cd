/* SPDX-License-Identifier: Apache-2.0 */
/* Which path does what. */
#ifndef VICINAL_SERVE_ROUTES_H
#define VICINAL_SERVE_ROUTES_H

#include "request.h"

/* Who may, and what a request brings. */
enum { ROUTE_OPEN = 1, ROUTE_ADMIN = 2 }; /* without a token; changes what is served */
enum body_kind { BODY_NONE, BODY_SMALL, BODY_LOAD, BODY_TENSORS };

struct route {
    const char *method, *path; /* {model}, {region}, {version} stand for one part of the path */
    unsigned flags;
    enum body_kind body;
    const char *type; /* of the answer; NULL = JSON */
    /* The status of HTTP, with `text` as the answer, or r->why; 0: the answer comes later, by request_done(), and then
     * from finish(). */
    unsigned (*work)(struct request *r);
    unsigned (*finish)(struct request *r);
};

/* The route, with names taken from the path into `r`; NULL with r->why: 404 or 405. */
const struct route *route_find(const char *method, const char *url, struct request *r);

#endif
