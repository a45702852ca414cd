/* SPDX-License-Identifier: Apache-2.0 */
/* The command `vicinal`: one table of subcommands, one file each (cmd_*.c). */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include "field_names.h"
#include "progress.h"
#include "text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The entry of the Python package does these itself, and calls this program for the rest. */
static vic_status elsewhere(const char *name, vic_error *err)
{
    return fail(err, VIC_BAD_ARGUMENT,
                "this is the C command alone, and %s is in Python: install the package (pip install . in the "
                "source tree) and run `python3 -m vicinal %s`",
                name, name);
}

static vic_status compare_elsewhere(int argc, char **argv, vic_error *err)
{
    (void)argc;
    (void)argv;
    return elsewhere("compare", err);
}

static vic_status report_elsewhere(int argc, char **argv, vic_error *err)
{
    (void)argc;
    (void)argv;
    return elsewhere("report", err);
}

static const struct command commands[] = {
    { "info", "what a structure file holds: atoms, elements, cell, density", cmd_info },
    { "packing", "how tightly each atom is packed, and what that says about its B-factor", cmd_packing },
    { "pattern", "build the attention pattern of a structure and describe, draw or list it", cmd_pattern },
    { "run", "compute attention over a structure, time it, check it, write the result", cmd_run },
    { "serve", "answer attention over HTTP, for clients of Triton and KServe", cmd_serve },
    { "bench", "time attention, patterns, engines and servers", cmd_bench },
    { "compare", "its attention beside other ways to compute it: times and errors (Python package)",
      compare_elsewhere },
    { "report", "one page of the results of bench and compare (Python package)", report_elsewhere },
    { "env", "version, devices, kernels and switches of this build on this machine", cmd_env },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(FILE *to)
{
    fprintf(to,
            "vicinal %s: softmax attention between the atoms of a structure, over exactly the pairs within a "
            "cutoff\n\nvicinal SUBCOMMAND [FILE] [options]\n\n",
            vic_version());
    for (int i = 0; i < COMMANDS; i++) fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n`vicinal SUBCOMMAND --help` lists the options of one; `vicinal --version` prints the version.\n"
                "Files: PDB, mmCIF, CIF, GRO, XYZ, extXYZ, POSCAR, LAMMPS data and Amber rst7, each also gzipped;\n- "
                "is standard input.\n"
                "Exit codes: 0 ok, 1 failed, 2 usage, 3 bad input, 4 no such device or kernel.\n");
}

static int report_error(const char *command, const vic_error *err)
{
    bool colour = stream_has_colour(stderr);
    fprintf(stderr, "vicinal%s%s: %serror:%s %s\n", *command ? " " : "", command, colour ? "\033[1;31m" : "",
            colour ? "\033[0m" : "", err->text);
    return status_exit_code(err->status);
}

int main(int argc, char **argv)
{
    vic_error err = { VIC_OK, "" };
    const struct command *command;
    vic_status st;
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    /* A file grown past the limit shall be an error like a full disk, not a death that leaves half a file. */
    sigaction(SIGXFSZ, &ignore, NULL);
    if (argc < 2) {
        help(stderr);
        return status_exit_code(VIC_BAD_ARGUMENT);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(stdout);
        return text_end(&err) == VIC_OK ? 0 : report_error("", &err);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("vicinal %s\n", vic_version());
        return text_end(&err) == VIC_OK ? 0 : report_error("", &err);
    }
    command = command_find(commands, COMMANDS, argv[1], &err);
    if (!command) return report_error("", &err);
    st = command->run(argc - 2, argv + 2, &err);
    progress_end();
    if (st == VIC_OK) st = text_end(&err);
    if (st == VIC_OK) return 0;
    field_names_to_options(&err);
    return report_error(command->name, &err);
}
