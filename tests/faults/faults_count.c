/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/faults.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic bool active, fired;
static _Atomic long counted;
static long first;
static bool sticky;
static int deadly; /* the signal in place of the failure; 0 = none */
static bool files_only;
static const char *_Atomic failed;
static const char **record;
static long record_room;

void faults_begin(long n, bool all_after)
{
    first = n;
    sticky = all_after;
    deadly = 0;
    failed = "";
    fired = false;
    counted = 0;
    active = true;
}

void faults_files_only(bool only)
{
    files_only = only;
}

/* Those that change what stands on a disk; how often memory is asked for may differ from run to run. */
static bool is_on_files(const char *operation)
{
    static const char *const names[] = { "mkstemp", "fdopen", "fchmod", "fwrite",
                                         "fprintf", "fflush", "fclose", "rename" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(operation, names[i]) == 0) return true;
    return false;
}

void faults_signal(long n, int number)
{
    faults_begin(n, false);
    deadly = number;
}

void faults_record(const char **names, long room)
{
    record = names;
    record_room = room;
}

long faults_count(void)
{
    return counted;
}

bool faults_end(const char **operation)
{
    active = false;
    *operation = failed;
    return fired;
}

bool faults_hit(const char *operation)
{
    if (!active || (files_only && !is_on_files(operation))) return false;
    long n = ++counted;
    if (record && n <= record_room) record[n - 1] = operation;
    if (deadly) {
        if (n == first) raise(deadly);
        return false;
    }
    if (n < first || (n > first && !sticky)) return false;
    if (n == first) failed = operation;
    fired = true;
    return true;
}
