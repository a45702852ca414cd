/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/cif.h"

#include "structure/number.h"

#include <stdio.h>
#include <string.h>

static bool begins(struct piece word, const char *start)
{
    size_t k = 0, length = strlen(start);
    while (k < length && k < word.length && (word.text[k] | 0x20) == (start[k] | 0x20)) ++k;
    return k == length;
}

/* The first two words outside comments; the second is empty where there is one. */
static bool first_words(const struct source *s, struct piece *first, struct piece *second)
{
    struct lines l = lines_of(s->text, s->size);
    struct piece line, word;
    bool any = false;
    *second = (struct piece){ "", 0 };
    while (lines_next(&l, &line))
        while (piece_next_word(&line, &word) && *word.text != '#') {
            if (any) return *second = word, true;
            any = true;
            *first = word;
        }
    return any;
}

static bool is_cif_word(struct piece word)
{
    return !word.length || *word.text == '_' || begins(word, "loop_") || begins(word, "data_") ||
           begins(word, "save_") || begins(word, "global_");
}

/* A title may begin like CIF ("loop_ closure", "global_min"); a count follows it then, or words that CIF has not. */
static bool looks_like_cif(const struct source *s)
{
    struct piece first, second;
    int64_t count;
    if (!first_words(s, &first, &second) || !is_cif_word(first)) return false;
    if (begins(first, "loop_")) return is_cif_word(second);
    return *first.text == '_' || !number_read_integer(second.text, second.length, &count);
}

static bool is_cif(const struct source *s)
{
    struct piece first, second;
    return first_words(s, &first, &second) && begins(first, "data_") && is_cif_word(second);
}

struct piece cif_piece(struct shim_text t)
{
    struct piece p = { t.text ? t.text : "", t.text ? t.length : 0 };
    return p;
}

bool cif_number(struct shim_text t, double *value)
{
    struct piece p = cif_piece(t);
    if (p.length && p.text[p.length - 1] == ')') {
        const char *open = memchr(p.text, '(', p.length);
        if (!open || open + 2 >= p.text + p.length) return false;
        for (const char *c = open + 1; c < p.text + p.length - 1; ++c)
            if (*c < '0' || *c > '9') return false;
        p.length = (size_t)(open - p.text);
    }
    return number_read(p.text, p.length, 0, value);
}

int64_t cif_line(const struct source *s, struct shim_text t)
{
    return source_line(s, (size_t)(t.text - s->text));
}

static vic_status read_cif(const struct source *s, int model, struct file_content *out, vic_error *err)
{
    struct shim_cif *cif;
    char why[300], place[40] = "";
    int64_t line;
    bool small = false;
    vic_status st = VIC_OK;
    int block = 0, count;
    if (!shim_cif_open(s->text, s->size, &cif, &line, why, sizeof why)) {
        if (line < 0) return vic_fail(err, VIC_NO_MEMORY, "out of memory: the places of a CIF's values");
        if (line) snprintf(place, sizeof place, " line %lld", (long long)line);
        return vic_fail(err, VIC_BAD_INPUT, "%s%s: expected correct CIF, found: %s; fix it there or fetch it again",
                        s->name, place, why);
    }
    count = shim_cif_blocks(cif);
    for (; block < count; ++block) {
        static const char *const key[] = { "_atom_site.Cartn_x" };
        struct shim_table table;
        if (shim_cif_table(cif, block, key, 1, &table)) break;
        small = small || smcif_has_sites(cif, block);
    }
    if (block < count)
        st = mmcif_read(s, cif, model, out, err);
    else if (small)
        st = smcif_read(s, cif, model, out, err);
    else
        st = format_no_atoms(s, "a CIF with an _atom_site.Cartn_x or _atom_site_fract_x loop", err);
    shim_cif_close(cif);
    return st;
}

const struct format format_cif = { "cif", looks_like_cif, read_cif, is_cif };
