/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const tensor_names[TENSORS] = { "Q", "K", "V", "POSITIONS", "CELL", "O", "LSE" };

static const struct {
    vic_dtype dtype;
    const char *in_config, *triton, *vicinal;
} types[] = { { VIC_F32, "TYPE_FP32", "FP32", "float32" },
              { VIC_F16, "TYPE_FP16", "FP16", "float16" },
              { VIC_BF16, "TYPE_BF16", "BF16", "bfloat16" },
              { VIC_F64, "TYPE_FP64", "FP64", "float64" } };
enum { TYPES = sizeof types / sizeof *types };

static vic_dtype type_named(const char *text)
{
    for (int i = 0; i < TYPES; i++)
        if (!strcmp(text, types[i].in_config) || !strcmp(text, types[i].triton) || !strcmp(text, types[i].vicinal))
            return types[i].dtype;
    return VIC_DTYPE_UNKNOWN;
}

static const char *type_text(vic_dtype dtype)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == dtype) return types[i].in_config;
    return "TYPE_INVALID";
}

/* ---- Parameters: a row each, under the names of the command's options ------------------------------------------- */

enum kind { FILE_NAME, TEXT, INTEGER, POSITIVE, SCALE, SECONDS, FLAG, DTYPE, CELL, AXES, SUPERCELL, IGNORED };

struct parameter {
    const char *name;
    enum kind kind;
    size_t offset, size;
    int64_t min, max; /* of whole numbers */
};

#define IN_CONFIG(member) offsetof(struct config, member), sizeof((struct config *)0)->member
static const struct parameter known[] = {
    { "structure", FILE_NAME, IN_CONFIG(file), 0, 0 },
    { "cutoff", POSITIVE, IN_CONFIG(cutoff), 0, 0 },
    { "nearest", INTEGER, IN_CONFIG(nearest), 1, INT32_MAX },
    { "no-self", FLAG, IN_CONFIG(no_self), 0, 0 },
    { "heads", INTEGER, IN_CONFIG(plan.heads), 1, INT32_MAX },
    { "kv-heads", INTEGER, IN_CONFIG(plan.kv_heads), 1, INT32_MAX },
    { "head-dim", INTEGER, IN_CONFIG(plan.head_dim), 1, INT32_MAX },
    { "head-dim-v", INTEGER, IN_CONFIG(plan.head_dim_v), 1, INT32_MAX },
    { "dtype", DTYPE, IN_CONFIG(plan.dtype), 0, 0 },
    { "scale", SCALE, IN_CONFIG(scale), 0, 0 },
    { "kernel", TEXT, IN_CONFIG(kernel), 0, 0 },
    { "positions", DTYPE, IN_CONFIG(positions), 0, 0 },
    { "max-launch", INTEGER, IN_CONFIG(max_batch), 1, INT32_MAX },
    { "queue", INTEGER, IN_CONFIG(max_queue), 1, INT32_MAX },
    { "max-delay", SECONDS, IN_CONFIG(max_delay), 0, 0 },
    { "timeout", SECONDS, IN_CONFIG(timeout), 0, 0 },
    { "cell", CELL, IN_CONFIG(read.cell), 0, 0 },
    { "pbc", AXES, IN_CONFIG(read.periodic), 0, 0 },
    { "symmetry", FLAG, IN_CONFIG(read.symmetry), 0, 0 },
    { "supercell", SUPERCELL, IN_CONFIG(read.supercell), 0, 0 },
    { "model", INTEGER, IN_CONFIG(read.model), INT32_MIN, INT32_MAX },
    { "no-hydrogen", FLAG, IN_CONFIG(read.drop_hydrogen), 0, 0 },
    { "no-water", FLAG, IN_CONFIG(read.drop_water), 0, 0 },
    { "revision", IGNORED, 0, 0, 0, 0 }, /* anything, so that a load after a change of files alone is a new one */
};
enum { KNOWN = sizeof known / sizeof *known };

static vic_status expected(vic_error *err, const char *name, const char *what, const char *got)
{
    return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: parameter %s: expected %s, got '%s'", name, what, got);
}

static bool real(const char *text, double *out)
{
    char *last;
    *out = strtod(text, &last);
    return last != text && *last == '\0' && isfinite(*out);
}

/* "10,20,30" or "2x2x1" into at most `most` numbers; how many there were, or 0. */
static int reals(const char *text, char separator, int most, double *out)
{
    for (int n = 0; n < most; n++) {
        char *last;
        out[n] = strtod(text, &last);
        if (last == text || !isfinite(out[n])) return 0;
        if (*last == '\0') return n + 1;
        if (*last != separator) return 0;
        text = last + 1;
    }
    return 0;
}

static vic_status take_cell(struct config *c, const char *text, vic_error *err)
{
    double six[6] = { 0, 0, 0, 90.0, 90.0, 90.0 };
    const int count = reals(text, ',', 6, six);
    bool good = count == 3 || count == 6;
    for (int i = 0; i < 6; i++) good = good && six[i] > 0.0 && (i < 3 || six[i] < 180.0);
    if (!good)
        return expected(
            err, "cell",
            "a,b,c or a,b,c,alpha,beta,gamma, lengths in angstrom above 0 and angles in degrees below 180", text);
    memcpy(c->read.cell, six, sizeof six);
    c->read.has_cell = true;
    return VIC_OK;
}

static vic_status take_axes(struct config *c, const char *text, vic_error *err)
{
    bool axes[3] = { false, false, false }, good = *text != '\0';
    if (!strcmp(text, "auto")) return VIC_OK;
    for (const char *at = text; good && *at && strcmp(text, "none") != 0; at++) {
        good = *at >= 'x' && *at <= 'z' && !axes[*at - 'x'];
        if (good) axes[*at - 'x'] = true;
    }
    if (!good) return expected(err, "pbc", "auto, none, or axes as in xyz, xy or z", text);
    memcpy(c->read.periodic, axes, sizeof axes);
    c->read.pbc = VIC_PBC_SET;
    return VIC_OK;
}

static vic_status take_supercell(struct config *c, const char *text, vic_error *err)
{
    double n[3];
    bool good = reals(text, 'x', 3, n) == 3;
    for (int i = 0; good && i < 3; i++) good = n[i] >= 1 && n[i] <= 10000 && n[i] == floor(n[i]);
    if (!good) return expected(err, "supercell", "AxBxC with whole numbers from 1 to 10000, as in 2x2x1", text);
    for (int i = 0; i < 3; i++) c->read.supercell[i] = (int32_t)n[i];
    return VIC_OK;
}

/* A name within the version's folder: whoever may load models by name may not read what else there is. */
static bool within_folder(const char *name)
{
    if (*name == '\0' || *name == '/') return false;
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (!strncmp(at, "..", 2) && (at[2] == '/' || at[2] == '\0')) return false;
    }
    return true;
}

static vic_status take_integer(const struct parameter *p, const char *text, void *target, vic_error *err)
{
    char what[80], *last;
    const long long value = strtoll(text, &last, 10);
    if (last == text || *last || value < p->min || value > p->max) {
        snprintf(what, sizeof what, "a whole number from %" PRId64 " to %" PRId64, p->min, p->max);
        return expected(err, p->name, what, text);
    }
    if (p->size == sizeof(int64_t)) {
        *(int64_t *)target = value;
    } else {
        *(int32_t *)target = (int32_t)value;
    }
    return VIC_OK;
}

static vic_status take(const struct parameter *p, const char *text, struct config *c, vic_error *err)
{
    void *target = (char *)c + p->offset;
    double value;
    switch (p->kind) {
    case FILE_NAME:
    case TEXT:
        if (strlen(text) >= p->size) return expected(err, p->name, "a shorter text", text);
        if (p->kind == FILE_NAME && !within_folder(text))
            return expected(err, p->name,
                            "the name of a file in the version's folder (as in 1/structure.cif: structure.cif), or "
                            "blocks:...",
                            text);
        memcpy(target, text, strlen(text) + 1);
        return VIC_OK;
    case INTEGER: return take_integer(p, text, target, err);
    case POSITIVE:
    case SCALE:
    case SECONDS:
        if (!real(text, &value) || (p->kind == POSITIVE && value <= 0.0) || (p->kind == SECONDS && value < 0.0))
            return expected(err, p->name,
                            p->kind == POSITIVE ? "a number above 0"
                            : p->kind == SCALE  ? "a number"
                                                : "a number of seconds, 0 or more",
                            text);
        *(double *)target = value;
        c->zero_scale = p->kind == SCALE ? value == 0.0 : c->zero_scale;
        return VIC_OK;
    case FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return expected(err, p->name, "true or false", text);
        *(bool *)target = *text == 't';
        return VIC_OK;
    case DTYPE:
        *(vic_dtype *)target = type_named(text);
        if (*(vic_dtype *)target == VIC_DTYPE_UNKNOWN)
            return expected(err, p->name, "FP32, FP16, BF16 or FP64 (float32, ...)", text);
        return VIC_OK;
    case CELL: return take_cell(c, text, err);
    case AXES: return take_axes(c, text, err);
    case SUPERCELL: return take_supercell(c, text, err);
    case IGNORED: break;
    }
    return VIC_OK;
}

/* head_dim and head-dim are one name. */
static bool same_name(const char *a, const char *b)
{
    while (*a && (*a == *b || (*a == '_' && *b == '-'))) a++, b++;
    return *a == *b;
}

static vic_status unknown_parameter(const char *name, vic_error *err)
{
    char list[512] = "";
    size_t n = 0;
    for (int i = 0; i < KNOWN && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", known[i].name);
    return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: parameter %s is not known; there are %s", name, list);
}

static vic_status read_parameters(struct json json, struct config *c, vic_error *err)
{
    struct json name, value = { NULL, NULL };
    while (json_next(json, &name, &value)) {
        char key[64], text[512];
        int row = 0;
        if (!json_string(name, key, sizeof key)) return unknown_parameter("with a name so long", err);
        while (row < KNOWN && !same_name(key, known[row].name)) row++;
        if (row == KNOWN) return unknown_parameter(key, err);
        if (known[row].kind == IGNORED) continue;
        if (!json_string(json_member(value, "string_value"), text, sizeof text))
            return expected(err, key, "{ string_value: \"...\" } of less than 512 bytes", "something else");
        TRY(take(&known[row], text, c, err));
    }
    return VIC_OK;
}

/* ---- Inputs and outputs ------------------------------------------------------------------------------------------ */

static vic_status read_tensor(struct json json, bool input, struct config *c, vic_error *err)
{
    char name[64] = "", type[32] = "";
    int t = input ? 0 : TENSOR_O;
    const int end = input ? INPUTS : TENSORS;
    (void)json_string(json_member(json, "name"), name, sizeof name);
    (void)json_string(json_member(json, "data_type"), type, sizeof type);
    while (t < end && strcmp(name, tensor_names[t]) != 0) t++;
    if (t == end)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: %s '%s' is not known; there are %s",
                    input ? "input" : "output", name, input ? "Q, K, V, POSITIONS and CELL" : "O and LSE");
    if (json_member(json, "reshape").begin)
        return fail(err, VIC_BAD_ARGUMENT,
                    "config.pbtxt: %s has a reshape, which this backend does not take: give its dims as they are",
                    name);
    struct config_tensor *tensor = &c->tensors[t];
    tensor->dtype = type_named(type);
    if (tensor->dtype == VIC_DTYPE_UNKNOWN)
        return fail(err, VIC_BAD_ARGUMENT,
                    "config.pbtxt: %s: expected data_type TYPE_FP32, TYPE_FP16, TYPE_BF16 or, "
                    "for POSITIONS and CELL, TYPE_FP64, got %s",
                    name, type);
    struct json dim = { NULL, NULL };
    const struct json dims = json_member(json, "dims");
    for (tensor->ndim = 0; json_next(dims, NULL, &dim); tensor->ndim++) {
        int64_t value;
        if (tensor->ndim == 3 || !json_int(dim, &value))
            return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: %s: expected dims of %d numbers%s", name,
                        t < TENSOR_POSITIONS || t == TENSOR_O ? 3 : 2,
                        c->batches ? "; the batch dimension is not among them" : "");
        tensor->shape[tensor->ndim] = value;
    }
    return VIC_OK;
}

static vic_status read_tensors(struct json list, bool input, struct config *c, vic_error *err)
{
    struct json element = { NULL, NULL };
    while (json_next(list, NULL, &element)) TRY(read_tensor(element, input, c, err));
    return VIC_OK;
}

/* Heads, head sizes and type, from the parameters or from the shapes, which must then agree (config_check()). */
static vic_status settle(struct config *c, vic_dtype dtype, vic_error *err)
{
    const struct config_tensor *q = &c->tensors[TENSOR_Q], *k = &c->tensors[TENSOR_K], *v = &c->tensors[TENSOR_V];
    vic_plan_options *o = &c->plan;
    if (q->ndim == 3 && q->shape[1] > 0 && q->shape[1] <= INT32_MAX && !o->heads) o->heads = (int32_t)q->shape[1];
    if (q->ndim == 3 && q->shape[2] > 0 && q->shape[2] <= INT32_MAX && !o->head_dim)
        o->head_dim = (int32_t)q->shape[2];
    if (k->ndim == 3 && k->shape[1] > 0 && k->shape[1] <= INT32_MAX && !o->kv_heads)
        o->kv_heads = (int32_t)k->shape[1];
    if (v->ndim == 3 && v->shape[2] > 0 && v->shape[2] <= INT32_MAX && !o->head_dim_v)
        o->head_dim_v = (int32_t)v->shape[2];
    o->dtype = dtype ? dtype : q->dtype ? q->dtype : VIC_F32;
    if (!o->heads || !o->head_dim)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "config.pbtxt: parameter %s is missing; give parameters heads and head-dim, or input Q with dims: "
            "[ atoms, heads, head size ]",
            o->heads ? "head-dim" : "heads");
    if (!o->kv_heads) o->kv_heads = o->heads;
    if (!o->head_dim_v) o->head_dim_v = o->head_dim;
    if (c->kernel[0]) o->kernel = c->kernel;
    return VIC_OK;
}

vic_status config_read(struct json json, struct config *c, vic_error *err)
{
    int64_t most = 0;
    *c = (struct config){ .read = VIC_INIT(vic_read_options), .plan = VIC_INIT(vic_plan_options) };
    (void)json_int(json_member(json, "max_batch_size"), &most);
    c->batches = most > 0;
    TRY(read_parameters(json_member(json, "parameters"), c, err));
    const struct json inputs = json_member(json, "input"), outputs = json_member(json, "output");
    struct json first = { NULL, NULL };
    c->complete_inputs = !json_next(inputs, NULL, &first);
    first = (struct json){ NULL, NULL };
    c->complete_outputs = !json_next(outputs, NULL, &first);
    TRY(read_tensors(inputs, true, c, err));
    TRY(read_tensors(outputs, false, c, err));
    if (c->cutoff > 0.0 && c->nearest > 0)
        return fail(err, VIC_BAD_ARGUMENT,
                    "config.pbtxt: parameters cutoff and nearest: expected one of them, got both");
    return settle(c, c->plan.dtype, err);
}

static vic_status compare(const struct config *c, int t, struct config_tensor want, vic_error *err)
{
    const struct config_tensor *got = &c->tensors[t];
    bool good = got->ndim == want.ndim;
    for (int i = 0; good && i < want.ndim; i++) good = got->shape[i] == -1 || got->shape[i] == want.shape[i];
    if (!good) {
        char dims[2][80];
        const struct config_tensor *both[2] = { &want, got };
        for (int s = 0; s < 2; s++) {
            size_t n = 0;
            dims[s][0] = '\0';
            for (int i = 0; i < both[s]->ndim; i++)
                n +=
                    (size_t)snprintf(dims[s] + n, sizeof dims[s] - n, "%s%" PRId64, i ? ", " : "", both[s]->shape[i]);
        }
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: %s: expected dims: [ %s ]%s, got [ %s ]; -1 takes any",
                    tensor_names[t], dims[0],
                    c->batches ? " (the batch dimension, of max_batch_size > 0, is not among them)" : "", dims[1]);
    }
    if (got->dtype != want.dtype)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: %s: expected data_type %s, got %s", tensor_names[t],
                    type_text(want.dtype), type_text(got->dtype));
    return VIC_OK;
}

static vic_status check_positions(const struct config *c, vic_dtype positions, const vic_pattern_info *info,
                                  vic_error *err)
{
    const vic_dtype cell = c->tensors[TENSOR_CELL].dtype;
    if (positions != VIC_F32 && positions != VIC_F64)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: POSITIONS: expected FP32 or FP64, got %s",
                    type_text(positions));
    if (c->positions && c->positions != positions)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: input POSITIONS is %s, but parameter positions says %s",
                    type_text(positions), type_text(c->positions));
    if (cell && cell != VIC_F32 && cell != VIC_F64)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: CELL: expected TYPE_FP32 or TYPE_FP64, got %s",
                    type_text(cell));
    if (!info->one_set || (strcmp(info->kind, "cutoff") != 0 && strcmp(info->kind, "nearest") != 0))
        return fail(err, VIC_BAD_ARGUMENT,
                    "config.pbtxt: positions: a pattern of kind '%s' does not follow positions; those of a cutoff or "
                    "of the nearest atoms do",
                    info->kind);
    return VIC_OK;
}

vic_status config_check(struct config *c, const vic_pattern *pattern, vic_error *err)
{
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    TRY(vic_pattern_get(pattern, &info, err));
    const vic_plan_options *o = &c->plan;
    const vic_dtype declared = c->tensors[TENSOR_POSITIONS].dtype, cell = c->tensors[TENSOR_CELL].dtype;
    const vic_dtype positions = declared ? declared : c->positions;
    const bool periodic = info.periodic[0] || info.periodic[1] || info.periodic[2];
    if (positions) TRY(check_positions(c, positions, &info, err));
    const struct config_tensor want[TENSORS] = {
        [TENSOR_Q] = { o->dtype, 3, { info.n_q, o->heads, o->head_dim } },
        [TENSOR_K] = { o->dtype, 3, { info.n_k, o->kv_heads, o->head_dim } },
        [TENSOR_V] = { o->dtype, 3, { info.n_k, o->kv_heads, o->head_dim_v } },
        [TENSOR_POSITIONS] = { positions, 2, { info.n_q, 3 } },
        [TENSOR_CELL] = { cell ? cell : positions, 2, { 3, 3 } },
        [TENSOR_O] = { o->dtype, 3, { info.n_q, o->heads, o->head_dim_v } },
        [TENSOR_LSE] = { VIC_F32, 2, { info.n_q, o->heads } },
    };
    for (int i = 0; i < TENSORS; i++) {
        if (i < INPUTS ? c->complete_inputs : c->complete_outputs) {
            if (i != TENSOR_CELL || periodic) c->tensors[i] = want[i];
        } else if (c->tensors[i].dtype) {
            TRY(compare(c, i, want[i], err));
        } else if (i < TENSOR_POSITIONS || i == TENSOR_O || (positions && i == TENSOR_POSITIONS)) {
            return fail(err, VIC_BAD_ARGUMENT,
                        "config.pbtxt: %s %s is missing: give it, or none of the %ss, which are "
                        "then filled in",
                        i < INPUTS ? "input" : "output", tensor_names[i], i < INPUTS ? "input" : "output");
        }
    }
    if (cell && !periodic)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "config.pbtxt: input CELL: the structure is periodic along no axis: leave it out, or give parameters "
            "cell and pbc");
    if (cell && !positions)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: input CELL comes with input POSITIONS, which is missing");
    return VIC_OK;
}

/* ---- Completion ---------------------------------------------------------------------------------------------------- */

static void list_tensors(const struct config *c, bool input, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (int i = input ? 0 : TENSOR_O; i < (input ? INPUTS : TENSORS); i++) {
        const struct config_tensor *t = &c->tensors[i];
        if (t->dtype == VIC_DTYPE_UNKNOWN) continue;
        n += (size_t)snprintf(out + n, size - n, "%s{\"name\":\"%s\",\"data_type\":\"%s\",\"dims\":[",
                              n > 1 ? "," : "", tensor_names[i], type_text(t->dtype));
        for (int d = 0; d < t->ndim; d++)
            n += (size_t)snprintf(out + n, size - n, "%s%" PRId64, d ? "," : "", t->shape[d]);
        /* With positions every input may be left out: a request may bring new ones and nothing else. */
        const bool optional = input && c->tensors[TENSOR_POSITIONS].dtype != VIC_DTYPE_UNKNOWN;
        n += (size_t)snprintf(out + n, size - n, "]%s}", optional ? ",\"optional\":true" : "");
    }
    snprintf(out + n, size - n, "]");
}

vic_status config_complete(const struct config *c, struct json json, char **out, vic_error *err)
{
    enum { LIST = 1024 };
    char lists[2][LIST];
    struct json spans[2] = { json_member(json, "input"), json_member(json, "output") };
    const bool wanted[2] = { c->complete_inputs, c->complete_outputs };
    list_tensors(c, true, lists[0], LIST);
    list_tensors(c, false, lists[1], LIST);
    const size_t size = (size_t)(json.end - json.begin) + 2 * (LIST + 16) + 1;
    char *text = malloc(size);
    if (!text) return fail(err, VIC_NO_MEMORY, "out of memory: %zu bytes for the configuration", size);
    const char *from = json.begin;
    size_t n = 0;
    text[n++] = *from++; /* a member that there is not goes first, one that there is is replaced where it stands */
    for (int i = 0; i < 2; i++)
        if (wanted[i] && !spans[i].begin)
            n += (size_t)snprintf(text + n, size - n, "\"%s\":%s,", i ? "output" : "input", lists[i]);
    const int first = spans[1].begin < spans[0].begin;
    for (int k = 0; k < 2; k++) {
        const int i = k ? !first : first;
        if (!wanted[i] || !spans[i].begin) continue;
        const size_t before = (size_t)(spans[i].begin - from);
        memcpy(text + n, from, before);
        n += before;
        n += (size_t)snprintf(text + n, size - n, "%s", lists[i]);
        from = spans[i].end;
    }
    memcpy(text + n, from, (size_t)(json.end - from));
    text[n + (size_t)(json.end - from)] = '\0';
    *out = text;
    return VIC_OK;
}
