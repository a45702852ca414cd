/* SPDX-License-Identifier: Apache-2.0 */
/* Times counted in classes of bounded relative width, so that percentiles of any number of them take 37 KB and adding
 * one takes some nanoseconds.  Below 256 ns a class is one nanosecond; above, each power of two has 128 classes, so a
 * percentile is off by 0.4 % at most.  Least, most and sum are exact.  A zeroed histogram is empty. */
#ifndef VICINAL_CLI_HISTOGRAM_H
#define VICINAL_CLI_HISTOGRAM_H

#include "cli.h"
#include "json.h"

enum { HISTOGRAM_SHARE = 128, HISTOGRAM_OCTAVES = 34, HISTOGRAM_CLASSES = (HISTOGRAM_OCTAVES + 2) * HISTOGRAM_SHARE };

struct histogram {
    int64_t count;
    uint64_t least, most, sum; /* nanoseconds */
    int64_t classes[HISTOGRAM_CLASSES];
};

/* Beyond 2^42 ns, 73 minutes, times count in the last class. */
void histogram_add(struct histogram *h, uint64_t nanoseconds);
void histogram_merge(struct histogram *to, const struct histogram *from);

/* In seconds: the time that the share `share` of all times does not exceed, by nearest rank; NaN where there is none.
 * 0 gives the least, 1 the most. */
double histogram_quantile(const struct histogram *h, double share);
double histogram_mean(const struct histogram *h);

/* An object {"count", "p50", "p95", "p99", "p999", "min", "max", "mean"}, in seconds; null where it is empty. */
void histogram_json(struct json *j, const char *key, const struct histogram *h);

#endif
