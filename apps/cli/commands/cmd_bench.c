/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/bench.h"

#include <stdio.h>
#include <string.h>

/* The entry of the Python package does it, by one process of this program a case. */
static vic_status bench_all(int argc, char **argv, vic_error *err)
{
    (void)argc;
    (void)argv;
    return fail(err, VIC_BAD_ARGUMENT,
                "this is the C command alone, and bench all is in Python: install the package (pip install . in the "
                "source tree) and run `python3 -m vicinal bench all`");
}

static const struct command benches[] = {
    { "latency", "attention: how long a launch takes, and how much that varies", bench_latency },
    { "pattern", "building the pattern: seconds, memory, pairs a second", bench_pattern },
    { "scaling", "latency over cutoff, heads, head size, atoms, batch, blocks or threads", bench_scaling },
    { "throughput", "queries a second of an engine in this process, and their latencies", bench_throughput },
    { "serve", "load on a server of the Open Inference Protocol: rates, latencies, refusals", bench_serve },
    { "all", "all of these but serve, in one run and one file (Python package)", bench_all },
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

vic_status cmd_bench(int argc, char **argv, vic_error *err)
{
    const struct command *bench;
    bool help = false;
    for (int i = 0; i < argc && argv[0][0] == '-'; i++)
        help = help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (argc == 0)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "choose what to time: `vicinal bench latency`, `pattern`, `scaling`, `throughput`, `serve` or `all`; each has "
            "a --help");
    if (help) {
        printf("vicinal bench SUBCOMMAND FILE [options]\n\nTimes attention and patterns on this machine.\n\n");
        for (int i = 0; i < BENCHES; i++) printf("  %-12s%s\n", benches[i].name, benches[i].summary);
        printf("\n`vicinal bench SUBCOMMAND --help` lists the options of one; --json is for scripts.\n");
        return VIC_OK;
    }
    bench = command_find(benches, BENCHES, argv[0], err);
    return bench ? bench->run(argc - 1, argv + 1, err) : err->status;
}
