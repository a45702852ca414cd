/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation with its first, second, third, ... allocation, file operation or thread failing, until it comes
 * through without meeting one; once with that failure alone and once with all that follow failing too, as at a full
 * disk.  Checked each time: a status that fits, with its words; no descriptor left open; no file left behind or half
 * written; under AddressSanitizer, no byte lost. */
#include "faults/faults.h"
#include "faults/operations.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

/* A picture is thousands of calls from a few places.  The first ones fail each in turn, then every so many: an odd
 * number, so that it meets calls of all places; all with VIC_TEST_FULL. */
enum { DRAWING_FIRST = SANITIZED ? 60 : 200, DRAWING_STEP = SANITIZED ? 101 : 11 };

static const char old_content[] = "what was there before\n";
static char folder[64];
static int standard_output, nowhere;
static long failures, survived;

static const struct operation *operation(int i)
{
    if (i < structure_operation_count) return &structure_operations[i];
    i -= structure_operation_count;
    return i < library_operation_count ? &library_operations[i] : &cli_operations[i - library_operation_count];
}

static int operation_count(void)
{
    return structure_operation_count + library_operation_count + cli_operation_count;
}

static int entries(const char *path)
{
    DIR *open_folder = opendir(path);
    int count = 0;
    assert_non_null(open_folder);
    while (readdir(open_folder)) count++;
    closedir(open_folder);
    return count;
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
    size_t got;
    assert_non_null(file);
    got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    return got == sizeof old_content - 1 && memcmp(text, old_content, got) == 0;
}

static bool fits(vic_status st)
{
    return st == VIC_NO_MEMORY || st == VIC_CANNOT_READ || st == VIC_CANNOT_WRITE || st == VIC_FAILED;
}

/* Returns whether a failure was met. */
static bool attempt(const struct operation *o, long n, bool all_after, size_t complete)
{
    const char *failed;
    vic_error err = { VIC_OK, "" };
    struct stat about;
    int files, descriptors;
    if (o->output) put_old(o->output);
    files = entries(".");
    descriptors = entries("/proc/self/fd");
    fflush(stdout);
    dup2(nowhere, STDOUT_FILENO); /* what the command says is not the subject */
    faults_begin(n, all_after);
    vic_status st = o->run(o->argument, &err);
    bool met = faults_end(&failed);
    fflush(stdout);
    dup2(standard_output, STDOUT_FILENO);
    CHECK(entries("/proc/self/fd") == descriptors, "%s, %s (%ld) failing: a descriptor is left open", o->name, failed,
          n);
    CHECK(entries(".") == files, "%s, %s (%ld) failing: a file is left behind or gone", o->name, failed, n);
    if (!met) CHECK(st == VIC_OK, "%s, nothing failing: %s", o->name, err.text);
    if (st != VIC_OK) {
        CHECK(fits(st) && err.status == st && err.text[0], "%s, %s (%ld) failing: %s: %s", o->name, failed, n,
              vic_status_name(st), err.text);
        if (o->output) CHECK(has_old(o->output), "%s, %s (%ld) failing: the old file is damaged", o->name, failed, n);
    } else if (o->output) {
        CHECK(stat(o->output, &about) == 0 && (!complete || (size_t)about.st_size == complete),
              "%s, %s (%ld) failing: success, but the file is not complete", o->name, failed, n);
    }
    if (met) failures++;
    if (met && st == VIC_OK) survived++;
    return met;
}

static bool full(void)
{
    const char *value = getenv("VIC_TEST_FULL");
    return value && *value;
}

static void sweep(void **state)
{
    const struct operation *o = *state;
    struct stat about = { .st_size = 0 };
    size_t complete = 0;
    if (SANITIZED == 2 && o->kind == DRAWS) skip(); /* one thread */
    attempt(o, 1L << 60, false, 0);
    if (o->output && stat(o->output, &about) == 0) complete = (size_t)about.st_size;
    if (o->output) assert_false(has_old(o->output));
    for (int all_after = 0; all_after < 2; all_after++) {
        long n = 1;
        while (attempt(o, n, all_after, complete))
            n += o->kind == DRAWS && n > DRAWING_FIRST && !full() ? DRAWING_STEP : 1;
        assert_true(n > 1);
    }
    if (o->output) remove(o->output);
#if defined(__SANITIZE_ADDRESS__) /* once for all, as it stops the process each time */
    CHECK(!__lsan_do_recoverable_leak_check(), "%s: memory is lost after one of the failures", o->name);
#endif
}

enum { OPERATIONS = 4096 };

/* How many operations on files a command does; their names go to `names`. */
static long file_operations(const struct operation *o, const char *names[OPERATIONS])
{
    const char *failed;
    long total;
    vic_error err;
    fflush(stdout);
    dup2(nowhere, STDOUT_FILENO);
    faults_record(names, OPERATIONS);
    faults_begin(1L << 60, false);
    vic_status st = o->run(o->argument, &err);
    total = faults_count();
    faults_end(&failed);
    faults_record(NULL, 0);
    fflush(stdout);
    dup2(standard_output, STDOUT_FILENO);
    CHECK(st == VIC_OK && total <= OPERATIONS, "%s: %ld operations: %s", o->name, total, err.text);
    return total;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGXCPU };
enum { SIGNALS = sizeof signals / sizeof *signals };

/* A command that a signal ends at its n-th operation on files: as the parent sees it. */
static int ended_at(const struct operation *o, long n, int number)
{
    int seen = 0;
    pid_t child = fork();
    if (child == 0) {
        vic_error err;
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* SIGQUIT leaves one */
        dup2(nowhere, STDOUT_FILENO);
        faults_signal(n, number);
        _exit(o->run(o->argument, &err) == VIC_OK ? 0 : 1);
    }
    assert_true(child > 0 && waitpid(child, &seen, 0) == child);
    return seen;
}

/* At each file operation of a command that writes, a signal: it ends the command as if nobody had minded, and what
 * stands there is the old file or the whole new one, and nothing beside it. */
static void signals_while_writing(void **state)
{
    static const char *names[OPERATIONS];
    int ended = 0, renamed = 0;
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* no threads after fork() */
#endif
    faults_files_only(true);
    for (int i = 0; i < cli_operation_count; i++) {
        const struct operation *o = &cli_operations[i];
        struct stat about;
        long count;
        off_t complete;
        if (!o->output) continue;
        count = file_operations(o, names);
        assert_int_equal(stat(o->output, &about), 0);
        complete = about.st_size;
        for (long k = 0; k < count; k++, ended++) {
            const char *name = names[k];
            int number = signals[ended % SIGNALS], before, seen;
            put_old(o->output);
            before = entries(".");
            seen = ended_at(o, k + 1, number);
            CHECK(WIFSIGNALED(seen) && WTERMSIG(seen) == number, "%s, signal %d at %s: status %x", o->name, number,
                  name, (unsigned)seen);
            CHECK(entries(".") == before, "%s, signal %d at %s: a file is left behind", o->name, number, name);
            CHECK(stat(o->output, &about) == 0 && (has_old(o->output) || about.st_size == complete),
                  "%s, signal %d at %s: the file is neither old nor new", o->name, number, name);
            renamed += strcmp(name, "rename") == 0;
        }
        remove(o->output);
    }
    faults_files_only(false);
    print_message("%d signals, %d of them at the last step\n", ended, renamed);
    assert_true(renamed >= 6);
}

/* Ten thousand times with VIC_TEST_FULL, else fewer: no descriptor and no byte more than after the first. */
static void many_reads(void **state)
{
    int times = full() ? 10000 : SANITIZED == 2 ? 30 : 300, done = 0;
    (void)state;
    for (int i = 0; i < operation_count(); i++) {
        const struct operation *o = operation(i);
        vic_error err;
        if (o->kind != READS) continue;
        done++;
        fflush(stdout);
        dup2(nowhere, STDOUT_FILENO);
        for (int k = 0; k < 10; k++) CHECK_OK(o->run(o->argument, &err)); /* streams and threads get their buffers */
        int descriptors = entries("/proc/self/fd");
        size_t bytes = mallinfo2().uordblks;
        for (int k = 0; k < times; k++) CHECK_OK(o->run(o->argument, &err));
        size_t bytes_after = mallinfo2().uordblks;
        fflush(stdout);
        dup2(standard_output, STDOUT_FILENO);
        CHECK(entries("/proc/self/fd") == descriptors, "%s: descriptors are left open", o->name);
        CHECK(bytes_after == bytes, "%s: %zu bytes before, %zu after %d times", o->name, bytes, bytes_after, times);
    }
    assert_true(done >= 37);
#if defined(__SANITIZE_ADDRESS__)
    CHECK(!__lsan_do_recoverable_leak_check(), "memory is lost");
#endif
    print_message("%d reads of each of %d kinds\n", times, done);
}

static vic_status run_reading(const struct operation *o, enum faults_reads how, int whole, vic_error *err)
{
    fflush(stdout);
    dup2(nowhere, STDOUT_FILENO);
    faults_set_reads(how, whole);
    vic_status st = o->run(o->argument, err);
    faults_set_reads(READS_WHOLE, 0);
    fflush(stdout);
    dup2(standard_output, STDOUT_FILENO);
    return st;
}

/* Reads that bring a part, or are interrupted, are gone on with; a file that ends before its time is an error, at
 * whichever read it does. */
static void reads_in_pieces(void **state)
{
    int shorter = 0;
    (void)state;
    for (int i = 0; i < operation_count(); i++) {
        const struct operation *o = operation(i);
        vic_error err;
        if (o->kind != READS) continue;
        if (run_reading(o, READS_PIECES, 0, &err) != VIC_OK) fail_msg("%s, in pieces: %s", o->name, err.text);
        for (int whole = 0;; whole++) {
            vic_status st = run_reading(o, READS_NOTHING, whole, &err);
            if (st == VIC_OK) break;
            CHECK(st == VIC_CANNOT_READ && whole < 100, "%s, ended at read %d: %s", o->name, whole, err.text);
            if (strstr(err.text, "became shorter")) shorter++;
        }
    }
    print_message("%d reads at which a file had become shorter\n", shorter);
    assert_true(shorter >= 40);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vicinal-faults-XXXXXX");
    standard_output = dup(STDOUT_FILENO);
    nowhere = open("/dev/null", O_WRONLY);
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    dup2(nowhere, STDOUT_FILENO);
    operations_setup();
    fflush(stdout);
    dup2(standard_output, STDOUT_FILENO);
    return 0;
}

static int teardown(void **state)
{
    DIR *here = opendir(".");
    (void)state;
    operations_teardown();
    print_message("%ld failures met: %ld reported, %ld lived through\n", failures, failures - survived, survived);
    for (struct dirent *e; here && (e = readdir(here));)
        if (e->d_name[0] != '.') remove(e->d_name);
    if (here) closedir(here);
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    struct CMUnitTest tests[128];
    size_t count = 0;
    /* nohup and a shell's background jobs have some ignored, and what is ignored stays so for the command */
    for (int i = 0; i < SIGNALS; i++) signal(signals[i], SIG_DFL);
    for (int i = 0; i < operation_count(); i++) {
        const struct operation *o = operation(i);
        union {
            const struct operation *in;
            void *out;
        } shared = { o };
        tests[count++] = (struct CMUnitTest){ o->name, sweep, NULL, NULL, shared.out };
    }
    tests[count++] = (struct CMUnitTest){ "reads in pieces", reads_in_pieces, NULL, NULL, NULL };
    tests[count++] = (struct CMUnitTest){ "signals while writing", signals_while_writing, NULL, NULL, NULL };
    tests[count++] = (struct CMUnitTest){ "many reads", many_reads, NULL, NULL, NULL };
    return _cmocka_run_group_tests("faults", tests, count, setup, teardown);
}
