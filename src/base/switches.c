/* SPDX-License-Identifier: Apache-2.0 */
#include "base/switches.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *variable, *words;
    int least, most;
    const char *help;
} switches[SWITCH_COUNT] = {
#define ROW(name, variable, words, least, most, help) { variable, words, least, most, help },
    SWITCH_LIST(ROW)
#undef ROW
};

const char *switch_name(enum switch_id id)
{
    return switches[id].variable;
}

const char *switch_value(enum switch_id id)
{
    const char *value = getenv(switches[id].variable);
    return value ? value : "";
}

int switch_int(enum switch_id id, int otherwise)
{
    const char *value = switch_value(id);
    char *end;
    long number = strtol(value, &end, 10);
    if (*value == '\0' || *end != '\0' || number < 0 || number > 1000000) return otherwise;
    return (int)number;
}

/* Returns the next word of a comma-separated list, without the blanks around it; NULL at the end.  Empty words are
 * skipped. */
static const char *next_word(const char **list, size_t *length)
{
    while (**list) {
        const char *word = *list + strspn(*list, " \t");
        const char *end = word + strcspn(word, ",");
        *list = end + (*end == ',');
        while (end > word && (end[-1] == ' ' || end[-1] == '\t')) end--;
        *length = (size_t)(end - word);
        if (*length > 0) return word;
    }
    return NULL;
}

static bool list_has(const char *list, const char *word, size_t length)
{
    size_t n;
    for (const char *at = next_word(&list, &n); at; at = next_word(&list, &n))
        if (n == length && strncmp(at, word, length) == 0) return true;
    return false;
}

bool switch_has_word(enum switch_id id, const char *word)
{
    return list_has(switch_value(id), word, strlen(word));
}

/* The first word in the switch's value that it does not know, or NULL. */
static const char *wrong_word(enum switch_id id)
{
    const char *list = switch_value(id);
    size_t length;
    for (const char *word = next_word(&list, &length); word; word = next_word(&list, &length))
        if (!list_has(switches[id].words, word, length)) return word;
    return NULL;
}

vic_status switch_check(enum switch_id id, vic_error *err)
{
    const char *value = switch_value(id);
    int least = switches[id].least, most = switches[id].most;
    if (switches[id].words && wrong_word(id))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: expected words from %s, with commas between, got '%.80s'; unset it or fix it",
                        switches[id].variable, switches[id].words, value);
    if (most > 0 && *value && switch_int(id, -1) < 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: expected a whole number from %d to %d, got '%.80s'; unset it or fix it",
                        switches[id].variable, least, most, value);
    return VIC_OK;
}

const char *switch_disable_cpu_wrong(void)
{
    return wrong_word(SWITCH_DISABLE_CPU) ? "VIC_DISABLE_CPU has a word that is neither avx2 nor avx512" : NULL;
}

int vic_switch_count(void)
{
    return SWITCH_COUNT;
}

vic_status vic_switch_get(int index, vic_switch_info *out, vic_error *err)
{
    vic_switch_info info = VIC_INIT(vic_switch_info);
    if (index < 0 || index >= SWITCH_COUNT)
        return vic_fail(err, VIC_BAD_ARGUMENT, "index: expected 0 to %d, got %d", SWITCH_COUNT - 1, index);
    info.name = switches[index].variable;
    info.value = switch_value((enum switch_id)index);
    info.help = switches[index].help;
    return struct_give(out, &info, sizeof info, "vic_switch_info", err);
}

static _Thread_local struct {
    void (*log)(void *user, const char *line);
    void *user;
} target;

void log_to(void (*log)(void *user, const char *line), void *user)
{
    target.log = log;
    target.user = user;
}

void log_line(const char *topic, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!switch_has_word(SWITCH_LOG, topic)) return;
    int used = snprintf(line, sizeof line, "vicinal %s: ", topic);
    va_start(args, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    if (target.log)
        target.log(target.user, line);
    else
        fprintf(stderr, "%s\n", line);
}
