/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns by number, their plans, and the contexts of the process. */
#include "glue.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GPUS = 64, MAX_THREADS = 1024, INDEX_BITS = 24 };

struct planned {
    struct planned *next;
    vic_plan_options key;
    vic_plan *plan;
    int uses;      /* calls under way, and 1 for the list that it is in */
    bool captured; /* in a CUDA graph */
    struct {
        void *stream, *memory, *owner;
        size_t bytes;
        void (*release)(void *);
        bool busy; /* a call has it, and has not enqueued all of its work yet */
    } scratch;
};

/* A number is place | generation << INDEX_BITS. */
struct kept {
    int64_t number;
    vic_pattern *pattern; /* NULL = the place is free */
    int64_t holds;        /* vicpy_drop() is called so often, by the Python object and by compiled functions */
    struct planned *plans;
    struct kept *next_free;
};

/* `lock` is held for moments; `making` while a plan or a context is made, so that none is made twice.  Who needs both
 * takes `making` first. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, making = PTHREAD_MUTEX_INITIALIZER;
static struct kept **places; /* each of its own, so that a place stays where it is */
static struct kept *free_places;
static int64_t n_places, room;
static vic_context *cpus[MAX_THREADS + 1], *gpus[MAX_GPUS]; /* by number of threads, 0 = all; by index */
static int32_t cpu_threads;

static vic_status say(vic_error *err, vic_status status, const char *text)
{
    if (err) {
        err->status = status;
        snprintf(err->text, sizeof err->text, "%s", text);
    }
    return status;
}

static vic_status gone(vic_error *err)
{
    return say(err, VIC_BAD_ARGUMENT,
               "the pattern of this call is gone: keep it as long as anything that was made from it is in use, a "
               "compiled function, a graph or a backward pass to come");
}

/* ---- fork() ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&making);
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&making);
}

/* A context's threads are not in the child, which makes its own; plans of the CPU go on, in the new one. */
static void in_child(void)
{
    memset(cpus, 0, sizeof cpus);
    memset(gpus, 0, sizeof gpus);
    after_fork();
}

__attribute__((constructor)) static void watch_fork(void)
{
    pthread_atfork(before_fork, after_fork, in_child);
}

/* ---- Contexts ---- */

/* Where the context for a device is, or will be; it stays for ever. */
static vic_context **place_of(vic_device device)
{
    return device.type == VIC_CUDA ? &gpus[device.index] : &cpus[__atomic_load_n(&cpu_threads, __ATOMIC_RELAXED)];
}

/* With `making` held. */
static vic_status context_of(vic_device device, vic_context **out, vic_error *err)
{
    vic_context_options o = VIC_INIT(vic_context_options);
    if (device.type == VIC_CUDA && (device.index < 0 || device.index >= MAX_GPUS))
        return say(err, VIC_NO_DEVICE, "no GPU has such an index");
    vic_context **place = place_of(device);
    *out = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (*out) return VIC_OK;
    o.device = device;
    o.threads = device.type == VIC_CUDA ? 0 : cpu_threads;
    vic_status st = vic_context_create(&o, out, err);
    if (!st) __atomic_store_n(place, *out, __ATOMIC_RELEASE);
    return st;
}

vic_status vicpy_context(vic_device device, vic_context **out, vic_error *err)
{
    pthread_mutex_lock(&making);
    vic_status st = context_of(device, out, err);
    pthread_mutex_unlock(&making);
    return st;
}

vic_status vicpy_set_threads(int32_t threads, vic_error *err)
{
    vic_context *c;
    if (threads < 0 || threads > MAX_THREADS)
        return say(err, VIC_BAD_ARGUMENT, "threads: expected 1 to 1024, or 0 for all that this process may use");
    pthread_mutex_lock(&making);
    const int32_t before = cpu_threads;
    __atomic_store_n(&cpu_threads, threads, __ATOMIC_RELAXED);
    vic_status st = context_of((vic_device){ VIC_CPU, 0 }, &c, err);
    if (st) __atomic_store_n(&cpu_threads, before, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&making);
    return st;
}

/* ---- Patterns ---- */

/* The place of a number, with `lock` held; NULL when its pattern is gone. */
static struct kept *find(int64_t number)
{
    int64_t place = number & (((int64_t)1 << INDEX_BITS) - 1);
    if (number <= 0 || place >= n_places || places[place]->number != number || !places[place]->pattern) return NULL;
    return places[place];
}

static struct kept *free_place(void)
{
    struct kept *k = free_places;
    if (k) {
        free_places = k->next_free;
        k->number += (int64_t)1 << INDEX_BITS;
        return k;
    }
    if (n_places == (int64_t)1 << INDEX_BITS) return NULL;
    if (n_places == room) {
        int64_t more = room ? 2 * room : 64;
        struct kept **grown = realloc(places, (size_t)more * sizeof *grown);
        if (!grown) return NULL;
        places = grown;
        room = more;
    }
    if (!(k = calloc(1, sizeof *k))) return NULL;
    k->number = n_places | (int64_t)1 << INDEX_BITS;
    places[n_places++] = k;
    return k;
}

int64_t vicpy_keep(vic_pattern *p)
{
    int64_t number = 0;
    pthread_mutex_lock(&lock);
    struct kept *k = free_place();
    if (k) {
        k->pattern = p;
        k->holds = 1;
        number = k->number;
    }
    pthread_mutex_unlock(&lock);
    if (!k) vic_pattern_free(p);
    return number;
}

vic_pattern *vicpy_pattern(int64_t number)
{
    pthread_mutex_lock(&lock);
    struct kept *k = find(number);
    vic_pattern *p = k ? k->pattern : NULL;
    pthread_mutex_unlock(&lock);
    return p;
}

/* Takes the plans out of their list, with `lock` held. */
static struct planned *plans_out(struct kept *k)
{
    struct planned *plans = k->plans;
    k->plans = NULL;
    return plans;
}

/* Those that no call uses are freed; the others by the call that ends last. */
static void plans_free(struct planned *plan)
{
    while (plan) {
        struct planned *next = plan->next;
        plan_give(plan);
        plan = next;
    }
}

vic_status vicpy_hold(int64_t number, vic_error *err)
{
    pthread_mutex_lock(&lock);
    struct kept *k = find(number);
    if (k) k->holds++;
    pthread_mutex_unlock(&lock);
    return k ? VIC_OK : gone(err);
}

void vicpy_drop(int64_t number)
{
    struct planned *plans = NULL;
    vic_pattern *p = NULL;
    pthread_mutex_lock(&lock);
    struct kept *k = find(number);
    if (k && --k->holds == 0) {
        p = k->pattern;
        k->pattern = NULL;
        k->next_free = free_places;
        free_places = k;
        plans = plans_out(k);
    }
    pthread_mutex_unlock(&lock);
    plans_free(plans);
    vic_pattern_free(p);
}

vic_status vicpy_update(int64_t number, const vic_points *queries, const vic_points *keys, vic_error *err)
{
    vic_context *c;
    vic_status st;
    pthread_mutex_lock(&making);
    pthread_mutex_lock(&lock);
    struct kept *k = find(number);
    bool captured = false;
    struct planned *plans = NULL;
    vic_pattern *pattern = NULL;
    if (k) {
        k->holds++; /* a drop meanwhile frees it afterwards */
        pattern = k->pattern;
        for (struct planned *p = k->plans; p; p = p->next) captured = captured || p->captured;
        if (!captured) plans = plans_out(k);
    }
    pthread_mutex_unlock(&lock);
    plans_free(plans);
    if (!k)
        st = say(err, VIC_BAD_ARGUMENT, "the pattern is gone");
    else if (captured)
        st = say(err, VIC_BAD_ARGUMENT,
                 "a CUDA graph was captured with this pattern, and would go on with the old one: make a new pattern, "
                 "and capture anew");
    else if (!(st = context_of((vic_device){ VIC_CPU, 0 }, &c, err))) {
        st = vic_pattern_update(c, &pattern, queries, keys, err);
        pthread_mutex_lock(&lock);
        k->pattern = pattern;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_unlock(&making);
    if (k) vicpy_drop(number);
    return st;
}

/* ---- Plans ---- */

static int (*ask_capturing)(void *, int *);

static void find_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    *(void **)&ask_capturing = driver ? dlsym(driver, "cuStreamIsCapturing") : NULL;
}

bool stream_captured(void *stream)
{
    static pthread_once_t looked = PTHREAD_ONCE_INIT;
    int answer = 0;
    pthread_once(&looked, find_driver);
    return ask_capturing && ask_capturing(stream == VIC_STREAM_DEFAULT ? NULL : stream, &answer) == 0 && answer != 0;
}

/* What attention and its gradients have in common. */
struct tensors {
    const vic_tensor *q, *k, *v, *out, *bias, *pair_bias;
    void *stream;
    bool pattern_order, backward;
};

static vic_plan_options options_of(const struct tensors *t)
{
    const int axis = t->q->ndim - 2; /* heads; what is wrong with the dimensions vic_attention() says */
    vic_plan_options o = VIC_INIT(vic_plan_options);
    o.device = t->q->device;
    if (o.device.type == VIC_CPU) o.device.index = 0;
    o.dtype = t->q->dtype;
    o.out_dtype = t->out->dtype;
    o.heads = (int32_t)t->q->shape[axis];
    o.kv_heads = (int32_t)t->k->shape[axis];
    o.head_dim = (int32_t)t->q->shape[axis + 1];
    o.head_dim_v = (int32_t)t->v->shape[axis + 1];
    o.bias = t->bias->data ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE;
    if (t->pair_bias->data) /* perhaps with a batch in front of two dimensions, or of four */
        o.pair_bias = t->pair_bias->ndim < 4 ? VIC_PAIR_BIAS_PAIRS : VIC_PAIR_BIAS_WINDOWS;
    o.pattern_order = t->pattern_order;
    o.backward = t->backward;
    return o;
}

/* A plan with `backward` is one without, too. */
static struct planned *look_up(struct kept *k, const vic_plan_options *key)
{
    vic_plan_options wanted = *key;
    for (struct planned *p = k->plans; p; p = p->next) {
        wanted.backward = key->backward || p->key.backward;
        if (memcmp(&p->key, &wanted, sizeof wanted) == 0) return p;
    }
    return NULL;
}

/* Takes out the plan without `backward` in whose place the one for `key` comes, with `lock` held; NULL when there is none,
 * or a CUDA graph has it. */
static struct planned *replaced_out(struct kept *k, const vic_plan_options *key)
{
    vic_plan_options without = *key;
    without.backward = false;
    for (struct planned **place = &k->plans; key->backward && *place; place = &(*place)->next) {
        struct planned *p = *place;
        if (p->captured || memcmp(&p->key, &without, sizeof without) != 0) continue;
        *place = p->next;
        p->next = NULL;
        return p;
    }
    return NULL;
}

/* With `making` held. */
static vic_status make(struct kept *k, const vic_plan_options *key, struct planned **out, vic_error *err)
{
    vic_context *c;
    vic_status st;
    struct planned *p = calloc(1, sizeof *p);
    if (!p) return say(err, VIC_NO_MEMORY, "no memory for a plan");
    p->key = *key;
    p->uses = 1;
    st = context_of(key->device, &c, err);
    if (!st) st = vic_plan_create(c, k->pattern, key, &p->plan, err);
    if (st) {
        free(p);
        return st;
    }
    pthread_mutex_lock(&lock);
    struct planned *replaced = replaced_out(k, key);
    p->next = k->plans;
    k->plans = p;
    pthread_mutex_unlock(&lock);
    plans_free(replaced);
    *out = p;
    return VIC_OK;
}

static vic_status take(int64_t number, const vic_plan_options *key, bool in_graph, struct planned **out,
                       vic_error *err)
{
    vic_status st = VIC_OK;
    struct planned *p = NULL;
    pthread_mutex_lock(&lock);
    struct kept *k = find(number);
    if (k && (p = look_up(k, key))) {
        p->uses++;
        p->captured = p->captured || in_graph;
    }
    pthread_mutex_unlock(&lock);
    if (k && !p) {
        if (in_graph)
            return say(err, VIC_BAD_ARGUMENT,
                       key->backward
                           ? "there is no plan with gradients yet for these tensors, and none can be made while a "
                             "CUDA graph is captured: run attention and its backward pass once with such tensors "
                             "before the capture"
                           : "there is no plan yet for these tensors, and none can be made while a CUDA graph is "
                             "captured: call attention once with such tensors before the capture");
        pthread_mutex_lock(&making);
        pthread_mutex_lock(&lock);
        if ((k = find(number))) {
            k->holds++; /* a drop meanwhile frees the pattern afterwards */
            if ((p = look_up(k, key))) p->uses++;
        }
        pthread_mutex_unlock(&lock);
        if (k && !p && !(st = make(k, key, &p, err))) {
            pthread_mutex_lock(&lock);
            p->uses++;
            pthread_mutex_unlock(&lock);
        }
        pthread_mutex_unlock(&making);
        if (k) vicpy_drop(number);
    }
    if (!k) return gone(err);
    *out = p;
    return st;
}

static vic_status take_for(int64_t number, const struct tensors *t, struct planned **out, vic_error *err)
{
    if (t->q->ndim < 3 || t->q->ndim > 4 || t->k->ndim != t->q->ndim || t->v->ndim != t->q->ndim)
        return say(err, VIC_BAD_ARGUMENT,
                   "q, k and v: expected [n, heads, d] or [batch, n, heads, d], the same number of dimensions each");
    vic_plan_options key = options_of(t);
    bool in_graph = key.device.type == VIC_CUDA && stream_captured(t->stream);
    vic_status st = take(number, &key, in_graph, out, err);
    if (st == VIC_NO_KERNEL && key.device.type == VIC_CUDA && key.dtype == VIC_F32)
        say(err, st,
            "float32 on a GPU: its kernels take float16 and bfloat16 (softmax and sums are float32 all the same). Give "
            "compute_dtype=\"float16\" or \"bfloat16\", which casts q, k and v and the result back, or with torch call "
            "under torch.autocast(\"cuda\")");
    return st;
}

vic_status plan_take(int64_t number, const vic_attention_args *a, bool pattern_order, struct planned **out,
                     vic_error *err)
{
    const struct tensors t = {
        &a->q, &a->k, &a->v, &a->out, &a->bias, &a->pair_bias, a->stream, pattern_order, false
    };
    return take_for(number, &t, out, err);
}

vic_status plan_take_backward(int64_t number, const vic_attention_backward_args *a, bool pattern_order,
                              struct planned **out, vic_error *err)
{
    const struct tensors t = {
        &a->q, &a->k, &a->v, &a->out, &a->bias, &a->pair_bias, a->stream, pattern_order, true
    };
    return take_for(number, &t, out, err);
}

/* What vic_plan_free() does on a GPU waits for the work that uses the plan. */
void plan_give(struct planned *plan)
{
    pthread_mutex_lock(&lock);
    bool last = --plan->uses == 0;
    pthread_mutex_unlock(&lock);
    if (!last) return;
    vic_plan_free(plan->plan);
    if (plan->scratch.release) plan->scratch.release(plan->scratch.owner);
    free(plan);
}

void *planned_scratch(struct planned *plan, void *stream, size_t bytes)
{
    pthread_mutex_lock(&lock);
    const bool fits = !plan->scratch.busy && plan->scratch.stream == stream && plan->scratch.bytes >= bytes;
    void *memory = fits ? plan->scratch.memory : NULL;
    if (memory) plan->scratch.busy = true;
    pthread_mutex_unlock(&lock);
    return memory;
}

bool planned_keep_scratch(struct planned *plan, void *stream, void *memory, size_t bytes, void *owner,
                          void (*release)(void *owner))
{
    void *old = NULL;
    void (*old_release)(void *) = NULL;
    pthread_mutex_lock(&lock);
    const bool kept = !plan->scratch.busy && (!plan->scratch.memory || plan->scratch.stream == stream);
    if (kept) {
        old = plan->scratch.owner;
        old_release = plan->scratch.release;
        plan->scratch.stream = stream;
        plan->scratch.memory = memory;
        plan->scratch.owner = owner;
        plan->scratch.bytes = bytes;
        plan->scratch.release = release;
        plan->scratch.busy = true;
    }
    pthread_mutex_unlock(&lock);
    if (old_release) old_release(old); /* its last user is before on the stream, as torch's allocator knows */
    return kept;
}

void planned_scratch_back(struct planned *plan)
{
    pthread_mutex_lock(&lock);
    plan->scratch.busy = false;
    pthread_mutex_unlock(&lock);
}

/* The context as it is now: after fork(), or with another number of threads, it is not the one of the plan. */
static vic_status context_now(const struct planned *plan, vic_context **out, vic_error *err)
{
    *out = __atomic_load_n(place_of(plan->key.device), __ATOMIC_ACQUIRE);
    return *out ? VIC_OK : vicpy_context(plan->key.device, out, err);
}

vic_status planned_workspace(const struct planned *plan, int64_t batch, size_t *bytes, vic_error *err)
{
    vic_context *c;
    vic_status st = context_now(plan, &c, err);
    return st ? st : vic_plan_workspace(c, plan->plan, batch, bytes, err);
}

/* A batch of nothing, which vic_attention() does not take. */
static bool no_batch(const vic_tensor *q, const vic_tensor *k, const vic_tensor *v)
{
    return q->ndim == 4 && q->shape[0] + k->shape[0] + v->shape[0] == 0;
}

vic_status planned_run(const struct planned *plan, const vic_attention_args *args, vic_error *err)
{
    vic_context *c;
    vic_status st = context_now(plan, &c, err);
    if (no_batch(&args->q, &args->k, &args->v)) return st;
    return st ? st : vic_attention(c, plan->plan, args, err);
}

vic_status planned_run_backward(const struct planned *plan, const vic_attention_backward_args *args, vic_error *err)
{
    vic_context *c;
    vic_status st = context_now(plan, &c, err);
    if (no_batch(&args->q, &args->k, &args->v)) return st;
    return st ? st : vic_attention_backward(c, plan->plan, args, err);
}

vic_status vicpy_plan_get(int64_t number, const vic_plan_options *options, vic_plan_info *out, vic_error *err)
{
    struct planned *plan;
    vic_status st = take(number, options, false, &plan, err);
    if (st) return st;
    st = vic_plan_get(plan->plan, out, err);
    plan_give(plan);
    return st;
}

vic_status vicpy_attention(int64_t number, const vic_attention_args *args, bool pattern_order, vic_error *err)
{
    struct planned *plan;
    vic_status st = plan_take(number, args, pattern_order, &plan, err);
    if (st) return st;
    st = planned_run(plan, args, err);
    plan_give(plan);
    return st;
}

vic_status vicpy_attention_backward(int64_t number, const vic_attention_backward_args *args, bool pattern_order,
                                    vic_error *err)
{
    struct planned *plan;
    vic_status st = plan_take_backward(number, args, pattern_order, &plan, err);
    if (st) return st;
    st = planned_run_backward(plan, args, err);
    plan_give(plan);
    return st;
}
