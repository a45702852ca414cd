/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation on a GPU with its first, second, third, ... CUDA call failing; once that one alone and once with
 * all that follow failing too, as on a device that is lost.  Checked each time: a status and CUDA's words for it;
 * memory, streams, events and graphs given back; no error left for the next call to find, and the caller's current
 * device as before; no file half written; and the same operation then succeeds.  Where there is no GPU a stand-in
 * takes CUDA's place (cuda_stand_in.h). */
#include "faults/faults.h"
#include "faults/faults_cuda.h"
#include "faults/operations_cuda.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

enum { MOST_CALLS = 1 << 16, AROUND = 4, SEEN = 1 << 14 };

static const char old_content[] = "what was there before\n";
static char folder[64];
static bool real;
static void *stream;
static long calls, failures, survived;

/* ---- which calls are let fail ---- */

/* A timing makes a thousand events, and launches over and over: of the calls of an operation that have the same calls
 * around them (four before and four after) the first is enough. */
static uint64_t surroundings(const char *const *names, long count, long n)
{
    uint64_t hash = 1;
    for (long i = n - AROUND; i <= n + AROUND; i++)
        hash = (hash ^ (i < 0 || i >= count ? 0 : (uint64_t)(uintptr_t)names[i])) * 0x9e3779b97f4a7c15u;
    return hash | 1;
}

static bool tried(uint64_t hash, uint64_t *seen)
{
    size_t at = hash % SEEN;
    while (seen[at] && seen[at] != hash) at = (at + 1) % SEEN;
    bool was = seen[at] == hash;
    seen[at] = hash;
    return was;
}

/* ---- what must be so ---- */

static bool starts(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* When more than one failed, which of them was told is open; and a command's exit code does not tell NO_MEMORY from
 * FAILED. */
static bool fits(const char *call, vic_status st, bool several, bool command)
{
    if (several || command) return st == VIC_NO_KERNEL || st == VIC_NO_MEMORY || st == VIC_FAILED;
    if (strcmp(call, "cudaMalloc") == 0 || starts(call, "cublas")) return st == VIC_NO_MEMORY;
    if (strcmp(call, "cudaGetDeviceCount") == 0 || strcmp(call, "cudaDeviceGetAttribute") == 0)
        return st == VIC_NO_KERNEL || st == VIC_FAILED; /* a choice of kernel, or one that was chosen */
    return st == VIC_FAILED;
}

static bool tells_reason(const char *call, bool several, const char *text)
{
    static const char *const calls_of_all_kinds[] = { "cudaMalloc", "cudaFree", "cublasCreate_v2",
                                                      "cuTensorMapEncodeTiled" };
    bool told = strstr(text, cuda_calls_reason(call));
    for (int i = 0; i < 4 && several; i++) told = told || strstr(text, cuda_calls_reason(calls_of_all_kinds[i]));
    return told;
}

static void check_counts(const struct cuda_operation *o, const char *failed, long n, const struct cuda_counts *before)
{
    struct cuda_counts now = cuda_calls_counts();
    CHECK(now.memory == before->memory, "%s, %s (%ld) failing: %ld pieces of GPU memory are lost", o->name, failed, n,
          now.memory - before->memory);
    CHECK(now.pools == before->pools, "%s, %s (%ld) failing: %ld pools of GPU memory are lost", o->name, failed, n,
          now.pools - before->pools);
    CHECK(now.streams == before->streams && now.events == before->events,
          "%s, %s (%ld) failing: %ld streams and %ld events are lost", o->name, failed, n,
          now.streams - before->streams, now.events - before->events);
    CHECK(now.graphs == before->graphs && now.replays == before->replays,
          "%s, %s (%ld) failing: %ld graphs and %ld made of graphs are lost", o->name, failed, n,
          now.graphs - before->graphs, now.replays - before->replays);
}

static void put_old(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(old_content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool has_old(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    return got == sizeof old_content - 1 && memcmp(text, old_content, got) == 0;
}

static int entries(void)
{
    DIR *here = opendir(".");
    int count = 0;
    assert_non_null(here);
    while (readdir(here)) count++;
    closedir(here);
    return count;
}

/* ---- the sweep ---- */

/* Returns how many kernels were launched. */
static long succeed(const struct cuda_operation *o, const char *when)
{
    vic_error err = { VIC_OK, "" };
    const struct cuda_counts before = cuda_calls_counts();
    if (o->output) put_old(o->output);
    vic_status st = o->run(o->argument, &err);
    CHECK(st == VIC_OK, "%s, %s: %s", o->name, when, err.text);
    check_counts(o, when, 0, &before);
    if (o->output) assert_false(has_old(o->output));
    return cuda_calls_counts().launches - before.launches;
}

/* On a GPU the benchmark goes on for a time, not for a number of launches; a load always does. */
static bool launches_vary(const struct cuda_operation *o)
{
    if (!o->argument) return false;
    return starts(o->argument, "bench throughput") || (real && starts(o->argument, "bench "));
}

/* Returns whether a failure was met. */
static bool attempt(const struct cuda_operation *o, long n, bool all_after, long launches)
{
    const char *failed;
    vic_error err = { VIC_OK, "" };
    const struct cuda_counts before = cuda_calls_counts();
    const int device = cuda_calls_current();
    if (o->output) put_old(o->output);
    int files = entries();
    faults_begin(n, all_after);
    vic_status st = o->run(o->argument, &err);
    if (!faults_end(&failed)) return false;
    check_counts(o, failed, n, &before);
    CHECK(cuda_calls_pending() == 0, "%s, %s (%ld) failing: error %d is left to the next call", o->name, failed, n,
          cuda_calls_pending());
    CHECK(cuda_calls_current() == device || all_after || strcmp(failed, "cudaSetDevice") == 0,
          "%s, %s (%ld) failing: the current device is another than before", o->name, failed, n);
    cuda_calls_choose(device);
    CHECK(entries() == files, "%s, %s (%ld) failing: a file is left behind or gone", o->name, failed, n);
    failures++;
    if (st == VIC_OK) {
        survived++;
        CHECK(o->or_cpu || launches < 0 || launches_vary(o) ||
                  cuda_calls_counts().launches - before.launches == launches,
              "%s, %s (%ld) failing: success, but not all kernels were launched", o->name, failed, n);
        return true;
    }
    CHECK(fits(failed, st, all_after, starts(err.text, "vicinal ")) && err.status == st,
          "%s, %s (%ld) failing: %s: %s", o->name, failed, n, vic_status_name(st), err.text);
    CHECK(tells_reason(failed, all_after, err.text), "%s, %s (%ld) failing: no \"%s\" in: %s", o->name, failed, n,
          cuda_calls_reason(failed), err.text);
    if (o->output) CHECK(has_old(o->output), "%s, %s (%ld) failing: the old file is damaged", o->name, failed, n);
    return true;
}

/* What is looked up once and kept: nothing of it when it fails.  Must come first. */
static void first_of_the_process(void **state)
{
    (void)state;
    for (long n = 1; attempt(&cuda_operations[0], n, false, -1); n++)
        ;
    succeed(&cuda_operations[0], "after each call of the first plan had failed");
}

static void sweep(void **state)
{
    static const char *names[MOST_CALLS];
    static uint64_t seen[2][SEEN];
    const struct cuda_operation *o = *state;
    const char *nothing;
    char after[64];
    memset(seen, 0, sizeof seen);
    vic_error err = { VIC_OK, "" };
    faults_begin(1L << 60, false);
    faults_record(names, MOST_CALLS);
    vic_status st = o->run(o->argument, &err);
    long count = faults_count();
    faults_record(NULL, 0);
    faults_end(&nothing);
    if (real && st == VIC_NO_KERNEL && strstr(err.text, "cuBLAS")) skip(); /* this machine has none */
    CHECK(st == VIC_OK, "%s, nothing failing: %s", o->name, err.text);
    long launches = succeed(o, "a second time");
    cuda_calls_leave(true);
    CHECK(succeed(o, "after an error of the caller's") == launches || launches_vary(o), "%s: other launches",
          o->name);
    cuda_calls_leave(false);
    assert_in_range(count, 1, MOST_CALLS);
    calls += count;
    for (int all_after = 0; all_after < 2; all_after++)
        for (long n = 1; n <= count; n++) {
            if (tried(surroundings(names, count, n - 1), seen[all_after])) continue;
            if (!attempt(o, n, all_after, launches)) {
                assert_true(launches_vary(o));
                break;
            }
            snprintf(after, sizeof after, "after call %ld had failed", n);
            CHECK(succeed(o, after) == launches || launches_vary(o), "%s, %s: other launches", o->name, after);
        }
    if (o->output) remove(o->output);
#if defined(__SANITIZE_ADDRESS__) /* once for all, as it stops the process each time */
    CHECK(!__lsan_do_recoverable_leak_check(), "%s: memory is lost after one of the failures", o->name);
#endif
}

static int temporary(void)
{
    FILE *file = tmpfile();
    int descriptor = file ? dup(fileno(file)) : -1;
    if (file) fclose(file);
    return descriptor;
}

static int setup(void **state)
{
    (void)state;
    real = cuda_calls_open();
    print_message("CUDA calls go to %s\n", real ? "the runtime" : "the stand-in: no Hopper GPU here");
    snprintf(folder, sizeof folder, "/tmp/vicinal-faults-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    command_output = temporary();
    command_errors = temporary();
    if (command_output < 0 || command_errors < 0) return -1;
    /* Not the current device, where there are several. */
    stream = NULL;
    cuda_calls_choose(cuda_calls_devices() - 1);
    stream = cuda_calls_stream();
    cuda_operations_setup(cuda_calls_devices() - 1, stream);
    cuda_calls_choose(0);
    return 0;
}

static int teardown(void **state)
{
    DIR *here = opendir(".");
    (void)state;
    cuda_operations_teardown();
    cuda_calls_stream_free(stream);
    close(command_output);
    close(command_errors);
    print_message("%ld CUDA calls of %d operations: %ld failures met: %ld reported, %ld lived through\n", calls,
                  cuda_operation_count, failures, failures - survived, survived);
    for (struct dirent *e; here && (e = readdir(here));)
        if (e->d_name[0] != '.') remove(e->d_name);
    if (here) closedir(here);
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    struct CMUnitTest tests[64];
    size_t count = 0;
    tests[count++] = (struct CMUnitTest){ "first of the process", first_of_the_process, NULL, NULL, NULL };
    for (int i = 0; i < cuda_operation_count; i++) {
        union {
            const struct cuda_operation *in;
            void *out;
        } shared = { &cuda_operations[i] };
        tests[count++] = (struct CMUnitTest){ cuda_operations[i].name, sweep, NULL, NULL, shared.out };
    }
    return _cmocka_run_group_tests("faults_cuda", tests, count, setup, teardown);
}
