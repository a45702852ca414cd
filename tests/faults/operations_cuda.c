/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h" /* first: cmocka has a macro of the name of a function there */

#include "faults/faults_cuda.h"
#include "faults/operations_cuda.h"
#include "vicinal_engine.h"

#include "vicinal_engine.h"

#include <pthread.h>
#include <unistd.h>

enum { ATOMS = 320, HEADS = 2, DIM = 16, BATCH = 2, NUMBERS = BATCH * ATOMS * HEADS * DIM };
enum { Q, K, V, OUT, LSE, TENSORS };

int command_output, command_errors;

static vic_device gpu;
static void *stream;
static vic_pattern *ball, *blocks;
static uint16_t numbers[NUMBERS];

static const vic_device cpu = { VIC_CPU, 0 };

/* ---- the library ---- */

/* 0 when the result is that of the first time.  A row that did not answer once leaves the work to another one, whose
 * sums may be in another order. */
static uint64_t remember(const char *what, const char *kernel, const void *bytes, size_t count)
{
    static struct {
        const char *what, *kernel;
        uint64_t hash;
    } known[128];
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < count; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].what && (strcmp(known[i].what, what) != 0 || strcmp(known[i].kernel, kernel) != 0)) continue;
        if (!known[i].what) {
            known[i].what = what;
            known[i].kernel = kernel;
            known[i].hash = hash;
        }
        return known[i].hash ^ hash;
    }
    fail_msg("too many operations");
    return 1;
}

static void free_tensors(void *const memory[TENSORS])
{
    for (int t = 0; t < TENSORS; t++) vic_memory_free(gpu, memory[t]);
}

/* The result is made of what no kernel writes, so that one that did not run is seen. */
static vic_status make_tensors(bool batch, void *memory[TENSORS], vic_attention_args *a, vic_error *err)
{
    const int64_t shape[] = { BATCH, ATOMS, HEADS, DIM };
    static uint16_t nothing[NUMBERS];
    vic_tensor *const tensors[] = { &a->q, &a->k, &a->v, &a->out };
    memset(nothing, 0xff, sizeof nothing);
    for (int t = 0; t < TENSORS; t++) {
        TRY(vic_memory_alloc(gpu, sizeof numbers, &memory[t], err));
        TRY(vic_memory_copy(gpu, memory[t], cpu, t < OUT ? numbers : nothing, sizeof numbers, err));
    }
    for (int t = 0; t < LSE; t++) {
        *tensors[t] = vic_tensor_make(memory[t], VIC_F16, 3 + batch, shape + !batch);
        tensors[t]->device = gpu;
    }
    a->lse = vic_tensor_make(memory[LSE], VIC_F32, 2 + batch, shape + !batch);
    a->lse.device = gpu;
    return VIC_OK;
}

/* The batch as items. */
static void make_items(vic_attention_args *a, vic_attention_item items[BATCH])
{
    vic_tensor *const tensors[] = { &a->q, &a->k, &a->v, &a->out, &a->lse };
    for (int i = 0; i < BATCH; i++) {
        void *at[TENSORS];
        for (int t = 0; t < TENSORS; t++)
            at[t] = tensors[t]->data ? (char *)tensors[t]->data +
                                           i * tensors[t]->stride[0] * (int64_t)vic_dtype_size(tensors[t]->dtype)
                                     : NULL;
        items[i] = (vic_attention_item){ at[Q], at[K], at[V], at[OUT], at[LSE] };
    }
    for (int t = 0; t < TENSORS; t++) {
        tensors[t]->ndim--;
        for (int d = 0; d < tensors[t]->ndim; d++) {
            tensors[t]->shape[d] = tensors[t]->shape[d + 1];
            tensors[t]->stride[d] = tensors[t]->stride[d + 1];
        }
    }
    a->items = items;
    a->n_items = BATCH;
}

/* Memory comes from the context's pool, in the order of its stream. */
static vic_status run_in_context(const vic_plan *plan, const vic_attention_args *a, vic_error *err)
{
    const vic_context_options o = { .size = sizeof o, .device = gpu, .threads = 1, .stream = stream };
    vic_context *c;
    TRY(vic_context_create(&o, &c, err));
    vic_status st = vic_attention(c, plan, a, err);
    if (st == VIC_OK) st = vic_attention(c, plan, a, err);
    if (st == VIC_OK) st = vic_context_wait(c, err);
    cuda_calls_wait(stream);
    vic_context_free(c);
    return st;
}

static vic_status run_plan(const char *how, const vic_plan *plan, vic_attention_args *a, vic_error *err)
{
    double seconds[3] = { -1, -1, -1 };
    const vic_time_options o = { .size = sizeof o,
                                 .warm_up = 2,
                                 .launches = 3,
                                 .in_graph = strstr(how, "graph") ? 2 : 0,
                                 .cold = strstr(how, "cold") };
    if (strstr(how, "timed")) {
        TRY(vic_attention_time(NULL, plan, a, &o, seconds, err));
        for (int i = 0; i < 3; i++) assert_true(seconds[i] > 0);
        return VIC_OK;
    }
    if (strstr(how, "context")) return run_in_context(plan, a, err);
    if (!strstr(how, "stream")) return vic_attention(NULL, plan, a, err);
    a->stream = stream;
    TRY(vic_plan_workspace(NULL, plan, a->items ? a->n_items : 1, &a->workspace_size, err));
    vic_status st = vic_memory_alloc(gpu, a->workspace_size, &a->workspace, err);
    for (int i = 0; i < 2 && st == VIC_OK; i++) st = vic_attention(NULL, plan, a, err);
    cuda_calls_wait(stream);
    vic_memory_free(gpu, a->workspace);
    return st;
}

static vic_status attend(const char *how, vic_error *err)
{
    static uint16_t result[2][NUMBERS];
    const bool unfused = strstr(how, "unfused");
    const vic_plan_options o = { .size = sizeof o,
                                 .device = gpu,
                                 .dtype = strstr(how, "bf16") ? VIC_BF16 : VIC_F16,
                                 .heads = HEADS,
                                 .head_dim = DIM,
                                 .pattern_order = strstr(how, "pattern order"),
                                 .kernel = unfused ? "attn_fwd_unfused_f16" : NULL };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_attention_item items[BATCH];
    void *memory[TENSORS] = { NULL };
    vic_plan *plan = NULL;
    vic_status st;
    TRY_GOTO(make_tensors(strstr(how, "batch") || strstr(how, "items"), memory, &a, err), done);
    if (o.dtype == VIC_BF16) a.q.dtype = a.k.dtype = a.v.dtype = a.out.dtype = VIC_BF16;
    if (!strstr(how, "lse")) a.lse.data = NULL;
    if (strstr(how, "items")) make_items(&a, items);
    TRY_GOTO(vic_plan_create(NULL, unfused ? blocks : ball, &o, &plan, err), done);
    TRY_GOTO(run_plan(how, plan, &a, err), done);
    for (int t = OUT; t < TENSORS; t++)
        TRY_GOTO(vic_memory_copy(cpu, result[t - OUT], gpu, memory[t], sizeof numbers, err), done);
    CHECK(remember(how, plan_info_of(plan).kernel, result, sizeof result) == 0,
          "%s: another result than the first time", how);
done:
    vic_plan_free(plan);
    free_tensors(memory);
    return st;
}

static vic_status sort(const char *how, vic_error *err)
{
    static uint16_t result[NUMBERS];
    vic_attention_args a = VIC_INIT(vic_attention_args);
    void *memory[TENSORS] = { NULL };
    vic_pattern *fresh = NULL; /* which has no order on the GPU yet */
    vic_status st;
    TRY_GOTO(vic_pattern_union(NULL, ball, ball, &fresh, err), done);
    TRY_GOTO(make_tensors(false, memory, &a, err), done);
    if (strcmp(how, "sort") == 0)
        TRY_GOTO(vic_pattern_sort(NULL, fresh, VIC_QUERY, &a.q, &a.out, NULL, err), done);
    else
        TRY_GOTO(vic_pattern_unsort(NULL, fresh, VIC_KEY, &a.k, &a.out, NULL, err), done);
    TRY_GOTO(vic_memory_copy(cpu, result, gpu, memory[OUT], sizeof result, err), done);
    CHECK(remember(how, "", result, sizeof result) == 0, "%s: another result than the first time", how);
done:
    free_tensors(memory);
    vic_pattern_free(fresh);
    return st;
}

/* The stand-in's kernel writes nothing, so the result is told from none on a GPU alone. */
static vic_status combine(const char *unused, vic_error *err)
{
    static uint16_t result[NUMBERS];
    vic_attention_args a = VIC_INIT(vic_attention_args);
    void *memory[TENSORS] = { NULL };
    vic_status st;
    (void)unused;
    TRY_GOTO(make_tensors(false, memory, &a, err), done);
    const vic_tensor parts[] = { a.q, a.v }, sums[] = { a.lse, a.lse };
    const vic_combine_args args = {
        .size = sizeof args, .parts = 2, .part_out = parts, .part_lse = sums, .out = a.out
    };
    TRY_GOTO(vic_combine(NULL, &args, err), done);
    TRY_GOTO(vic_memory_copy(cpu, result, gpu, memory[OUT], sizeof result, err), done);
    CHECK(remember("combine", "", result, sizeof result) == 0, "combine: another result than the first time");
done:
    free_tensors(memory);
    return st;
}

static vic_status copy(const char *unused, vic_error *err)
{
    static uint16_t back[NUMBERS];
    void *from = NULL, *to = NULL;
    vic_status st;
    (void)unused;
    memset(back, 0, sizeof back);
    TRY_GOTO(vic_memory_alloc(gpu, sizeof numbers, &from, err), done);
    TRY_GOTO(vic_memory_alloc(gpu, sizeof numbers, &to, err), done);
    TRY_GOTO(vic_memory_copy(gpu, from, cpu, numbers, sizeof numbers, err), done);
    TRY_GOTO(vic_memory_copy(gpu, to, gpu, from, sizeof numbers, err), done);
    TRY_GOTO(vic_memory_copy(cpu, back, gpu, to, sizeof numbers, err), done);
    assert_memory_equal(back, numbers, sizeof numbers);
done:
    vic_memory_free(gpu, to);
    vic_memory_free(gpu, from);
    return st;
}

/* ---- the engine ---- */

struct engine_wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers;
    vic_status status; /* of the first that failed */
    vic_error *err;
};

static void answered(void *user, const vic_answer *answer)
{
    struct engine_wait *w = user;
    pthread_mutex_lock(&w->lock);
    if (answer->status != VIC_OK && w->status == VIC_OK) {
        w->status = w->err->status = answer->status;
        snprintf(w->err->text, sizeof w->err->text, "%s", answer->text);
    }
    w->answers++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Two queries that share a launch, so that it is known how many there are.  Where one has failed the other may wait, until
 * the endpoint is freed. */
static vic_status two_queries(vic_endpoint *e, struct engine_wait *w, vic_query *first, vic_query *second)
{
    vic_query *const queries[] = { first, second };
    w->answers = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t ticket;
        queries[i]->done = answered;
        queries[i]->user = w;
        vic_status st = vic_submit(e, queries[i], &ticket, w->err);
        if (st != VIC_OK) return st; /* the first is cancelled with the endpoint */
    }
    pthread_mutex_lock(&w->lock);
    while (w->answers < 2 && w->status == VIC_OK) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->status;
}

/* The tensors of half a batch: resident, or in memory of the host, as the bits of `host` say. */
static vic_query half(const vic_attention_args *resident, void *const host[TENSORS], unsigned which, int entry)
{
    vic_query q = VIC_INIT(vic_query);
    vic_tensor *const to[TENSORS] = { &q.q, &q.k, &q.v, &q.out, &q.lse };
    const vic_tensor *const from[TENSORS] = { &resident->q, &resident->k, &resident->v, &resident->out,
                                              &resident->lse };
    for (int t = 0; t < TENSORS; t++) {
        const size_t at = (size_t)entry * (t == LSE ? ATOMS * HEADS * sizeof(float) : sizeof numbers / BATCH);
        *to[t] = *from[t];
        if (which & 1u << t) {
            to[t]->data = host[t];
            to[t]->device = cpu;
        }
        to[t]->data = (char *)to[t]->data + at;
    }
    return q;
}

static vic_status serve(vic_endpoint *e, const vic_attention_args *a, void *const host[TENSORS], void *pinned,
                        struct engine_wait *w)
{
    static const unsigned placements[] = { 0, 0x1f, 0x0a };
    static double moved[3 * ATOMS];
    uint64_t seed = 6;
    for (int i = 0; i < 3 * ATOMS; i++) moved[i] = 15 * random_uniform(&seed);
    for (int i = 0; i < 3; i++) {
        vic_query q[2] = { half(a, host, placements[i], 0), half(a, host, placements[i], 1) };
        if (i == 2) q[0].positions = tensor_of(moved, VIC_F64, 2, (const int64_t[]){ ATOMS, 3 });
        if (i == 1)
            for (int k = 0; k < 2; k++) {
                q[k].v.data = (char *)pinned + k * (int)(sizeof numbers / BATCH);
                q[k].v.device.type = VIC_CUDA_HOST;
            }
        TRY(two_queries(e, w, &q[0], &q[1]));
    }
    return VIC_OK;
}

static vic_status engine(const char *how, vic_error *err)
{
    static uint16_t host_memory[TENSORS][NUMBERS];
    void *host[TENSORS], *pinned = NULL, *memory[TENSORS] = { NULL };
    const bool small = strstr(how, "little staging");
    const vic_engine_options eo = {
        .size = sizeof eo, .device = gpu, .build_threads = 1, .streams = 1, .staging_bytes = small ? 65536 : 0
    };
    const vic_plan_options po = { .size = sizeof po, .dtype = VIC_F16, .heads = HEADS, .head_dim = DIM };
    const vic_endpoint_options o = { .size = sizeof o, .plan = &po, .max_batch = small ? 1 : 2, .max_delay = 1000 };
    struct engine_wait w = { .err = err };
    vic_attention_args a = VIC_INIT(vic_attention_args);
    vic_engine *made = NULL;
    vic_endpoint *e = NULL;
    vic_status st;
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    for (int t = 0; t < TENSORS; t++) memcpy(host[t] = host_memory[t], numbers, sizeof numbers);
    TRY_GOTO(make_tensors(false, memory, &a, err), done);
    TRY_GOTO(vic_memory_alloc((vic_device){ VIC_CUDA_HOST, 0 }, sizeof numbers, &pinned, err), done);
    memcpy(pinned, numbers, sizeof numbers);
    TRY_GOTO(vic_engine_create(&eo, &made, err), done);
    TRY_GOTO(vic_endpoint_create(made, ball, &o, &e, err), done);
    TRY_GOTO(serve(e, &a, host, pinned, &w), done);
    CHECK(remember(how, "out", host_memory[OUT], sizeof numbers) == 0, "%s: another result than the first time", how);
    CHECK(remember(how, "lse", host_memory[LSE], sizeof(float) * BATCH * ATOMS * HEADS) == 0, "%s: another lse", how);
done:
    vic_endpoint_free(e);
    vic_engine_free(made);
    free_tensors(memory);
    vic_memory_free((vic_device){ VIC_CUDA_HOST, 0 }, pinned);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return st;
}

/* A process cannot open what it has exported itself, so only the stand-in does. */
static vic_status share(const char *unused, vic_error *err)
{
    void *memory = NULL, *opened = NULL;
    vic_memory_handle handle;
    vic_status st;
    (void)unused;
    TRY_GOTO(vic_memory_alloc(gpu, 4096, &memory, err), done);
    TRY_GOTO(vic_memory_export(gpu, memory, &handle, err), done);
    if (cuda_calls_real()) goto done;
    TRY_GOTO(vic_memory_open(gpu, &handle, 4096, &opened, err), done);
    assert_non_null(opened);
done:
    vic_memory_close(gpu, opened);
    vic_memory_free(gpu, memory);
    return st;
}

/* ---- the command ---- */

int vicinal_main(int argc, char **argv); /* apps/cli/main.c, under another name */

static size_t contents(int file, char *text, size_t size)
{
    ssize_t got = pread(file, text, size - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* "run FILE ...", with exactly one space between words; @ stands for the number of the GPU.  The exit code tells
 * statuses apart as far as it can. */
static vic_status command(const char *line, vic_error *err)
{
    enum { WORDS = 40 };
    char copied[400], *words[WORDS + 1] = { copied }, *rest = NULL, printed[16];
    int count = 1, kept[2], code;
    assert_true((size_t)snprintf(copied, sizeof copied, "%s", line) < sizeof copied);
    if (strchr(copied, '@')) *strchr(copied, '@') = (char)('0' + gpu.index);
    for (char *word = strtok_r(copied, " ", &rest); word && count < WORDS; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        int file = i ? command_errors : command_output;
        kept[i] = dup(1 + i);
        assert_int_equal(ftruncate(file, 0), 0);
        lseek(file, 0, SEEK_SET);
        dup2(file, 1 + i);
    }
    code = vicinal_main(count, words);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], 1 + i);
        close(kept[i]);
    }
    bool silent = contents(command_output, printed, sizeof printed) == 0;
    contents(command_errors, err->text, sizeof err->text);
    if (code == 0) {
        CHECK(!silent && !*err->text, "%s: exit code 0, prints %s and says: %s", line, silent ? "nothing" : "much",
              err->text);
        return VIC_OK;
    }
    CHECK(silent, "%s: exit code %d, but it prints %s...", line, code, printed);
    CHECK(strstr(err->text, ": error: "), "%s: exit code %d, and says: %s", line, code, err->text);
    err->status = code == status_exit_code(VIC_NO_KERNEL) ? VIC_NO_KERNEL : VIC_FAILED;
    CHECK(code == status_exit_code(err->status), "%s: exit code %d", line, code);
    return err->status;
}

/* ---- ---- */

static void write_atoms(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

void cuda_operations_setup(int index, void *on_stream)
{
    uint64_t seed = 5;
    static double positions[3 * ATOMS];
    vic_error err;
    gpu = (vic_device){ VIC_CUDA, index };
    stream = on_stream;
    for (int i = 0; i < 3 * ATOMS; i++) positions[i] = 15 * random_uniform(&seed);
    for (int i = 0; i < NUMBERS; i++) numbers[i] = (uint16_t)(0x3000 + random_bits(&seed) % 0x0c00); /* 0.125 to 1 */
    vic_points points = points_at(ATOMS, positions, NULL);
    ball = cutoff_pattern(&points, 4);
    CHECK_OK(vic_pattern_generate(NULL, "blocks:5x5:n=7,block=64", NULL, &blocks, &err));
    write_atoms("near.xyz", "3\nwater\nO 0 0 0\nH 0.757 0.586 0\nH -0.757 0.586 0\n");
    write_atoms("far.xyz", "3\nargon\nAr 0 0 0\nAr 9 0 0\nAr 0 9 0\n");
}

void cuda_operations_teardown(void)
{
    vic_pattern_free(blocks);
    vic_pattern_free(ball);
}

/* The stand-in's kernels compute what a pattern without pairs gives, so the commands that check get such a one. */
#define FAR   "far.xyz --no-self --cutoff 3 --dtype float16 --head-dim 16 --threads 1 "
#define NEAR  "near.xyz --cutoff 3 --dtype float16 --head-dim 16 --threads 1 "
#define BRIEF "--launches 2 --in-graph 2 --sustain 0.002 "

const struct cuda_operation cuda_operations[] = {
    { "plan and attention", attend, "pattern order", NULL, false },
    { "with lse", attend, "pattern order, lse", NULL, false },
    { "bf16", attend, "pattern order, bf16", NULL, false },
    { "caller's order", attend, "caller's order, lse", NULL, false },
    { "batch", attend, "caller's order, lse, batch", NULL, false },
    { "batch in pattern order", attend, "pattern order, lse, batch", NULL, false },
    { "items", attend, "caller's order, lse, items", NULL, false },
    { "items in pattern order", attend, "pattern order, lse, items, stream", NULL, false },
    { "items in a context", attend, "pattern order, items, context", NULL, false },
    { "items, unfused", attend, "unfused, pattern order, items", NULL, false },
    { "items, timed in a graph", attend, "caller's order, items, timed in a graph", NULL, false },
    { "on a stream", attend, "pattern order, stream", NULL, false },
    { "on a stream, caller's order", attend, "caller's order, stream", NULL, false },
    { "in a context", attend, "caller's order, lse, context", NULL, false },
    { "combined parts", combine, NULL, NULL, false },
    { "timed", attend, "pattern order, timed", NULL, false },
    { "timed, caller's order", attend, "caller's order, timed", NULL, false },
    { "timed, cold", attend, "pattern order, timed, cold", NULL, false },
    { "timed in a graph", attend, "pattern order, timed in a graph", NULL, false },
    { "timed in a graph, caller's order", attend, "caller's order, timed in a graph", NULL, false },
    { "unfused", attend, "unfused, pattern order, lse", NULL, false },
    { "unfused, caller's order, batch", attend, "unfused, caller's order, lse, batch", NULL, false },
    { "unfused, timed in a graph", attend, "unfused, caller's order, timed in a graph", NULL, false },
    { "sort", sort, "sort", NULL, false },
    { "unsort", sort, "unsort", NULL, false },
    { "copies", copy, NULL, NULL, false },
    { "engine", engine, "engine", NULL, false },
    { "engine, little staging", engine, "engine, little staging", NULL, false },
    { "shared memory", share, NULL, NULL, false },
    { "vicinal run -o", command, "run " NEAR "--device cuda:@ -o out.npy", "out.npy", false },
    { "vicinal run -o --lse --json", command, "run " NEAR "--device cuda:@ --lse --json -o out.safetensors",
      "out.safetensors", false },
    { "vicinal run --check", command, "run " FAR "--device cuda:@ --repeat 2 --check --json", NULL, false },
    { "vicinal run --device auto", command, "run " FAR "--check", NULL, true },
    { "vicinal bench latency", command, "bench latency " FAR BRIEF "--device cuda:@ --cold --json", NULL, false },
    { "vicinal bench latency --batch", command, "bench latency " FAR BRIEF "--device cuda:@ --order caller --batch 2",
      NULL, false },
    { "vicinal bench latency --items", command, "bench latency " FAR BRIEF "--device cuda:@ --order caller --items 3",
      NULL, false },
    { "vicinal bench throughput", command,
      "bench throughput " FAR "--device cuda:@ --launches 1 --seconds 0.001 --warm-up 0 --workers 1 --in-flight 1 "
      "--check --processes 0 --json",
      NULL, false },
    { "vicinal bench throughput --tensors pinned", command,
      "bench throughput " FAR "--device cuda:@ --launches 1 --seconds 0.001 --warm-up 0 --workers 2 --in-flight 2 "
      "--check --processes 0 --tensors pinned",
      NULL, false },
    { "vicinal bench scaling", command, "bench scaling " FAR BRIEF "--device cuda:@ --over heads --values 2 --json",
      NULL, false },
    { "vicinal env", command, "env", NULL, true },
    { "vicinal env --json", command, "env --json", NULL, true },
};
const int cuda_operation_count = sizeof cuda_operations / sizeof *cuda_operations;
