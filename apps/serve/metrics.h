/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text: Triton's names (nv_...) where Triton has the figure, and our own. */
#ifndef VICINAL_SERVE_METRICS_H
#define VICINAL_SERVE_METRICS_H

#include "request.h"

unsigned metrics_write(struct request *r); /* a route's work() */

#endif
