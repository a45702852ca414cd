/* SPDX-License-Identifier: Apache-2.0 */
/* Routes that change what is served: models, and memory that clients share. */
#ifndef VICINAL_SERVE_REPOSITORY_H
#define VICINAL_SERVE_REPOSITORY_H

#include "request.h"

/* Routes' work() and finish(). */
unsigned repository_index(struct request *r);
unsigned repository_load(struct request *r);
unsigned repository_finish(struct request *r);
unsigned repository_unload(struct request *r);
unsigned repository_system_status(struct request *r);
unsigned repository_system_register(struct request *r);
unsigned repository_system_unregister(struct request *r);
unsigned repository_cuda_status(struct request *r);
unsigned repository_cuda_register(struct request *r);
unsigned repository_cuda_unregister(struct request *r);

/* Regions are there for clients of this machine alone. */
bool repository_is_local(const struct request *r);

/* Strict base64 with its padding; false: it is none, or longer than `room`. */
bool base64_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);

#endif
