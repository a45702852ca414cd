/* SPDX-License-Identifier: Apache-2.0 */
/* What every file of the command shares: failing in one expression, checked sizes, the table of subcommands.
 * The command uses the public headers, libc and zlib, and nothing of the library's inside. */
#ifndef VICINAL_CLI_H
#define VICINAL_CLI_H

#include "vicinal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fill `err` and return `status`; main() prints the text and turns the status into the exit code. */
vic_status fail(vic_error *err, vic_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int status_exit_code(vic_status status);

/* For functions that own nothing. */
#define TRY(expression)                                                                                              \
    do {                                                                                                             \
        vic_status try_status_ = (expression);                                                                       \
        if (try_status_ != VIC_OK) return try_status_;                                                               \
    } while (0)

/* For functions that own something: `st` is the function's status, `label` frees in reverse and returns it. */
#define TRY_GOTO(expression, label)                                                                                  \
    do {                                                                                                             \
        st = (expression);                                                                                           \
        if (st != VIC_OK) goto label;                                                                                \
    } while (0)

/* *product = a * b * size in bytes; false when it does not fit size_t or a factor is negative. */
bool size_product(int64_t a, int64_t b, size_t size, size_t *product);

/* count * size bytes, zeroed, or NO_MEMORY naming `what`.  Never NULL on success, also for 0 bytes. */
vic_status allocate(int64_t count, size_t size, const char *what, void *out, vic_error *err);

double seconds_now(void); /* monotonic */

/* Where a command's work runs: `threads` of --threads, 0 = all. */
vic_status context_open(int threads, vic_device device, vic_context **out, vic_error *err);

/* One row a subcommand, in commands[] of main.c.  `run` gets the words after the subcommand. */
struct command {
    const char *name, *summary;
    vic_status (*run)(int argc, char **argv, vic_error *err);
};

/* The row of that name; NULL fills `err`, with the nearest name where one may have been meant. */
const struct command *command_find(const struct command *table, int count, const char *name, vic_error *err);

vic_status cmd_info(int argc, char **argv, vic_error *err);
vic_status cmd_packing(int argc, char **argv, vic_error *err);
vic_status cmd_pattern(int argc, char **argv, vic_error *err);
vic_status cmd_run(int argc, char **argv, vic_error *err);
vic_status cmd_bench(int argc, char **argv, vic_error *err);
vic_status cmd_serve(int argc, char **argv, vic_error *err);
vic_status cmd_env(int argc, char **argv, vic_error *err);

#endif
