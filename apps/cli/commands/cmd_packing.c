/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbourhood statistics by attention: with a scale of 0 every neighbour weighs the same, so exp(LSE) is how many
 * there are, and the output is their mean. */
#include "commands/memory_room.h"
#include "commands/notes.h"
#include "commands/structure_options.h"
#include "commands/structure_report.h"
#include "files.h"
#include "json.h"
#include "numbers.h"
#include "outfile.h"
#include "plots/plots.h"
#include "progress.h"
#include "stats.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 8 }; /* the smallest head size: one column for B, the rest stays zero */

struct packing {
    const char *file;
    vic_structure_info view;
    int64_t atoms;
    double *counts;
    double mean, least, most;
    const char *no_b; /* why there is nothing to correlate with; NULL when there is */
    double b_mean, b_around_mean, pearson, spearman;
    double read, order, build, plan, attention;
    bool force;
    struct notes notes;
};

static const char *why_no_b(const vic_structure_info *v)
{
    const float *b = v->b_factors;
    int64_t same = 0;
    if (!b) return "the file has no B-factors";
    while (same < v->atoms && b[same] == b[0]) same++;
    if (v->atoms < 3) return "fewer than three atoms";
    return same == v->atoms ? "all B-factors in the file are equal" : NULL;
}

/* One attention over the pattern: LSE and the mean of v's first column.  The scale is 0, so that any queries and keys
 * do. */
static vic_status attend(struct packing *p, vic_context *c, const vic_pattern *pattern, float *v, float *out,
                         float *lse, vic_error *err)
{
    const int64_t shape[3] = { p->atoms, 1, HEAD };
    const vic_plan_options options = { .size = sizeof options, .dtype = VIC_F32, .head_dim = HEAD };
    vic_attention_args args = { .size = sizeof args, .zero_scale = true };
    vic_plan *plan = NULL;
    double start = seconds_now();
    vic_status st;
    TRY_GOTO(vic_plan_create(c, pattern, &options, &plan, err), done);
    p->plan = seconds_now() - start;
    args.q = args.k = args.v = vic_tensor_make(v, VIC_F32, 3, shape);
    args.out = vic_tensor_make(out, VIC_F32, 3, shape);
    args.lse = vic_tensor_make(lse, VIC_F32, 2, shape);
    progress_phase("attention");
    start = seconds_now();
    TRY_GOTO(vic_attention(c, plan, &args, err), done);
    p->attention = seconds_now() - start;
done:
    vic_plan_free(plan);
    return st;
}

static vic_status correlate(struct packing *p, const float *around, vic_error *err)
{
    double *inverse = NULL, *b = NULL;
    vic_status st;
    p->b_mean = p->b_around_mean = p->pearson = p->spearman = (double)NAN;
    if (p->view.b_factors) {
        double sum = 0.0, sum_around = 0.0;
        for (int64_t i = 0; i < p->atoms; i++) {
            sum += (double)p->view.b_factors[i];
            sum_around += (double)around[HEAD * i];
        }
        p->b_mean = sum / (double)p->atoms;
        p->b_around_mean = sum_around / (double)p->atoms;
    }
    p->no_b = why_no_b(&p->view);
    if (p->no_b) return VIC_OK;
    TRY_GOTO(allocate(p->atoms, sizeof *inverse, "the correlation", &inverse, err), done);
    TRY_GOTO(allocate(p->atoms, sizeof *b, "the correlation", &b, err), done);
    for (int64_t i = 0; i < p->atoms; i++) {
        inverse[i] = 1.0 / p->counts[i];
        b[i] = (double)p->view.b_factors[i];
    }
    p->pearson = pearson(inverse, b, p->atoms);
    TRY_GOTO(spearman(inverse, b, p->atoms, &p->spearman, err), done);
    if (!isfinite(p->pearson)) p->no_b = "all atoms have the same number of neighbours";
done:
    free(b);
    free(inverse);
    return st;
}

static vic_status compute(struct packing *p, vic_context *c, const vic_structure *structure, double cutoff,
                          vic_error *err)
{
    vic_pattern_options options = VIC_INIT(vic_pattern_options);
    vic_points points = VIC_INIT(vic_points);
    struct memory_guard guard;
    vic_pattern *pattern = NULL;
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    float *v = NULL, *out = NULL, *lse = NULL;
    int64_t sum = 0;
    vic_status st;
    TRY(vic_structure_points(structure, &points, err));
    TRY(memory_guard_open(&guard, p->force, (double)p->atoms * (2 * HEAD + 1) * sizeof *v, &options, err));
    progress_phase("building the pattern");
    st = vic_pattern_cutoff(c, &points, NULL, cutoff, &options, &pattern, err);
    TRY_GOTO(memory_guard_close(&guard, 0, cutoff, st, err), done);
    TRY_GOTO(vic_pattern_get(pattern, &info, err), done);
    p->order = info.seconds_order;
    p->build = info.seconds_build;
    TRY_GOTO(allocate(p->atoms, HEAD * sizeof *v, "the values", &v, err), done);
    TRY_GOTO(allocate(p->atoms, HEAD * sizeof *out, "the result", &out, err), done);
    TRY_GOTO(allocate(p->atoms, sizeof *lse, "the result", &lse, err), done);
    TRY_GOTO(allocate(p->atoms, sizeof *p->counts, "the counts", &p->counts, err), done);
    for (int64_t i = 0; p->view.b_factors && i < p->atoms; i++) v[HEAD * i] = p->view.b_factors[i];
    TRY_GOTO(attend(p, c, pattern, v, out, lse, err), done);
    p->least = HUGE_VAL;
    for (int64_t i = 0; i < p->atoms; i++) {
        p->counts[i] = nearbyint(exp((double)lse[i]));
        p->least = fmin(p->least, p->counts[i]);
        p->most = fmax(p->most, p->counts[i]);
        sum += (int64_t)p->counts[i];
    }
    if (sum != info.pairs) {
        st = fail(err, VIC_FAILED, "attention counted %lld neighbours, but the pattern has %lld pairs",
                  (long long)sum, (long long)info.pairs);
        goto done;
    }
    p->mean = (double)sum / (double)p->atoms;
    progress_phase("statistics");
    TRY_GOTO(correlate(p, out, err), done);
done:
    free(lse);
    free(out);
    free(v);
    vic_pattern_free(pattern);
    return st;
}

static vic_status write_counts(const char *path, const vic_structure *structure, const double *counts, vic_error *err)
{
    struct outfile file;
    vic_status st;
    TRY(outfile_open(&file, path, err));
    st = vic_structure_write_to(structure, outfile_descriptor(&file), path, "neighbours", counts, err);
    if (st == VIC_OK) return outfile_commit(&file, err);
    outfile_abandon(&file);
    return st;
}

static vic_status packing_json(const struct packing *p, const vic_read_options *read, double cutoff, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    json_put_text(&j, "file", p->file);
    structure_json(&j, &p->view, read);
    json_put_int(&j, "atoms", p->atoms);
    json_put_real(&j, "cutoff", cutoff);
    json_put_object(&j, "count");
    json_put_real(&j, "mean", p->mean);
    json_put_real(&j, "min", p->least);
    json_put_real(&j, "max", p->most);
    json_put_object_end(&j);
    json_put_real(&j, "b_mean", p->b_mean);
    json_put_real(&j, "b_neighbourhood_mean", p->b_around_mean);
    if (p->no_b) {
        json_put_null(&j, "correlation");
        json_put_text(&j, "no_correlation", p->no_b);
    } else {
        json_put_object(&j, "correlation");
        json_put_real(&j, "pearson", p->pearson);
        json_put_real(&j, "spearman", p->spearman);
        json_put_object_end(&j);
        json_put_null(&j, "no_correlation");
    }
    notes_json(&j, &p->notes);
    json_put_object(&j, "seconds");
    json_put_real(&j, "read", p->read);
    json_put_real(&j, "order", p->order);
    json_put_real(&j, "build", p->build);
    json_put_real(&j, "plan", p->plan);
    json_put_real(&j, "attention", p->attention);
    json_put_object_end(&j);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void packing_text(const struct packing *p, const vic_read_options *read, double cutoff, const char *out,
                         const char *plot)
{
    text_title("%s", p->file);
    text_row("atoms", "%s", count_text(p->atoms).s);
    structure_text(&p->view, read);
    text_row("cutoff", "%s A", plain_text(cutoff).s);
    text_row("neighbours", "mean %s   min %.0f   max %.0f   (the atom itself included)", real_text(p->mean, 4).s,
             p->least, p->most);
    if (p->view.b_factors)
        text_row("B-factor", "mean %s A^2   neighbourhood mean %s A^2", real_text(p->b_mean, 4).s,
                 real_text(p->b_around_mean, 4).s);
    if (p->no_b)
        text_row("correlation", "none: %s", p->no_b);
    else
        text_row("correlation", "of 1/neighbours with the B-factors: Pearson r = %.3f, Spearman %.3f", p->pearson,
                 p->spearman);
    text_row("time", "read %s   order %s   build %s   plan %s   attention %s", seconds_text(p->read).s,
             seconds_text(p->order).s, seconds_text(p->build).s, seconds_text(p->plan).s,
             seconds_text(p->attention).s);
    notes_text(&p->notes);
    if (out) text_row("counts written to", "%s", out);
    if (plot) text_row("picture", "%s", plot);
}

static const char notes[] =
    "Heavy atoms only unless --hydrogen is given.  Contacts across periodic images count as well: in a simulation\n"
    "box, and in a crystal with --symmetry.  Without it a crystal's molecule is taken alone, as deposited.";

vic_status cmd_packing(int argc, char **argv, vic_error *err)
{
    struct structure_options s;
    struct packing p = { 0 };
    double cutoff = 7.35;
    bool hydrogen = false, helped;
    const char *out = NULL, *plot = NULL;
    const struct option own_rows[] = {
        { "--cutoff", "R", "how far a neighbourhood reaches, angstrom; default 7.35", OPTION_REAL, &cutoff, 0, 1e6,
          NULL, NULL },
        { "--hydrogen", NULL, "count hydrogen atoms too", OPTION_FLAG, &hydrogen, 0, 0, NULL, NULL },
        { "--force", NULL, "count also what does not seem to fit the memory there is", OPTION_FLAG, &p.force, 0, 0,
          NULL, NULL },
    };
    const struct option file_rows[] = {
        { "-o", "FILE", "write the counts per atom: .pdb or .cif (as B-factors), .xyz or .extxyz", OPTION_OUTPUT,
          &out, 0, 0, ".pdb|.cif|.mmcif|.xyz|.extxyz", NULL },
        { "--plot", "FILE.svg", "draw the structure by packing and by B-factor, and one against the other",
          OPTION_OUTPUT, &plot, 0, 0, ".svg", NULL },
    };
    struct option structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    const struct option_group groups[] = { { "Packing", own_rows, 3 },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Files", file_rows, 2 },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "packing",
        "FILE",
        "How tightly each atom is packed: its number of neighbours and the mean B-factor among "
        "them, and how the packing correlates with the experimental B-factors.",
        notes,
        groups,
        4
    };
    vic_structure *structure = NULL;
    vic_context *context = NULL;
    vic_status st;
    structure_options_init(&s);
    structure_options_rows(&s, structure_rows);
    output_options_rows(&s, output_rows);
    TRY(options_read(&syntax, argc, argv, &p.file, &helped, err));
    if (helped) return VIC_OK;
    if (hydrogen && s.read.drop_hydrogen)
        return fail(err, VIC_BAD_ARGUMENT, "--hydrogen and --no-hydrogen contradict each other: give one of them");
    s.read.drop_hydrogen = !hydrogen;
    TRY(files_probe(&syntax, err));
    TRY_GOTO(context_open(s.threads, (vic_device){ VIC_CPU, 0 }, &context, err), done);
    TRY_GOTO(structure_open(&s, p.file, &structure, &p.read, err), done);
    TRY_GOTO(structure_look(structure, &p.view, err), done);
    p.atoms = p.view.atoms;
    if (p.atoms == 0) {
        st = fail(err, VIC_BAD_INPUT, "%s: expected atoms, found none", p.file);
        goto done;
    }
    notes_structure(&p.notes, &p.view);
    TRY_GOTO(compute(&p, context, structure, cutoff, err), done);
    if (p.most <= 1.0) notes_lonely(&p.notes, p.atoms, p.atoms, false, cutoff);
    if (out) TRY_GOTO(write_counts(out, structure, p.counts, err), done);
    if (plot) {
        char setting[STRUCTURE_CAPTION];
        const struct packing_plot picture = { p.file,
                                              structure_caption(&p.view, &s.read, setting),
                                              &p.view,
                                              p.counts,
                                              p.no_b ? NULL : p.view.b_factors,
                                              cutoff,
                                              p.pearson,
                                              s.threads };
        progress_phase("drawing");
        TRY_GOTO(plot_packing(plot, &picture, err), done);
    }
    progress_end();
    if (s.json)
        TRY_GOTO(packing_json(&p, &s.read, cutoff, err), done);
    else
        packing_text(&p, &s.read, cutoff, out, plot);
done:
    free(p.counts);
    vic_structure_free(structure);
    vic_context_free(context);
    return st;
}
