/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <string.h>

enum { MOST_COMMANDS = 32 };

const struct command *command_find(const struct command *table, int count, const char *name, vic_error *err)
{
    const char *names[MOST_COMMANDS], *near;
    if (count > MOST_COMMANDS) count = MOST_COMMANDS;
    for (int i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
        names[i] = table[i].name;
    }
    near = nearest_name(name, names, count);
    if (near)
        fail(err, VIC_BAD_ARGUMENT, "unknown subcommand '%s'; did you mean %s?", name, near);
    else
        fail(err, VIC_BAD_ARGUMENT, "unknown %s '%s'; --help lists the subcommands",
             *name == '-' ? "option" : "subcommand", name);
    return NULL;
}
