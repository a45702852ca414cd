/* SPDX-License-Identifier: Apache-2.0 */
#include "context/context.h"
#include "kernels/ref/attention_backward_ref.h"
#include "kernels/ref/attention_ref.h"

static const char make_a_plan[] = "make one first, with vic_plan_create()";
static const char room_for_seconds[] = "expected room for one number a launch";

static vic_status take_args(const vic_attention_args *given, vic_attention_args *out, vic_error *err)
{
    NEED_STRUCT(vic_attention_args, a, given, err);
    TRY(reserved_check(a.reserved_1, sizeof a.reserved_1, "vic_attention_args", err));
    TRY(reserved_check(a.reserved_2, sizeof a.reserved_2, "vic_attention_args", err));
    *out = a;
    return VIC_OK;
}

static vic_status take_backward_args(const vic_attention_backward_args *given, vic_attention_backward_args *out,
                                     vic_error *err)
{
    NEED_STRUCT(vic_attention_backward_args, a, given, err);
    TRY(reserved_check(a.reserved_1, sizeof a.reserved_1, "vic_attention_backward_args", err));
    TRY(reserved_check(a.reserved_2, sizeof a.reserved_2, "vic_attention_backward_args", err));
    *out = a;
    return VIC_OK;
}

vic_status vic_attention(vic_context *c, const vic_plan *plan, const vic_attention_args *args, vic_error *err)
{
    vic_attention_args a;
    NEED(plan, "plan", make_a_plan);
    TRY(take_args(args, &a, err));
    return context_attention(c, plan, &a, err);
}

vic_status vic_attention_backward(vic_context *c, const vic_plan *plan, const vic_attention_backward_args *args,
                                  vic_error *err)
{
    vic_attention_backward_args a;
    NEED(plan, "plan", make_a_plan);
    TRY(take_backward_args(args, &a, err));
    return context_backward(c, plan, &a, err);
}

static vic_status take_time_options(const vic_time_options *given, vic_time_options *out, vic_error *err)
{
    TAKE_STRUCT(vic_time_options, o, given, err);
    TRY(reserved_check(o.reserved_1, sizeof o.reserved_1, "vic_time_options", err));
    if (o.launches == 0) o.launches = 1000;
    o.warm_up = o.warm_up == 0 ? 10 : o.warm_up < 0 ? 0 : o.warm_up;
    *out = o;
    return VIC_OK;
}

vic_status vic_attention_time(vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                              const vic_time_options *options, double *seconds, vic_error *err)
{
    vic_attention_args a;
    vic_time_options o;
    NEED(plan, "plan", make_a_plan);
    TRY(take_args(args, &a, err));
    TRY(take_time_options(options, &o, err));
    NEED(seconds, "seconds", room_for_seconds);
    return context_time(c, plan, &a, NULL, &o, seconds, err);
}

vic_status vic_attention_backward_time(vic_context *c, const vic_plan *plan, const vic_attention_backward_args *args,
                                       const vic_time_options *options, double *seconds, vic_error *err)
{
    vic_attention_backward_args a;
    vic_time_options o;
    NEED(plan, "plan", make_a_plan);
    TRY(take_backward_args(args, &a, err));
    TRY(take_time_options(options, &o, err));
    NEED(seconds, "seconds", room_for_seconds);
    return context_time(c, plan, NULL, &a, &o, seconds, err);
}

vic_status vic_attention_reference(vic_context *c, const vic_plan *plan, const vic_attention_args *args,
                                   int64_t n_rows, const int64_t *rows, double *out, double *lse, int64_t *counts,
                                   vic_error *err)
{
    vic_attention_args given;
    struct attention_args a;
    struct pool *pool;
    NEED(plan, "plan", make_a_plan);
    TRY(take_args(args, &given, err));
    NEED(out, "out", "expected room for the rows in float64");
    TRY(context_enter(c, &pool, err));
    TRY(context_bind(plan, &given, false, &a, err));
    if (!rows) n_rows = plan->pattern->n_q;
    return attention_ref_rows(plan->pattern, &plan->shape, &a, pool, n_rows, rows, out, lse, counts, err);
}

vic_status vic_attention_backward_reference(vic_context *c, const vic_plan *plan,
                                            const vic_attention_backward_args *args,
                                            const vic_reference_gradients *out, vic_error *err)
{
    vic_attention_backward_args given;
    struct attention_backward_args a;
    struct pool *pool;
    NEED(plan, "plan", make_a_plan);
    TRY(take_backward_args(args, &given, err));
    NEED_STRUCT(vic_reference_gradients, g, out, err);
    TRY(context_enter(c, &pool, err));
    TRY(context_bind_backward(plan, &given, false, &a, err));
    if (!plan->bias && (g.dbias || g.dquery_positions || g.dkey_positions || g.dcell))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "dbias, dquery_positions, dkey_positions, dcell: the plan was made without a distance bias, "
                        "through which alone there are such gradients; leave them NULL");
    if (plan->pair_bias == VIC_PAIR_BIAS_NONE && g.dpair_bias)
        return vic_fail(err, VIC_BAD_ARGUMENT, "dpair_bias: the plan was made without a pair bias; leave it NULL");
    if (plan->pattern->one_set && g.dkey_positions)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "dkey_positions: the queries are the keys, and dquery_positions has the sum for both roles; "
                        "leave it NULL");
    return attention_backward_ref(plan->pattern, &plan->shape, &a, true, pool, &g, err);
}

vic_status vic_combine(vic_context *c, const vic_combine_args *args, vic_error *err)
{
    NEED_STRUCT(vic_combine_args, a, args, err);
    return context_combine(c, &a, err);
}
