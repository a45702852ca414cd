/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/pairs_out.h"
#include "commands/structure_report.h"
#include "files.h"
#include "outfile.h"
#include "plots/plots.h"
#include "progress.h"
#include "text.h"

#include <stdlib.h>

static vic_status save_pattern(const char *path, const vic_pattern *pattern, vic_error *err)
{
    struct outfile file;
    vic_status st;
    TRY(outfile_open(&file, path, err));
    st = vic_pattern_save_to(pattern, outfile_descriptor(&file), path, err);
    if (st == VIC_OK) return outfile_commit(&file, err);
    outfile_abandon(&file);
    return st;
}

static vic_status pattern_print_json(const struct pattern_input *in, const struct pattern_built *b, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_put_object(&j, NULL);
    pattern_json(&j, in, b);
    json_put_object(&j, "seconds");
    pattern_json_seconds(&j, b);
    json_put_object_end(&j);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

vic_status cmd_pattern(int argc, char **argv, vic_error *err)
{
    struct pattern_input in;
    const char *plot = NULL, *pairs_out = NULL, *save = NULL;
    const struct option file_rows[] = {
        { "-o", "FILE.vnp", "write the pattern, to be given in place of a structure", OPTION_OUTPUT, &save, 0, 0,
          ".vnp", NULL },
        { "--plot", "FILE.svg", "draw the block matrix, and beside it the structure by strip", OPTION_OUTPUT, &plot,
          0, 0, ".svg", NULL },
        { "--pairs-out", "FILE.npz",
          "write all pairs: i, j, image [pairs, 3], and where there are positions these, the cell and d = |r_j - r_i "
          "+ image . cell|, in angstrom",
          OPTION_OUTPUT, &pairs_out, 0, 0, ".npz", NULL },
    };
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS], output_rows[OUTPUT_OPTIONS];
    const struct option_group groups[] = { { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Files", file_rows, 3 },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "pattern",
        "FILE",
        "Build the attention pattern of a structure (all pairs nearer than the cutoff, each "
        "periodic image on its own) and describe, draw or list it.",
        pattern_notes,
        groups,
        4
    };
    struct pattern_built built = { 0 };
    vic_context *context = NULL;
    bool helped;
    vic_status st;
    pattern_input_init(&in);
    pattern_options_rows(&in, pattern_rows);
    structure_options_rows(&in.structure, structure_rows);
    output_options_rows(&in.structure, output_rows);
    TRY(options_read(&syntax, argc, argv, &in.file, &helped, err));
    if (helped) return VIC_OK;
    TRY(files_probe(&syntax, err));
    TRY_GOTO(context_open(in.structure.threads, (vic_device){ VIC_CPU, 0 }, &context, err), done);
    TRY_GOTO(pattern_open(context, &in, &built, err), done);
    if (save) {
        progress_phase("writing the pattern");
        TRY_GOTO(save_pattern(save, built.pattern, err), done);
    }
    if (pairs_out) TRY_GOTO(pairs_write(context, pairs_out, &in, &built, err), done);
    if (plot) {
        char what[PATTERN_WHAT], setting[STRUCTURE_CAPTION];
        const struct pattern_plot picture = { in.file,
                                              pattern_what(&in, &built, "\xc3\x85", what),
                                              built.view.positions
                                                  ? structure_caption(&built.view, &in.structure.read, setting)
                                                  : NULL,
                                              &built.view,
                                              built.pattern,
                                              in.structure.threads };
        progress_phase("drawing");
        TRY_GOTO(plot_pattern(plot, &picture, err), done);
    }
    progress_end();
    if (in.structure.json) {
        TRY_GOTO(pattern_print_json(&in, &built, err), done);
    } else {
        pattern_text(&in, &built);
        if (save) text_row("written to", "%s", save);
        if (pairs_out) text_row("pairs written to", "%s", pairs_out);
        if (plot) text_row("picture", "%s", plot);
    }
done:
    pattern_close(&built);
    vic_context_free(context);
    return st;
}
