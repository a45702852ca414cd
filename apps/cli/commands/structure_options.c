/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "commands/structure_options.h"

#include "arrays/ints.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_THREADS = 4096, MOST_REPEATS = 10000, MOST_MODELS = 1000000000 };

void structure_options_init(struct structure_options *s)
{
    memset(s, 0, sizeof *s);
    s->read = (vic_read_options){ .size = sizeof s->read, .supercell = { 1, 1, 1 } };
}

/* The next part of a list, copied without blanks around it; *at moves past the separator. */
static bool next_part(const char **at, char separator, char *out, size_t size)
{
    const char *end = strchr(*at, separator);
    size_t length = end ? (size_t)(end - *at) : strlen(*at);
    if (!trimmed(*at, length, out, size)) return false;
    *at += length + (end != NULL);
    return true;
}

vic_status parse_cell(const char *text, double cell[6], vic_error *err)
{
    double given[6] = { 0, 0, 0, 90.0, 90.0, 90.0 };
    const char *at = text;
    char part[40];
    int count = 0;
    bool good = true;
    do {
        good = count < 6 && next_part(&at, ',', part, sizeof part) && number_real(part, &given[count]);
        if (good && count < 3) good = given[count] > 0.0 && given[count] <= 1e6;
        if (good && count >= 3) good = given[count] > 0.0 && given[count] < 180.0;
        count++;
    } while (good && (*at || at[-1] == ','));
    if (!good || (count != 3 && count != 6)) {
        return fail(err, VIC_BAD_ARGUMENT,
                    "--cell: expected a,b,c or a,b,c,alpha,beta,gamma (lengths in angstrom above 0, angles between 0 "
                    "and 180 degrees), got '%s'",
                    text);
    }
    memcpy(cell, given, sizeof given);
    return VIC_OK;
}

vic_status parse_supercell(const char *text, int32_t supercell[3], vic_error *err)
{
    const char *at = text;
    int32_t given[3] = { 1, 1, 1 };
    char part[16];
    bool good = *text != '\0';
    int count = 0;
    while (good && count < 3) {
        int64_t value;
        good = next_part(&at, 'x', part, sizeof part) && number_int64(part, &value) && value >= 1 &&
               value <= MOST_REPEATS;
        if (good) given[count++] = (int32_t)value;
    }
    if (!good || *at || at[-1] == 'x') {
        return fail(err, VIC_BAD_ARGUMENT,
                    "--supercell: expected AxBxC with whole numbers from 1 to %d, as in 2x2x1, "
                    "got '%s'",
                    MOST_REPEATS, text);
    }
    memcpy(supercell, given, sizeof given);
    return VIC_OK;
}

vic_status parse_pbc(const char *text, vic_pbc *pbc, bool periodic[3], vic_error *err)
{
    bool given[3] = { false, false, false };
    bool good = *text != '\0';
    if (strcmp(text, "auto") == 0) {
        *pbc = VIC_PBC_AUTO;
        return VIC_OK;
    }
    for (const char *c = text; good && *c && strcmp(text, "none") != 0; c++) {
        good = *c >= 'x' && *c <= 'z' && !given[*c - 'x'];
        if (good) given[*c - 'x'] = true;
    }
    if (!good)
        return fail(err, VIC_BAD_ARGUMENT, "--pbc: expected auto, none, or axes as in xyz, xy or z, got '%s'", text);
    *pbc = VIC_PBC_SET;
    memcpy(periodic, given, sizeof given);
    return VIC_OK;
}

static vic_status take_cell(const struct option *o, const char *text, vic_error *err)
{
    struct structure_options *s = o->target;
    s->read.has_cell = true;
    return parse_cell(text, s->read.cell, err);
}

/* Models and frames are one thing under two names; 0 is none of either. */
static vic_status take_model(const struct option *o, const char *text, vic_error *err)
{
    struct structure_options *s = o->target;
    int64_t number;
    if (!number_int64(text, &number) || number == 0 || number > MOST_MODELS || number < -MOST_MODELS)
        return fail(err, VIC_BAD_ARGUMENT, "%s: expected a number from 1 on, or from -1 (the last) down, got '%s'",
                    o->name, text);
    s->read.model = (int32_t)number;
    return VIC_OK;
}

static vic_status take_supercell(const struct option *o, const char *text, vic_error *err)
{
    struct structure_options *s = o->target;
    return parse_supercell(text, s->read.supercell, err);
}

static vic_status take_pbc(const struct option *o, const char *text, vic_error *err)
{
    struct structure_options *s = o->target;
    return parse_pbc(text, &s->read.pbc, s->read.periodic, err);
}

void structure_options_rows(struct structure_options *s, struct option rows[STRUCTURE_OPTIONS])
{
    const struct option all[STRUCTURE_OPTIONS] = {
        { "--cell", "A,B,C[,AL,BE,GA]", "cell in angstrom and degrees, instead of the file's", OPTION_CUSTOM, s, 0, 0,
          NULL, take_cell },
        { "--pbc", "AXES",
          "auto (what the file says of its axes; else periodic where there is a cell, but open where the cell has a "
          "space group that is not applied), none, or axes: xyz, xy, z, ...",
          OPTION_CUSTOM, s, 0, 0, NULL, take_pbc },
        { "--symmetry", NULL, "apply the space group: all atoms of the cell", OPTION_FLAG, &s->read.symmetry, 0, 0,
          NULL, NULL },
        { "--supercell", "AxBxC", "repeat the cell along a, b, c", OPTION_CUSTOM, s, 0, 0, NULL, take_supercell },
        { "--model", "N", "model number to take, -1 the last; default: the first one", OPTION_CUSTOM, s, 0, 0, NULL,
          take_model },
        { "--frame", "N", "the same for frames (GRO, XYZ), numbered from 1", OPTION_CUSTOM, s, 0, 0, NULL,
          take_model },
        { "--altloc", "WHICH", "alternate locations: highest (by occupancy; default) or all", OPTION_CHOICE,
          &s->altloc, 0, 0, "highest|all", NULL },
        { "--duplicates", "WHAT", "atoms listed twice in one place: refuse (default), drop (one stays) or keep",
          OPTION_CHOICE, &s->duplicates, 0, 0, "refuse|drop|keep", NULL },
        { "--no-hydrogen", NULL, "leave out hydrogen and deuterium", OPTION_FLAG, &s->read.drop_hydrogen, 0, 0, NULL,
          NULL },
        { "--no-water", NULL, "leave out water", OPTION_FLAG, &s->read.drop_water, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

void output_options_rows(struct structure_options *s, struct option rows[OUTPUT_OPTIONS])
{
    const struct option all[OUTPUT_OPTIONS] = {
        { "--threads", "N", "default: all that this process may use", OPTION_INT, &s->threads, 1, MOST_THREADS, NULL,
          NULL },
        { "--json", NULL, "one JSON object on stdout, and nothing else", OPTION_FLAG, &s->json, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

const char *structure_options_asked(const struct structure_options *s)
{
    const vic_read_options *r = &s->read;
    return r->has_cell                                                            ? "--cell"
           : r->pbc != VIC_PBC_AUTO                                               ? "--pbc"
           : r->symmetry                                                          ? "--symmetry"
           : r->supercell[0] != 1 || r->supercell[1] != 1 || r->supercell[2] != 1 ? "--supercell"
           : r->model != 0                                                        ? "--model"
           : s->altloc != 0                                                       ? "--altloc"
           : s->duplicates != 0                                                   ? "--duplicates"
           : r->drop_hydrogen                                                     ? "--no-hydrogen"
           : r->drop_water                                                        ? "--no-water"
                                                                                  : NULL;
}

/* What stands for a pattern in place of a file, where no file has that name. */
static bool stands_for_pattern(const char *path)
{
    static const char *const words[] = { "dense:", "atoms:", "blocks:", "origin:" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(path, words[i], strlen(words[i])) == 0) return access(path, F_OK) != 0;
    return false;
}

vic_status structure_open(const struct structure_options *s, const char *path, vic_structure **out, double *seconds,
                          vic_error *err)
{
    vic_read_options read = s->read;
    double start = seconds_now();
    vic_status st;
    if (file_kind(path) == FILE_VNP)
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected a structure, found a pattern (.vnp), which `vicinal pattern`, `run` and `bench "
                    "latency` take; give the structure that it was made of",
                    path);
    if (stands_for_pattern(path))
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected a structure file, found what stands for a pattern without a structure; give a file "
                    "here, and this to `vicinal pattern`, `run` or `bench latency`",
                    path);
    read.altloc = s->altloc == 1 ? VIC_ALTLOC_ALL : VIC_ALTLOC_HIGHEST;
    read.duplicates = (vic_duplicates)s->duplicates; /* in the order of the enum */
    progress_phase("reading the structure");
    st = vic_structure_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &read, out, err);
    *seconds = seconds_now() - start;
    return st;
}

vic_status structure_look(const vic_structure *s, vic_structure_info *out, vic_error *err)
{
    *out = (vic_structure_info)VIC_INIT(vic_structure_info);
    return vic_structure_get(s, out, err);
}
