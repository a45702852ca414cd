/* SPDX-License-Identifier: Apache-2.0 */
/* Every environment variable that vicinal reads is declared here, so that `vicinal env` can print them all. */
#ifndef VIC_BASE_SWITCHES_H
#define VIC_BASE_SWITCHES_H

#include "base/status.h"
#include "vicinal_dev.h"

/* name, environment variable, words that it may list (NULL: it takes another kind of value), least and most number
 * (both 0: no number), help */
#define SWITCH_LIST(X)                                                                                               \
    X(THREADS, "VIC_THREADS", NULL, 0, 1000000,                                                                      \
      "default number of threads of a context; default, or 0: all that this process may use")                        \
    X(LOG, "VIC_LOG", "pattern,plan", 0, 0, "comma-separated topics to report on stderr: pattern, plan")             \
    X(FORCE_KERNEL, "VIC_FORCE_KERNEL", NULL, 0, 0, "use this kernel and no other; `vicinal env` lists them")        \
    X(FORCE_BACKWARD_KERNEL, "VIC_FORCE_BACKWARD_KERNEL", NULL, 0, 0, "the same for the gradients")                  \
    X(READ_LIMIT, "VIC_READ_LIMIT_MB", NULL, 0, 1000000,                                                             \
      "largest text of a structure, after inflating, in MiB; default, or 0: 2048")                                   \
    X(DISABLE_CPU, "VIC_DISABLE_CPU", "avx2,avx512", 0, 0,                                                           \
      "comma-separated CPU features to leave unused: avx2, avx512")

enum switch_id {
#define SWITCH_ENUM(name, variable, words, least, most, help) SWITCH_##name,
    SWITCH_LIST(SWITCH_ENUM)
#undef SWITCH_ENUM
        SWITCH_COUNT
};

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

const char *switch_name(enum switch_id id);                /* the environment variable */
const char *switch_value(enum switch_id id);               /* "" when unset */
int switch_int(enum switch_id id, int otherwise);          /* `otherwise` when unset or not a number */
bool switch_has_word(enum switch_id id, const char *word); /* in a comma-separated list, blanks around it aside */

/* BAD_ARGUMENT, with what was expected, for a value that the switch does not take.  It is called where the switch is
 * used, so that a typing error is not taken for a switch that is not set. */
vic_status switch_check(enum switch_id id, vic_error *err);

/* Returns NULL, or why no CPU kernel may run: a word in VIC_DISABLE_CPU that is no feature must not mean "disable
 * nothing", nor leave the reference as the only kernel. */
const char *switch_disable_cpu_wrong(void);

/* Sends this thread's lines to `log` from now on; NULL = to stderr. */
void log_to(void (*log)(void *user, const char *line), void *user);
/* Writes one line, "vicinal topic: ...", when VIC_LOG names the topic. */
void log_line(const char *topic, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
