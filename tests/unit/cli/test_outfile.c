/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are complete or not there, whatever ends the process that writes them. */
#define _XOPEN_SOURCE 700
#include "cli/outfile.h"

#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

/* How many files there are whose names begin so. */
static int beginning_with(const char *text)
{
    DIR *open_folder = opendir(folder);
    int count = 0;
    assert_non_null(open_folder);
    for (struct dirent *e; (e = readdir(open_folder));)
        count += e->d_name[0] != '.' && strncmp(e->d_name, text, strlen(text)) == 0;
    closedir(open_folder);
    return count;
}

static void *raise_here(void *number)
{
    raise(*(int *)number);
    return NULL;
}

enum where { FROM_OUTSIDE, FROM_INSIDE, FROM_ANOTHER_THREAD };

/* In a child: half of a file is written, and another is open, when the signal comes.  Nobody looks at a clock: the
 * child says that it is there, and then waits for ever. */
static int end_child(int number, enum where where, const char *path, const char *path2)
{
    int ready[2], seen = 0;
    char byte;
    pid_t child;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct outfile a, b;
        vic_error err;
        pthread_t thread;
        if (outfile_open(&a, path, &err) != VIC_OK || outfile_open(&b, path2, &err) != VIC_OK) _exit(1);
        outfile_write(&a, "half", 4);
        fflush(a.stream);
        if (beginning_with("") != 2 || write(ready[1], "r", 1) != 1) _exit(2);
        if (where == FROM_INSIDE) raise(number);
        if (where == FROM_ANOTHER_THREAD) pthread_create(&thread, NULL, raise_here, &number);
        for (;;) pause();
    }
    assert_true(child > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    if (where == FROM_OUTSIDE) assert_int_equal(kill(child, number), 0);
    assert_true(waitpid(child, &seen, 0) == child);
    close(ready[0]);
    return seen;
}

static void test_signals(void **state)
{
    static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGUSR1, SIGUSR2 };
    (void)state;
    for (int i = 0; i < (int)(sizeof numbers / sizeof *numbers); i++) {
        for (int where = FROM_OUTSIDE; where <= FROM_ANOTHER_THREAD; where++) {
            int seen = end_child(numbers[i], (enum where)where, "a.npz", "b.npz");
            CHECK(WIFSIGNALED(seen) && WTERMSIG(seen) == numbers[i], "signal %d: status %x", numbers[i],
                  (unsigned)seen);
            CHECK(beginning_with("") == 0, "signal %d, %d: a file is left", numbers[i], where);
        }
    }
}

/* What nohup ignores stays ignored: the file is finished. */
static void test_ignored(void **state)
{
    int seen = 0;
    pid_t child = fork();
    (void)state;
    if (child == 0) {
        struct outfile a;
        vic_error err;
        signal(SIGHUP, SIG_IGN);
        if (outfile_open(&a, "a.npz", &err) != VIC_OK) _exit(1);
        raise(SIGHUP);
        outfile_write(&a, "whole", 5);
        _exit(outfile_commit(&a, &err) == VIC_OK ? 0 : 1);
    }
    assert_true(child > 0 && waitpid(child, &seen, 0) == child);
    assert_true(WIFEXITED(seen) && WEXITSTATUS(seen) == 0);
    assert_int_equal(beginning_with("a.npz"), 1);
    unlink("a.npz");
}

/* A finished file, and one that was given up, are nobody's business any more. */
static void test_after_the_end(void **state)
{
    int seen = 0;
    pid_t child = fork();
    (void)state;
    if (child == 0) {
        struct outfile a, b;
        vic_error err;
        if (outfile_open(&a, "a.npz", &err) != VIC_OK || outfile_open(&b, "b.npz", &err) != VIC_OK) _exit(1);
        if (outfile_commit(&a, &err) != VIC_OK) _exit(1);
        outfile_abandon(&b);
        for (int i = 0; i < 100; i++) /* no place is used up */
            if (outfile_probe("c.npz", &err) != VIC_OK) _exit(1);
        raise(SIGTERM);
    }
    assert_true(child > 0 && waitpid(child, &seen, 0) == child);
    assert_true(WIFSIGNALED(seen) && WTERMSIG(seen) == SIGTERM);
    assert_int_equal(beginning_with(""), 1);
    assert_int_equal(unlink("a.npz"), 0);
}

/* A name of 255 bytes is one; 256 are refused before anything is written.  Letters of two bytes are not cut. */
static void test_long_names(void **state)
{
    char name[300] = "x";
    vic_error err;
    struct outfile o;
    (void)state;
    for (int i = 0; i < 127; i++) strcat(name, "\xc3\xa9");
    assert_int_equal(strlen(name), 255);
    CHECK_OK(outfile_open(&o, name, &err));
    for (const char *c = o.temporary; *c; c++)
        if (*c == '\xc3') assert_true(c[1] == '\xa9');
    outfile_write(&o, "whole", 5);
    CHECK_OK(outfile_commit(&o, &err));
    assert_int_equal(beginning_with(""), 1);
    assert_int_equal(unlink(name), 0);
    strcat(name, "y");
    CHECK_FAILS(outfile_open(&o, name, &err), VIC_CANNOT_WRITE, "name too long");
    assert_int_equal(beginning_with(""), 0);
}

static int setup(void **state)
{
    (void)state;
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* SIGQUIT leaves one */
    snprintf(folder, sizeof folder, "/tmp/vicinal-outfile-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_signals), cmocka_unit_test(test_ignored),
                                        cmocka_unit_test(test_after_the_end), cmocka_unit_test(test_long_names) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
