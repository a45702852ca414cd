/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment variable that vicinal reads is declared here, so that `vicinal env` can print them all. */
#ifndef VIC_BASE_SWITCHES_H
#define VIC_BASE_SWITCHES_H

#include "base/status.h"

/* name, environment variable, help */
#define SWITCH_LIST(X)                                                                                               \
    X(THREADS, "VIC_THREADS", "threads to use where none are asked for; default: all this process may use")          \
    X(LOG, "VIC_LOG", "comma-separated topics to report on stderr: pattern, plan")                                   \
    X(FORCE_KERNEL, "VIC_FORCE_KERNEL", "use this kernel and no other; `vicinal env` lists them")                    \
    X(READ_LIMIT, "VIC_READ_LIMIT_MB", "largest text of a structure, after inflating, in MiB; default: 2048")        \
    X(DISABLE_CPU, "VIC_DISABLE_CPU", "comma-separated CPU features to leave unused: avx2, avx512")

enum switch_id {
#define SWITCH_ENUM(name, variable, help) SWITCH_##name,
    SWITCH_LIST(SWITCH_ENUM)
#undef SWITCH_ENUM
        SWITCH_COUNT
};

const char *switch_value(enum switch_id id);               /* "" when unset */
int switch_int(enum switch_id id, int otherwise);          /* `otherwise` when unset or not a number */
bool switch_has_word(enum switch_id id, const char *word); /* in a comma-separated list */

/* NULL, or why no CPU kernel may run: a word in VIC_DISABLE_CPU that is no feature must not pass for "disable
 * nothing", nor leave the reference as the only kernel. */
const char *switch_disable_cpu_wrong(void);

/* One line on stderr, "vicinal topic: ...", when VIC_LOG names the topic. */
void log_line(const char *topic, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
