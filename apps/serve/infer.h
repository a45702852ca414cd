/* SPDX-License-Identifier: Apache-2.0 */
/* Inference: from a request's bytes to a query of the engine, and from its answer to the client's bytes. */
#ifndef VICINAL_SERVE_INFER_H
#define VICINAL_SERVE_INFER_H

#include "request.h"

/* When the head of a request is there; false: its model's queue is full, and nothing of the request is worth reading. */
bool infer_has_room(struct request *r);
/* As a route's work(): 0 = submitted. */
unsigned infer_begin(struct request *r);
/* Queues the answer. */
enum MHD_Result infer_answer(struct request *r);
/* Takes a query back whose client has gone. */
void infer_cancel(struct request *r);
/* Gives back all that the query holds. */
void infer_end(struct request *r);

#endif
