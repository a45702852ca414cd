/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. */
#ifndef VICINAL_SERVE_REPLY_H
#define VICINAL_SERVE_REPLY_H

#include "request.h"

/* r->text as the answer; `type` NULL: JSON, or octets where JSON of `json_size` bytes comes first (0: no such). */
enum MHD_Result reply_text(struct request *r, unsigned status, const char *type, size_t json_size);
/* {"error": r->why.text} */
enum MHD_Result reply_refusal(struct request *r);
/* `size` bytes from `start`, inside memory of the loop's pool, which it gives back; json_size 0: all is JSON. */
enum MHD_Result reply_pool(struct request *r, char *memory, char *start, size_t size, size_t json_size);

#endif
