/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "commands/bench.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct pattern_times {
    struct bench_times order, build, total; /* total also has what the call does besides */
    int64_t resident_before, resident_peak; /* bytes of this process, before the first build and at most */
};

static int64_t peak_resident(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

static vic_status measure(vic_context *c, const struct pattern_input *in, int repeat, struct pattern_built *b,
                          struct pattern_times *out, vic_error *err)
{
    double *seconds = NULL, *order, *build, *total;
    vic_status st;
    TRY(allocate(3 * (int64_t)repeat, sizeof *seconds, "the times", &seconds, err));
    order = seconds;
    build = seconds + repeat;
    total = seconds + 2 * (int64_t)repeat;
    TRY_GOTO(pattern_read(in, b, err), done);
    out->resident_before = peak_resident();
    for (int i = 0; i < repeat; i++) {
        double start = seconds_now();
        TRY_GOTO(pattern_build_from(c, in, b, err), done);
        total[i] = seconds_now() - start;
        order[i] = b->info.seconds_order;
        build[i] = b->info.seconds_build;
    }
    out->resident_peak = peak_resident();
    TRY_GOTO(pattern_count_blocks(c, b, err), done);
    out->order = bench_times_of(order, repeat);
    out->build = bench_times_of(build, repeat);
    out->total = bench_times_of(total, repeat);
done:
    free(seconds);
    return st;
}

static void json_times(struct json *j, const char *key, const struct bench_times *t)
{
    json_put_object(j, key);
    json_put_real(j, "p50", t->p50);
    json_put_real(j, "min", t->min);
    json_put_real(j, "sigma", t->sigma);
    json_put_object_end(j);
}

static vic_status print_json(const struct pattern_input *in, const struct pattern_built *b,
                             const struct pattern_times *t, int argc, char **argv, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    bench_json_context(&j, "pattern", argc, argv, (vic_device){ VIC_CPU, 0 });
    pattern_json(&j, in, b);
    json_put_int(&j, "repeat", t->total.launches);
    json_put_object(&j, "seconds");
    json_put_real(&j, "read", b->seconds_read);
    json_times(&j, "order", &t->order);
    json_times(&j, "build", &t->build);
    json_times(&j, "total", &t->total);
    json_put_object_end(&j);
    json_put_real(&j, "pairs_per_second", (double)b->info.pairs / t->total.p50);
    json_put_int(&j, "resident_before", t->resident_before);
    json_put_int(&j, "resident_peak", t->resident_peak);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void text_times(const char *label, const struct bench_times *t)
{
    text_row(label, "%s, least %s", seconds_text(t->p50).s, seconds_text(t->min).s);
}

static void print_text(const struct pattern_input *in, const struct pattern_built *b, const struct pattern_times *t)
{
    char title[64];
    snprintf(title, sizeof title, t->total.launches == 1 ? "the time of %s" : "medians of %s",
             counted(t->total.launches, "build").s);
    pattern_text(in, b);
    text_title("%s", title);
    text_times("order", &t->order);
    text_times("build", &t->build);
    text_times("all", &t->total);
    text_row("rate", "%s million pairs/s", real_text((double)b->info.pairs / t->total.p50 / 1e6, 3).s);
    text_row("resident memory", "%s with the structure, %s at most", bytes_text((uint64_t)t->resident_before).s,
             bytes_text((uint64_t)t->resident_peak).s);
}

vic_status bench_pattern(int argc, char **argv, vic_error *err)
{
    struct pattern_input in;
    struct pattern_built built = { 0 };
    struct pattern_times times;
    vic_context *context = NULL;
    int repeat = 5;
    const struct option repeat_rows[] = { { "--repeat", "N", "build it N times; default 5", OPTION_INT, &repeat, 1,
                                            100000, NULL, NULL } };
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    const struct option_group groups[] = { { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Timing", repeat_rows, 1 },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "bench pattern", "FILE", "How long building the pattern of a structure takes, and in how much memory.", NULL,
        groups,          4
    };
    bool helped;
    vic_status st;
    pattern_input_init(&in);
    pattern_options_rows(&in, pattern_rows);
    structure_options_rows(&in.structure, structure_rows);
    output_options_rows(&in.structure, output_rows);
    TRY(options_read(&syntax, argc, argv, &in.file, &helped, err));
    if (helped) return VIC_OK;
    TRY_GOTO(context_open(in.structure.threads, (vic_device){ VIC_CPU, 0 }, &context, err), done);
    TRY_GOTO(measure(context, &in, repeat, &built, &times, err), done);
    progress_end();
    if (in.structure.json)
        TRY_GOTO(print_json(&in, &built, &times, argc, argv, err), done);
    else
        print_text(&in, &built, &times);
done:
    pattern_close(&built);
    vic_context_free(context);
    return st;
}
