/* SPDX-License-Identifier: Apache-2.0 */
#include "base/switches.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *variable, *help;
} switches[SWITCH_COUNT] = {
#define ROW(name, variable, help) { variable, help },
    SWITCH_LIST(ROW)
#undef ROW
};

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

/* Is the word of `length` characters in the comma-separated list? */
static bool list_has(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t part = strcspn(list, ",");
        if (part == length && strncmp(list, word, length) == 0) return true;
        list += part + (list[part] == ',');
    }
    return false;
}

bool switch_has_word(enum switch_id id, const char *word)
{
    return list_has(switch_value(id), word, strlen(word));
}

const char *switch_disable_cpu_wrong(void)
{
    const char *at = switch_value(SWITCH_DISABLE_CPU);
    while (*at) {
        size_t part = strcspn(at, ",");
        if (part > 0 && !list_has("avx2,avx512", at, part))
            return "VIC_DISABLE_CPU has a word that is neither avx2 nor avx512";
        at += part + (at[part] == ',');
    }
    return NULL;
}

int vic_switch_count(void)
{
    return SWITCH_COUNT;
}

vic_switch_info vic_switch_get(int index)
{
    vic_switch_info info = { "", "", "" };
    if (index >= 0 && index < SWITCH_COUNT) {
        info.name = switches[index].variable;
        info.value = switch_value((enum switch_id)index);
        info.help = switches[index].help;
    }
    return info;
}

void log_line(const char *topic, const char *format, ...)
{
    char text[512];
    va_list args;
    if (!switch_has_word(SWITCH_LOG, topic)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "vicinal %s: %s\n", topic, text);
}
