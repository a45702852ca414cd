/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "options.h"

#include "files.h"
#include "numbers.h"
#include "vicinal_dev.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAMES_MAX = 64, WORD = 64 };

bool number_int64(const char *text, int64_t *out)
{
    char *end;
    const char *digits = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*digits)) return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

bool trimmed(const char *text, size_t length, char *out, size_t size)
{
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) length--;
    while (length > 0 && (*text == ' ' || *text == '\t')) text++, length--;
    if (length >= size) return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

bool number_uint64(const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

bool number_real(const char *text, double *out)
{
    char *end;
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text)) return false;
    *out = strtod(text, &end); /* the locale is never set, so the point is a point */
    return *end == '\0' && isfinite(*out);
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

int edit_distance(const char *a, const char *b)
{
    int d[3][WORD + 1];
    int la = (int)strnlen(a, WORD), lb = (int)strnlen(b, WORD);
    for (int j = 0; j <= lb; j++) d[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = d[i % 3], *before = d[(i + 2) % 3], *earlier = d[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            now[j] = min_int(min_int(before[j] + 1, now[j - 1] + 1), before[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]))
                now[j] = min_int(now[j], earlier[j - 2] + 1);
        }
    }
    return d[la % 3][lb];
}

const char *nearest_name(const char *given, const char *const *names, int count)
{
    const char *best = NULL;
    size_t length = strlen(given);
    int limit = length <= 4 ? 1 : length <= 8 ? 2 : 3, least = limit + 1;
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(given, names[i]);
        /* The beginning of a name is near it, however much is missing. */
        if (length >= 3 && strncasecmp(given, names[i], length) == 0) distance = 1;
        if (distance < least) {
            least = distance;
            best = names[i];
        }
    }
    return best;
}

static const struct option *option_find(const struct syntax *s, const char *name, size_t length)
{
    for (int g = 0; g < s->group_count; g++) {
        for (int i = 0; i < s->groups[g].count; i++) {
            const struct option *o = &s->groups[g].options[i];
            if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) return o;
        }
    }
    return NULL;
}

const struct option *options_find(const struct syntax *s, const char *name)
{
    return option_find(s, name, strlen(name));
}

static vic_status option_unknown(const struct syntax *s, const char *word, size_t length, vic_error *err)
{
    const char *names[NAMES_MAX], *near;
    char name[WORD];
    int count = 0;
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    names[count++] = "--help";
    for (int g = 0; g < s->group_count; g++)
        for (int i = 0; i < s->groups[g].count && count < NAMES_MAX; i++)
            names[count++] = s->groups[g].options[i].name;
    near = nearest_name(name, names, count);
    if (near) {
        return fail(err, VIC_BAD_ARGUMENT, "unknown option %s; did you mean %s? `vicinal %s --help` lists them all",
                    name, near, s->command);
    }
    return fail(err, VIC_BAD_ARGUMENT, "unknown option %s; `vicinal %s --help` lists them all", name, s->command);
}

static vic_status choice_set(const struct option *o, const char *text, vic_error *err)
{
    char words[128];
    int index = 0;
    for (const char *at = o->choices; *at; index++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *(int *)o->target = index;
            return VIC_OK;
        }
        at += length + (at[length] == '|');
    }
    return fail(err, VIC_BAD_ARGUMENT, "%s: expected %s, got '%s'", o->name, endings_text(o->choices, words), text);
}

vic_status options_set(const struct option *o, const char *text, vic_error *err)
{
    int64_t integer;
    double real;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->target = true; return VIC_OK;
    case OPTION_TEXT:
    case OPTION_INPUT:
    case OPTION_OUTPUT:
        if (*text == '\0') return fail(err, VIC_BAD_ARGUMENT, "%s: expected %s, got nothing", o->name, o->value);
        *(const char **)o->target = text;
        return VIC_OK;
    case OPTION_INT:
        if (!number_int64(text, &integer) || (double)integer < o->min || (double)integer > o->max) {
            return fail(err, VIC_BAD_ARGUMENT, "%s: expected a whole number from %.0f to %.0f, got '%s'", o->name,
                        o->min, o->max, text);
        }
        *(int *)o->target = (int)integer;
        return VIC_OK;
    case OPTION_UINT64:
        if (!number_uint64(text, o->target)) {
            return fail(err, VIC_BAD_ARGUMENT, "%s: expected a whole number from 0 to 18446744073709551615, got '%s'",
                        o->name, text);
        }
        return VIC_OK;
    case OPTION_REAL:
        if (!number_real(text, &real) || !(real > o->min) || real > o->max) {
            return fail(err, VIC_BAD_ARGUMENT, "%s: expected a number above %g and at most %g, got '%s'", o->name,
                        o->min, o->max, text);
        }
        *(double *)o->target = real;
        return VIC_OK;
    case OPTION_CHOICE: return choice_set(o, text, err);
    case OPTION_CUSTOM: return o->parse(o, text, err);
    }
    return fail(err, VIC_FAILED, "option %s has no kind", o->name);
}

/* One word that begins with a dash, and its value where it takes one. */
static vic_status option_word(const struct syntax *s, int argc, char **argv, int *at, vic_error *err)
{
    const char *word = argv[*at], *value = NULL;
    size_t length = strcspn(word, "=");
    const struct option *o = option_find(s, word, length);
    if (!o) return option_unknown(s, word, length, err);
    if (word[length] == '=') value = word + length + 1;
    if (o->kind == OPTION_FLAG) {
        if (value) return fail(err, VIC_BAD_ARGUMENT, "%s takes no value, got '%s'", o->name, value);
    } else if (!value) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
            return fail(err, VIC_BAD_ARGUMENT, "%s: expected %s after it, got %s", o->name, o->value,
                        *at + 1 >= argc ? "the end of the line" : argv[*at + 1]);
        }
        value = argv[++*at];
    }
    return options_set(o, value ? value : "", err);
}

/* The files that are named, and the environment: a slip in one of its variables shall not pass for one that is not
 * set; `env` shows them instead. */
static vic_status check_rest(const struct syntax *s, const char *operand, vic_error *err)
{
    TRY(files_check(s, operand, err));
    return strcmp(s->command, "env") == 0 ? VIC_OK : vic_switches_check(err);
}

/* --help anywhere, but behind `--`. */
static bool asks_help(const struct syntax *s, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        options_help(s);
        return true;
    }
    return false;
}

static vic_status take_operand(const struct syntax *s, const char *word, const char **operands, int most, int *count,
                               vic_error *err)
{
    if (!s->operand) return fail(err, VIC_BAD_ARGUMENT, "`vicinal %s` takes no file, got '%s'", s->command, word);
    if (*count == most && most == 1)
        return fail(err, VIC_BAD_ARGUMENT, "expected one %s, got a second: '%s' after '%s'", s->operand, word,
                    operands[0]);
    if (*count == most) return fail(err, VIC_BAD_ARGUMENT, "expected at most %d files, got '%s' too", most, word);
    operands[(*count)++] = word;
    return VIC_OK;
}

static vic_status read_words(const struct syntax *s, int argc, char **argv, const char **operands, int most,
                             int *count, vic_error *err)
{
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0)
            only_operands = true;
        else if (!only_operands && argv[i][0] == '-' && argv[i][1])
            TRY(option_word(s, argc, argv, &i, err));
        else
            TRY(take_operand(s, argv[i], operands, most, count, err));
    }
    return VIC_OK;
}

vic_status options_read(const struct syntax *s, int argc, char **argv, const char **operand, bool *helped,
                        vic_error *err)
{
    const char *found = NULL;
    int count = 0;
    if (operand) *operand = NULL;
    *helped = asks_help(s, argc, argv);
    if (*helped) return VIC_OK;
    TRY(read_words(s, argc, argv, &found, 1, &count, err));
    if (found && operand && *operand)
        return fail(err, VIC_BAD_ARGUMENT, "expected one %s, got '%s' beside an option that stands for %s",
                    s->operand, found, *operand);
    if (!found && operand && *operand) return check_rest(s, *operand, err);
    if (s->operand && (!found || !*found)) {
        return fail(err, VIC_BAD_ARGUMENT, "%s is missing: vicinal %s %s [options]; `vicinal %s --help` lists them",
                    s->operand, s->command, s->operand, s->command);
    }
    if (operand) *operand = found;
    return check_rest(s, found, err);
}

vic_status options_read_many(const struct syntax *s, int argc, char **argv, const char **operands, int most,
                             int *count, bool *helped, vic_error *err)
{
    *count = 0;
    *helped = asks_help(s, argc, argv);
    if (*helped) return VIC_OK;
    TRY(read_words(s, argc, argv, operands, most, count, err));
    return check_rest(s, NULL, err);
}

/* `text` in lines of at most `width`, from column `column` on; the first line is already there. */
static void print_wrapped(const char *text, int column, int width)
{
    int at = column;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at + length > width && at > column) {
            printf("\n%*s", column, "");
            at = column;
        }
        printf("%.*s", length, text);
        text += length;
        at += length;
        if (*text == ' ') {
            text++;
            if (at + 1 + (int)strcspn(text, " ") <= width && *text) {
                putchar(' ');
                at++;
            } else if (*text) {
                printf("\n%*s", column, "");
                at = column;
            }
        }
    }
    putchar('\n');
}

void options_help(const struct syntax *s)
{
    enum { COLUMN = 30, WIDTH = 100 };
    printf("vicinal %s%s%s [options]\n\n", s->command, s->operand ? " " : "", s->operand ? s->operand : "");
    print_wrapped(s->summary, 0, WIDTH);
    for (int g = 0; g < s->group_count; g++) {
        printf("\n%s\n", s->groups[g].title);
        for (int i = 0; i < s->groups[g].count; i++) {
            const struct option *o = &s->groups[g].options[i];
            int width = printf("  %s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
            if (width >= COLUMN) {
                putchar('\n');
                width = 0;
            }
            printf("%*s", COLUMN - width, "");
            print_wrapped(o->help, COLUMN, WIDTH);
        }
    }
    if (s->notes) printf("\n%s\n", s->notes);
}
