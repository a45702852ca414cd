/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "infer.h"

#include "log.h"
#include "reply.h"
#include "repository.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ANSWER_HEAD = 1280, ALIGNMENT = 64 }; /* room in front of O for the answer's JSON, a multiple of 64 */

/* ---- the JSON in front ---- */

/* Sets r->query.head and *size; from the connection's cache where the text is the last one again. */
static bool read_head(struct request *r, size_t *size)
{
    struct connection *c = r->connection;
    struct query *q = &r->query;
    const char *text = request_body(r);
    *size = r->has_json_size ? r->json_size : r->body_size;
    if (*size > r->body_size)
        return refuse(&r->why, 400, "Inference-Header-Content-Length is %zu, and the body has %zu bytes", *size,
                      r->body_size);
    if (*size == 0)
        return refuse(&r->why, 400,
                      "expected JSON that names the inputs; a raw tensor (Inference-Header-Content-Length: 0) is for "
                      "models of one input, and attention has three");
    if (*size > (*size < r->body_size ? MOST_JSON_HEAD : MOST_JSON_BODY))
        return refuse(&r->why, 413, "the request's JSON is %zu bytes; send large tensors as binary data", *size);
    q->head = &c->head;
    if (*size == c->cached_size && memcmp(text, c->cached, *size) == 0) return true;
    if (*size > CACHE_MOST) {
        q->head = &q->own;
        return infer_head_read(text, *size, &q->own, &r->why);
    }
    c->cached_size = 0;
    if (!infer_head_read(text, *size, &c->head, &r->why)) return false;
    if (c->head.root) { /* its numbers are this request's alone */
        q->own = c->head;
        c->head.root = NULL;
        q->head = &q->own;
        return true;
    }
    memcpy(c->cached, text, *size);
    c->cached_size = *size;
    return true;
}

/* ---- held against the model ---- */

/* The request's id, as Triton's errors have it. */
static const char *id_words(const struct infer_head *head, char out[MOST_ID + 2])
{
    if (!head->id[0]) return "<id_unknown>";
    snprintf(out, MOST_ID + 2, "%.*s", (int)strlen(head->id) - 2, head->id + 1);
    return out;
}

static bool wrong_input(struct request *r, enum input input, const char *expected)
{
    const struct tensor_head *t = &r->query.head->input[input];
    char id[MOST_ID + 2], got[96];
    return refuse(&r->why, 400,
                  "[request id: %s] unexpected shape for input '%s' for model '%s'. Expected %s, got %s. ",
                  id_words(r->query.head, id), input_names[input], r->name, expected,
                  shape_words(t->rank, t->shape, got));
}

static bool wrong_type(struct request *r, enum input input, const char *expected)
{
    char id[MOST_ID + 2];
    return refuse(&r->why, 400,
                  "[request id: %s] inference input '%s' data-type is '%s', but model '%s' expects '%s'",
                  id_words(r->query.head, id), input_names[input], r->query.head->input[input].type, r->name,
                  expected);
}

static bool missing_input(struct request *r)
{
    const struct infer_head *head = r->query.head;
    char id[MOST_ID + 2], got[64] = "", missing[64] = "";
    size_t got_size = 0, missing_size = 0;
    static const enum input sorted[] = { INPUT_K, INPUT_Q, INPUT_V };
    int count = 0;
    for (int s = 0; s < 3; s++) {
        const enum input i = sorted[s];
        const bool there = head->input[i].place != PLACE_NONE;
        char *list = there ? got : missing;
        size_t *size = there ? &got_size : &missing_size;
        *size += (size_t)snprintf(list + *size, 64 - *size, "%s'%s'", *size ? "," : "", input_names[i]);
        count += there;
    }
    return refuse(
        &r->why, 400,
        "[request id: %s] expected 3 inputs but got %d inputs for model '%s'. Got input(s) [%s], but missing "
        "required input(s) [%s]. Please provide all required input(s).",
        id_words(head, id), count, r->name, got, missing);
}

/* One of Q, K, V: [rows, heads, size], or one dimension more in front of it, the same in all three. */
static bool check_rows(struct request *r, enum input input, int64_t rows, int64_t heads, int64_t size)
{
    const struct tensor_head *t = &r->query.head->input[input];
    const struct model *model = r->query.model;
    const int64_t *last = t->shape + (t->rank == 4);
    const int64_t batch = t->rank == 4 ? t->shape[0] : -1;
    const int64_t expected[] = { rows, heads, size };
    char words[96];
    if (t->dtype != model->plan.dtype) return wrong_type(r, input, type_name(model->plan.dtype));
    if ((t->rank != 3 && t->rank != 4) || last[0] != rows || last[1] != heads || last[2] != size)
        return wrong_input(r, input, shape_words(3, expected, words));
    if (input == INPUT_Q) r->query.batch = batch;
    if (batch != r->query.batch)
        return refuse(&r->why, 400, "input '%s': expected the batch dimension of Q, or none where Q has none",
                      input_names[input]);
    if (batch == 0 || batch > (model->max_batch > 0 ? model->max_batch : MOST_BATCH))
        return refuse(&r->why, 400, "inference request batch-size must be from 1 to %d for '%s', got %lld",
                      model->max_batch > 0 ? model->max_batch : MOST_BATCH, r->name, (long long)batch);
    return true;
}

static bool check_geometry(struct request *r)
{
    const struct tensor_head *p = &r->query.head->input[INPUT_POSITIONS], *c = &r->query.head->input[INPUT_CELL];
    if (c->place != PLACE_NONE && p->place == PLACE_NONE)
        return refuse(&r->why, 400, "input 'CELL': expected POSITIONS with it: a cell changes with its atoms");
    if (p->place == PLACE_NONE) return true;
    if (p->dtype != VIC_F32 && p->dtype != VIC_F64) return wrong_type(r, INPUT_POSITIONS, "FP32' or 'FP64");
    if (p->rank != 2 || p->shape[1] != 3 || p->shape[0] != r->query.model->n_q) {
        char words[96];
        const int64_t expected[] = { r->query.model->n_q, 3 };
        return wrong_input(r, INPUT_POSITIONS, shape_words(2, expected, words));
    }
    if (c->place == PLACE_NONE) return true;
    if (c->dtype != VIC_F32 && c->dtype != VIC_F64) return wrong_type(r, INPUT_CELL, "FP32' or 'FP64");
    if (c->rank != 2 || c->shape[0] != 3 || c->shape[1] != 3) return wrong_input(r, INPUT_CELL, "[3,3]");
    return true;
}

/* Only new positions, and no query? */
static bool only_positions(const struct infer_head *head)
{
    for (int i = INPUT_Q; i <= INPUT_V; i++)
        if (head->input[i].place != PLACE_NONE) return false;
    return head->input[INPUT_POSITIONS].place != PLACE_NONE;
}

/* Before the query is handed in: new positions that it brings must not stay where it is refused. */
static bool check_json_outputs(struct request *r)
{
    const vic_dtype dtype = r->query.model->plan.dtype;
    if (only_positions(r->query.head) || r->query.head->output[OUTPUT_O].place != PLACE_JSON || dtype == VIC_F32)
        return true;
    return refuse(&r->why, 400,
                  "sending %s data via JSON is not supported. Please use the binary data format for output 'O'",
                  type_name(dtype));
}

static bool check_inputs(struct request *r)
{
    const struct infer_head *head = r->query.head;
    const struct model *model = r->query.model;
    const vic_plan_options *plan = &model->plan;
    const int64_t n_q = model->n_q, n_k = model->n_k;
    r->query.batch = -1;
    if (!check_geometry(r)) return false;
    if (only_positions(head)) return true;
    for (int i = INPUT_Q; i <= INPUT_V; i++)
        if (head->input[i].place == PLACE_NONE) return missing_input(r);
    return check_rows(r, INPUT_Q, n_q, plan->heads, plan->head_dim) &&
           check_rows(r, INPUT_K, n_k, plan->kv_heads, plan->head_dim) &&
           check_rows(r, INPUT_V, n_k, plan->kv_heads, plan->head_dim_v);
}

/* ---- tensors ---- */

static void *take_memory(struct request *r, size_t bytes)
{
    void *memory = pool_take(&r->loop->pool, bytes);
    if (!memory) refuse(&r->why, 503, "the memory for requests is in use (--memory): try again");
    return memory;
}

/* A reference to the region that a tensor names; NULL: refused. */
static struct region *find_region(struct request *r, const struct tensor_head *t)
{
    if (!repository_is_local(r)) {
        refuse(&r->why, 404, "Unable to find shared memory region: '%s'", t->region);
        return NULL;
    }
    return region_table_find(r->loop->server->regions, t->region, t->offset, t->bytes, &r->why);
}

/* Where the bytes of an input are: in the body if they may be read there, else in a copy. */
static bool bind_bytes(struct request *r, enum input input, size_t json_size, vic_device *device, void **out)
{
    const struct tensor_head *t = &r->query.head->input[input];
    struct query *q = &r->query;
    if (t->place == PLACE_REGION) {
        q->region[input] = find_region(r, t);
        if (!q->region[input]) return false;
        *out = region_memory(q->region[input], t->offset, device);
        if (*out) return true;
    }
    if (t->place == PLACE_BINARY) {
        char *bytes = r->body + r->body_skip + json_size + t->offset;
        *out = bytes;
        if ((uintptr_t)bytes % vic_dtype_size(t->dtype) == 0) return true;
    }
    q->copy[input] = take_memory(r, t->bytes);
    if (!q->copy[input]) return false;
    if (t->place == PLACE_JSON && !infer_numbers(t, input_names[input], q->copy[input], &r->why)) return false;
    if (t->place == PLACE_BINARY) memcpy(q->copy[input], *out, t->bytes);
    if (t->place == PLACE_REGION && !region_read(q->region[input], t->offset, q->copy[input], t->bytes))
        return refuse(&r->why, 400, "shared memory region '%s' is smaller than when it was registered", t->region);
    *out = q->copy[input];
    return true;
}

/* The one GPU that the request's regions are on; CPU: none. */
static bool join_device(struct request *r, vic_device *all, vic_device one)
{
    if (one.type != VIC_CUDA) return true;
    if (all->type == VIC_CUDA && all->index != one.index)
        return refuse(&r->why, 400, "the shared memory regions of one request are on GPU %d and GPU %d", all->index,
                      one.index);
    *all = one;
    return true;
}

static bool bind_input(struct request *r, enum input input, size_t json_size, vic_device *all, vic_tensor *out)
{
    const struct tensor_head *t = &r->query.head->input[input];
    vic_device device = { VIC_CPU, 0 };
    void *data = NULL;
    if (t->place == PLACE_NONE) return true;
    if (!bind_bytes(r, input, json_size, &device, &data)) return false;
    if ((input == INPUT_POSITIONS || input == INPUT_CELL) && device.type != VIC_CPU)
        return refuse(&r->why, 400, "input '%s': expected it in the body or in system shared memory",
                      input_names[input]);
    *out = vic_tensor_make(data, t->dtype, t->rank, t->shape);
    if (device.type == VIC_CPU) device = pool_device(r->query.copy[input] ? r->query.copy[input] : r->body);
    out->device = device;
    return join_device(r, all, device);
}

/* O or LSE: in the region that was named for it, if that is of a GPU, else in q->out at `offset`. */
static bool bind_output(struct request *r, enum output output, size_t offset, vic_device *all, vic_tensor *out)
{
    const struct tensor_head *t = &r->query.head->output[output];
    struct query *q = &r->query;
    vic_device device = { VIC_CPU, 0 };
    size_t bytes;
    if (t->place == PLACE_NONE && output == OUTPUT_LSE) return true;
    shape_bytes(out->ndim, out->shape, vic_dtype_size(out->dtype), &bytes);
    out->data = q->out + ANSWER_HEAD + offset;
    out->device = pool_device(q->out);
    if (t->place != PLACE_REGION) return true;
    if (t->bytes < bytes)
        return refuse(&r->why, 500,
                      "shared memory size specified with the request for output '%s' (%zu bytes) should be at least "
                      "%zu bytes to hold the results",
                      output_names[output], t->bytes, bytes);
    q->region[INPUTS + output] = find_region(r, t);
    if (!q->region[INPUTS + output]) return false;
    if (region_memory(q->region[INPUTS + output], t->offset, &device)) {
        out->data = region_memory(q->region[INPUTS + output], t->offset, &device);
        out->device = device;
    }
    return join_device(r, all, device);
}

/* An output must not lie where an input does: what the input then is would be a matter of time. */
static bool check_inputs_apart(struct request *r, enum output output, size_t bytes)
{
    const struct infer_head *head = r->query.head;
    const struct tensor_head *to = &head->output[output];
    const struct region *written = r->query.region[INPUTS + output];
    for (int i = 0; written && i < INPUTS; i++) {
        const struct tensor_head *from = &head->input[i];
        const struct region *read = r->query.region[i];
        if (!read || !regions_overlap(written, to->offset, bytes, read, from->offset, from->bytes)) continue;
        return refuse(&r->why, 400,
                      "output '%s' (%zu bytes from %zu of region '%s') and input '%s' (%zu bytes from %zu of region "
                      "'%s') overlap: give each a place of its own",
                      output_names[output], bytes, to->offset, to->region, input_names[i], from->bytes, from->offset,
                      from->region);
    }
    return true;
}

/* O and LSE in one region must not lie on each other; other names may stand for the same memory. */
static bool check_overlap(struct request *r, size_t o_bytes, size_t lse_bytes)
{
    const struct tensor_head *o = &r->query.head->output[OUTPUT_O], *lse = &r->query.head->output[OUTPUT_LSE];
    struct region *const *of = r->query.region + INPUTS;
    if (!check_inputs_apart(r, OUTPUT_O, o_bytes) || !check_inputs_apart(r, OUTPUT_LSE, lse_bytes)) return false;
    if (!of[OUTPUT_O] || !of[OUTPUT_LSE] ||
        !regions_overlap(of[OUTPUT_O], o->offset, o_bytes, of[OUTPUT_LSE], lse->offset, lse_bytes))
        return true;
    return refuse(&r->why, 400,
                  "outputs 'O' (%zu bytes from %zu of region '%s') and 'LSE' (%zu bytes from %zu of region '%s') "
                  "overlap: give each a place of its own",
                  o_bytes, o->offset, o->region, lse_bytes, lse->offset, lse->region);
}

static bool bind_outputs(struct request *r, vic_device *all)
{
    struct query *q = &r->query;
    const vic_plan_options *plan = &q->model->plan;
    const int batched = q->batch >= 0;
    const int64_t shape[] = { q->batch, q->query.q.shape[batched], plan->heads, plan->head_dim_v };
    size_t bytes, o_bytes, lse_bytes, room;
    q->query.out = vic_tensor_make(NULL, plan->dtype, 3 + batched, shape + !batched);
    q->query.lse = vic_tensor_make(NULL, VIC_F32, 2 + batched, shape + !batched);
    if (!shape_bytes(q->query.out.ndim, q->query.out.shape, vic_dtype_size(plan->dtype), &bytes) ||
        !shape_bytes(q->query.lse.ndim, q->query.lse.shape, sizeof(float), &lse_bytes) ||
        __builtin_add_overflow(bytes, lse_bytes, &room) || room > (size_t)r->loop->server->options->max_body)
        return refuse(&r->why, 413, "the answer would be larger than a body may be");
    o_bytes = bytes;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    q->out = take_memory(r, ANSWER_HEAD + bytes + lse_bytes);
    return q->out && bind_output(r, OUTPUT_O, 0, all, &q->query.out) &&
           bind_output(r, OUTPUT_LSE, bytes, all, &q->query.lse) && check_overlap(r, o_bytes, lse_bytes);
}

static bool bind_cell(struct request *r, const vic_tensor *cell)
{
    struct query *q = &r->query;
    if (!cell->data) return true;
    for (int i = 0; i < 9; i++)
        q->cell[i] =
            cell->dtype == VIC_F32 ? (double)((const float *)cell->data)[i] : ((const double *)cell->data)[i];
    q->query.cell = q->cell;
    return true;
}

static bool bind_all(struct request *r, size_t json_size, vic_device *all)
{
    struct query *q = &r->query;
    vic_tensor cell = { 0 };
    q->query = (vic_query)VIC_INIT(vic_query);
    q->query.scale = q->model->scale;
    q->query.timeout = q->head->timeout;
    return bind_input(r, INPUT_Q, json_size, all, &q->query.q) &&
           bind_input(r, INPUT_K, json_size, all, &q->query.k) &&
           bind_input(r, INPUT_V, json_size, all, &q->query.v) &&
           bind_input(r, INPUT_POSITIONS, json_size, all, &q->query.positions) &&
           bind_input(r, INPUT_CELL, json_size, all, &cell) && bind_cell(r, &cell) &&
           (only_positions(q->head) || bind_outputs(r, all));
}

/* ---- submission ---- */

/* The query is no longer of those that wait or run.  Its answer, which may wait long for its thread and its client, is
 * bounded by --memory and --connections: counted with them, it would have others refused that the engine has time for. */
static void leave(struct query *q)
{
    atomic_fetch_sub(&q->model->in_flight, 1);
    atomic_fetch_sub(&q->model->owner->load[q->place], 1);
}

static void done(void *user, const vic_answer *answer)
{
    struct request *r = user;
    struct query *q = &r->query;
    leave(q);
    q->status = answer->status;
    q->version = answer->version;
    q->launch = answer->batch;
    memcpy(q->time_ns, answer->time_ns, sizeof q->time_ns);
    if (answer->status != VIC_OK) snprintf(q->text, sizeof q->text, "%s", answer->text);
    request_done(r);
}

static void done_elsewhere(void *user, const vic_answer *answer)
{
    (void)user;
    (void)answer;
}

/* New positions go to all engines, in one order; the query to one, and last, so that it is accepted or all has failed. */
static vic_status submit_positions(struct query *q, vic_error *err)
{
    struct model *model = q->model;
    const vic_query positions = {
        .size = sizeof positions, .positions = q->query.positions, .cell = q->query.cell, .done = done_elsewhere
    };
    vic_status st = VIC_OK;
    pthread_mutex_lock(&model->order);
    for (int i = 0; i < model->owner->engines && st == VIC_OK; i++)
        if (i != q->place) st = vic_submit(model->endpoint[i], &positions, NULL, err);
    if (st == VIC_OK) st = vic_submit(model->endpoint[q->place], &q->query, &q->ticket, err);
    pthread_mutex_unlock(&model->order);
    return st;
}

static unsigned status_of(vic_status status)
{
    switch (status) {
    case VIC_OK: return 200;
    case VIC_BAD_ARGUMENT:
    case VIC_BAD_INPUT: return 400;
    case VIC_NO_KERNEL: return 501;
    case VIC_BUSY:
    case VIC_DEADLINE:
    case VIC_CANCELLED:
    case VIC_NO_MEMORY: return 503;
    default: return 500;
    }
}

/* What a client is told; what happened inside is for the log. */
static bool refuse_status(struct request *r, vic_status status, const char *text)
{
    switch (status) {
    case VIC_BUSY: return refuse(&r->why, 503, "Exceeds maximum queue size");
    case VIC_DEADLINE: return refuse(&r->why, 503, "Request timeout expired");
    case VIC_CANCELLED: return refuse(&r->why, 503, "the request was cancelled: the server stops");
    case VIC_NO_MEMORY: return refuse(&r->why, 503, "out of memory: try again, or with smaller tensors");
    case VIC_BAD_ARGUMENT:
    case VIC_BAD_INPUT: return refuse(&r->why, 400, "%s", text);
    case VIC_NO_KERNEL: return refuse(&r->why, 501, "no kernel of this server does that");
    default:
        log_message(LOG_ERROR, "inference", "model %s: %s: %s", r->name, vic_status_name(status), text);
        return refuse(&r->why, status_of(status), "inference failed");
    }
}

static bool submit(struct request *r, vic_device device)
{
    struct query *q = &r->query;
    struct models *models = q->model->owner;
    vic_error err = { VIC_OK, "" };
    vic_status st = VIC_BUSY;
    q->place = models_place(models, device);
    if (q->place < 0)
        return refuse(&r->why, 400, "a shared memory region is on GPU %d, on which this server does not run",
                      device.index);
    q->query.done = done;
    q->query.user = r;
    q->submitted = true;
    atomic_fetch_add(&models->load[q->place], 1);
    if (atomic_fetch_add(&q->model->in_flight, 1) < models->options->queue)
        st = q->query.positions.data && models->engines > 1
                 ? submit_positions(q, &err)
                 : vic_submit(q->model->endpoint[q->place], &q->query, &q->ticket, &err);
    if (st == VIC_OK) return true;
    leave(q);
    return refuse_status(r, st, err.text);
}

/* Looked at before the JSON is read and anything is copied, so that a refusal costs little. */
static bool has_room(struct request *r, const struct model *model)
{
    const int most = model->owner->options->queue;
    return atomic_load_explicit(&model->in_flight, memory_order_relaxed) < most || refuse_status(r, VIC_BUSY, "");
}

static unsigned begin(struct request *r)
{
    vic_device device = { VIC_CPU, 0 };
    size_t json_size, behind;
    if (!r->name_good || !(r->query.model = models_find(&r->loop->server->models, r->name)))
        return refuse(&r->why, 404, "Request for unknown model: '%s' is not found", r->name), r->why.status;
    if (r->version_given && !r->version_good)
        return refuse(&r->why, 404, "Request for unknown model: '%s' has version 1 alone", r->name), r->why.status;
    if (!has_room(r, r->query.model) || !read_head(r, &json_size)) return r->why.status;
    behind = r->body_size - json_size;
    if (behind != r->query.head->binary) {
        refuse(&r->why, 400, "unexpected size of the binary data: the inputs are %zu bytes, and %zu follow the JSON",
               r->query.head->binary, behind);
        return r->why.status;
    }
    if (!check_inputs(r) || !check_json_outputs(r) || !bind_all(r, json_size, &device)) return r->why.status;
    infer_head_close(&r->query.own); /* numbers of JSON take many times as much memory as the tensors made of them */
    if (!submit(r, device)) return r->why.status;
    return 0;
}

static uint64_t nanoseconds_since(const struct request *r)
{
    return (uint64_t)(1e9 * (seconds_now() - r->start));
}

static void count_failure(const struct request *r, struct model *model)
{
    atomic_fetch_add_explicit(&model->counts.failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&model->counts.failed_ns, nanoseconds_since(r), memory_order_relaxed);
}

bool infer_has_room(struct request *r)
{
    struct model *model = r->name_good ? models_find(&r->loop->server->models, r->name) : NULL;
    const bool room = !model || has_room(r, model);
    if (!room) count_failure(r, model);
    model_release(model);
    return room;
}

unsigned infer_begin(struct request *r)
{
    const unsigned status = begin(r);
    if (status != 0 && r->query.model) count_failure(r, r->query.model);
    return status;
}

void infer_cancel(struct request *r)
{
    struct query *q = &r->query;
    if (q->submitted) (void)vic_cancel(q->model->endpoint[q->place], q->ticket);
}

void infer_end(struct request *r)
{
    struct query *q = &r->query;
    for (int i = 0; i < INPUTS; i++) pool_give(&r->loop->pool, q->copy[i]);
    for (int i = 0; i < INPUTS + OUTPUTS; i++) region_release(q->region[i]);
    pool_give(&r->loop->pool, q->out);
    infer_head_close(&q->own);
    model_release(q->model);
    memset(q, 0, offsetof(struct query, text));
}

/* ---- the answer ---- */

static void count(struct request *r, bool good)
{
    struct query *q = &r->query;
    struct model_counts *counts = &q->model->counts;
    struct timespec now;
    const int launch = q->launch < 1 ? 1 : q->launch < LAUNCH_SIZES ? q->launch : LAUNCH_SIZES - 1;
    const memory_order relaxed = memory_order_relaxed;
    if (!good) {
        count_failure(r, q->model);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    atomic_store_explicit(&counts->last_ms, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, relaxed);
    atomic_fetch_add_explicit(&counts->success, 1, relaxed);
    atomic_fetch_add_explicit(&counts->success_ns, nanoseconds_since(r), relaxed);
    atomic_fetch_add_explicit(&counts->inferences, (uint64_t)(q->batch > 0 ? q->batch : 1), relaxed);
    for (int i = 0; i < VIC_STAGES; i++) atomic_fetch_add_explicit(&counts->stage_ns[i], q->time_ns[i], relaxed);
    atomic_fetch_add_explicit(&counts->launch[launch].answers, 1, relaxed);
    atomic_fetch_add_explicit(&counts->launch[launch].input_ns, q->time_ns[VIC_STAGE_INPUT], relaxed);
    atomic_fetch_add_explicit(&counts->launch[launch].compute_ns, q->time_ns[VIC_STAGE_COMPUTE], relaxed);
    atomic_fetch_add_explicit(&counts->launch[launch].output_ns, q->time_ns[VIC_STAGE_OUTPUT], relaxed);
}

static const vic_tensor *output_tensor(const struct query *q, enum output output)
{
    return output == OUTPUT_O ? &q->query.out : &q->query.lse;
}

static size_t output_bytes(const struct query *q, enum output output)
{
    const vic_tensor *t = output_tensor(q, output);
    size_t bytes = 0;
    shape_bytes(t->ndim, t->shape, vic_dtype_size(t->dtype), &bytes);
    return bytes;
}

/* Infinite ones as numbers that are read as such, since JSON has no other way to say it. */
static void add_numbers(struct buffer *b, const vic_tensor *t, size_t bytes)
{
    const float *values = t->data;
    buffer_text(b, ",\"data\":[");
    for (size_t i = 0; i < bytes / sizeof *values; i++) {
        if (i) buffer_text(b, ",");
        if (isnan(values[i]))
            buffer_text(b, "null");
        else if (isinf(values[i]))
            buffer_text(b, values[i] > 0 ? "1e999" : "-1e999");
        else
            buffer_printf(b, "%.9g", (double)values[i]);
    }
    buffer_text(b, "]");
}

/* The answer's JSON; in shared memory an output has no parameters, since C++ clients take any for binary data. */
static void add_head(struct buffer *b, const struct request *r)
{
    const struct query *q = &r->query;
    const struct infer_head *head = q->head;
    const int outputs = q->query.out.data ? head->outputs : 0;
    buffer_text(b, "{");
    if (head->id[0]) buffer_printf(b, "\"id\":%s,", head->id);
    buffer_printf(
        b, "\"model_name\":\"%s\",\"model_version\":\"1\",\"parameters\":{\"positions_version\":%llu},\"outputs\":[",
        r->name, (unsigned long long)q->version);
    for (int i = 0; i < outputs; i++) {
        const enum output output = head->order[i];
        const vic_tensor *t = output_tensor(q, output);
        const size_t bytes = output_bytes(q, output);
        char shape[96];
        buffer_printf(b, "%s{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":%s", i ? "," : "", output_names[output],
                      type_name(t->dtype), shape_words(t->ndim, t->shape, shape));
        if (head->output[output].place == PLACE_BINARY)
            buffer_printf(b, ",\"parameters\":{\"binary_data_size\":%zu}", bytes);
        if (head->output[output].place == PLACE_JSON) add_numbers(b, t, bytes);
        buffer_text(b, "}");
    }
    buffer_text(b, "]}");
}

/* System regions get their bytes now, on the loop's thread: the engine's must not wait. */
static bool write_regions(struct request *r)
{
    struct query *q = &r->query;
    for (int i = 0; i < OUTPUTS; i++) {
        const struct tensor_head *t = &q->head->output[i];
        struct region *region = q->region[INPUTS + i];
        vic_device device;
        if (!region || region_memory(region, t->offset, &device)) continue;
        if (!region_write(region, t->offset, output_tensor(q, (enum output)i)->data, output_bytes(q, (enum output)i)))
            return refuse(&r->why, 400, "shared memory region '%s' is smaller than when it was registered",
                          t->region);
    }
    return true;
}

/* All binary outputs lie behind each other as they are sent: O, LSE or one of them. */
static bool in_one_piece(const struct query *q, char **start, size_t *bytes)
{
    const enum place o = q->head->output[OUTPUT_O].place, lse = q->head->output[OUTPUT_LSE].place;
    *start = q->out ? q->out + ANSWER_HEAD : NULL;
    *bytes = 0;
    if (!q->out || o == PLACE_JSON || lse == PLACE_JSON || (o == PLACE_BINARY && lse == PLACE_BINARY)) return false;
    for (int i = 0; i < OUTPUTS; i++) {
        if (q->head->output[i].place != PLACE_BINARY) continue;
        *start = output_tensor(q, (enum output)i)->data;
        *bytes = output_bytes(q, (enum output)i);
    }
    return true;
}

/* The JSON goes in front of the tensor, into room that was kept there. */
static enum MHD_Result answer_in_place(struct request *r, char *start, size_t bytes)
{
    struct query *q = &r->query;
    struct buffer *head = &r->text;
    char *memory = q->out;
    add_head(head, r);
    if (head->failed || head->size + sizeof(struct pool *) > (size_t)(start - memory)) {
        refuse(&r->why, 500, "no memory for the answer");
        return reply_refusal(r);
    }
    memcpy(start - head->size, head->data, head->size);
    q->out = NULL;
    return reply_pool(r, memory, start - head->size, head->size + bytes, bytes > 0 ? head->size : 0);
}

static enum MHD_Result answer_in_text(struct request *r)
{
    const struct query *q = &r->query;
    size_t json_size;
    bool binary = false;
    add_head(&r->text, r);
    json_size = r->text.size;
    for (int i = 0; q->query.out.data && i < q->head->outputs; i++) {
        const enum output output = q->head->order[i];
        if (q->head->output[output].place != PLACE_BINARY) continue;
        buffer_add(&r->text, output_tensor(q, output)->data, output_bytes(q, output));
        binary = true;
    }
    return reply_text(r, 200, NULL, binary ? json_size : 0);
}

enum MHD_Result infer_answer(struct request *r)
{
    struct query *q = &r->query;
    char *start;
    size_t bytes;
    bool good;
    if (q->status != VIC_OK) refuse_status(r, q->status, q->text);
    good = q->status == VIC_OK && write_regions(r);
    count(r, good);
    if (!good) return reply_refusal(r);
    return in_one_piece(q, &start, &bytes) ? answer_in_place(r, start, bytes) : answer_in_text(r);
}
