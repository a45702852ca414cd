/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <math.h>

enum { SHARE_BITS = 7 }; /* of HISTOGRAM_SHARE */
_Static_assert(HISTOGRAM_SHARE == 1 << SHARE_BITS, "classes of a power of two are found by a shift");

/* A value of `e + 8` bits lies in octave e; its 7 bits below the first one choose the class. */
static int class_of(uint64_t value)
{
    int octave;
    if (value < 2 * HISTOGRAM_SHARE) return (int)value;
    octave = 63 - __builtin_clzll(value) - SHARE_BITS;
    if (octave > HISTOGRAM_OCTAVES) return HISTOGRAM_CLASSES - 1;
    return octave * HISTOGRAM_SHARE + (int)(value >> octave);
}

/* The middle of a class. */
static double value_of(int class)
{
    int octave = class / HISTOGRAM_SHARE - 1;
    if (octave < 1) return class;
    return ((double)(class - octave * HISTOGRAM_SHARE) + 0.5) * (double)(UINT64_C(1) << octave) - 0.5;
}

void histogram_add(struct histogram *h, uint64_t nanoseconds)
{
    if (h->count == 0 || nanoseconds < h->least) h->least = nanoseconds;
    if (nanoseconds > h->most) h->most = nanoseconds;
    h->sum += nanoseconds;
    h->count++;
    h->classes[class_of(nanoseconds)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    if (from->count == 0) return;
    if (to->count == 0 || from->least < to->least) to->least = from->least;
    if (from->most > to->most) to->most = from->most;
    to->sum += from->sum;
    to->count += from->count;
    for (int i = 0; i < HISTOGRAM_CLASSES; i++) to->classes[i] += from->classes[i];
}

double histogram_quantile(const struct histogram *h, double share)
{
    int64_t rank = (int64_t)ceil(share * (double)h->count), seen = 0;
    if (h->count == 0) return NAN;
    if (rank >= h->count) return (double)h->most * 1e-9;
    if (rank <= 1) return (double)h->least * 1e-9;
    for (int i = 0; i < HISTOGRAM_CLASSES; i++) {
        seen += h->classes[i];
        if (seen >= rank) return fmin(fmax(value_of(i), (double)h->least), (double)h->most) * 1e-9;
    }
    return (double)h->most * 1e-9;
}

double histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? NAN : (double)h->sum / (double)h->count * 1e-9;
}

void histogram_json(struct json *j, const char *key, const struct histogram *h)
{
    if (h->count == 0) {
        json_put_null(j, key);
        return;
    }
    json_put_object(j, key);
    json_put_int(j, "count", h->count);
    json_put_real(j, "p50", histogram_quantile(h, 0.50));
    json_put_real(j, "p95", histogram_quantile(h, 0.95));
    json_put_real(j, "p99", histogram_quantile(h, 0.99));
    json_put_real(j, "p999", histogram_quantile(h, 0.999));
    json_put_real(j, "min", (double)h->least * 1e-9);
    json_put_real(j, "max", (double)h->most * 1e-9);
    json_put_real(j, "mean", histogram_mean(h));
    json_put_object_end(j);
}
