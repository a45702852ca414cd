/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint answers with: a pattern with its plan.  Each change makes another version, and a query keeps the one
 * that it was accepted for.  All members but those that are set before others see the version are guarded by the
 * engine's lock, references among them. */
#ifndef VIC_ENGINE_VERSION_H
#define VIC_ENGINE_VERSION_H

#include "base/status.h"
#include "contract/kernel.h"
#include "vicinal_engine.h"

/* What stays the same when points move. */
struct model {
    uint64_t family; /* versions that come from each other by new positions have the same */
    int64_t n_q, n_k;
    const char *kind; /* static */
    bool one_set, moves, periodic, groups;
};

struct version {
    struct version *next; /* in the builder's lists */
    vic_endpoint *endpoint;
    uint64_t number;
    struct model model;
    int64_t references; /* of the endpoint, lanes, launches, the builder and the version that is made from it */
    int64_t max_delay;  /* the endpoint's; ns */
    struct lane *lanes; /* that wait for it */

    /* Either it is ready and has pattern and plan, or its positions were no good and queries use `instead`, or neither
     * and they wait. */
    bool ready;
    struct version *instead; /* a reference */
    vic_pattern *pattern;    /* a reference */
    vic_plan *plan;

    /* While it waits to be built: */
    struct version *base;  /* a reference */
    struct query *bringer; /* that brought the positions, while it waits */
    double *positions;     /* [n, 3]; NULL = those of `base` */
    double cell[9];
    bool has_cell;
};

static inline bool version_settled(const struct version *v)
{
    return v->ready || v->instead;
}

/* The version that queries of `v`, which is settled, are answered with. */
static inline struct version *version_used(struct version *v)
{
    return v->instead ? v->instead : v;
}

struct model model_of(const vic_pattern *p, uint64_t family);

/* A version with one reference, without a pattern. */
vic_status version_new(vic_endpoint *endpoint, const struct model *model, struct version **out, vic_error *err);
/* For a version without references, and not under the lock.  Returns the pattern if nobody else holds it, as memory
 * for another one, else NULL. */
vic_pattern *version_destroy(struct version *v);

#endif
