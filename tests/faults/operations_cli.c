/* SPDX-License-Identifier: Apache-2.0 */
/* The command, in this process: its subcommands are functions. */
#include "cli/cli.h"
#include "faults/operations.h"

#include <fcntl.h>
#include <unistd.h>

enum { WORDS = 32 };

vic_status command(const char *line, vic_error *err)
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
                                                   : strcmp(words[0], "bench") == 0   ? cmd_bench
                                                                                      : cmd_pattern;
    return run(count - 1, words + 1, err);
}

/* Refused for what is in the file, which is named last. */
static vic_status refused_file(const char *line, vic_error *err)
{
    vic_status st = command(line, err);
    assert_int_not_equal(st, VIC_OK);
    if (st != VIC_BAD_INPUT) return st;
    err->status = VIC_OK;
    return VIC_OK;
}

const struct operation cli_operations[] = {
    { "vicinal info", command, "info seed.pdb --json", NULL, PLAIN },
    { "vicinal run -o .npy", command, "run seed.extxyz --cutoff 3 --threads 2 --check -o out.npy", "out.npy", PLAIN },
    { "vicinal run -o .safetensors", command,
      "run seed.cif --cutoff 3 --threads 1 --lse --radial linear:-0.5+cosine -o out.safetensors", "out.safetensors",
      PLAIN },
    { "vicinal pattern -o", command, "pattern seed.gro --cutoff 3 --threads 1 -o out.vnp", "out.vnp", PLAIN },
    { "vicinal pattern --pairs-out", command, "pattern seed.vnp --pairs-out out.npz", "out.npz", PLAIN },
    { "vicinal pattern --plot", command, "pattern seed.pdb --cutoff 3 --threads 1 --plot out.svg", "out.svg", DRAWS },
    { "vicinal packing -o", command, "packing seed.pdb --threads 1 -o out.pdb", "out.pdb", PLAIN },
    { "vicinal bench latency with gradients", command,
      "bench latency seed.extxyz --cutoff 3 --threads 1 --head-dim 8 --launches 1 --backward --device cpu --json",
      NULL, PLAIN },
    { "vicinal bench throughput", command,
      "bench throughput seed.extxyz --cutoff 3 --threads 1 --head-dim 8 --launches 1 --seconds 0.001 --warm-up 0 "
      "--workers 1 --in-flight 2 --check --processes 0 --json",
      NULL, PLAIN },
    { "vicinal run --q .npy", command,
      "run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --q seed.npy --k seed.npy --v seed.npy", NULL, READS },
    { "vicinal run --q .safetensors", command,
      "run seed.extxyz --cutoff 3 --threads 1 --q seed.safetensors:out --k seed.safetensors:out --v "
      "seed.safetensors:out",
      NULL, READS },
    { "vicinal pattern --pairs", command, "pattern seed.extxyz --threads 1 --pairs seed.npz", NULL, READS },
    { "vicinal pattern --pairs, deflated", command, "pattern seed.extxyz --threads 1 --pairs deflated.npz", NULL,
      READS },
    { "vicinal pattern --pairs, zip64", command, "pattern seed.extxyz --threads 1 --pairs wide.npz", NULL, READS },
    { "vicinal pattern --pairs .npy", command, "pattern seed.extxyz --threads 1 --pairs pairs.npy", NULL, READS },
    { "vicinal pattern --skip", command, "pattern seed.extxyz --cutoff 3 --threads 1 --skip skip.npy", NULL, READS },
    { "vicinal pattern: a mask", command, "pattern mask.npz --threads 1", NULL, READS },
    { "broken .npy", refused_file,
      "run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --q bad.npy --k bad.npy --v bad.npy", NULL, READS },
    { "broken .safetensors", refused_file,
      "run seed.extxyz --cutoff 3 --head-dim 8 --threads 1 --q bad.safetensors --k bad.safetensors --v "
      "bad.safetensors",
      NULL, READS },
    { "broken .npz", refused_file, "pattern seed.extxyz --threads 1 --pairs bad.npz", NULL, READS },
};
const int cli_operation_count = sizeof cli_operations / sizeof *cli_operations;
