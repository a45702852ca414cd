/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/metadata.h"

#include "numbers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static void add(struct json *j, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(struct json *j, const char *key, const char *format, ...)
{
    char text[96];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    json_put_text(j, key, text);
}

static void add_if(struct json *j, const char *key, const char *text)
{
    if (text) json_put_text(j, key, text);
}

static void add_cell(struct json *j, const vic_pattern_info *info)
{
    struct buffer text = { 0 };
    for (int k = 0; k < 9; k++)
        buffer_printf(&text, "%s%s%s",
                      k == 0  ? "[["
                      : k % 3 ? ", "
                              : "], [",
                      exact_text(info->cell[k]).s, k == 8 ? "]]" : "");
    json_put_text(j, "cell", text.data ? text.data : "");
    j->text.failed |= text.failed;
    buffer_free(&text);
}

/* Which atoms of the file. */
static void add_selection(struct json *j, const struct structure_options *s)
{
    const vic_read_options *read = &s->read;
    if (read->model) add(j, "model", "%d", read->model);
    if (s->altloc == 1) add(j, "altloc", "all");
    if (read->drop_hydrogen) add(j, "hydrogen", "left out");
    if (read->drop_water) add(j, "water", "left out");
    if (read->symmetry) add(j, "symmetry", "applied");
    if (read->supercell[0] * read->supercell[1] * read->supercell[2] != 1)
        add(j, "supercell", "%dx%dx%d", read->supercell[0], read->supercell[1], read->supercell[2]);
}

static void add_pattern(struct json *j, const struct pattern_input *in, const struct pattern_built *b)
{
    const vic_pattern_info *info = &b->info;
    const bool *periodic = info->periodic;
    add(j, "producer", "vicinal %s", vic_version());
    json_put_text(j, "file", in->file);
    add_selection(j, &in->structure);
    add(j, "atoms", "%lld", (long long)info->n_q);
    if (info->n_k != info->n_q) add(j, "keys", "%lld", (long long)info->n_k);
    if (info->groups != 1) add(j, "structures", "%lld", (long long)info->groups);
    json_put_text(j, "kind", info->kind);
    if (info->cutoff > 0.0) json_put_text(j, "cutoff", exact_text(info->cutoff).s);
    if (in->ways.nearest) add(j, "nearest", "%d", in->ways.nearest);
    if (in->ways.queries) add(j, "windows", "%d,%d", in->ways.queries, in->ways.keys);
    if (in->no_self) add(j, "self_pairs", "left out");
    add_if(j, "pairs", in->ways.pairs);
    add_if(j, "unite", in->ways.unite);
    add_if(j, "exclude_pairs", in->ways.exclude);
    add_if(j, "skip", in->ways.skip);
    if (!periodic[0] && !periodic[1] && !periodic[2]) return;
    add_cell(j, info);
    add(j, "periodic", "%s%s%s", periodic[0] ? "x" : "", periodic[1] ? "y" : "", periodic[2] ? "z" : "");
}

vic_status metadata_of_pattern(struct json *j, const struct pattern_input *in, const struct pattern_built *b,
                               vic_error *err)
{
    json_put_object(j, NULL);
    add_pattern(j, in, b);
    json_put_object_end(j);
    return buffer_check(&j->text, "the description of a file", err);
}

vic_status metadata_of_run(struct json *j, const struct run_options *r, const struct pattern_built *b,
                           const struct run_result *out, vic_error *err)
{
    static const char *const names[INPUTS] = { "q", "k", "v" };
    bool random = false;
    json_put_object(j, NULL);
    add_pattern(j, &r->pattern, b);
    add(j, "heads", "%d", r->heads);
    add(j, "kv_heads", "%d", r->kv_heads);
    add(j, "head_dim", "%d", r->head_dim);
    add(j, "head_dim_v", "%d", r->head_dim_v);
    add(j, "dtype", "%s", vic_dtype_name(r->dtype));
    json_put_text(j, "scale", exact_text(r->scale > 0.0 ? r->scale : 1.0 / sqrt((double)r->head_dim)).s);
    add_if(j, "radial", r->radial);
    for (int i = 0; i < INPUTS; i++) {
        json_put_text(j, names[i], r->input[i] ? r->input[i] : "random");
        random = random || !r->input[i];
    }
    if (random) add(j, "seed", "%llu", (unsigned long long)r->seed);
    add(j, "device", "%s", out->info.device.type == VIC_CUDA ? "cuda" : "cpu");
    json_put_text(j, "kernel", out->info.kernel);
    json_put_object_end(j);
    return buffer_check(&j->text, "the description of a file", err);
}
