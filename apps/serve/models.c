/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "models.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room in an endpoint's queue besides what the server lets in, so that new positions never find one full that others
 * have taken. */
enum { QUEUE_BESIDES = 64 };

/* ---- engines ---- */

static void engine_log(void *user, const char *line)
{
    (void)user;
    log_message(LOG_INFO, "engine", "%s", line);
}

vic_status models_open(struct models *m, const struct serve_options *options, vic_error *err)
{
    memset(m, 0, sizeof *m);
    m->options = options;
    pthread_rwlock_init(&m->lock, NULL);
    pthread_mutex_init(&m->building, NULL);
    for (int i = 0; i < options->device_count; i++) {
        const vic_engine_options engine = { .size = sizeof engine,
                                            .device = options->devices[i],
                                            .threads = options->threads,
                                            .build_threads = options->build_threads,
                                            .log = engine_log };
        TRY(vic_engine_create(&engine, &m->engine[i], err));
        m->engines++;
    }
    return VIC_OK;
}

void models_close(struct models *m)
{
    if (!m->options) return;
    while (m->count > 0) models_unload(m, m->list[0]->name);
    for (int i = 0; i < m->engines; i++) vic_engine_free(m->engine[i]);
    pthread_mutex_destroy(&m->building);
    pthread_rwlock_destroy(&m->lock);
    memset(m, 0, sizeof *m);
}

int models_place(struct models *m, vic_device device)
{
    int best = -1;
    for (int i = 0; i < m->engines; i++) {
        const vic_device there = m->options->devices[i];
        if (device.type == VIC_CUDA && (there.type != VIC_CUDA || there.index != device.index)) continue;
        if (best < 0 || atomic_load_explicit(&m->load[i], memory_order_relaxed) <
                            atomic_load_explicit(&m->load[best], memory_order_relaxed))
            best = i;
    }
    return best;
}

bool models_faulted(const struct models *m)
{
    for (int i = 0; i < m->engines; i++) {
        vic_engine_info info = VIC_INIT(vic_engine_info);
        if (vic_engine_get(m->engine[i], &info, NULL) == VIC_OK && info.faulted) return true;
    }
    return false;
}

/* ---- one model ---- */

void model_release(struct model *model)
{
    if (!model || atomic_fetch_sub(&model->references, 1) != 1) return;
    for (int i = 0; i < MOST_DEVICES; i++) vic_endpoint_free(model->endpoint[i]);
    pthread_mutex_destroy(&model->order);
    free(model);
}

static vic_status make_model(struct models *m, const char *name, const struct serve_built *built, struct model **out,
                             vic_error *err)
{
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    struct model *model = NULL;
    vic_status st;
    TRY(vic_pattern_get(built->pattern, &info, err));
    TRY(allocate(1, sizeof *model, "a model", &model, err));
    snprintf(model->name, sizeof model->name, "%s", name);
    pthread_mutex_init(&model->order, NULL);
    model->owner = m;
    model->references = 1;
    model->plan = built->plan;
    model->scale = built->scale;
    model->max_batch = built->max_batch;
    model->n_q = info.n_q;
    model->n_k = info.n_k;
    for (int i = 0; i < m->engines; i++) {
        vic_plan_options plan = built->plan;
        vic_endpoint_options options = { .size = sizeof options,
                                         .name = name,
                                         .plan = &plan,
                                         .bias = built->bias,
                                         .max_batch = m->options->max_launch,
                                         .max_queue = m->options->queue + QUEUE_BESIDES,
                                         .max_delay = m->options->max_delay,
                                         .timeout = m->options->timeout };
        plan.device = m->options->devices[i];
        st = vic_endpoint_create(m->engine[i], built->pattern, &options, &model->endpoint[i], err);
        if (st != VIC_OK) {
            model_release(model);
            return st;
        }
    }
    *out = model;
    return VIC_OK;
}

/* Answers to queries have the same form before and after, so that an endpoint can change its pattern alone. */
static bool same_form(const struct model *model, const struct serve_built *built)
{
    const vic_plan_options *a = &model->plan, *b = &built->plan;
    return a->dtype == b->dtype && a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
           a->head_dim_v == b->head_dim_v && a->bias == VIC_BIAS_NONE && b->bias == VIC_BIAS_NONE &&
           model->scale == built->scale && model->max_batch == built->max_batch && a->kernel == b->kernel;
}

static vic_status replace(struct models *m, struct model *model, const struct serve_built *built, vic_error *err)
{
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    vic_status st = vic_pattern_get(built->pattern, &info, err);
    pthread_mutex_lock(&model->order);
    for (int i = 0; i < m->engines && st == VIC_OK; i++)
        st = vic_endpoint_replace(model->endpoint[i], built->pattern, NULL, err);
    if (st == VIC_OK) {
        model->n_q = info.n_q;
        model->n_k = info.n_k;
    }
    pthread_mutex_unlock(&model->order);
    return st;
}

/* ---- the table ---- */

static int place_of(const struct models *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->list[i]->name, name) == 0) return i;
    return -1;
}

struct model *models_find(struct models *m, const char *name)
{
    struct model *model = NULL;
    int at;
    pthread_rwlock_rdlock(&m->lock);
    at = place_of(m, name);
    if (at >= 0) {
        model = m->list[at];
        atomic_fetch_add(&model->references, 1);
    }
    pthread_rwlock_unlock(&m->lock);
    return model;
}

/* In the place of one of the same name, which is let go. */
static vic_status put(struct models *m, struct model *model, vic_error *err)
{
    struct model *old = NULL;
    int at;
    pthread_rwlock_wrlock(&m->lock);
    at = place_of(m, model->name);
    if (at < 0 && m->count == MOST_MODELS) {
        pthread_rwlock_unlock(&m->lock);
        model_release(model);
        return fail(err, VIC_NO_MEMORY, "%d models are loaded, as many as there may be: unload one", MOST_MODELS);
    }
    if (at < 0)
        at = m->count++;
    else
        old = m->list[at];
    m->list[at] = model;
    pthread_rwlock_unlock(&m->lock);
    model_release(old);
    return VIC_OK;
}

static vic_status load(struct models *m, const struct serve_want *want, struct serve_built *built, vic_error *err)
{
    const struct serve_source *source = &m->options->source;
    struct model *model = NULL;
    vic_status st;
    TRY(source->build(source->user, want, built, err));
    model = models_find(m, want->name);
    if (model && same_form(model, built)) {
        st = replace(m, model, built, err);
        model_release(model);
        return st;
    }
    model_release(model);
    TRY(make_model(m, want->name, built, &model, err));
    return put(m, model, err);
}

vic_status models_load(struct models *m, const struct serve_want *want, vic_error *err)
{
    struct serve_built built = { 0 };
    vic_status st;
    if (!good_name(want->name))
        return fail(err, VIC_BAD_INPUT,
                    "a model cannot be called '%s': expected 1 to %d letters, digits, '_', '.' and '-'", want->name,
                    MOST_NAME);
    pthread_mutex_lock(&m->building);
    st = load(m, want, &built, err);
    m->options->source.close(m->options->source.user, &built);
    pthread_mutex_unlock(&m->building);
    return st;
}

bool models_unload(struct models *m, const char *name)
{
    struct model *model = NULL;
    int at;
    pthread_rwlock_wrlock(&m->lock);
    at = place_of(m, name);
    if (at >= 0) {
        model = m->list[at];
        m->count--;
        memmove(&m->list[at], &m->list[at + 1], (size_t)(m->count - at) * sizeof *m->list);
    }
    pthread_rwlock_unlock(&m->lock);
    model_release(model); /* or else whoever answers its last query */
    return at >= 0;
}

/* All models of one moment, so that none is missed while others come and go; count, each to be released. */
static int take_all(struct models *m, struct model *list[MOST_MODELS])
{
    pthread_rwlock_rdlock(&m->lock);
    const int count = m->count;
    for (int i = 0; i < count; i++) {
        list[i] = m->list[i];
        atomic_fetch_add(&list[i]->references, 1);
    }
    pthread_rwlock_unlock(&m->lock);
    return count;
}

void models_each(struct models *m, void (*each)(void *to, struct model *model), void *to)
{
    struct model *list[MOST_MODELS];
    const int count = take_all(m, list);
    for (int i = 0; i < count; i++) {
        each(to, list[i]);
        model_release(list[i]);
    }
}

static void look_at_size(void *to, struct model *model)
{
    const vic_plan_options *plan = &model->plan;
    const int64_t q = model->n_q * plan->heads * plan->head_dim;
    const int64_t kv = model->n_k * plan->kv_heads * (plan->head_dim + plan->head_dim_v);
    const size_t bytes = (size_t)(q + kv) * vic_dtype_size(plan->dtype);
    size_t *largest = to;
    if (bytes > *largest) *largest = bytes;
}

size_t models_largest(struct models *m)
{
    size_t largest = 0;
    models_each(m, look_at_size, &largest);
    return largest;
}

struct index {
    struct model *loaded[MOST_MODELS];
    int count;
    struct json *out;
};

static void add_entry(struct json *out, const char *name, bool ready)
{
    json_put_object(out, NULL);
    json_put_text(out, "name", name);
    if (ready) json_put_text(out, "version", "1");
    json_put_text(out, "state", ready ? "READY" : "UNAVAILABLE");
    if (!ready) json_put_text(out, "reason", "unloaded");
    json_put_object_end(out);
}

static void add_unloaded(void *to, const char *name)
{
    const struct index *index = to;
    for (int i = 0; i < index->count; i++)
        if (strcmp(index->loaded[i]->name, name) == 0) return;
    add_entry(index->out, name, false);
}

void models_index(struct models *m, bool ready, struct json *out)
{
    struct index index = { .out = out };
    index.count = take_all(m, index.loaded);
    json_put_array(out, NULL);
    for (int i = 0; i < index.count; i++) add_entry(out, index.loaded[i]->name, true);
    if (!ready) m->options->source.list(m->options->source.user, add_unloaded, &index);
    json_put_array_end(out);
    for (int i = 0; i < index.count; i++) model_release(index.loaded[i]);
}
