/* SPDX-License-Identifier: Apache-2.0 */
/* What vic_attention_backward() refuses, argument by argument. */
#include "backward_system.h"

static void refused(struct system *s, const vic_attention_backward_args *a, const char *part)
{
    vic_error err;
    CHECK_FAILS(vic_attention_backward(s->context, s->plan, a, &err), VIC_BAD_ARGUMENT, part);
}

/* Every tensor: of another shape, type, device, without data. */
static void wrong_tensors(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    const struct {
        const char *name;
        vic_tensor *tensor;
        bool optional;
    } all[] = { { "tensor q:", &a.q, false },
                { "tensor k:", &a.k, false },
                { "tensor v:", &a.v, false },
                { "tensor out:", &a.out, false },
                { "tensor lse:", &a.lse, false },
                { "bias:", &a.bias, false },
                { "tensor dout:", &a.dout, true },
                { "tensor dlse:", &a.dlse, true },
                { "tensor dq:", &a.dq, true },
                { "tensor dk:", &a.dk, true },
                { "tensor dv:", &a.dv, true },
                { "dbias:", &a.dbias, true },
                { "dquery_positions:", &a.dquery_positions, true },
                { "dkey_positions:", &a.dkey_positions, true },
                { "dcell:", &a.dcell, true } };
    vic_error err;
    poison(s);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        vic_tensor *const t = all[i].tensor, good = *t;
        if (!t->data) continue; /* dkey_positions of one set */
        t->shape[0]++;
        refused(s, &a, all[i].name);
        *t = good;
        t->ndim--;
        refused(s, &a, all[i].name);
        *t = good;
        t->dtype = VIC_I32;
        refused(s, &a, all[i].name);
        *t = good;
        t->device = (vic_device){ VIC_CUDA, 0 };
        refused(s, &a, all[i].name);
        *t = good;
        t->stride[t->ndim - 1] = 2;
        if (t != &a.lse && t != &a.dlse) refused(s, &a, all[i].name);
        *t = good;
        t->data = (char *)t->data + 1;
        if (t != &a.bias) refused(s, &a, all[i].name);
        *t = good;
        t->data = NULL;
        if (all[i].optional)
            CHECK_OK(vic_attention_backward(s->context, s->plan, &a, &err));
        else
            refused(s, &a, all[i].name);
        *t = good;
    }
    CHECK_OK(vic_attention_backward(s->context, s->plan, &a, &err));
    compare(s);
}

static void wrong_batches(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    a.dq = tensor_of(s->dq, VIC_F32, 4, (const int64_t[]){ 1, N, HEADS, D });
    refused(s, &a,
            "tensor dq: expected shape [40 x 4 x 16], with a batch dimension in front in all tensors or in none");
}

static void wrong_numbers(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    a.scale = NAN;
    refused(s, &a, "scale: expected a finite number");
    a.scale = 1.0;
    a.zero_scale = true;
    refused(s, &a, "zero_scale");
    a = s->args;
    a.stream = s;
    refused(s, &a, "stream");
    a = s->args;
    float kept = s->table[3];
    s->table[3] = NAN;
    refused(s, &a, "bias: expected finite values or -inf, got nan for head 0, point 3");
    s->table[3] = kept;
    a.reserved_1[2] = true;
    refused(s, &a, "vic_attention_backward_args");
}

static void nothing_wanted(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    a.dq.data = a.dk.data = a.dv.data = a.dbias.data = NULL;
    a.dquery_positions.data = a.dkey_positions.data = a.dcell.data = NULL;
    refused(s, &a, "nothing to compute; give at least one");
}

/* What is written, over anything else. */
static void overlaps(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a;
    a = s->args;
    a.dq.data = s->q;
    refused(s, &a, "tensor dq overlaps q in memory");
    a = s->args;
    a.dv.data = s->v;
    refused(s, &a, "tensor dv overlaps v in memory");
    a = s->args;
    a.dk.data = s->dq;
    refused(s, &a, "tensor dk overlaps dq in memory");
    a = s->args;
    a.dbias.data = s->table;
    refused(s, &a, "tensor dbias overlaps bias in memory");
    a = s->args;
    a.dcell.data = s->dq_at;
    refused(s, &a, "tensor dcell overlaps dquery_positions in memory");
    a = s->args;
    a.dq.stride[0] = 0;
    refused(s, &a, "tensor dq: with its strides elements would overwrite each other");
    a = s->args;
    a.q.stride[0] = 0; /* is read: may be */
    vic_error err;
    CHECK_OK(vic_attention_backward(s->context, s->plan, &a, &err));
}

static void workspaces(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    vic_error err;
    size_t bytes;
    CHECK_OK(vic_plan_workspace(s->context, s->plan, 1, &bytes, &err));
    const size_t room = (bytes + 128) / 64 * 64;
    unsigned char *memory = aligned_alloc(64, room);
    assert_non_null(memory);
    a.workspace = memory + 32;
    a.workspace_size = room - 32;
    refused(s, &a, "workspace: expected");
    a.workspace = memory;
    a.dq.data = memory;
    a.workspace_size = room;
    refused(s, &a, "workspace overlaps tensor dq in memory");
    free(memory);
}

/* Without a bias there are gradients of tensors alone; of one set, no keys' positions. */
static void through_the_bias(void **state)
{
    struct system *s = *state;
    vic_plan_options o = plan_options;
    vic_attention_backward_args a = s->args;
    double numbers[HEADS * POINTS + 3 * N_K];
    const struct {
        const char *name;
        vic_tensor *tensor;
    } all[] = { { "dbias: the plan was made without a distance bias", &a.dbias },
                { "dquery_positions: the plan was made without a distance bias", &a.dquery_positions },
                { "dcell: the plan was made without a distance bias", &a.dcell } };
    vic_plan *plan;
    vic_error err;
    vic_reference_gradients g = { .size = sizeof g, .dcell = numbers };
    o.bias = VIC_BIAS_NONE;
    CHECK_OK(vic_plan_create(s->context, s->pattern, &o, &plan, &err));
    CHECK_FAILS(vic_attention_backward(s->context, plan, &a, &err), VIC_BAD_ARGUMENT,
                "bias: the plan was made without one");
    a.bias.data = NULL;
    for (int i = 0; i < 3; i++) {
        a.dbias.data = a.dquery_positions.data = a.dkey_positions.data = a.dcell.data = NULL;
        all[i].tensor->data = numbers;
        CHECK_FAILS(vic_attention_backward(s->context, plan, &a, &err), VIC_BAD_ARGUMENT, all[i].name);
    }
    CHECK_FAILS(vic_attention_backward_reference(s->context, plan, &a, &g, &err), VIC_BAD_ARGUMENT,
                "the plan was made without a distance bias");
    vic_plan_free(plan);
    if (s->n_k != N) return;
    a = s->args;
    a.dkey_positions = tensor_of(s->dk_at, VIC_F64, 2, (const int64_t[]){ N, 3 });
    refused(s, &a, "dkey_positions: the queries are the keys, and dquery_positions has the sum for both roles");
    g = (vic_reference_gradients){ .size = sizeof g, .dkey_positions = numbers };
    CHECK_FAILS(vic_attention_backward_reference(s->context, s->plan, &s->args, &g, &err), VIC_BAD_ARGUMENT,
                "dkey_positions: the queries are the keys");
}

static void the_reference_takes_no_batch(void **state)
{
    struct system *s = *state;
    vic_attention_backward_args a = s->args;
    double dq[N * HEADS * D];
    const vic_reference_gradients g = { .size = sizeof g, .dq = dq };
    vic_tensor *const tensors[] = { &a.q, &a.k, &a.v, &a.dout, &a.dlse };
    vic_error err;
    for (int t = 0; t < 5; t++) {
        int64_t shape[4] = { 1 };
        memcpy(shape + 1, tensors[t]->shape, (size_t)tensors[t]->ndim * sizeof *shape);
        *tensors[t] = tensor_of(tensors[t]->data, VIC_F32, tensors[t]->ndim + 1, shape);
    }
    CHECK_FAILS(vic_attention_backward_reference(s->context, s->plan, &a, &g, &err), VIC_BAD_ARGUMENT,
                "the reference takes no batch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(wrong_tensors),
        cmocka_unit_test_setup_teardown(wrong_batches, one_set, tear_down),
        cmocka_unit_test_setup_teardown(wrong_numbers, one_set, tear_down),
        BOTH(nothing_wanted),
        BOTH(overlaps),
        BOTH(workspaces),
        BOTH(through_the_bias),
        cmocka_unit_test_setup_teardown(the_reference_takes_no_batch, one_set, tear_down),
    };
    return cmocka_run_group_tests_name("backward_refusals_api", tests, NULL, NULL);
}
