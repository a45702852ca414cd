/* SPDX-License-Identifier: Apache-2.0 */
/* The repository on two engines, which a machine without GPUs cannot be asked for by the command. */
#include "serve/describe.h"
#include "serve/models.h"

#include "check.h"

static struct {
    int heads, size, atoms, open; /* of the next model; how many are not closed */
    vic_status status;
} next = { 2, 8, 5, 0, VIC_OK };

static vic_status build(void *user, const struct serve_want *want, struct serve_built *out, vic_error *err)
{
    double positions[3 * 64] = { 0 };
    vic_points points = VIC_INIT(vic_points);
    (void)user;
    next.open++;
    out->inside = &next;
    if (next.status != VIC_OK || strcmp(want->name, "none") == 0) return err->status = VIC_CANNOT_READ;
    for (int i = 0; i < next.atoms; i++) positions[3 * i] = 1.5 * i;
    points.positions = vic_tensor_make(positions, VIC_F64, 2, (const int64_t[]){ next.atoms, 3 });
    out->plan = (vic_plan_options){ .size = sizeof out->plan,
                                    .dtype = VIC_F32,
                                    .heads = next.heads,
                                    .kv_heads = next.heads,

                                    .head_dim = next.size,
                                    .head_dim_v = next.size };
    return vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &out->pattern, err);
}

static void close_built(void *user, struct serve_built *built)
{
    (void)user;
    if (built->inside) next.open--;
    vic_pattern_free(built->pattern);
    memset(built, 0, sizeof *built);
}

static void list(void *user, void (*each)(void *to, const char *name), void *to)
{
    (void)user;
    each(to, "a");
    each(to, "b");
}

static struct serve_options options = { .queue = 4,
                                        .threads = 1,
                                        .build_threads = 1,
                                        .devices = { { VIC_CPU, 0 }, { VIC_CPU, 0 } },
                                        .device_count = 2,
                                        .source = { .build = build, .close = close_built, .list = list } };

static vic_status load(struct models *m, const char *name, vic_error *err)
{
    const struct serve_want want = { .name = name };
    return models_load(m, &want, err);
}

static void says(struct models *m, bool ready, const char *expected)
{
    struct json j = { 0 };
    models_index(m, ready, &j);
    assert_string_equal(j.text.data, expected);
    json_free(&j);
}

static void loads_and_unloads(void **state)
{
    struct models *m = calloc(1, sizeof *m);
    struct model *model, *again;
    vic_endpoint_info info;
    vic_error err;
    (void)state;
    assert_non_null(m);
    CHECK_OK(models_open(m, &options, &err));
    CHECK_OK(load(m, "a", &err));
    says(m, true, "[{\"name\": \"a\", \"version\": \"1\", \"state\": \"READY\"}]");
    says(
        m, false,
        "[{\"name\": \"a\", \"version\": \"1\", \"state\": \"READY\"}, {\"name\": \"b\", \"state\": \"UNAVAILABLE\", "
        "\"reason\": \"unloaded\"}]");
    model = models_find(m, "a");
    assert_true(model && model->endpoint[0] && model->endpoint[1] && model->n_q == 5);
    next.atoms = 7; /* the same form: the same model, with another pattern on both engines */
    CHECK_OK(load(m, "a", &err));
    again = models_find(m, "a");
    assert_ptr_equal(again, model);
    assert_int_equal(model->n_q, 7);
    model_release(again);
    for (int i = 0; i < 2; i++) {
        info = (vic_endpoint_info)VIC_INIT(vic_endpoint_info);
        CHECK_OK(vic_endpoint_get(model->endpoint[i], &info, &err));
        assert_true(info.version == 2 && info.n_q == 7);
    }
    next.heads = 4; /* another form: another model, while the old one is still held */
    CHECK_OK(load(m, "a", &err));
    again = models_find(m, "a");
    assert_true(again && again != model && again->plan.heads == 4 && model->plan.heads == 2);
    model_release(again);
    model_info(model, &info);
    assert_int_equal(info.n_q, 7);
    assert_true(models_unload(m, "a"));
    assert_false(models_unload(m, "a"));
    assert_null(models_find(m, "a"));
    model_release(model);
    assert_int_equal(next.open, 0);
    models_close(m);
    free(m);
}

static void see(void *seen, struct model *model)
{
    strcat(seen, model->name);
    models_unload(model->owner, "a");
}

/* Who looks at all models sees those of one moment, also where one goes meanwhile. */
static void are_of_one_moment(void **state)
{
    struct models *m = calloc(1, sizeof *m);
    char seen[8] = "";
    vic_error err;
    (void)state;
    assert_non_null(m);
    CHECK_OK(models_open(m, &options, &err));
    CHECK_OK(load(m, "a", &err));
    CHECK_OK(load(m, "b", &err));
    models_each(m, see, seen);
    assert_string_equal(seen, "ab");
    says(m, true, "[{\"name\": \"b\", \"version\": \"1\", \"state\": \"READY\"}]");
    models_close(m);
    free(m);
}

static void refuses(void **state)
{
    struct models *m = calloc(1, sizeof *m);
    char name[MOST_NAME + 2];
    vic_error err;
    (void)state;
    assert_non_null(m);
    models_close(m); /* of nothing */
    CHECK_OK(models_open(m, &options, &err));
    assert_int_equal(load(m, "none", &err), VIC_CANNOT_READ);
    memset(name, 'x', sizeof name);
    name[MOST_NAME + 1] = '\0';
    CHECK_FAILS(load(m, name, &err), VIC_BAD_INPUT, "cannot be called");
    CHECK_FAILS(load(m, "../x", &err), VIC_BAD_INPUT, "cannot be called");
    next.size = 7; /* no plan: not loaded, and what was made of it is gone */
    assert_int_not_equal(load(m, "a", &err), VIC_OK);
    assert_null(models_find(m, "a"));
    assert_int_equal(next.open, 0);
    next.size = 8;
    models_close(m);
    free(m);
}

/* A query goes where there is least to do; one whose tensors are on a GPU, there or nowhere. */
static void places(void **state)
{
    struct models *m = calloc(1, sizeof *m);
    vic_error err;
    (void)state;
    assert_non_null(m);
    CHECK_OK(models_open(m, &options, &err));
    assert_int_equal(models_place(m, (vic_device){ VIC_CPU, 0 }), 0);
    m->load[0] = 3;
    m->load[1] = 2;
    assert_int_equal(models_place(m, (vic_device){ VIC_CPU, 0 }), 1);
    m->load[1] = 4;
    assert_int_equal(models_place(m, (vic_device){ VIC_CPU, 0 }), 0);
    assert_int_equal(models_place(m, (vic_device){ VIC_CUDA, 0 }), -1);
    assert_false(models_faulted(m));
    m->load[0] = m->load[1] = 0;
    models_close(m);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(loads_and_unloads), cmocka_unit_test(are_of_one_moment),
                                        cmocka_unit_test(refuses), cmocka_unit_test(places) };
    return cmocka_run_group_tests_name("serve/models.c", tests, NULL, NULL);
}
