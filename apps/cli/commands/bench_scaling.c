/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/bench.h"
#include "commands/structure_report.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What can be scaled over: the option that each value is given to. */
static const struct {
    const char *name, *option, *values;
} quantities[] = {
    { "cutoff", "--cutoff", "4,5,6,7,8,9,10,12" },
    { "heads", "--heads", "1,2,4,8,16" },
    { "head-dim", "--head-dim", "8,16,32,64,96,128" },
    { "atoms", "--supercell", "1x1x1,2x1x1,2x2x1,2x2x2" },
    { "batch", "--batch", "1,2,4,8,16" },
    { "blocks", NULL, "200,400,800,1600,3200" }, /* in place of FILE */
    { "threads", "--threads", NULL },            /* 1, 2, 4, ... to what there is */
};

struct scaling {
    struct bench_options bench;
    int over; /* in quantities[] */
    const char *values;
};

/* So many blocks of 128 x 128, a fifth of a square grid: origin:800 and its like, of any number. */
static vic_status set_blocks(struct scaling *s, const char *value, char *text, size_t size, vic_error *err)
{
    int64_t n;
    if (!number_int64(value, &n) || n < 1 || n > 1000000)
        return fail(err, VIC_BAD_ARGUMENT, "--over blocks: expected whole numbers from 1 to 1000000, got '%s'",
                    value);
    int64_t grid = (int64_t)sqrt(5.0 * (double)n);
    snprintf(text, size, "blocks:%lldx%lld:n=%lld", (long long)grid, (long long)grid, (long long)n);
    s->bench.run.pattern.file = text;
    return VIC_OK;
}

static void print_row(const struct scaling *s, const struct bench_result *r, const char *value, bool first)
{
    struct bench_rates rates = bench_rates(&s->bench, r, r->single.p50);
    if (first && r->built.view.positions) {
        text_title("%s", s->bench.run.pattern.file);
        structure_text(&r->built.view, &s->bench.run.pattern.structure.read);
        notes_text(&r->built.notes);
    }
    if (first)
        text_title("%-10s%12s%14s%10s%10s%10s%11s%11s%9s%10s%9s%9s%9s  %s", quantities[s->over].name, "atoms",
                   "pairs", "order", "build", "plan", "P50", "in graph", "P99/P50", "Gpairs/s", "TFLOP/s", "useful",
                   "GB/s", "error");
    printf("%-10s%12s%14s%10s%10s%10s%11s%11s%9.3f%10.2f%9.2f%9.2f%9.1f  %s\n", value,
           count_text(r->built.info.n_q).s, count_text(r->built.info.pairs).s,
           seconds_text(r->built.info.seconds_order).s, seconds_text(r->built.info.seconds_build).s,
           seconds_text(r->run.plan_seconds).s, seconds_text(r->single.p50).s,
           r->graph.launches ? seconds_text(r->graph.p50).s : "-", r->single.p99 / r->single.p50, rates.gpairs,
           rates.computed, rates.useful, rates.gbytes, real_text(r->run.check.relative_frobenius, 2).s);
}

static vic_status print_json(const struct scaling *s, const struct bench_result *r, const char *value, int argc,
                             char **argv, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    bench_json_context(&j, "scaling", argc, argv, r->run.info.device);
    json_put_text(&j, "over", quantities[s->over].name);
    json_put_text(&j, "value", value);
    bench_json_result(&j, &s->bench, r);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

/* Read from a structure file; dense:N makes its structure, other patterns have none. */
static bool is_of_file(const vic_structure_info *v)
{
    return v->format && strcmp(v->format, "arrays") != 0;
}

/* One value, from a fresh start: what one value derives (--kv-heads from --heads) is not kept for the next. */
static vic_status run_value(const struct scaling *s, const struct syntax *syntax, const char *value, bool first,
                            int argc, char **argv, vic_error *err)
{
    struct scaling one = *s;
    struct bench_result r = { 0 };
    char blocks[64];
    vic_status st;
    /* The table's rows point into *s, so that is where the value goes. */
    if (quantities[s->over].option) TRY(options_set(options_find(syntax, quantities[s->over].option), value, err));
    one.bench = s->bench;
    if (!quantities[s->over].option) TRY(set_blocks(&one, value, blocks, sizeof blocks, err));
    TRY(bench_options_complete(&one.bench, err));
    TRY_GOTO(bench_measure(&one.bench, &r, err), done);
    progress_end();
    if (strcmp(quantities[s->over].name, "atoms") == 0 && !r.built.view.has_cell) {
        st = fail(err, VIC_BAD_INPUT, "--over atoms repeats the cell, and %s has none: %s", s->bench.run.pattern.file,
                  is_of_file(&r.built.view) ? "give --cell, or take another structure"
                                            : "give a structure file with a cell");
        goto done;
    }
    if (s->bench.run.pattern.structure.json)
        st = print_json(&one, &r, value, argc, argv, err);
    else
        print_row(&one, &r, value, first);
done:
    bench_close(&r);
    return st;
}

static void default_values(const struct scaling *s, char *out, size_t size)
{
    vic_device_info cpu = VIC_INIT(vic_device_info);
    int most;
    if (quantities[s->over].values) {
        snprintf(out, size, "%s", quantities[s->over].values);
        return;
    }
    if (vic_device_get(0, &cpu, NULL) != VIC_OK) return;
    most = (int)strtol(cpu.detail, NULL, 10); /* "2 threads, ..." */
    snprintf(out, size, "1");
    for (int n = 2; n < 2 * most; n *= 2) {
        size_t used = strlen(out);
        snprintf(out + used, size - used, ",%d", n < most ? n : most);
    }
}

static vic_status run_values(const struct scaling *s, const struct syntax *syntax, int argc, char **argv,
                             vic_error *err)
{
    char values[1024], *value = values;
    bool first = true;
    if (!quantities[s->over].option && strncmp(s->bench.run.pattern.file, "origin:", 7) != 0)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--over blocks makes blocks of 128 x 128 in a fifth of a square grid: give --origin 800 in place "
                    "of %s",
                    s->bench.run.pattern.file);
    if (strcmp(s->bench.run.pattern.file, "-") == 0)
        return fail(err, VIC_BAD_ARGUMENT,
                    "-: standard input can be read once, and each value reads the structure again: give a file");
    if (s->values && strlen(s->values) >= sizeof values)
        return fail(err, VIC_BAD_ARGUMENT, "--values: expected at most %zu characters", sizeof values - 1);
    if (s->values)
        snprintf(values, sizeof values, "%s", s->values);
    else
        default_values(s, values, sizeof values);
    while (value) {
        char *comma = strchr(value, ','), one[sizeof values];
        if (comma) *comma = '\0';
        (void)trimmed(value, strlen(value), one, sizeof one); /* not longer than it was */
        TRY(run_value(s, syntax, one, first, argc, argv, err));
        first = false;
        TRY(text_end(err)); /* each line when it is known */
        value = comma ? comma + 1 : NULL;
    }
    return VIC_OK;
}

static const char notes[] = "Each value is timed as `vicinal bench latency` does, and shown as soon as it is known.  "
                            "--json prints one object a line.\nThe pattern's times (order, build) are those of one "
                            "build; `vicinal bench pattern` gives medians.";

vic_status bench_scaling(int argc, char **argv, vic_error *err)
{
    struct scaling s = { .over = -1 };
    const struct option scaling_rows[] = {
        { "--over", "WHAT",
          "cutoff, heads, head-dim, atoms (as supercells), batch, blocks (with --origin 800) or threads (needed)",
          OPTION_CHOICE, &s.over, 0, 0, "cutoff|heads|head-dim|atoms|batch|blocks|threads", NULL },
        { "--values", "A,B,...", "values to take; for atoms as in 1x1x1,2x1x1", OPTION_TEXT, &s.values, 0, 0, NULL,
          NULL },
    };
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    struct option attention_rows[ATTENTION_OPTIONS], bench_rows[BENCH_OPTIONS];
    const struct option_group groups[] = { { "Scaling", scaling_rows, 2 },
                                           { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Attention", attention_rows, ATTENTION_OPTIONS },
                                           { "Timing", bench_rows, BENCH_OPTIONS },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "bench scaling", "FILE", "How latency grows with one quantity, all else being equal.", notes, groups, 6
    };
    bool helped;
    bench_options_init(&s.bench);
    s.bench.sustain = 0.0; /* unless asked for */
    pattern_options_rows(&s.bench.run.pattern, pattern_rows);
    attention_options_rows(&s.bench.run, attention_rows);
    bench_options_rows(&s.bench, bench_rows);
    structure_options_rows(&s.bench.run.pattern.structure, structure_rows);
    output_options_rows(&s.bench.run.pattern.structure, output_rows);
    TRY(options_read(&syntax, argc, argv, &s.bench.run.pattern.file, &helped, err));
    if (helped) return VIC_OK;
    if (s.over < 0)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--over is missing: cutoff, heads, head-dim, atoms, batch, blocks or threads");
    return run_values(&s, &syntax, argc, argv, err);
}
