/* SPDX-License-Identifier: Apache-2.0 */
#include "tensors.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const input_names[INPUTS] = { "Q", "K", "V", "POSITIONS", "CELL" };
const char *const output_names[OUTPUTS] = { "O", "LSE" };

enum { BAD_REQUEST = 400, NOT_IMPLEMENTED = 501, JSON_DEPTH = MOST_RANK };

bool refuse(struct refusal *why, unsigned status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->status = status;
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

/* ---- names, types, shapes ---- */

static const struct {
    const char *name;
    vic_dtype dtype;
    size_t bytes;
} types[] = { { "FP32", VIC_F32, 4 },
              { "FP16", VIC_F16, 2 },
              { "BF16", VIC_BF16, 2 },
              { "FP64", VIC_F64, 8 },
              { "INT32", VIC_I32, 4 },
              { "INT64", VIC_I64, 8 },
              { "UINT8", VIC_U8, 1 },
              { "BOOL", VIC_BOOL, 1 },
              { "INT8", VIC_DTYPE_UNKNOWN, 1 },
              { "INT16", VIC_DTYPE_UNKNOWN, 2 },
              { "UINT16", VIC_DTYPE_UNKNOWN, 2 },
              { "UINT32", VIC_DTYPE_UNKNOWN, 4 },
              { "UINT64", VIC_DTYPE_UNKNOWN, 8 } };
enum { TYPES = sizeof types / sizeof types[0] };

static int find_type(const char *name)
{
    for (int i = 0; i < TYPES; i++)
        if (strcmp(types[i].name, name) == 0) return i;
    return -1;
}

vic_dtype type_by_name(const char *name)
{
    const int i = find_type(name);
    return i < 0 ? VIC_DTYPE_UNKNOWN : types[i].dtype;
}

const char *type_name(vic_dtype dtype)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == dtype && dtype != VIC_DTYPE_UNKNOWN) return types[i].name;
    return "";
}

bool good_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    const size_t length = strlen(name);
    return length >= 1 && length <= MOST_NAME && strspn(name, allowed) == length;
}

bool shape_bytes(int rank, const int64_t *shape, size_t element, size_t *out)
{
    size_t bytes = element;
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(bytes, (size_t)shape[i], &bytes)) return false;
    *out = bytes;
    return bytes <= PTRDIFF_MAX;
}

const char *shape_words(int rank, const int64_t *shape, char out[96])
{
    size_t at = 1;
    out[0] = '[';
    for (int i = 0; i < rank && i < MOST_RANK; i++)
        at += (size_t)snprintf(out + at, 96 - at, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(out + at, 96 - at, "]");
    return out;
}

/* ---- the parts of a request ---- */

static bool read_shape(const json_t *shape, const char *name, struct tensor_head *t, struct refusal *why)
{
    if (!json_is_array(shape) || json_array_size(shape) > MOST_RANK)
        return refuse(why, BAD_REQUEST, "input '%s': expected 'shape' as an array of at most %d whole numbers", name,
                      MOST_RANK);
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return refuse(why, BAD_REQUEST, "input '%s': shape[%d]: expected a whole number from 0 on", name, i);
        t->shape[i] = json_integer_value(size);
    }
    return true;
}

static bool read_type(const json_t *type, const char *name, struct tensor_head *t, struct refusal *why)
{
    const int found = json_is_string(type) ? find_type(json_string_value(type)) : -1;
    if (found < 0) return refuse(why, BAD_REQUEST, "input '%s': expected a 'datatype' of fixed size, as FP32", name);
    t->dtype = types[found].dtype;
    snprintf(t->type, sizeof t->type, "%s", types[found].name);
    if (!shape_bytes(t->rank, t->shape, types[found].bytes, &t->bytes))
        return refuse(why, BAD_REQUEST, "input '%s': a tensor of that shape does not fit any machine", name);
    return true;
}

static bool whole_number(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

/* shared_memory_region, _byte_size and _offset; *size is what the client says that is there. */
static bool read_region(const json_t *parameters, const char *name, struct tensor_head *t, size_t *size,
                        struct refusal *why)
{
    const json_t *region = json_object_get(parameters, "shared_memory_region");
    const json_t *offset = json_object_get(parameters, "shared_memory_offset");
    if (!json_is_string(region) || !good_name(json_string_value(region)))
        return refuse(why, BAD_REQUEST,
                      "'%s': shared_memory_region: expected a name of 1 to %d letters, digits, '_', '.' and '-'",
                      name, MOST_NAME);
    snprintf(t->region, sizeof t->region, "%s", json_string_value(region));
    if (!whole_number(json_object_get(parameters, "shared_memory_byte_size"), size))
        return refuse(why, BAD_REQUEST, "'%s': expected shared_memory_byte_size beside shared_memory_region", name);
    if (offset && !whole_number(offset, &t->offset))
        return refuse(why, BAD_REQUEST, "'%s': shared_memory_offset: expected a whole number from 0 on", name);
    t->place = PLACE_REGION;
    return true;
}

/* Where the bytes of an input are; binary ones lie behind each other in the order of the inputs. */
static bool read_place(const json_t *input, const char *name, struct infer_head *out, struct tensor_head *t,
                       struct refusal *why)
{
    const json_t *parameters = json_object_get(input, "parameters"), *data = json_object_get(input, "data");
    size_t size = 0;
    if (json_object_get(parameters, "shared_memory_region")) {
        if (!read_region(parameters, name, t, &size, why)) return false;
        if (size == t->bytes) return true;
        return refuse(why, BAD_REQUEST,
                      "input '%s': shape and datatype are %zu bytes, shared_memory_byte_size is %zu", name, t->bytes,
                      size);
    }
    if (json_object_get(parameters, "binary_data_size")) {
        if (!whole_number(json_object_get(parameters, "binary_data_size"), &size) || size != t->bytes)
            return refuse(why, BAD_REQUEST, "input '%s': binary_data_size: expected %zu, by shape and datatype", name,
                          t->bytes);
        t->place = PLACE_BINARY;
        t->offset = out->binary;
        if (__builtin_add_overflow(out->binary, size, &out->binary) || out->binary > PTRDIFF_MAX)
            return refuse(why, BAD_REQUEST, "the sizes of the binary inputs do not fit any machine");
        return true;
    }
    if (!json_is_array(data))
        return refuse(why, BAD_REQUEST,
                      "input '%s': expected 'data', or 'binary_data_size' or 'shared_memory_region' in its "
                      "'parameters'",
                      name);
    t->place = PLACE_JSON;
    t->data = data;
    return true;
}

static bool read_input(const json_t *input, struct infer_head *out, struct refusal *why)
{
    const json_t *text = json_object_get(input, "name");
    const char *name = json_is_string(text) ? json_string_value(text) : NULL;
    struct tensor_head *t = NULL;
    if (!name) return refuse(why, BAD_REQUEST, "'inputs': expected an object with a 'name' each");
    for (int i = 0; i < INPUTS; i++)
        if (strcmp(input_names[i], name) == 0) t = &out->input[i];
    if (!t)
        return refuse(why, BAD_REQUEST, "unexpected inference input '%.64s': inputs are Q, K, V, POSITIONS and CELL",
                      name);
    if (t->place != PLACE_NONE) return refuse(why, BAD_REQUEST, "input '%s' is there twice", name);
    return read_shape(json_object_get(input, "shape"), name, t, why) &&
           read_type(json_object_get(input, "datatype"), name, t, why) && read_place(input, name, out, t, why);
}

static bool read_output(const json_t *output, bool binary, struct infer_head *out, struct refusal *why)
{
    const json_t *text = json_object_get(output, "name"), *parameters = json_object_get(output, "parameters");
    const json_t *wanted = json_object_get(parameters, "binary_data");
    const char *name = json_is_string(text) ? json_string_value(text) : NULL;
    if (!name) return refuse(why, BAD_REQUEST, "'outputs': expected an object with a 'name' each");
    for (int i = 0; i < OUTPUTS; i++) {
        struct tensor_head *t = &out->output[i];
        if (strcmp(output_names[i], name) != 0) continue;
        if (t->place != PLACE_NONE) return refuse(why, BAD_REQUEST, "output '%s' is there twice", name);
        if (json_object_get(parameters, "classification"))
            return refuse(why, NOT_IMPLEMENTED, "output '%s': classification is not supported: ask for its values",
                          name);
        out->order[out->outputs++] = (enum output)i;
        if (json_object_get(parameters, "shared_memory_region"))
            return read_region(parameters, name, t, &t->bytes, why);
        if (wanted && !json_is_boolean(wanted))
            return refuse(why, BAD_REQUEST, "output '%s': binary_data: expected true or false", name);
        t->place = (wanted ? json_is_true(wanted) : binary) ? PLACE_BINARY : PLACE_JSON;
        return true;
    }
    return refuse(why, BAD_REQUEST, "unexpected inference output '%.64s'", name);
}

static bool read_outputs(const json_t *root, bool binary, struct infer_head *out, struct refusal *why)
{
    const json_t *outputs = json_object_get(root, "outputs");
    size_t i;
    json_t *output;
    if (outputs && !json_is_array(outputs)) return refuse(why, BAD_REQUEST, "'outputs': expected an array");
    if (json_array_size(outputs) == 0) { /* the default: O alone */
        out->order[out->outputs++] = OUTPUT_O;
        out->output[OUTPUT_O].place = binary ? PLACE_BINARY : PLACE_JSON;
        return true;
    }
    if (json_array_size(outputs) > OUTPUTS)
        return refuse(why, BAD_REQUEST, "'outputs': expected at most %d, O and LSE", OUTPUTS);
    json_array_foreach(outputs, i, output) if (!read_output(output, binary, out, why)) return false;
    return true;
}

/* The id as it goes into the answer: JSON, escaped where it must be. */
static bool read_id(const json_t *id, struct infer_head *out, struct refusal *why)
{
    size_t length;
    if (!id || (json_is_string(id) && json_string_length(id) == 0)) return true;
    length = json_is_string(id) ? json_dumpb(id, out->id, sizeof out->id, JSON_ENCODE_ANY) : 0;
    if (length == 0 || length >= sizeof out->id) {
        out->id[0] = '\0';
        return refuse(why, BAD_REQUEST, "'id': expected a string of less than %d bytes", MOST_ID - 2);
    }
    out->id[length] = '\0';
    return true;
}

static bool read_parameters(const json_t *parameters, struct infer_head *out, bool *binary, struct refusal *why)
{
    const json_t *timeout = json_object_get(parameters, "timeout");
    const json_t *wanted = json_object_get(parameters, "binary_data_output");
    if (parameters && !json_is_object(parameters))
        return refuse(why, BAD_REQUEST, "'parameters': expected an object");
    *binary = json_is_true(wanted);
    if (wanted && !json_is_boolean(wanted))
        return refuse(why, BAD_REQUEST, "parameter 'binary_data_output': expected true or false");
    if (!timeout) return true;
    if (!json_is_integer(timeout) || json_integer_value(timeout) < 0)
        return refuse(why, BAD_REQUEST, "parameter 'timeout': expected a whole number of microseconds");
    out->timeout = 1e-6 * (double)json_integer_value(timeout);
    return true;
}

static bool read_inputs(const json_t *root, struct infer_head *out, struct refusal *why)
{
    const json_t *inputs = json_object_get(root, "inputs");
    size_t i;
    json_t *input;
    if (!json_is_array(inputs) || json_array_size(inputs) == 0)
        return refuse(why, BAD_REQUEST, "expected 'inputs', an array of Q, K and V");
    if (json_array_size(inputs) > INPUTS)
        return refuse(why, BAD_REQUEST, "'inputs': expected at most %d, found %zu", INPUTS, json_array_size(inputs));
    json_array_foreach(inputs, i, input) if (!read_input(input, out, why)) return false;
    return true;
}

static bool keeps_numbers(const struct infer_head *head)
{
    for (int i = 0; i < INPUTS; i++)
        if (head->input[i].place == PLACE_JSON) return true;
    return false;
}

bool infer_head_read(const char *text, size_t size, struct infer_head *out, struct refusal *why)
{
    json_error_t where;
    bool binary = false, good;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    memset(out, 0, sizeof *out);
    if (!json_is_object(root)) {
        json_decref(root);
        return refuse(why, BAD_REQUEST, "failed to parse the request JSON buffer: %.160s at %d",
                      root ? "expected an object" : where.text, root ? 0 : where.position);
    }
    good = read_id(json_object_get(root, "id"), out, why) &&
           read_parameters(json_object_get(root, "parameters"), out, &binary, why) && read_inputs(root, out, why) &&
           read_outputs(root, binary, out, why);
    if (good && keeps_numbers(out))
        out->root = root;
    else
        json_decref(root);
    return good;
}

void infer_head_close(struct infer_head *head)
{
    json_decref(head->root);
    head->root = NULL;
}

/* ---- numbers ---- */

struct sink {
    vic_dtype dtype;
    void *to;
    size_t count, room;
    const char *wrong; /* what the last one was, where it is no number that can be taken; NULL: too many */
};

static bool take_number(struct sink *s, double value)
{
    if (s->count == s->room) return false;
    if (s->dtype == VIC_F32) {
        const float narrow = (float)value;
        if (isinf(narrow)) {
            s->wrong = "one beyond the range of FP32";
            return false;
        }
        memcpy((char *)s->to + s->count * sizeof narrow, &narrow, sizeof narrow);
    } else {
        memcpy((char *)s->to + s->count * sizeof value, &value, sizeof value);
    }
    s->count++;
    return true;
}

static bool take_numbers(struct sink *s, const json_t *data, int depth)
{
    size_t i;
    json_t *value;
    json_array_foreach(data, i, value)
    {
        if (json_is_number(value)) {
            if (!take_number(s, json_number_value(value))) return false;
        } else if (!json_is_array(value) || depth == 0) {
            s->wrong = json_is_array(value) ? "an array too deep in others" : "one that is no number";
            return false;
        } else if (!take_numbers(s, value, depth - 1)) {
            return false;
        }
    }
    return true;
}

bool infer_numbers(const struct tensor_head *t, const char *name, void *to, struct refusal *why)
{
    struct sink s = { t->dtype, to, 0, 0, NULL };
    if (t->dtype != VIC_F32 && t->dtype != VIC_F64)
        return refuse(why, BAD_REQUEST,
                      "input '%s': receiving %s data via JSON is not supported. Please use the binary data format",
                      name, t->type);
    s.room = t->bytes / (t->dtype == VIC_F32 ? sizeof(float) : sizeof(double));
    if (take_numbers(&s, t->data, JSON_DEPTH) && s.count == s.room) return true;
    if (s.wrong)
        return refuse(why, BAD_REQUEST,
                      "Unable to parse 'data': input '%s': expected %zu numbers, found %s behind %zu", name, s.room,
                      s.wrong, s.count);
    return refuse(
        why, BAD_REQUEST,
        "Unable to parse 'data': Shape does not match true shape of 'data' field: input '%s' has %zu numbers "
        "by its shape, and 'data' others",
        name, s.room);
}
