/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"
#include "memory_room.h"
#include "numbers.h"
#include "outfile.h"
#include "pattern_report.h"
#include "plots.h"
#include "progress.h"
#include "text.h"

#include <stdlib.h>

static vic_status write_pairs(const char *path, const struct pattern_built *b, const struct pattern_input *in,
                              vic_error *err)
{
    int threads = in->structure.threads;
    int64_t pairs = b->info.pairs;
    int32_t *i = NULL, *j = NULL, *image = NULL;
    double *d = NULL;
    bool distances = b->view.positions && b->info.structures == 1;
    vic_status st;
    TRY(memory_check(in->force, (double)pairs * (5 * sizeof *i + sizeof *d), "--pairs-out: the list of pairs",
                     "take a smaller cutoff, or -o FILE.vnp, which holds the same pairs", err));
    progress_phase("listing the pairs");
    TRY_GOTO(allocate(pairs, sizeof *i, "the list of pairs", &i, err), done);
    TRY_GOTO(allocate(pairs, sizeof *j, "the list of pairs", &j, err), done);
    TRY_GOTO(allocate(pairs, 3 * sizeof *image, "the list of pairs", &image, err), done);
    TRY_GOTO(allocate(pairs, sizeof *d, "the list of pairs", &d, err), done);
    TRY_GOTO(vic_pattern_neighbours(b->pattern, pairs, threads, i, j, image, distances ? d : NULL, err), done);
    {
        const struct npz_member members[] = {
            { "i", "<i4", 1, { pairs }, sizeof *i, i },
            { "j", "<i4", 1, { pairs }, sizeof *j, j },
            { "image", "<i4", 2, { pairs, 3 }, sizeof *image, image },
            { "d", "<f8", 1, { pairs }, sizeof *d, d },
        };
        TRY_GOTO(npz_write(path, members, distances ? 4 : 3, err), done);
    }
done:
    free(d);
    free(image);
    free(j);
    free(i);
    return st;
}

static vic_status pattern_print_json(const struct pattern_input *in, const struct pattern_built *b, vic_error *err)
{
    struct json j = { 0 };
    vic_status st;
    json_object(&j, NULL);
    pattern_json(&j, in, b);
    json_object(&j, "seconds");
    pattern_json_seconds(&j, b);
    json_object_end(&j);
    json_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

vic_status cmd_pattern(int argc, char **argv, vic_error *err)
{
    struct pattern_input in;
    const char *plot = NULL, *pairs_out = NULL, *save = NULL;
    const struct option file_rows[] = {
        { "-o", "FILE.vnp", "write the pattern, to be given in place of a structure", OPTION_TEXT, &save, 0, 0, NULL,
          NULL },
        { "--plot", "FILE.svg", "draw the structure by strip beside the block matrix", OPTION_TEXT, &plot, 0, 0, NULL,
          NULL },
        { "--pairs-out", "FILE.npz",
          "write all pairs: i, j, image [pairs, 3], and where there are positions d = |r_j - r_i + image . cell|, in "
          "angstrom",
          OPTION_TEXT, &pairs_out, 0, 0, NULL, NULL },
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
    bool helped;
    vic_status st;
    pattern_input_init(&in);
    pattern_options_rows(&in, pattern_rows);
    structure_options_rows(&in.structure, structure_rows);
    output_options_rows(&in.structure, output_rows);
    TRY(options_read(&syntax, argc, argv, &in.file, &helped, err));
    if (helped) return VIC_OK;
    if (plot) TRY(outfile_probe(plot, err));
    if (pairs_out) TRY(outfile_probe(pairs_out, err));
    if (save) TRY(outfile_probe(save, err));
    TRY_GOTO(pattern_open(&in, &built, err), done);
    if (save) {
        progress_phase("writing the pattern");
        TRY_GOTO(vic_pattern_save(built.pattern, save, err), done);
    }
    if (pairs_out) TRY_GOTO(write_pairs(pairs_out, &built, &in, err), done);
    if (plot) {
        TRY_GOTO(pattern_needs_positions(&in, &built, "--plot", err), done);
        const struct pattern_plot picture = { in.file, &built.view, built.pattern, in.structure.threads };
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
    return st;
}
