/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "files.h"

#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

bool has_ending(const char *path, const char *endings)
{
    size_t size = strlen(path);
    for (const char *at = endings; *at;) {
        size_t length = strcspn(at, "|");
        if (size > length && strncasecmp(path + size - length, at, length) == 0) return true;
        at += length + (at[length] == '|');
    }
    return false;
}

const char *endings_text(const char *endings, char out[128])
{
    size_t used = 0;
    out[0] = '\0';
    for (const char *at = endings; *at;) {
        size_t length = strcspn(at, "|");
        const char *next = at + length + (at[length] == '|');
        const char *before = at == endings ? "" : *next ? ", " : " or ";
        used += (size_t)snprintf(out + used, used < 128 ? 128 - used : 0, "%s%.*s", before, (int)length, at);
        if (used >= 128) break;
        at = next;
    }
    return out;
}

/* ---- endings ---- */

/* What the shell or the system opened already, whatever stands behind it. */
static bool is_descriptor(const char *path)
{
    return strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0 ||
           strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/self/fd/", 14) == 0;
}

static bool is_special(const char *path)
{
    struct stat about;
    return is_descriptor(path) || (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode));
}

/* The option of this kind that comes at or after *at, which moves behind it; NULL at the end.  Only those given. */
static const struct option *next_file(const struct syntax *s, enum option_kind kind, int *at)
{
    int index = 0;
    for (int g = 0; g < s->group_count; g++) {
        for (int i = 0; i < s->groups[g].count; i++, index++) {
            const struct option *o = &s->groups[g].options[i];
            if (index < *at || o->kind != kind || !*(const char **)o->target) continue;
            *at = index + 1;
            return o;
        }
    }
    return NULL;
}

static const char *path_of(const struct option *o)
{
    return *(const char **)o->target;
}

/* Another output of this subcommand that would have been right. */
static const char *meant(const struct syntax *s, const char *path)
{
    for (int g = 0; g < s->group_count; g++)
        for (int i = 0; i < s->groups[g].count; i++)
            if (s->groups[g].options[i].kind == OPTION_OUTPUT && has_ending(path, s->groups[g].options[i].choices))
                return s->groups[g].options[i].name;
    return NULL;
}

static vic_status check_ending(const struct syntax *s, const struct option *o, vic_error *err)
{
    const char *path = path_of(o), *other;
    char text[128];
    if (has_ending(path, o->choices)) return VIC_OK;
    if (!strchr(o->choices, '|') && is_special(path)) return VIC_OK;
    other = meant(s, path);
    return fail(err, VIC_BAD_ARGUMENT, "%s writes %s: expected a name that ends so, got '%s'%s%s", o->name,
                endings_text(o->choices, text), path, other ? "; such a file is written by " : "",
                other ? other : "");
}

/* ---- the same file twice ---- */

/* Where a name leads. */
struct place {
    bool known, special, exists;
    dev_t device;
    ino_t node;       /* of the file, or where it does not exist of its folder */
    const char *name; /* in the folder */
};

static struct place place_of(const char *path)
{
    struct place p = { .exists = true };
    struct stat about;
    char *folder;
    const char *slash = strrchr(path, '/');
    if (stat(path, &about) != 0) {
        p.exists = false;
        p.name = slash ? slash + 1 : path;
        folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        p.known = folder && stat(folder, &about) == 0;
        free(folder);
        if (!p.known) return p;
    }
    p.known = true;
    p.special = p.exists && !S_ISREG(about.st_mode);
    p.device = about.st_dev;
    p.node = about.st_ino;
    return p;
}

static bool same_place(const struct place *a, const struct place *b)
{
    if (!a->known || !b->known || a->special || b->special || a->exists != b->exists) return false;
    return a->device == b->device && a->node == b->node && (a->exists || strcmp(a->name, b->name) == 0);
}

/* An input may be FILE:NAME, which is so when there is no file of the whole name. */
static struct place place_of_input(const char *given)
{
    struct place p = place_of(given);
    const char *colon = strrchr(given, ':');
    char *path;
    if (p.exists || !colon || colon == given || !(path = strndup(given, (size_t)(colon - given)))) return p;
    struct place shorter = place_of(path);
    free(path);
    return shorter.exists ? shorter : p;
}

static vic_status refuse(const struct option *output, const char *other, const char *other_path, bool input,
                         vic_error *err)
{
    return fail(err, VIC_BAD_ARGUMENT, "%s '%s' and %s%s%s%s are the same file%s", output->name, path_of(output),
                other, other_path ? " '" : "", other_path ? other_path : "", other_path ? "'" : "",
                input ? ", which would be overwritten: give the output another name"
                      : ": give one of them another name");
}

static vic_status check_output(const struct syntax *s, const struct option *output, int later, const char *operand,
                               vic_error *err)
{
    struct place place = place_of(path_of(output)), other;
    const struct option *o;
    struct stat out;
    int at = 0;
    if (is_descriptor(path_of(output))) return VIC_OK;
    if (operand) {
        other = place_of(operand);
        if (same_place(&place, &other)) return refuse(output, "the input", operand, true, err);
    }
    while ((o = next_file(s, OPTION_INPUT, &at))) {
        other = place_of_input(path_of(o));
        if (same_place(&place, &other)) return refuse(output, o->name, path_of(o), true, err);
    }
    while ((o = next_file(s, OPTION_OUTPUT, &later))) {
        other = place_of(path_of(o));
        if (!is_descriptor(path_of(o)) && same_place(&place, &other))
            return refuse(output, o->name, path_of(o), false, err);
    }
    if (place.exists && fstat(STDOUT_FILENO, &out) == 0 && S_ISREG(out.st_mode) && out.st_dev == place.device &&
        out.st_ino == place.node)
        return refuse(output, "the standard output", NULL, false, err);
    return VIC_OK;
}

vic_status files_check(const struct syntax *s, const char *operand, vic_error *err)
{
    const struct option *o;
    for (int at = 0; (o = next_file(s, OPTION_OUTPUT, &at));) TRY(check_ending(s, o, err));
    for (int at = 0; (o = next_file(s, OPTION_OUTPUT, &at));) TRY(check_output(s, o, at, operand, err));
    return VIC_OK;
}

vic_status files_probe(const struct syntax *s, vic_error *err)
{
    const struct option *o;
    for (int at = 0; (o = next_file(s, OPTION_OUTPUT, &at));) TRY(outfile_probe(path_of(o), err));
    return VIC_OK;
}
