/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "unfinished.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Those that end a process when nobody asks for them, sent by people, terminals, shells and batch systems. */
static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGUSR1, SIGUSR2 };
enum { SIGNALS = sizeof signals / sizeof *signals, MOST = 8 };

/* Changed by one thread alone, which is also the one that the handler works on, and while the signals are blocked
 * there: so neither sees the other half-way. */
static const char *volatile names[MOST];
static pthread_t owner;
static bool watching;

static void all_signals(sigset_t *set)
{
    sigemptyset(set);
    for (int i = 0; i < SIGNALS; i++) sigaddset(set, signals[i]);
}

/* Only what POSIX allows in a handler. */
static void end(int number)
{
    struct sigaction usual = { .sa_handler = SIG_DFL };
    int kept = errno;
    if (!pthread_equal(pthread_self(), owner)) {
        pthread_kill(owner, number);
        errno = kept;
        return;
    }
    for (int i = 0; i < MOST; i++)
        if (names[i]) unlink(names[i]);
    sigaction(number, &usual, NULL);
    raise(number); /* blocked until the handler returns; then the parent sees what ended the command */
    errno = kept;
}

/* What is ignored stays so, as nohup wants it. */
static void watch(void)
{
    struct sigaction ours = { .sa_handler = end, .sa_flags = SA_RESTART }, now;
    all_signals(&ours.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(signals[i], &ours, NULL);
    watching = true;
}

int unfinished_begin(char *name)
{
    sigset_t set, before;
    int file = -1, slot = 0, reason;
    while (slot < MOST && names[slot]) slot++;
    if (slot == MOST) {
        errno = EMFILE;
        return -1;
    }
    all_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    owner = pthread_self();
    if (!watching) watch();
    file = mkstemp(name);
    reason = errno;
    if (file >= 0) names[slot] = name;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return file;
}

void unfinished_end(const char *name)
{
    for (int i = 0; i < MOST; i++)
        if (name && names[i] == name) names[i] = NULL;
}
