/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/version.h"

#include "base/memory.h"
#include "engine/engine.h"
#include "pattern/pattern.h"
#include "pattern/update.h"

struct model model_of(const vic_pattern *p, uint64_t family)
{
    return (struct model){ .family = family,
                           .n_q = p->n_q,
                           .n_k = p->n_k,
                           .kind = pattern_kind(p),
                           .one_set = p->one_set,
                           .moves = pattern_follows(p),
                           .periodic = p->periodic[0] || p->periodic[1] || p->periodic[2],
                           .groups = p->structures > 0 };
}

vic_status version_new(vic_endpoint *endpoint, const struct model *model, struct version **out, vic_error *err)
{
    TRY(mem_array_zero(1, sizeof **out, "version of an endpoint", out, err));
    (*out)->endpoint = endpoint;
    (*out)->model = *model;
    (*out)->references = 1;
    (*out)->max_delay = endpoint->max_delay;
    return VIC_OK;
}

vic_pattern *version_destroy(struct version *v)
{
    vic_pattern *alone = NULL;
    vic_plan_free(v->plan);
    if (v->pattern && pattern_is_alone(v->pattern))
        alone = v->pattern;
    else
        pattern_release(v->pattern);
    free(v->positions);
    free(v);
    return alone;
}
