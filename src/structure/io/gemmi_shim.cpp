// SPDX-License-Identifier: Apache-2.0
#include "structure/io/gemmi_shim.h"

#include <gemmi/cif.hpp>
#include <gemmi/symmetry.hpp>
#include <gemmi/third_party/fast_float.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

namespace cif = gemmi::cif;

const char *const shim_column_names[SHIM_COLUMNS] = {
    "Cartn_x",
    "Cartn_y",
    "Cartn_z",
    "id",
    "group_PDB",
    "type_symbol",
    "label_atom_id",
    "auth_atom_id",
    "label_alt_id",
    "label_comp_id",
    "auth_comp_id",
    "label_asym_id",
    "auth_asym_id",
    "label_seq_id",
    "auth_seq_id",
    "pdbx_PDB_ins_code",
    "occupancy",
    "B_iso_or_equiv",
    "pdbx_PDB_model_num",
};

struct shim_cif {
    cif::Document document;
    cif::Block *block = nullptr;
    const cif::Loop *loop = nullptr; // null where the one atom is written as tag-value pairs
    const std::string *pairs[SHIM_COLUMNS] = {};
    int columns[SHIM_COLUMNS] = {};
    int64_t line = 0;
    bool fractional = false;
    mutable bool no_memory = false; // asking for a value builds its tag, which may fail
};

bool shim_read_double(const char *text, const char *end, double *value)
{
    fast_float::from_chars_result result = fast_float::from_chars(text, end, *value);
    return result.ec == std::errc() && result.ptr == end;
}

int shim_space_group(const char *name, double alpha, double gamma,
                     struct shim_operation operations[SHIM_MAX_OPERATIONS])
{
    try {
        const gemmi::SpaceGroup *group = gemmi::find_spacegroup_by_name(name, alpha, gamma);
        int count = 0;
        if (!group) return 0;
        for (const gemmi::Op op : group->operations()) {
            if (count == SHIM_MAX_OPERATIONS) return 0;
            for (size_t i = 0; i < 3; ++i) {
                for (size_t j = 0; j < 3; ++j)
                    operations[count].rotation[i][j] = double(op.rot[i][j]) / gemmi::Op::DEN;
                operations[count].translation[i] = double(op.tran[i]) / gemmi::Op::DEN;
            }
            ++count;
        }
        return count;
    } catch (const std::bad_alloc &) {
        return -1;
    } catch (const std::exception &) {
        return 0;
    }
}

// gemmi writes "name:line:column(byte): text" or "name:line:column: text"; the name is ours and empty.
static void explain(const char *what, int64_t *line, char *why, size_t why_size)
{
    const char *at = what;
    char *end;
    long number;
    *line = 0;
    if (*at == ':') ++at;
    number = std::strtol(at, &end, 10);
    if (end != at && *end == ':' && number > 0) {
        *line = number;
        const char *text = std::strstr(end, ": ");
        if (text) at = text + 2;
    }
    std::snprintf(why, why_size, "%s", at);
}

static void find_sites(struct shim_cif *c)
{
    for (cif::Block &block : c->document.blocks) {
        // find_loop_item() compares with a tag that is not lowered, and so misses Cartn_x
        const cif::Item *item = block.find_values("_atom_site.Cartn_x").item();
        if (!item) {
            c->fractional =
                c->fractional || block.has_tag("_atom_site_fract_x") || block.has_tag("_atom_site.fract_x");
            continue;
        }
        if (item->type != cif::ItemType::Loop) item = nullptr;
        c->block = &block;
        for (int k = 0; k < SHIM_COLUMNS; ++k) {
            std::string tag = std::string("_atom_site.") + shim_column_names[k];
            c->columns[k] = item ? item->loop.find_tag(tag) : -1;
            c->pairs[k] = item ? nullptr : block.find_value(tag);
        }
        if (item) {
            c->loop = &item->loop;
            c->line = item->line_number;
        }
        return;
    }
}

bool shim_cif_open(const char *text, size_t size, struct shim_cif **out, int64_t *rows, int64_t *line, char *why,
                   size_t why_size)
{
    *out = nullptr;
    *rows = *line = 0;
    try {
        auto c = std::make_unique<shim_cif>();
        c->document = cif::read_memory(text, size, "");
        find_sites(c.get());
        if (c->loop)
            *rows = int64_t(c->loop->length());
        else if (c->block)
            *rows = 1;
        *out = c.release();
        return true;
    } catch (const std::bad_alloc &) {
        *line = -1;
    } catch (const std::exception &e) {
        explain(e.what(), line, why, why_size);
    } catch (...) {
        std::snprintf(why, why_size, "unknown failure");
    }
    return false;
}

bool shim_cif_has_fractional_sites(const struct shim_cif *c)
{
    return c->fractional;
}

static struct shim_text as_text(const std::string *value)
{
    struct shim_text t = { nullptr, 0, true };
    if (!value) return t;
    t.text = value->data();
    t.length = value->size();
    t.null = cif::is_null(*value);
    if (t.length >= 2 && (t.text[0] == '\'' || t.text[0] == '"')) {
        t.text += 1;
        t.length -= 2;
    } else if (t.length >= 2 && t.text[0] == ';') { // a text field: ;text\n;
        const char *end = t.text + t.length;
        t.text += 1;
        while (end > t.text && (end[-1] == ';' || end[-1] == '\n' || end[-1] == '\r')) --end;
        t.length = size_t(end - t.text);
    }
    return t;
}

struct shim_text shim_cif_site(const struct shim_cif *c, int64_t row, enum shim_column column)
{
    if (!c->loop) return as_text(c->pairs[column]);
    if (c->columns[column] < 0) return as_text(nullptr);
    return as_text(&c->loop->values[size_t(row) * c->loop->tags.size() + size_t(c->columns[column])]);
}

struct shim_text shim_cif_value(const struct shim_cif *c, const char *tag)
{
    try {
        return as_text(c->block ? c->block->find_value(tag) : nullptr);
    } catch (...) {
        c->no_memory = true; // nothing else is thrown there; a lost cell must not pass for a file without one
        return as_text(nullptr);
    }
}

bool shim_cif_no_memory(const struct shim_cif *c)
{
    return c->no_memory;
}

int64_t shim_cif_sites_line(const struct shim_cif *c)
{
    return c->line;
}

void shim_cif_close(struct shim_cif *c)
{
    delete c;
}
