/* SPDX-License-Identifier: Apache-2.0 */
#include "faults/faults.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic bool active, fired;
static _Atomic long counted;
static long first;
static bool sticky;
static int deadly; /* the signal in place of the failure; 0 = none */
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
    if (!active) return false;
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
