// SPDX-License-Identifier: Apache-2.0
// gemmi's grammar reads CIF; the values stay in the text and only their places are kept: its own document holds a
// std::string for each, four times the memory of the file for the loops of large mmCIF files.
#include "structure/io/gemmi_shim.h"

#include <gemmi/cif.hpp>
#include <gemmi/symmetry.hpp>
#include <gemmi/third_party/fast_float.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace cif = gemmi::cif;
namespace rules = gemmi::cif::rules;
namespace pegtl = tao::pegtl;

bool shim_read_double(const char *text, const char *end, double *value)
{
    fast_float::from_chars_result result = fast_float::from_chars(text, end, *value);
    return result.ec == std::errc() && result.ptr == end;
}

static int take_operations(const gemmi::GroupOps &group, struct shim_operation operations[SHIM_MAX_OPERATIONS])
{
    int count = 0;
    for (const gemmi::Op op : group) {
        if (count == SHIM_MAX_OPERATIONS) return 0;
        for (size_t i = 0; i < 3; ++i) {
            for (size_t j = 0; j < 3; ++j) operations[count].rotation[i][j] = double(op.rot[i][j]) / gemmi::Op::DEN;
            operations[count].translation[i] = double(op.tran[i]) / gemmi::Op::DEN;
        }
        ++count;
    }
    return count;
}

// Older spellings: P2(1)/c or P2_1/c for P21/c, and of cubic groups m3, which now is m-3.
static std::string modern(const std::string &name)
{
    std::string out;
    char before = '\0'; // the last that is no blank, and not the letter of the lattice
    for (size_t i = 0; i < name.size(); ++i) {
        if (std::strchr("()_", name[i])) continue;
        if (name[i] == '3' && before && std::strchr("mndaMNDA", before)) out += '-';
        out += name[i];
        if (i && name[i] != ' ') before = name[i];
    }
    return out;
}

// In another spelling where that is the one that is known; `name` then has it.
static const gemmi::SpaceGroup *find_group(std::string &name, double alpha, double gamma)
{
    const gemmi::SpaceGroup *group = gemmi::find_spacegroup_by_name(name, alpha, gamma);
    if (group) return group;
    const std::string other = modern(name);
    group = gemmi::find_spacegroup_by_name(other, alpha, gamma);
    if (group) name = other;
    return group;
}

int shim_space_group(const char *text, double alpha, double gamma,
                     struct shim_operation operations[SHIM_MAX_OPERATIONS], bool *two_origins)
{
    *two_origins = false;
    try {
        std::string name = text;
        const gemmi::SpaceGroup *group = find_group(name, alpha, gamma);
        /* a name may say which in other words, and then takes no suffix; a bare number leaves it open */
        if (group && (group->ext == '1' || group->ext == '2') && name.find(':') == std::string::npos)
            *two_origins = gemmi::find_spacegroup_by_name(name + ":2", alpha, gamma) ||
                           name.find_first_not_of("0123456789 ") == std::string::npos;
        return group ? take_operations(group->operations(), operations) : 0;
    } catch (const std::bad_alloc &) {
        return -1;
    } catch (const std::exception &) {
        return 0;
    }
}

int shim_space_group_hall(const char *hall, struct shim_operation operations[SHIM_MAX_OPERATIONS])
{
    try {
        return take_operations(gemmi::symops_from_hall(hall), operations);
    } catch (const std::bad_alloc &) {
        return -1;
    } catch (const std::exception &) {
        return 0;
    }
}

struct span {
    uint32_t at, size;
};

struct item {
    span tag, value;  // the value of a pair; empty when it is missing
    int loop, column; // loop -1: a pair
    int64_t line;
};

struct loop {
    std::vector<span> values; // row by row
    int columns;
    int64_t line;
};

struct block {
    span name;
    std::vector<item> items;
};

struct shim_cif {
    const char *text = nullptr;
    std::vector<block> blocks;
    std::vector<loop> loops;
    bool in_frame = false; // save frames are for dictionaries: their contents are read over
};

template <typename Input> static span place(const struct shim_cif &c, const Input &in)
{
    return { uint32_t(in.begin() - c.text), uint32_t(in.size()) };
}

template <typename Rule> struct Keep : pegtl::nothing<Rule> {
};

template <> struct Keep<rules::datablockname> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        c.blocks.push_back({ place(c, in), {} });
        c.in_frame = false;
    }
};
template <> struct Keep<rules::str_global> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        c.blocks.push_back({ { uint32_t(in.begin() - c.text), 0 }, {} });
        c.in_frame = false;
    }
};
template <> struct Keep<rules::framename> {
    template <typename Input> static void apply(const Input &, struct shim_cif &c)
    {
        c.in_frame = true;
    }
};
template <> struct Keep<rules::endframe> {
    template <typename Input> static void apply(const Input &, struct shim_cif &c)
    {
        c.in_frame = false;
    }
};
template <> struct Keep<rules::item_tag> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        if (c.in_frame) return;
        c.blocks.back().items.push_back({ place(c, in), { 0, 0 }, -1, 0, int64_t(in.iterator().line) });
    }
};
template <> struct Keep<rules::item_value> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        if (!c.in_frame) c.blocks.back().items.back().value = place(c, in);
    }
};
template <> struct Keep<rules::str_loop> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        c.loops.push_back({ {}, 0, int64_t(in.iterator().line) });
    }
};
template <> struct Keep<rules::loop_tag> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        loop &l = c.loops.back();
        if (!c.in_frame)
            c.blocks.back().items.push_back(
                { place(c, in), { 0, 0 }, int(c.loops.size()) - 1, l.columns, int64_t(in.iterator().line) });
        ++l.columns;
    }
};
template <> struct Keep<rules::loop_value> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        c.loops.back().values.push_back(place(c, in));
    }
};
template <> struct Keep<rules::loop> {
    template <typename Input> static void apply(const Input &in, struct shim_cif &c)
    {
        if (c.loops.back().values.size() % size_t(c.loops.back().columns) != 0)
            throw pegtl::parse_error("Wrong number of values in the loop", in);
    }
};

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

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int compare_spans(const struct shim_cif &c, span a, span b)
{
    for (uint32_t i = 0; i < a.size && i < b.size; ++i) {
        int difference = int(lower(c.text[a.at + i])) - int(lower(c.text[b.at + i]));
        if (difference) return difference;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

static std::string shown(const struct shim_cif &c, span s)
{
    std::string text(c.text + s.at, std::min(s.size, 80u));
    for (char &letter : text)
        if (letter < ' ' || letter > '~') letter = '?';
    return text;
}

// What the grammar lets pass: tags without a value, and a tag or a block that is there twice.
static bool check(const struct shim_cif &c, int64_t *line, std::string *why)
{
    std::vector<span> names;
    for (const block &b : c.blocks) {
        std::vector<const item *> sorted;
        sorted.reserve(b.items.size());
        for (const item &i : b.items) {
            sorted.push_back(&i);
            if (i.loop >= 0 || i.value.size) continue;
            *line = i.line;
            *why = shown(c, i.tag) + " has no value";
            return false;
        }
        std::stable_sort(sorted.begin(), sorted.end(),
                         [&](const item *x, const item *y) { return compare_spans(c, x->tag, y->tag) < 0; });
        for (size_t i = 1; i < sorted.size(); ++i)
            if (compare_spans(c, sorted[i - 1]->tag, sorted[i]->tag) == 0) {
                *line = sorted[i]->line;
                *why = "duplicate tag " + shown(c, sorted[i]->tag);
                return false;
            }
        names.push_back(b.name);
    }
    std::sort(names.begin(), names.end(), [&](span x, span y) { return compare_spans(c, x, y) < 0; });
    for (size_t i = 1; i < names.size(); ++i)
        if (names[i].size && compare_spans(c, names[i - 1], names[i]) == 0) {
            *why = "duplicate block name data_" + shown(c, names[i]);
            return false;
        }
    return true;
}

bool shim_cif_open(const char *text, size_t size, struct shim_cif **out, int64_t *line, char *why, size_t why_size)
{
    *out = nullptr;
    *line = 0;
    try {
        auto c = std::make_unique<shim_cif>();
        std::string problem;
        c->text = text;
        if (size > UINT32_MAX) throw std::length_error("more than 4 GiB of text");
        pegtl::memory_input<> in(text, size, "");
        pegtl::parse<rules::file, Keep, cif::Errors>(in, *c);
        if (check(*c, line, &problem)) {
            *out = c.release();
            return true;
        }
        std::snprintf(why, why_size, "%s", problem.c_str());
    } catch (const std::bad_alloc &) {
        *line = -1;
        std::snprintf(why, why_size, "out of memory");
    } catch (const std::exception &e) {
        explain(e.what(), line, why, why_size);
    } catch (...) {
        std::snprintf(why, why_size, "unknown failure");
    }
    return false;
}

int shim_cif_blocks(const struct shim_cif *c)
{
    return int(std::min(c->blocks.size(), size_t(INT32_MAX)));
}

static const item *find(const struct shim_cif *c, int number, const char *tag)
{
    const size_t length = std::strlen(tag);
    for (const item &i : c->blocks[size_t(number)].items) {
        const char *have = c->text + i.tag.at;
        size_t k = 0;
        if (i.tag.size != length) continue;
        while (k < length &&
               (lower(have[k]) == lower(tag[k]) || (tag[k] == '?' && (have[k] == '.' || have[k] == '_'))))
            ++k;
        if (k == length) return &i;
    }
    return nullptr;
}

static struct shim_text as_text(const struct shim_cif *c, span s)
{
    struct shim_text t = { c->text + s.at, s.size, false };
    t.null = t.length == 1 && (*t.text == '?' || *t.text == '.');
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

struct shim_text shim_cif_value(const struct shim_cif *c, int number, const char *tag)
{
    const item *i = find(c, number, tag);
    if (i && i->loop < 0) return as_text(c, i->value);
    if (i) {
        const loop &l = c->loops[size_t(i->loop)];
        if (l.values.size() == size_t(l.columns)) return as_text(c, l.values[size_t(i->column)]);
    }
    return { nullptr, 0, true };
}

bool shim_cif_table(const struct shim_cif *c, int number, const char *const *tags, int count, struct shim_table *out)
{
    const item *key = find(c, number, tags[0]);
    const item *first = c->blocks[size_t(number)].items.data();
    if (!key) return false;
    out->block = number;
    out->loop = key->loop;
    out->line = key->line;
    out->rows = 1;
    if (key->loop >= 0) {
        const loop &l = c->loops[size_t(key->loop)];
        out->line = l.line;
        out->rows = int64_t(l.values.size() / size_t(l.columns));
    }
    for (int k = 0; k < SHIM_MOST_COLUMNS; ++k) {
        const item *i = k < count ? find(c, number, tags[k]) : nullptr;
        out->columns[k] = -1;
        if (i && i->loop == key->loop) out->columns[k] = i->loop < 0 ? int(i - first) : i->column;
    }
    return true;
}

struct shim_text shim_cif_cell(const struct shim_cif *c, const struct shim_table *table, int64_t row, int column)
{
    const int at = table->columns[column];
    if (at < 0 || row < 0 || row >= table->rows) return { nullptr, 0, true };
    if (table->loop < 0) return as_text(c, c->blocks[size_t(table->block)].items[size_t(at)].value);
    const loop &l = c->loops[size_t(table->loop)];
    return as_text(c, l.values[size_t(row) * size_t(l.columns) + size_t(at)]);
}

void shim_cif_close(struct shim_cif *c)
{
    delete c;
}
