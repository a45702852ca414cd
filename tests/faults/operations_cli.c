/* SPDX-License-Identifier: Apache-2.0 */
/* The command, in this process: its subcommands are functions. */
#include "cli/cli.h"
#include "faults/operations.h"

#include <fcntl.h>
#include <unistd.h>

enum { WORDS = 32 };

static vic_status command(const char *line, vic_error *err)
{
    char copy[256], *words[WORDS], *rest = NULL;
    int count = 0;
    assert_true(strlen(line) < sizeof copy);
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) words[count++] = word;
    words[count] = NULL;
    vic_status (*run)(int, char **, vic_error *) = strcmp(words[0], "run") == 0       ? cmd_run
                                                   : strcmp(words[0], "info") == 0    ? cmd_info
                                                   : strcmp(words[0], "packing") == 0 ? cmd_packing
                                                                                      : cmd_pattern;
    return run(count - 1, words + 1, err);
}

const struct operation cli_operations[] = {
    { "vicinal info", command, "info seed.pdb --json", NULL },
    { "vicinal run -o .npy", command, "run seed.extxyz --cutoff 3 --threads 2 --check -o out.npy", "out.npy" },
    { "vicinal run -o .safetensors", command,
      "run seed.cif --cutoff 3 --threads 1 --lse --radial linear:-0.5+cosine -o out.safetensors", "out.safetensors" },
    { "vicinal pattern -o", command, "pattern seed.gro --cutoff 3 --threads 1 -o out.vnp", "out.vnp" },
    { "vicinal pattern --pairs-out", command, "pattern seed.vnp --pairs-out out.npz", "out.npz" },
    { "vicinal pattern --plot", command, "pattern seed.pdb --cutoff 3 --threads 1 --plot out.svg", "out.svg" },
    { "vicinal packing -o", command, "packing seed.pdb --threads 1 -o out.pdb", "out.pdb" },
};
const int cli_operation_count = sizeof cli_operations / sizeof *cli_operations;
