/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "commands/serve_models.h"

#include "commands/gpu_watch.h"
#include "progress.h"
#include "vicinal_dev.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 64, NUMBER = 40 };

/* A model that is being made: a copy of the command line's options, changed by JSON. */
struct making {
    struct run_options run;
    int max_batch;
    struct serve_rows rows;
    struct option_group groups[4];
    struct syntax syntax;
    const char *folder; /* that names of files start from; NULL: as they are */
    bool from_client;
    char *kept[NAMES]; /* values that options point to */
    int kept_count;
    const json_t *positions, *cell;
    char path[4096]; /* of the structure */
    struct pattern_built built;
};

void serve_models_init(struct serve_models *m)
{
    memset(m, 0, sizeof *m);
    attention_options_init(&m->base);
}

void serve_model_rows(struct run_options *run, int *max_batch, struct serve_rows *rows)
{
    const struct option own[MODEL_OPTIONS] = {
        { "--max-batch", "N",
          "describe tensors with a batch dimension in front, of at most N (max_batch_size of Triton); default: "
          "without, and both are taken",
          OPTION_INT, max_batch, 1, MOST_BATCH, NULL, NULL },
    };
    pattern_options_rows(&run->pattern, rows->pattern);
    structure_options_rows(&run->pattern.structure, rows->structure);
    attention_options_rows(run, rows->attention);
    /* No tensors are given to the command, which could say it. */
    rows->attention[0].help = "query heads; default 4";
    rows->attention[2].help = "size of a query and key, 8 to 128 in steps of 8; default 64";
    rows->attention[4].help = "float32 (default), float16 or bfloat16";
    rows->attention[6] = rows->attention[7]; /* --kernel; without --device and --seed, which no model has */
    memcpy(rows->model, own, sizeof own);
}

/* ---- names ---- */

static size_t without_compression(const char *name)
{
    static const char *const endings[] = { ".gz", ".bz2", ".xz", ".zst", ".Z" };
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t size = strlen(endings[i]);
        if (length > size && strcmp(name + length - size, endings[i]) == 0) return length - size;
    }
    return length;
}

/* "path/to/1crn.pdb.gz" is 1crn; what a name cannot have becomes '_'. */
static void model_name(const char *file, char out[MOST_NAME + 1])
{
    const char *slash = strrchr(file, '/'), *from = slash ? slash + 1 : file;
    size_t length = without_compression(from), stem = length;
    while (stem > 0 && from[stem - 1] != '.') stem--;
    if (stem > 1) length = stem - 1; /* a name that begins with its only dot is kept */
    if (length > MOST_NAME) length = MOST_NAME;
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)from[i];
        const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                          c == '.' || c == '_';
        out[i] = good ? from[i] : '_';
    }
    out[length] = '\0';
}

vic_status serve_models_check(const struct serve_models *m, vic_error *err)
{
    char name[MOST_NAME + 1], other[MOST_NAME + 1], path[4096];
    DIR *folder = m->folder ? opendir(m->folder) : NULL;
    if (m->folder && !folder)
        return fail(err, VIC_CANNOT_READ, "--models %s: expected a folder with a file NAME.json for each model: %s",
                    m->folder, strerror(errno));
    if (folder) closedir(folder);
    for (int i = 0; i < m->file_count; i++) {
        model_name(m->files[i], name);
        if (!*name || strcmp(m->files[i], "-") == 0)
            return fail(err, VIC_BAD_ARGUMENT, "'%s': expected a file, whose name is the model's", m->files[i]);
        if (m->folder && snprintf(path, sizeof path, "%s/%s.json", m->folder, name) > 0 && access(path, F_OK) == 0)
            return fail(err, VIC_BAD_ARGUMENT, "'%s' and '%s' would both be the model %s", m->files[i], path, name);
        for (int j = 0; j < i; j++) {
            model_name(m->files[j], other);
            if (strcmp(name, other) == 0)
                return fail(err, VIC_BAD_ARGUMENT,
                            "'%s' and '%s' would both be the model %s; name models as you like by --models DIR",
                            m->files[j], m->files[i], name);
        }
    }
    return VIC_OK;
}

static void list_folder(const char *path, void (*each)(void *to, const char *name), void *to)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    if (!folder) return;
    while ((entry = readdir(folder)) != NULL) {
        const size_t length = strlen(entry->d_name);
        char name[MOST_NAME + 1];
        if (length <= 5 || length - 5 > MOST_NAME || strcmp(entry->d_name + length - 5, ".json") != 0) continue;
        if (*entry->d_name == '.') continue; /* what an editor leaves */
        snprintf(name, sizeof name, "%.*s", (int)(length - 5), entry->d_name);
        each(to, name);
    }
    closedir(folder);
}

static void list(void *user, void (*each)(void *to, const char *name), void *to)
{
    const struct serve_models *m = user;
    for (int i = 0; i < m->file_count; i++) {
        char name[MOST_NAME + 1];
        model_name(m->files[i], name);
        each(to, name);
    }
    if (m->folder) list_folder(m->folder, each, to);
}

/* ---- settings: members of JSON as options ---- */

static const char *keep(struct making *m, const char *text)
{
    char *copy = m->kept_count < NAMES ? strdup(text) : NULL;
    if (copy) m->kept[m->kept_count++] = copy;
    return copy;
}

/* A file of a model's folder; clients name none. */
static vic_status set_file(struct making *m, const struct option *o, const char *text, vic_error *err)
{
    char path[4096];
    const char *kept;
    if (m->from_client) return fail(err, VIC_BAD_ARGUMENT, "%s: a client names no files of the server", o->name);
    if (m->folder && *text != '/')
        snprintf(path, sizeof path, "%s/%s", m->folder, text);
    else
        snprintf(path, sizeof path, "%s", text);
    kept = keep(m, path);
    return kept ? options_set(o, kept, err) : fail(err, VIC_NO_MEMORY, "no memory for the model's settings");
}

/* "head_dim" as --head-dim. */
static const struct option *find_option(const struct making *m, const char *key)
{
    char name[NAMES] = "--";
    if (strlen(key) >= sizeof name - 2) return NULL;
    for (size_t i = 0; key[i]; i++) name[i + 2] = (char)(key[i] == '_' ? '-' : key[i]);
    return options_find(&m->syntax, name);
}

static vic_status set_option(struct making *m, const char *key, const json_t *value, vic_error *err)
{
    const struct option *o = find_option(m, key);
    const char *text = json_string_value(value), *kept;
    char number[NUMBER];
    if (!o || strcmp(o->name, "--origin") == 0)
        return fail(err, VIC_BAD_ARGUMENT, "'%.60s': expected the name of an option of `vicinal serve`, as cutoff",
                    key);
    if (m->from_client && strcmp(o->name, "--force") == 0)
        return fail(err, VIC_BAD_ARGUMENT, "'force': a client does not decide about the server's memory");
    if (o->kind == OPTION_FLAG) {
        if (json_is_boolean(value)) {
            *(bool *)o->target = json_is_true(value);
            return VIC_OK;
        }
        return fail(err, VIC_BAD_ARGUMENT, "'%s': expected true or false", key);
    }
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else if (!text)
        return fail(err, VIC_BAD_ARGUMENT, "'%s': expected a number or a string", key);
    if (o->kind == OPTION_INPUT) return set_file(m, o, text ? text : number, err);
    kept = keep(m, text ? text : number);
    if (!kept) return fail(err, VIC_NO_MEMORY, "no memory for the model's settings");
    return options_set(o, kept, err);
}

/* Members of Triton's model configuration that say nothing that a model here could do otherwise. */
static bool is_tritons(const char *key)
{
    static const char *const keys[] = { "name",
                                        "backend",
                                        "platform",
                                        "input",
                                        "output",
                                        "instance_group",
                                        "runtime",
                                        "version_policy",
                                        "optimization",
                                        "dynamic_batching",
                                        "batch_input",
                                        "batch_output",
                                        "default_model_filename",
                                        "model_warmup",
                                        "metric_tags",
                                        "cc_model_filenames" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

/* {"cutoff": {"string_value": "8"}} */
static vic_status set_parameters(struct making *m, json_t *parameters, vic_error *err)
{
    static const char *const described[] = { "optional_inputs", "optional_outputs", "threads" };
    const char *key;
    json_t *value;
    json_object_foreach(parameters, key, value)
    {
        bool skip = false;
        for (int i = 0; i < 3; i++) skip = skip || strcmp(described[i], key) == 0;
        if (!skip) TRY(set_option(m, key, json_object_get(value, "string_value"), err));
    }
    return VIC_OK;
}

static vic_status set_structure(struct making *m, const json_t *value, vic_error *err)
{
    const char *name = json_string_value(value);
    if (!name || !*name) return fail(err, VIC_BAD_ARGUMENT, "'structure': expected the name of a file");
    if (m->from_client)
        return fail(err, VIC_BAD_ARGUMENT,
                    "'structure': a client names no files of the server; send its bytes as parameter file:NAME");
    snprintf(m->path, sizeof m->path, "%s%s%s", m->folder && *name != '/' ? m->folder : "",
             m->folder && *name != '/' ? "/" : "", name);
    return VIC_OK;
}

static vic_status set_all(struct making *m, const char *text, size_t size, json_t **root, vic_error *err)
{
    json_error_t where;
    const char *key;
    json_t *value;
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(*root))
        return fail(err, VIC_BAD_INPUT, "the model's settings: expected a JSON object, line %d: %s",
                    *root ? 1 : where.line, *root ? "found another value" : where.text);
    json_object_foreach(*root, key, value)
    {
        if (strcmp(key, "structure") == 0)
            TRY(set_structure(m, value, err));
        else if (strcmp(key, "positions") == 0)
            m->positions = value;
        else if (strcmp(key, "cell") == 0 && json_is_array(value))
            m->cell = value;
        else if (strcmp(key, "parameters") == 0 && json_is_object(value))
            TRY(set_parameters(m, value, err));
        else if (strcmp(key, "max_batch_size") == 0 && json_is_integer(value))
            m->max_batch = json_integer_value(value) < 0 || json_integer_value(value) > MOST_BATCH
                               ? MOST_BATCH
                               : (int)json_integer_value(value);
        else if (!is_tritons(key))
            TRY(set_option(m, key, value, err));
    }
    return VIC_OK;
}

/* ---- positions in JSON ---- */

/* Numbers of arrays in arrays, `count` of them; false: others. */
static bool take_numbers(const json_t *list, double *out, size_t count, size_t *done)
{
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value)
    {
        if (json_is_number(value)) {
            if (*done == count) return false;
            out[(*done)++] = json_number_value(value);
        } else if (!json_is_array(value) || !take_numbers(value, out, count, done)) {
            return false;
        }
    }
    return true;
}

static vic_status take_positions(struct making *m, vic_error *err)
{
    const size_t atoms = json_array_size(m->positions);
    struct pattern_built *b = &m->built;
    double *cell = b->view.cell;
    size_t done = 0;
    if (!json_is_array(m->positions) || atoms == 0)
        return fail(err, VIC_BAD_ARGUMENT, "'positions': expected [[x, y, z], ...] in angstrom");
    TRY(allocate((int64_t)atoms, 3 * sizeof *b->positions, "the positions", &b->positions, err));
    if (!take_numbers(m->positions, b->positions, 3 * atoms, &done) || done != 3 * atoms)
        return fail(err, VIC_BAD_ARGUMENT, "'positions': expected three numbers for each of %zu atoms", atoms);
    b->view.atoms = (int64_t)atoms;
    b->view.positions = b->positions;
    b->points = (vic_points)VIC_INIT(vic_points);
    b->points.positions = vic_tensor_make(b->positions, VIC_F64, 2, (const int64_t[]){ (int64_t)atoms, 3 });
    done = 0;
    if (!m->cell) return VIC_OK;
    if (!take_numbers(m->cell, cell, 9, &done) || done != 9)
        return fail(err, VIC_BAD_ARGUMENT, "'cell': expected nine numbers, the vectors a, b, c in angstrom");
    b->points.cell = cell;
    return VIC_OK;
}

/* ---- building ---- */

static vic_status read_file(const char *path, char **out, size_t *size, vic_error *err)
{
    enum { MOST = 64 << 20 };
    FILE *file = fopen(path, "re");
    size_t room = 1 << 16, got;
    *out = NULL;
    *size = 0;
    if (!file) return fail(err, VIC_CANNOT_READ, "%s: %s", path, strerror(errno));
    do {
        char *larger = realloc(*out, room);
        if (!larger) {
            fclose(file);
            return fail(err, VIC_NO_MEMORY, "%s: no memory to read it", path);
        }
        *out = larger;
        got = fread(*out + *size, 1, room - *size, file);
        *size += got;
        if (*size == room) room *= 2;
    } while (got > 0 && room <= MOST);
    fclose(file);
    return got == 0 ? VIC_OK : fail(err, VIC_BAD_INPUT, "%s: expected settings of at most %d bytes", path, MOST);
}

static vic_status take_json_file(const struct serve_models *all, struct making *m, const char *name, json_t **root,
                                 vic_error *err)
{
    char path[4096], *text = NULL;
    size_t size;
    vic_status st;
    snprintf(path, sizeof path, "%s/%s.json", all->folder, name);
    m->folder = all->folder;
    st = read_file(path, &text, &size, err);
    if (st == VIC_OK) st = set_all(m, text, size, root, err);
    free(text);
    return st;
}

/* What a model is by itself: a file of the command line, or of the folder. */
static vic_status find_model(const struct serve_models *all, struct making *m, const char *name, json_t **root,
                             vic_error *err)
{
    for (int i = 0; i < all->file_count; i++) {
        char other[MOST_NAME + 1];
        model_name(all->files[i], other);
        if (strcmp(name, other) != 0) continue;
        snprintf(m->path, sizeof m->path, "%s", all->files[i]);
        return VIC_OK;
    }
    if (all->folder) return take_json_file(all, m, name, root, err);
    return fail(err, VIC_CANNOT_READ, "no model is called %s", name);
}

static vic_status build_pattern(const struct serve_models *all, struct making *m, vic_error *err)
{
    struct pattern_input *in = &m->run.pattern;
    struct pattern_built *b = &m->built;
    if (m->positions) {
        if (pattern_ways_asked(in) || in->cutoff == 0.0)
            return fail(err, VIC_BAD_ARGUMENT, "'positions': expected a cutoff with them, and no other way to pairs");
        TRY(take_positions(m, err));
        return pattern_build_from(all->context, in, b, err);
    }
    if (pattern_ways_asked(in)) return pattern_ways_open(all->context, in, b, err);
    TRY(pattern_read(in, b, err));
    return pattern_build_from(all->context, in, b, err);
}

/* A path of this machine is nothing that a client should see. */
static void hide_path(vic_error *err, const char *path, const char *name)
{
    char rest[sizeof err->text];
    char *at;
    while (*path && strlen(path) >= strlen(name) && (at = strstr(err->text, path)) != NULL) {
        snprintf(rest, sizeof rest, "%s", at + strlen(path));
        snprintf(at, sizeof err->text - (size_t)(at - err->text), "%s%s", name, rest);
        if (strcmp(path, name) == 0) return;
    }
}

/* *kernel as the table of kernels has its name, which stays. */
static vic_status keep_kernel(const char **kernel, vic_error *err)
{
    vic_kernel_info info = VIC_INIT(vic_kernel_info);
    if (!*kernel) return VIC_OK;
    for (int i = 0; i < vic_kernel_count() && vic_kernel_get(i, &info, NULL) == VIC_OK; i++) {
        if (strcmp(info.name, *kernel) != 0) continue;
        *kernel = info.name;
        return VIC_OK;
    }
    return fail(err, VIC_NO_KERNEL, "there is no kernel \"%.60s\"; `vicinal env` lists those of this build", *kernel);
}

static void begin(const struct serve_models *all, struct making *m, bool from_client)
{
    m->run = all->base;
    m->max_batch = all->max_batch;
    m->from_client = from_client;
    serve_model_rows(&m->run, &m->max_batch, &m->rows);
    m->groups[0] = (struct option_group){ "", m->rows.pattern, PATTERN_OPTIONS };
    m->groups[1] = (struct option_group){ "", m->rows.structure, STRUCTURE_OPTIONS };
    m->groups[2] = (struct option_group){ "", m->rows.attention, SERVE_ATTENTION };
    m->groups[3] = (struct option_group){ "", m->rows.model, MODEL_OPTIONS };
    m->syntax = (struct syntax){ "serve", NULL, "", NULL, m->groups, 4 };
}

static vic_status make(const struct serve_models *all, struct making *m, const struct serve_want *want, json_t **own,
                       json_t **sent, struct serve_built *out, vic_error *err)
{
    vic_status st = find_model(all, m, want->name, own, err);
    if (st == VIC_CANNOT_READ && want->from_client && (want->structure || want->settings))
        st = VIC_OK; /* a new one, made of what the client sends */
    if (st != VIC_OK) return st;
    m->from_client = want->from_client;
    if (want->settings) TRY(set_all(m, want->settings, strlen(want->settings), sent, err));
    if (want->structure) snprintf(m->path, sizeof m->path, "%s", want->structure);
    if (!*m->path && !m->positions)
        return fail(err, VIC_BAD_ARGUMENT, "model %s: expected a structure (file:NAME) or 'positions'", want->name);
    m->run.pattern.file = *m->path ? m->path : want->name;
    attention_options_complete(&m->run);
    TRY(build_pattern(all, m, err));
    out->pattern = m->built.pattern;
    out->plan = attention_plan_options(&m->run);
    out->plan.device = (vic_device){ VIC_DEVICE_UNKNOWN, 0 };
    TRY(keep_kernel(&out->plan.kernel, err));
    out->scale = m->run.scale;
    out->max_batch = m->max_batch;
    return VIC_OK;
}

static vic_status build(void *user, const struct serve_want *want, struct serve_built *out, vic_error *err)
{
    struct serve_models *all = user;
    struct making *m = NULL;
    json_t *own = NULL, *sent = NULL;
    vic_status st;
    if (!all->context) TRY(context_open(all->threads, (vic_device){ VIC_CPU, 0 }, &all->context, err));
    TRY(allocate(1, sizeof *m, "a model's settings", &m, err));
    out->inside = m;
    begin(all, m, false);
    st = make(all, m, want, &own, &sent, out, err);
    json_decref(own);
    json_decref(sent);
    progress_end();
    if (st != VIC_OK && want->from_client) hide_path(err, m->path, want->name);
    return st;
}

static void close_built(void *user, struct serve_built *built)
{
    struct making *m = built->inside;
    (void)user;
    if (!m) return;
    pattern_close(&m->built);
    for (int i = 0; i < m->kept_count; i++) free(m->kept[i]);
    free(m);
    memset(built, 0, sizeof *built);
}

static bool watch_gpu(void *user, vic_device device, struct serve_gpu *out)
{
    struct gpu_use now;
    (void)user;
    if (!gpu_use_now(device, &now)) return false;
    memcpy(out->uuid, now.uuid, sizeof out->uuid);
    out->utilization = now.utilization;
    out->power_watt = now.watt;
    out->memory_used = now.memory_used;
    out->memory_total = now.memory_total;
    return true;
}

struct serve_source serve_models_source(struct serve_models *m)
{
    return (
        struct serve_source){ .user = m, .build = build, .close = close_built, .list = list, .watch_gpu = watch_gpu };
}
