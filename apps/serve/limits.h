/* SPDX-License-Identifier: Apache-2.0 */
/* What the server takes at most of everything that a client can make large.  docs/protocol.md lists them. */
#ifndef VICINAL_SERVE_LIMITS_H
#define VICINAL_SERVE_LIMITS_H

enum {
    MOST_NAME = 64,     /* characters of the name of a model or a region */
    MOST_ID = 256,      /* bytes of a request's id, as JSON */
    MOST_RANK = 4,      /* dimensions of a tensor */
    MOST_MODELS = 1024, /* loaded at once */
    MOST_REGIONS = 1024,
    MOST_DEVICES = 16,
    MOST_BATCH = 65536,            /* first dimension of a query's tensors */
    MOST_HEADER_BYTES = 16 * 1024, /* request line and headers; 431 */
    MOST_HEADERS = 100,
    MOST_TARGET = 2048,          /* bytes of a request's path with its query; 414 */
    MOST_JSON_HEAD = 64 * 1024,  /* JSON in front of binary tensors */
    MOST_JSON_BODY = 8 << 20,    /* a request that is JSON alone */
    MOST_SMALL_BODY = 64 * 1024, /* of routes that take neither tensors nor structures */
    MOST_LOAD_BODY = 256 << 20,  /* of a load, which may bring a structure */
    MOST_LOOPS = 16,             /* threads that speak HTTP */
    MOST_LOG_LINES = 100,        /* a second, about requests */
    /* That libmicrohttpd has for each connection, clears with each request, and reads bodies by halves of; by how large
     * bodies are.  The smallest holds the largest head, with what is noted of its headers. */
    SMALL_CONNECTION_MEMORY = 24 * 1024,
    CONNECTION_MEMORY = 64 * 1024,        /* for bodies above SMALL_BODY */
    LARGE_CONNECTION_MEMORY = 256 * 1024, /* for bodies above that */
    SMALL_BODY = 16 * 1024,
    SLOWEST_BYTES = 64 * 1024, /* a second; slower bodies and readers are cut off */
    GRACE_SECONDS = 30,        /* that a body or an answer may take besides */
    CLIENT_HANDLE = 64         /* bytes of a CUDA memory handle */
};

#endif
