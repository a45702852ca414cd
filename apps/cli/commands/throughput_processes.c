/* SPDX-License-Identifier: Apache-2.0 */
/* One process a query: what it costs to start this program, build the pattern, plan and run, each time anew. */
#define _GNU_SOURCE
#include "commands/throughput.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const struct option *row_of(const struct option_group *own, const char *word)
{
    const size_t length = strcspn(word, "=");
    for (int i = 0; i < own->count; i++)
        if (strlen(own->options[i].name) == length && strncmp(own->options[i].name, word, length) == 0)
            return &own->options[i];
    return NULL;
}

/* vicinal run ... --json; of argc + 4 words. */
static void make_words(const struct option_group *own, int argc, char **argv, char **words)
{
    static char name[] = "vicinal", command[] = "run", json[] = "--json";
    int count = 0;
    words[count++] = name;
    words[count++] = command;
    for (int i = 0; i < argc; i++) {
        const struct option *o = argv[i][0] == '-' ? row_of(own, argv[i]) : NULL;
        if (o && o->kind != OPTION_FLAG && !strchr(argv[i], '=')) i++;
        if (!o && strcmp(argv[i], "--json") != 0) words[count++] = argv[i];
    }
    words[count++] = json;
    words[count] = NULL;
}

static bool read_all(int from, struct buffer *to)
{
    char piece[4096];
    ssize_t count;
    while ((count = read(from, piece, sizeof piece)) != 0) {
        if (count < 0 && errno != EINTR) return false;
        if (count > 0) buffer_add(to, piece, (size_t)count);
    }
    return !to->failed;
}

static vic_status run_one(char *const *words, struct buffer *said, double *seconds, vic_error *err)
{
    posix_spawn_file_actions_t actions;
    int ends[2], code, status = 0;
    pid_t child = -1;
    bool read;
    *seconds = seconds_now();
    if (pipe2(ends, O_CLOEXEC) != 0) return fail(err, VIC_FAILED, "no pipe: %s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    code = posix_spawn(&child, "/proc/self/exe", &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    read = code == 0 && read_all(ends[0], said);
    close(ends[0]);
    if (code != 0) return fail(err, VIC_FAILED, "a process of its own cannot be started: %s", strerror(code));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    *seconds = seconds_now() - *seconds;
    if (!read || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(err, VIC_FAILED, "`vicinal run` as a process of its own failed; --processes 0 leaves it out");
    return VIC_OK;
}

/* Its "seconds". */
static bool read_seconds(const struct buffer *said, struct process_times *out)
{
    static const char *const names[] = { "read", "order", "build", "plan", "attention" };
    double *values[] = { &out->read, &out->order, &out->build, &out->plan, &out->attention };
    struct json_cursor c = { said->data, said->data + said->size };
    char key[64];
    int found = 0;
    for (bool begun = false; json_take_key(&c, &begun, key, sizeof key);) {
        if (strcmp(key, "seconds") != 0) {
            if (!json_skip(&c)) return false;
            continue;
        }
        for (bool inner = false; json_take_key(&c, &inner, key, sizeof key);) {
            const char *value = c.at;
            if (!json_skip(&c)) return false;
            for (int i = 0; i < 5; i++) {
                if (strcmp(key, names[i]) != 0) continue;
                *values[i] = strtod(value, NULL);
                found++;
            }
        }
        if (!json_take(&c, '}')) return false;
    }
    return found == 5;
}

vic_status throughput_processes(const struct throughput_options *o, const struct option_group *own, int argc,
                                char **argv, struct process_times *out, vic_error *err)
{
    struct buffer *said = NULL;
    double *sorted = NULL;
    char **words = NULL;
    int median = 0;
    vic_status st;
    if (o->processes == 0) return VIC_OK;
    TRY_GOTO(allocate(argc + 4, sizeof *words, "the command line", &words, err), done);
    TRY_GOTO(allocate(o->processes, sizeof *said, "times", &said, err), done);
    TRY_GOTO(allocate(o->processes, sizeof *sorted, "times", &sorted, err), done);
    TRY_GOTO(allocate(o->processes, sizeof *out->seconds, "times", &out->seconds, err), done);
    make_words(own, argc, argv, words);
    for (; out->count < o->processes; out->count++)
        TRY_GOTO(run_one(words, &said[out->count], &out->seconds[out->count], err), done);
    memcpy(sorted, out->seconds, (size_t)out->count * sizeof *sorted);
    sort_doubles(sorted, out->count);
    out->min = sorted[0];
    out->max = sorted[out->count - 1];
    out->p50 = sorted[out->count / 2];
    while (out->seconds[median] != out->p50) median++;
    if (!read_seconds(&said[median], out))
        st = fail(err, VIC_FAILED, "what `vicinal run --json` said is not understood: %.200s", said[median].data);
done:
    for (int i = 0; said && i < o->processes; i++) buffer_free(&said[i]);
    free(said);
    free(sorted);
    free(words);
    return st;
}
