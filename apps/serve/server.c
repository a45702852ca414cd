/* SPDX-License-Identifier: Apache-2.0 */
/* From start to end: what is opened in which order, what ends it, and how it drains. */
#define _GNU_SOURCE
#include "log.h"
#include "loop.h"
#include "serve.h"
#include "sockets.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_TOKEN = 4096, TICK_MS = 100 };

struct sockets {
    int tcp, admin, local; /* -1: none */
    int port, admin_port;
};

/* ---- the token ---- */

static vic_status read_token(const char *path, char **out, vic_error *err)
{
    char text[MOST_TOKEN];
    FILE *file = fopen(path, "re");
    size_t size;
    if (!file) return fail(err, VIC_CANNOT_READ, "--token-file: %s: %s", path, strerror(errno));
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    if (strlen(text) != size || size == sizeof text - 1) text[0] = '\0'; /* a NUL in it, or too long: refused below */
    size = strcspn(text, "\r\n");
    if (size < 16 || text[size + strspn(text + size, "\r\n")] != '\0' || strpbrk(text, " \t"))
        return fail(err, VIC_BAD_INPUT,
                    "--token-file: %s: expected one line of 16 to 4000 characters without blanks; `openssl rand -hex "
                    "32` makes one",
                    path);
    text[size] = '\0';
    *out = strdup(text);
    return *out ? VIC_OK : fail(err, VIC_NO_MEMORY, "no memory for the token");
}

/* ---- models ---- */

struct loading {
    struct models *models;
    vic_status status;
    vic_error *err;
    int count;
};

/* Of many models, the one that a message is about. */
static void name_model(const char *name, vic_error *err)
{
    const vic_error said = *err;
    snprintf(err->text, sizeof err->text, "model %s: %.*s", name, (int)(sizeof err->text - MOST_NAME - 16),
             said.text);
}

static void load_one(void *to, const char *name)
{
    struct loading *l = to;
    const struct serve_want want = { .name = name };
    if (l->status != VIC_OK) return;
    l->status = models_load(l->models, &want, l->err);
    if (l->status != VIC_OK) name_model(name, l->err);
    l->count++;
}

static vic_status load_all(struct server *server, vic_error *err)
{
    const struct serve_source *source = &server->options->source;
    struct loading l = { &server->models, VIC_OK, err, 0 };
    source->list(source->user, load_one, &l);
    return l.status;
}

/* ---- sockets ---- */

static vic_status open_sockets(const struct serve_options *options, struct sockets *s, vic_error *err)
{
    s->port = options->port;
    s->admin_port = options->admin_port;
    if (options->port >= 0) TRY(listen_tcp(options->host, &s->port, &s->tcp, err));
    if (options->admin_port >= 0) TRY(listen_tcp("127.0.0.1", &s->admin_port, &s->admin, err));
    if (options->unix_path) TRY(listen_unix(options->unix_path, &s->local, err));
    return VIC_OK;
}

static void close_sockets(struct sockets *s)
{
    if (s->tcp >= 0) close(s->tcp);
    if (s->admin >= 0) close(s->admin);
    if (s->local >= 0) close(s->local);
    s->tcp = s->admin = s->local = -1;
}

/* The first loop's from now on. */
static void add_gate(struct server *server, int *socket, bool admin, bool local)
{
    if (*socket >= 0) server->gates[server->gate_count++] = (struct gate){ *socket, admin, local };
    *socket = -1;
}

static vic_status open_loops(struct server *server, struct sockets *s, vic_error *err)
{
    const struct serve_options *options = server->options;
    for (int i = 0; i < options->loops; i++) TRY(loop_open(server, &server->loops[server->loop_count++], err));
    add_gate(server, &s->tcp, false, options->host && host_is_loopback(options->host));
    add_gate(server, &s->local, false, true);
    add_gate(server, &s->admin, true, true);
    return VIC_OK;
}

static vic_status start_loops(struct server *server, int *started, vic_error *err)
{
    for (; *started < server->loop_count; ++*started) TRY(loop_start(server->loops[*started], err));
    return VIC_OK;
}

/* ---- what is said when it is ready ---- */

struct said {
    char name[MOST_NAME + 1]; /* of the first */
    int count;
};

static const char *s_of(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void say_model(void *to, struct model *model)
{
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    const vic_plan_options *p = &model->plan;
    struct said *said = to;
    if (said->count++ == 0) memcpy(said->name, model->name, sizeof said->name);
    if (vic_endpoint_get(model->endpoint[0], &info, NULL) != VIC_OK) return;
    printf("model %s: %lld atom%s, %d head%s of %d, %s, kernel %s\n", model->name, (long long)info.n_q,
           s_of(info.n_q), p->heads, s_of(p->heads), p->head_dim, vic_dtype_name(p->dtype), info.kernel);
}

static void say_ready(struct server *server, const struct sockets *s)
{
    const struct serve_options *options = server->options;
    const char *host = options->host && strcmp(options->host, "::") != 0 && strcmp(options->host, "0.0.0.0") != 0
                           ? options->host
                           : "127.0.0.1";
    const bool six = strchr(host, ':') != NULL;
    struct said said = { .name = "stats" };
    models_each(&server->models, say_model, &said);
    if (options->admin_port >= 0) printf("admin: http://127.0.0.1:%d\n", s->admin_port);
    if (options->unix_path) printf("ready: unix:%s\n", options->unix_path);
    if (options->port >= 0) printf("ready: http://%s%s%s:%d\n", six ? "[" : "", host, six ? "]" : "", s->port);
    if (options->port >= 0)
        printf("try:   curl %shttp://%s%s%s:%d/v2/models/%s\n",
               server->token ? "-H \"Authorization: Bearer $TOKEN\" " : "", six ? "[" : "", host, six ? "]" : "",
               s->port, said.name);
    if (options->port >= 0)
        printf("       python3 -c \"import tritonclient.http as t; c = t.InferenceServerClient('%s:%d'); "
               "print(c.get_server_metadata())\"\n",
               host, s->port);
    fflush(stdout);
    notify_systemd("READY=1");
    log_message(LOG_INFO, "ready", "%d model%s after %.3f s", said.count, s_of(said.count),
                seconds_now() - server->started);
}

/* ---- the end ---- */

/* true: a signal that ends it came within `seconds`. */
static bool wait_signal(const sigset_t *signals, double seconds)
{
    const struct timespec time = { (time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds)) };
    return sigtimedwait(signals, NULL, &time) > 0;
}

/* Nothing that this process could still do would mend it: a supervisor starts another one. */
static void end_by_fault(struct server *server)
{
    const struct timespec grace = { 0, 300000000 };
    server->faulted = true;
    server->ready = false;
    log_message(LOG_ERROR, "fault", "a GPU has failed: exit with code %d", SERVE_EXIT_FAULT);
    nanosleep(&grace, NULL); /* for the answers that say so */
    _exit(SERVE_EXIT_FAULT);
}

static void end_at_once(const char *why)
{
    log_message(LOG_ERROR, "end", "%s: requests under way are lost", why);
    _exit(1);
}

static void wait_for_end(struct server *server, const sigset_t *signals)
{
    while (!wait_signal(signals, 1e-3 * TICK_MS))
        if (models_faulted(&server->models)) end_by_fault(server);
}

/* As long as `seconds`, or until `enough`; a second signal ends the process. */
static bool drain_wait(struct server *server, const sigset_t *signals, double seconds,
                       bool (*enough)(struct server *server))
{
    const double end = seconds_now() + seconds;
    while (!enough || !enough(server)) {
        const double left = end - seconds_now();
        if (left <= 0.0) return false;
        if (wait_signal(signals, left < 0.02 ? left : 0.02)) end_at_once("a second signal");
        if (models_faulted(&server->models)) end_by_fault(server);
    }
    return true;
}

static bool nobody_left(struct server *server)
{
    return server->closed && server->connections == 0 && server->under_way == 0;
}

/* Readiness first, so that balancers turn away; then the door; then what was accepted. */
static void drain(struct server *server, const sigset_t *signals)
{
    const struct serve_options *options = server->options;
    server->ready = false;
    notify_systemd("STOPPING=1");
    log_message(LOG_INFO, "drain", "not ready from now on; the door closes in %g s", options->drain_delay);
    drain_wait(server, signals, options->drain_delay, NULL);
    server->closing_since = seconds_now();
    server->closing = true;
    if (options->unix_path) unlink(options->unix_path);
    for (int i = 0; i < server->loop_count; i++) loop_wake(server->loops[i]);
    if (!drain_wait(server, signals, options->drain_timeout, nobody_left)) end_at_once("--drain-timeout is over");
}

/* ---- all of it ---- */

static vic_status check(const struct serve_options *o, vic_error *err)
{
    if (o->port < 0 && !o->unix_path)
        return fail(err, VIC_BAD_ARGUMENT, "--no-tcp: give --unix PATH, or nobody could connect");
    if (o->port >= 0 && !host_is_loopback(o->host) && !o->token_file)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--host %s: others than this machine could connect; give --token-file FILE with a secret that "
                    "clients send (Authorization: Bearer ...), or leave --host at 127.0.0.1",
                    o->host);
    return VIC_OK;
}

static vic_status run(struct server *server, struct sockets *s, const sigset_t *signals, vic_error *err)
{
    const struct serve_options *options = server->options;
    int started = 0;
    vic_status st;
    if (options->token_file) TRY(read_token(options->token_file, &server->token, err));
    server->regions = region_table_open();
    if (!server->regions) return fail(err, VIC_NO_MEMORY, "no memory for the table of regions");
    TRY(open_sockets(options, s, err)); /* before the models: a port that is taken is said at once */
    TRY(models_open(&server->models, options, err));
    TRY(jobs_start(err));
    TRY(load_all(server, err));
    TRY(open_loops(server, s, err));
    st = start_loops(server, &started, err);
    if (st == VIC_OK) {
        server->ready = true;
        say_ready(server, s);
        wait_for_end(server, signals);
        drain(server, signals);
    }
    server->stop = true;
    for (int i = 0; i < started; i++) loop_join(server->loops[i]);
    return st;
}

static void close_server(struct server *server, struct sockets *s)
{
    close_sockets(s);
    jobs_stop();
    for (int i = 0; i < server->gate_count; i++)
        if (server->gates[i].socket >= 0) close(server->gates[i].socket);
    for (int i = 0; i < server->loop_count; i++) loop_free(server->loops[i]);
    models_close(&server->models);
    region_table_close(server->regions);
    free(server->token);
    free(server);
}

/* What ends the server; a terminal that is closed does not where whoever started it said so (nohup). */
static void take_signals(sigset_t *signals)
{
    struct sigaction now;
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    if (sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaddset(signals, SIGHUP);
}

vic_status serve(const struct serve_options *options, vic_error *err)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sockets sockets = { .tcp = -1, .admin = -1, .local = -1 };
    struct server *server = NULL;
    sigset_t signals, before;
    vic_status st;
    TRY(check(options, err));
    TRY(mhd_open(err));
    TRY(allocate(1, sizeof *server, "the server's state", &server, err));
    server->options = options;
    server->started = seconds_now();
    server->room.most = (size_t)options->memory;
    raise_descriptors((uint64_t)options->connections + MOST_REGIONS + MOST_MODELS + 256);
    sigaction(SIGPIPE, &ignore, NULL); /* who reads the log may go */
    take_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, &before); /* threads that start from here on leave them to this one */
    st = run(server, &sockets, &signals, err);
    close_server(server, &sockets);
    if (st == VIC_OK) log_message(LOG_INFO, "end", "all requests were answered");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}
