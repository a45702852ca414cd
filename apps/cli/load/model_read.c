/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "load/model.h"

#include <string.h>

/* A number of a shape, -1 among them. */
static bool take_dimension(struct json_cursor *c, int64_t *out)
{
    bool negative = json_take(c, '-');
    uint64_t number;
    if (!json_take_uint(c, &number)) return false;
    *out = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

static bool take_shape(struct json_cursor *c, struct model_tensor *t)
{
    if (!json_take(c, '[')) return false;
    t->ndim = 0;
    if (json_take(c, ']')) return true;
    do {
        if (t->ndim == MODEL_DIMS || !take_dimension(c, &t->shape[t->ndim++])) return false;
    } while (json_take(c, ','));
    return json_take(c, ']');
}

static bool take_tensor(struct json_cursor *c, struct model_tensor *t)
{
    char key[32];
    bool begun = false, good = true;
    memset(t, 0, sizeof *t);
    while (good && json_take_key(c, &begun, key, sizeof key)) {
        if (strcmp(key, "name") == 0)
            good = json_take_text(c, t->name, sizeof t->name);
        else if (strcmp(key, "datatype") == 0)
            good = json_take_text(c, t->datatype, sizeof t->datatype);
        else if (strcmp(key, "shape") == 0)
            good = take_shape(c, t);
        else
            good = json_skip(c);
    }
    return good && json_take(c, '}') && t->name[0] && t->datatype[0];
}

static bool take_tensors(struct json_cursor *c, struct model_tensor *tensors, int *count)
{
    *count = 0;
    if (!json_take(c, '[')) return false;
    if (json_take(c, ']')) return true;
    do {
        if (*count == MODEL_TENSORS || !take_tensor(c, &tensors[(*count)++])) return false;
    } while (json_take(c, ','));
    return json_take(c, ']');
}

vic_status model_not_understood(const char *what, const struct json_cursor *c, const char *text, vic_error *err)
{
    return fail(err, VIC_FAILED, "the server's %s is not understood at byte %lld: %.200s", what,
                (long long)(c->at - text), text);
}

vic_status model_read_metadata(const char *text, size_t size, struct model *out, vic_error *err)
{
    struct json_cursor c = { text, text + size };
    char key[32];
    bool begun = false, good = true;
    while (good && json_take_key(&c, &begun, key, sizeof key)) {
        if (strcmp(key, "name") == 0)
            good = json_take_text(&c, out->name, sizeof out->name);
        else if (strcmp(key, "inputs") == 0)
            good = take_tensors(&c, out->input, &out->inputs);
        else if (strcmp(key, "outputs") == 0)
            good = take_tensors(&c, out->output, &out->outputs);
        else
            good = json_skip(&c);
    }
    if (!good || !json_take(&c, '}')) return model_not_understood("metadata of the model", &c, text, err);
    if (out->outputs == 0) return fail(err, VIC_FAILED, "model %s names no outputs in its metadata", out->name);
    return VIC_OK;
}

static void drop_input(struct model *m, const char *name)
{
    for (int i = 0; i < m->inputs; i++) {
        if (strcmp(m->input[i].name, name) != 0) continue;
        memmove(&m->input[i], &m->input[i + 1], (size_t)(m->inputs - i - 1) * sizeof *m->input);
        m->inputs--;
        return;
    }
}

/* An input of the configuration; only its name and whether it is optional matter here. */
static bool take_input(struct json_cursor *c, struct model *m)
{
    char key[32], name[64] = "";
    bool begun = false, good = true, optional = false;
    while (good && json_take_key(c, &begun, key, sizeof key)) {
        if (strcmp(key, "name") == 0)
            good = json_take_text(c, name, sizeof name);
        else
            good = json_skip(c);
        if (good && strcmp(key, "optional") == 0) optional = memcmp(c->at - 4, "true", 4) == 0;
    }
    if (optional) drop_input(m, name);
    return good && json_take(c, '}');
}

vic_status model_drop_optional(const char *config, size_t size, struct model *m, vic_error *err)
{
    struct json_cursor c = { config, config + size };
    char key[32];
    bool begun = false, good = true;
    while (good && json_take_key(&c, &begun, key, sizeof key)) {
        if (strcmp(key, "input") != 0) {
            good = json_skip(&c);
            continue;
        }
        good = json_take(&c, '[');
        if (!good || json_take(&c, ']')) continue;
        do good = take_input(&c, m);
        while (good && json_take(&c, ','));
        good = good && json_take(&c, ']');
    }
    return good && json_take(&c, '}') ? VIC_OK : model_not_understood("configuration of the model", &c, config, err);
}

static size_t size_of(const char *datatype)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = { { "FP32", 4 },  { "FP16", 2 },   { "BF16", 2 },  { "FP64", 8 },  { "INT8", 1 },
                  { "INT16", 2 }, { "INT32", 4 },  { "INT64", 8 }, { "UINT8", 1 }, { "UINT16", 2 },
                  { "BOOL", 1 },  { "UINT32", 4 }, { "UINT64", 8 } };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, datatype) == 0) return types[i].size;
    return 0;
}

static vic_status set_shape(const struct model *m, struct model_tensor *t, int batch, vic_error *err)
{
    const size_t size = size_of(t->datatype);
    int64_t count = 1;
    if (size == 0)
        return fail(err, VIC_BAD_INPUT, "model %s: %s has type %s, which this load generator cannot make", m->name,
                    t->name, t->datatype);
    if (t->ndim > 0 && t->shape[0] == -1) {
        t->shape[0] = batch;
    } else if (batch > 1) {
        if (t->ndim == MODEL_DIMS)
            return fail(err, VIC_BAD_INPUT, "model %s: %s has too many dimensions for --batch", m->name, t->name);
        memmove(t->shape + 1, t->shape, (size_t)t->ndim * sizeof *t->shape);
        t->shape[0] = batch;
        t->ndim++;
    }
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] < 0)
            return fail(
                err, VIC_BAD_INPUT,
                "model %s: dimension %d of %s may have any size by its metadata, and this load generator only "
                "chooses the first one (--batch)",
                m->name, i, t->name);
        if (__builtin_mul_overflow(count, t->shape[i], &count))
            return fail(err, VIC_NO_MEMORY, "model %s: %s has more elements than fit this machine", m->name, t->name);
    }
    if (!size_product(count, 1, size, &t->bytes))
        return fail(err, VIC_NO_MEMORY, "model %s: %s has more bytes than fit this machine", m->name, t->name);
    return VIC_OK;
}

vic_status model_set_shapes(struct model *m, int batch, vic_error *err)
{
    size_t all = 0;
    for (int i = 0; i < m->inputs; i++) TRY(set_shape(m, &m->input[i], batch, err));
    for (int i = 0; i < m->outputs; i++) TRY(set_shape(m, &m->output[i], batch, err));
    for (int i = 0; i < m->inputs + m->outputs; i++) {
        size_t bytes = i < m->inputs ? m->input[i].bytes : m->output[i - m->inputs].bytes;
        if (bytes > SIZE_MAX / 4 || __builtin_add_overflow(all, bytes, &all) || all > SIZE_MAX / 4)
            return fail(err, VIC_NO_MEMORY, "model %s: a request has more bytes than fit this machine", m->name);
    }
    return VIC_OK;
}
