/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

int count_bucket(uint64_t value, int buckets)
{
    int b = value <= 1 ? 0 : 64 - __builtin_clzll(value - 1);
    return b < buckets ? b : buckets - 1;
}

void counts_add_times(struct counts *c, const uint64_t time_ns[VIC_STAGES])
{
    for (int stage = 0; stage < VIC_STAGES; stage++) {
        c->time_ns[stage] += time_ns[stage];
        /* A time of 1.5 us is more than 1 us: rounded up. */
        c->time[stage][count_bucket((time_ns[stage] + 999) / 1000, VIC_TIME_BUCKETS)]++;
    }
}
