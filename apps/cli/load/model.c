/* SPDX-License-Identifier: Apache-2.0 */
#include "load/model.h"

#include "json.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 256 };

/* ---- asking ---- */

static vic_status refused(const struct http_server *s, const char *path, int status, const struct buffer *answer,
                          vic_error *err)
{
    return fail(err, VIC_FAILED, "%s: %s: the server answers %d: %.300s", s->label, path, status,
                answer->data ? answer->data : "");
}

/* The index of the repository: the name of its only ready model. */
static vic_status find_only(const struct http_server *s, const struct buffer *index, char name[256], vic_error *err)
{
    struct json_cursor c = { index->data, index->data + index->size };
    char key[32], text[256], state[32], found[768] = "";
    int count = 0;
    bool good = json_take(&c, '[');
    if (good && !json_take(&c, ']')) {
        do {
            bool begun = false;
            text[0] = state[0] = '\0';
            while (good && json_take_key(&c, &begun, key, sizeof key)) {
                if (strcmp(key, "name") == 0)
                    good = json_take_text(&c, text, sizeof text);
                else if (strcmp(key, "state") == 0)
                    good = json_take_text(&c, state, sizeof state);
                else
                    good = json_skip(&c);
            }
            good = good && json_take(&c, '}');
            if (good && (!state[0] || strcmp(state, "READY") == 0)) {
                size_t used = strlen(found);
                snprintf(found + used, sizeof found - used, "%s%s", used ? ", " : "", text);
                memcpy(name, text, sizeof text);
                count++;
            }
        } while (good && json_take(&c, ','));
        good = good && json_take(&c, ']');
    }
    if (!good) return model_not_understood("index of models", &c, index->data, err);
    if (count == 1) return VIC_OK;
    if (count == 0) return fail(err, VIC_BAD_INPUT, "%s: the server has no ready model", s->label);
    return fail(err, VIC_BAD_ARGUMENT, "%s has several models: name one by --model: %s", s->label, found);
}

static void keep_outputs(struct model *m, const char *names)
{
    int kept = 0;
    for (int i = 0; i < m->outputs; i++) {
        size_t length = strlen(m->output[i].name);
        bool wanted = !names && i == 0;
        for (const char *at = names; at && *at; at += strcspn(at, ","), at += *at == ',')
            wanted = wanted || (strcspn(at, ",") == length && strncmp(at, m->output[i].name, length) == 0);
        if (wanted) m->output[kept++] = m->output[i];
    }
    m->outputs = kept;
}

/* Every name that is asked for is there. */
static vic_status check_outputs(const struct model *m, const char *names, vic_error *err)
{
    for (const char *at = names; at && *at; at += strcspn(at, ","), at += *at == ',') {
        size_t length = strcspn(at, ",");
        char have[512] = "";
        bool found = false;
        for (int i = 0; i < m->outputs; i++) {
            size_t used = strlen(have);
            found = found || (strlen(m->output[i].name) == length && strncmp(at, m->output[i].name, length) == 0);
            snprintf(have + used, sizeof have - used, "%s%s", used ? ", " : "", m->output[i].name);
        }
        if (!found)
            return fail(err, VIC_BAD_ARGUMENT, "--outputs: model %s has no output '%.*s'; it has %s", m->name,
                        (int)length, at, have);
    }
    return VIC_OK;
}

/* "triton 2.51.0" */
static vic_status ask_server(const struct http_server *s, struct model *out, struct buffer *answer, vic_error *err)
{
    struct json_cursor c;
    char key[32], name[128] = "?", version[64] = "";
    bool begun = false, good = true;
    int status;
    TRY(http_ask(s, "GET", "/v2", NULL, &status, answer, err));
    if (status != 200) return refused(s, "/v2", status, answer, err);
    c = (struct json_cursor){ answer->data, answer->data + answer->size };
    while (good && json_take_key(&c, &begun, key, sizeof key)) {
        if (strcmp(key, "name") == 0)
            good = json_take_text(&c, name, sizeof name);
        else if (strcmp(key, "version") == 0)
            good = json_take_text(&c, version, sizeof version);
        else
            good = json_skip(&c);
    }
    if (!good || !json_take(&c, '}')) return model_not_understood("description of itself", &c, answer->data, err);
    snprintf(out->server, sizeof out->server, "%s %s", name, version);
    return VIC_OK;
}

vic_status model_ask(const struct http_server *s, const char *name, int batch, const char *outputs, struct model *out,
                     vic_error *err)
{
    struct buffer answer = { 0 }, path = { 0 };
    char only[256];
    int status;
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY_GOTO(ask_server(s, out, &answer, err), done);
    if (!name) {
        TRY_GOTO(http_ask(s, "POST", "/v2/repository/index", "{}", &status, &answer, err), done);
        if (status != 200) {
            st = refused(s, "/v2/repository/index", status, &answer, err);
            goto done;
        }
        TRY_GOTO(find_only(s, &answer, only, err), done);
        name = only;
    }
    buffer_text(&path, "/v2/models/");
    http_segment(&path, name);
    TRY_GOTO(buffer_check(&path, "a path", err), done);
    TRY_GOTO(http_ask(s, "GET", path.data, NULL, &status, &answer, err), done);
    if (status != 200) {
        st = refused(s, path.data, status, &answer, err);
        goto done;
    }
    TRY_GOTO(model_read_metadata(answer.data, answer.size, out, err), done);
    snprintf(out->name, sizeof out->name, "%s", name);
    buffer_text(&path, "/config");
    TRY_GOTO(buffer_check(&path, "a path", err), done);
    TRY_GOTO(http_ask(s, "GET", path.data, NULL, &status, &answer, err), done);
    /* An extension that a server need not have: then all inputs are sent. */
    if (status == 200) TRY_GOTO(model_drop_optional(answer.data, answer.size, out, err), done);
    TRY_GOTO(check_outputs(out, outputs, err), done);
    keep_outputs(out, outputs);
    st = model_set_shapes(out, batch, err);
done:
    buffer_free(&path);
    buffer_free(&answer);
    return st;
}

/* ---- requests ---- */

size_t model_place(const struct model_tensor *tensors, int index)
{
    size_t at = 0;
    for (int i = 0; i < index; i++) at += (tensors[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

size_t model_input_bytes(const struct model *m)
{
    size_t bytes = 0;
    for (int i = 0; i < m->inputs; i++) bytes += m->input[i].bytes;
    return bytes;
}

size_t model_output_bytes(const struct model *m)
{
    size_t bytes = 0;
    for (int i = 0; i < m->outputs; i++) bytes += m->output[i].bytes;
    return bytes;
}

static void region_json(struct json *j, const char *region, size_t bytes, size_t at)
{
    json_put_object(j, "parameters");
    json_put_text(j, "shared_memory_region", region);
    json_put_int(j, "shared_memory_byte_size", (int64_t)bytes);
    if (at > 0) json_put_int(j, "shared_memory_offset", (int64_t)at);
    json_put_object_end(j);
}

static void input_json(struct json *j, const struct model_tensor *t, const char *region, size_t at)
{
    json_put_object(j, NULL);
    json_put_text(j, "name", t->name);
    json_put_text(j, "datatype", t->datatype);
    json_put_array(j, "shape");
    for (int i = 0; i < t->ndim; i++) json_put_int(j, NULL, t->shape[i]);
    json_put_array_end(j);
    if (region) {
        region_json(j, region, t->bytes, at);
    } else {
        json_put_object(j, "parameters");
        json_put_int(j, "binary_data_size", (int64_t)t->bytes);
        json_put_object_end(j);
    }
    json_put_object_end(j);
}

static void output_json(struct json *j, const struct model_tensor *t, const char *region, size_t at)
{
    json_put_object(j, NULL);
    json_put_text(j, "name", t->name);
    if (region) {
        region_json(j, region, t->bytes, at);
    } else {
        json_put_object(j, "parameters");
        json_put_bool(j, "binary_data", true);
        json_put_object_end(j);
    }
    json_put_object_end(j);
}

void model_request(struct buffer *to, const struct http_server *s, const struct model *m, const char *inputs,
                   size_t input_at, const char *outputs, size_t output_at)
{
    struct buffer path = { 0 };
    struct json j = { 0 };
    json_put_object(&j, NULL);
    json_put_array(&j, "inputs");
    for (int i = 0; i < m->inputs; i++) input_json(&j, &m->input[i], inputs, input_at + model_place(m->input, i));
    json_put_array_end(&j);
    json_put_array(&j, "outputs");
    for (int i = 0; i < m->outputs; i++)
        output_json(&j, &m->output[i], outputs, output_at + model_place(m->output, i));
    json_put_array_end(&j);
    json_put_object_end(&j);
    buffer_text(&path, "/v2/models/");
    http_segment(&path, m->name);
    buffer_text(&path, "/infer");
    to->failed = to->failed || path.failed || j.text.failed;
    if (!to->failed) {
        http_request_head(to, s, "POST", path.data, (int64_t)j.text.size,
                          j.text.size + (inputs ? 0 : model_input_bytes(m)));
        buffer_add(to, j.text.data, j.text.size);
    }
    json_free(&j);
    buffer_free(&path);
}
