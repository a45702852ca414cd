/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: how many threads there are and when they start, the same bits in all of them, where the log goes, and what
 * is left of one after fork(). */
#define _GNU_SOURCE /* sched_getaffinity */
#include "objects.h"

#include "vicinal_dev.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 700, HEADS = 2, DIM = 16 };
#ifdef __SANITIZE_THREAD__ /* it cannot follow threads that are started after fork() */
enum { THREADS_AFTER_FORK = 1 };
#else
enum { THREADS_AFTER_FORK = 2 };
#endif

static struct {
    double at[3 * N];
    float q[N * HEADS * DIM], out[N * HEADS * DIM];
    vic_points points;
    vic_plan_options plan;
} o;

/* Everything that a program does, in one context: gives the attention's output and a pattern to look at. */
static vic_pattern *work_in(vic_context *c)
{
    const int64_t shape[] = { N, HEADS, DIM };
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_pattern *p;
    vic_plan *plan;
    vic_error err;
    CHECK_OK(vic_pattern_cutoff(c, &o.points, NULL, 4.0, NULL, &p, &err));
    CHECK_OK(vic_plan_create(c, p, &o.plan, &plan, &err));
    args.q = args.k = args.v = vic_tensor_make(o.q, VIC_F32, 3, shape);
    args.out = vic_tensor_make(o.out, VIC_F32, 3, shape);
    memset(o.out, 0xff, sizeof o.out);
    CHECK_OK(vic_attention(c, plan, &args, &err));
    vic_plan_free(plan);
    return p;
}

/* ---- threads ---- */

static int threads_running(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    if (!folder) return -1;
    for (struct dirent *e; (e = readdir(folder));) count += e->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* The kernel lists a thread for a moment after it was joined. */
static void wait_until_threads_are(int expected)
{
    while (threads_running() > expected) usleep(1000);
    assert_int_equal(threads_running(), expected);
}

static int processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

/* A sanitizer starts a thread of its own with the first one; that of the context has ended when there is one less. */
static int threads_without_ours(void)
{
    vic_context *c = context_of(2);
    int with = threads_running();
    vic_context_free(c);
    wait_until_threads_are(with - 1);
    return with - 1;
}

static void threads_are_those_asked_for(void **state)
{
    vic_context_info info = VIC_INIT(vic_context_info);
    vic_error err;
    (void)state;
    if (threads_running() < 0 || processors() < 0 || getenv("VIC_THREADS")) skip();
    int before = threads_without_ours();
    for (int threads = 0; threads <= 2; threads++) {
        vic_context *c = context_of(threads);
        int expected = threads ? threads : processors();
        CHECK_OK(vic_context_get(c, &info, &err));
        assert_int_equal(info.threads, expected);
        assert_int_equal(info.device.type, VIC_CPU);
        assert_null(info.stream);
        assert_int_equal(threads_running(), before + expected - 1); /* the calling one is the first */
        CHECK_OK(vic_context_wait(c, &err));
        vic_context_free(c);
        wait_until_threads_are(before);
    }
    CHECK_OK(vic_context_get(NULL, &info, &err));
    assert_int_equal(info.threads, 1);
    assert_int_equal(info.device.type, VIC_CPU);
    CHECK_OK(vic_context_wait(NULL, &err));
}

/* Seen from within: a pattern's log line is written while its call works. */
static void count_threads(void *user, const char *line)
{
    int *most = user, now = threads_running();
    (void)line;
    if (now > *most) *most = now;
}

static void no_call_starts_threads(void **state)
{
    int most = 0, before = threads_running();
    vic_context_options with = { .size = sizeof with, .threads = 1, .log = count_threads, .user = &most };
    vic_context *c;
    vic_error err;
    (void)state;
    if (before < 0) skip();
    setenv("VIC_LOG", "pattern,plan", 1);
    CHECK_OK(vic_context_create(&with, &c, &err));
    vic_pattern_free(work_in(c));
    vic_context_free(c);
    unsetenv("VIC_LOG");
    assert_int_equal(most, before);
    vic_pattern_free(work_in(NULL));
    assert_int_equal(threads_running(), before);
}

static void the_same_bits_in_each(void **state)
{
    static float expected[N * HEADS * DIM];
    vic_pattern *p = work_in(NULL);
    vic_neighbors list = neighbors_of(p, true);
    (void)state;
    memcpy(expected, o.out, sizeof expected);
    for (int threads = 0; threads <= 3; threads++) {
        vic_context *c = context_of(threads);
        vic_pattern *q = work_in(c);
        vic_neighbors other = neighbors_of(q, true);
        assert_memory_equal(expected, o.out, sizeof expected);
        assert_int_equal(other.pairs, list.pairs);
        assert_memory_equal(other.j, list.j, (size_t)list.pairs * sizeof *list.j);
        assert_memory_equal(other.D, list.D, 3 * (size_t)list.pairs * sizeof *list.D);
        assert_memory_equal(order_of(p, VIC_QUERY), order_of(q, VIC_QUERY), N * sizeof(int32_t));
        neighbors_free(&other);
        vic_pattern_free(q);
        vic_context_free(c);
    }
    neighbors_free(&list);
    vic_pattern_free(p);
}

/* ---- the log ---- */

struct lines {
    int count, topics; /* bit 0: of patterns, bit 1: of plans */
    bool newline;
    pthread_t thread;
};

static void note_line(void *user, const char *line)
{
    struct lines *l = user;
    l->count++;
    l->newline = l->newline || strchr(line, '\n');
    l->topics |= (strstr(line, "pattern") == line || strstr(line, "vicinal pattern:") == line ? 1 : 0) |
                 (strstr(line, "plan") == line || strstr(line, "vicinal plan:") == line ? 2 : 0);
    l->thread = pthread_self();
}

/* Bytes that `work` writes to stderr. */
static long written_to_stderr(vic_context *c)
{
    char path[] = "/tmp/vicinal-stderr-XXXXXX";
    int file = mkstemp(path), kept = dup(STDERR_FILENO);
    assert_true(file >= 0 && kept >= 0);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    vic_pattern *p = work_in(c);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    vic_pattern_free(p);
    long bytes = (long)lseek(file, 0, SEEK_END);
    close(kept);
    close(file);
    unlink(path);
    return bytes;
}

static void the_log_goes_to_the_context(void **state)
{
    struct lines lines = { .count = 0 };
    vic_context_options with = { .size = sizeof with, .threads = 2, .log = note_line, .user = &lines };
    vic_context *c;
    vic_error err;
    (void)state;
    CHECK_OK(vic_context_create(&with, &c, &err));
    unsetenv("VIC_LOG");
    assert_int_equal(written_to_stderr(c), 0);
    assert_int_equal(lines.count, 0);
    setenv("VIC_LOG", "pattern,plan", 1);
    assert_int_equal(written_to_stderr(c), 0);
    assert_true(lines.count >= 2);
    assert_int_equal(lines.topics, 3);
    assert_false(lines.newline);
    assert_true(pthread_equal(lines.thread, pthread_self()));
    int before = lines.count;
    assert_true(written_to_stderr(NULL) > 0); /* that of another context is not asked */
    assert_int_equal(lines.count, before);
    vic_context_free(c);
    assert_true(written_to_stderr(NULL) > 0);
    unsetenv("VIC_LOG");
}

/* ---- fork() ---- */

/* In a child: each kind of call with the parent's context.  The number of the first that does not answer FAILED, or 0. */
static int calls_after_fork(vic_context *c, vic_pattern *p, vic_plan *plan)
{
    const int64_t shape[] = { N, HEADS, DIM };
    vic_tensor in = vic_tensor_make(o.q, VIC_F32, 3, shape), out = vic_tensor_make(o.out, VIC_F32, 3, shape);
    vic_tensor lse = vic_tensor_make(o.out, VIC_F32, 2, shape);
    vic_attention_args args = { .size = sizeof args, .q = in, .k = in, .v = in, .out = out };
    vic_attention_backward_args backward = VIC_INIT(vic_attention_backward_args);
    vic_combine_args combine = { .size = sizeof combine, .parts = 1, .part_out = &in, .part_lse = &lse, .out = out };
    vic_block_mask mask = { .size = sizeof mask, .query_block = 64, .key_block = 64 };
    vic_neighbors list = VIC_INIT(vic_neighbors);
    vic_points nowhere = points_of(N);
    vic_pair_list pairs = VIC_INIT(vic_pair_list);
    static const int64_t row_ptr[N / 16 + 2];
    static const int64_t offsets[2];
    vic_block_list blocks = { .size = sizeof blocks, .block = 16, .row_ptr = row_ptr };
    vic_range_list ranges = {
        .size = sizeof ranges, .groups = 0, .query_offsets = offsets, .range_offsets = offsets
    };
    vic_page_list pages = { .size = sizeof pages, .page = 16, .query_offsets = offsets };
    const vic_reference_gradients gradients = VIC_INIT(vic_reference_gradients);
    static double row[N * HEADS * DIM], seconds[1000];
    vic_pattern *made = NULL;
    vic_plan *other = NULL;
    size_t bytes;
    vic_error err;
    int failed = 0, call = 0;
#define FAILS(expression)                                                                                            \
    do {                                                                                                             \
        call++;                                                                                                      \
        err.text[0] = '\0';                                                                                          \
        if (((expression) != VIC_FAILED || !strstr(err.text, "another process")) && !failed) failed = call;          \
    } while (0)
    FAILS(vic_pattern_cutoff(c, &o.points, NULL, 2.0, NULL, &made, &err));
    FAILS(vic_pattern_nearest(c, &o.points, NULL, 2, NULL, &made, &err));
    FAILS(vic_pattern_windows(c, &nowhere, 2, 4, NULL, &made, &err));
    FAILS(vic_pattern_blocks(c, &nowhere, NULL, &blocks, NULL, &made, &err));
    FAILS(vic_pattern_pairs(c, &nowhere, NULL, &pairs, NULL, &made, &err));
    FAILS(vic_pattern_ranges(c, &nowhere, NULL, &ranges, NULL, &made, &err));
    FAILS(vic_pattern_pages(c, &nowhere, NULL, &pages, NULL, &made, &err));
    FAILS(vic_pattern_generate(c, "origin:800", NULL, &made, &err));
    FAILS(vic_pattern_union(c, p, p, &made, &err));
    FAILS(vic_pattern_difference(c, p, p, &made, &err));
    FAILS(vic_pattern_exclude(c, p, &pairs, &made, &err));
    FAILS(vic_pattern_transpose(c, p, &made, &err));
    FAILS(vic_pattern_update(c, &p, &o.points, NULL, &err));
    FAILS(vic_pattern_load(c, "/nowhere.vnp", &made, &err));
    FAILS(vic_pattern_neighbors(c, p, &list, &err));
    FAILS(vic_pattern_block_mask(c, p, &mask, &err));
    FAILS(vic_pattern_sort(c, p, VIC_QUERY, &in, &out, NULL, &err));
    FAILS(vic_pattern_unsort(c, p, VIC_QUERY, &in, &out, NULL, &err));
    FAILS(vic_plan_create(c, p, &o.plan, &other, &err));
    FAILS(vic_plan_workspace(c, plan, 1, &bytes, &err));
    FAILS(vic_attention(c, plan, &args, &err));
    FAILS(vic_attention_backward(c, plan, &backward, &err));
    FAILS(vic_attention_backward_time(c, plan, &backward, NULL, seconds, &err));
    FAILS(vic_attention_backward_reference(c, plan, &backward, &gradients, &err));
    FAILS(vic_attention_time(c, plan, &args, NULL, seconds, &err));
    FAILS(vic_attention_reference(c, plan, &args, 0, NULL, row, NULL, NULL, &err));
    FAILS(vic_combine(c, &combine, &err));
    FAILS(vic_context_wait(c, &err));
    if (made || other) return 100;
    vic_context_free(c);
    return failed;
}

/* The child can make a context of its own, and objects that do not change are as good there as here. */
static int work_after_fork(vic_plan *plan)
{
    const int64_t shape[] = { N, HEADS, DIM };
    vic_tensor in = vic_tensor_make(o.q, VIC_F32, 3, shape), out = vic_tensor_make(o.out, VIC_F32, 3, shape);
    vic_attention_args args = { .size = sizeof args, .q = in, .k = in, .v = in, .out = out };
    vic_context_options two = { .size = sizeof two, .threads = THREADS_AFTER_FORK };
    static float expected[N * HEADS * DIM];
    vic_context *own = NULL;
    vic_error err;
    memcpy(expected, o.out, sizeof expected);
    memset(o.out, 0xff, sizeof o.out);
    if (vic_context_create(&two, &own, &err) != VIC_OK) return 101;
    if (vic_attention(own, plan, &args, &err) != VIC_OK) return 102;
    vic_context_free(own);
    return memcmp(expected, o.out, sizeof expected) == 0 ? 0 : 103;
}

static void after_fork(void **state)
{
    vic_context *c = context_of(2);
    vic_pattern *p = work_in(c);
    vic_plan *plan;
    vic_error err;
    int code;
    (void)state;
    CHECK_OK(vic_plan_create(c, p, &o.plan, &plan, &err));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        code = calls_after_fork(c, p, plan);
        _exit(code ? code : work_after_fork(plan));
    }
    assert_int_equal(waitpid(child, &code, 0), child);
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 0,
          "in the child, call %d did not answer FAILED (100 and more: what it did alone went wrong); signal %d",
          WIFEXITED(code) ? WEXITSTATUS(code) : -1, WIFSIGNALED(code) ? WTERMSIG(code) : 0);
    vic_pattern_free(work_in(c)); /* the parent goes on */
    vic_plan_free(plan);
    vic_pattern_free(p);
    vic_context_free(c);
}

/* While another thread works in the context, fork() may find its mutexes locked. */
static void *keep_busy(void *context)
{
    for (int i = 0; i < 3; i++) {
        vic_pattern *p;
        if (vic_pattern_cutoff(context, &o.points, NULL, 6.0, NULL, &p, NULL) != VIC_OK) return context;
        vic_pattern_free(p);
    }
    return NULL;
}

static void fork_of_a_busy_process(void **state)
{
    vic_context *c = context_of(2);
    vic_plan *plan;
    vic_pattern *p = work_in(c);
    pthread_t thread;
    void *failed;
    vic_error err;
    (void)state;
    CHECK_OK(vic_plan_create(c, p, &o.plan, &plan, &err));
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, c), 0);
    for (int i = 0; i < 5; i++) {
        int code;
        pid_t child = fork();
        if (child == 0) _exit(calls_after_fork(c, p, plan));
        assert_int_equal(waitpid(child, &code, 0), child);
        assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    vic_plan_free(plan);
    vic_pattern_free(p);
    vic_context_free(c);
}

static int set_up(void **state)
{
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < 3 * N; i++) o.at[i] = 16 * random_uniform(&seed);
    for (int i = 0; i < N * HEADS * DIM; i++) o.q[i] = (float)random_normal(&seed);
    o.points = points_at(N, o.at, NULL);
    o.plan = (vic_plan_options){ .size = sizeof o.plan, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_those_asked_for),
        cmocka_unit_test(no_call_starts_threads),
        cmocka_unit_test(the_same_bits_in_each),
        cmocka_unit_test(the_log_goes_to_the_context),
        cmocka_unit_test(after_fork),
        cmocka_unit_test(fork_of_a_busy_process),
    };
    return cmocka_run_group_tests_name("api_context", tests, set_up, NULL);
}
