/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/io/cif.h"

#include "structure/number.h"

#include <stdio.h>
#include <string.h>

static bool looks_like_cif(const struct source *s)
{
    static const char *const starts[] = { "data_", "loop_", "save_", "global_", "_" };
    struct lines l = lines_of(s->text, s->size);
    struct piece line;
    while (lines_next(&l, &line)) {
        line = piece_trim(line);
        if (!line.length || *line.text == '#') continue;
        for (size_t i = 0; i < sizeof starts / sizeof *starts; ++i) {
            size_t k = 0, length = strlen(starts[i]);
            while (k < length && k < line.length && (line.text[k] | 0x20) == (starts[i][k] | 0x20)) ++k;
            if (k == length) return true;
        }
        return false;
    }
    return false;
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
        return vic_fail(err, VIC_BAD_INPUT, "%s%s: expected correct CIF, found: %s; mend it there or fetch it again",
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

const struct format format_cif = { "cif", looks_like_cif, read_cif };
