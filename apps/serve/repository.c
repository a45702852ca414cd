/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "repository.h"

#include "log.h"
#include "routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned no(struct request *r, unsigned status, const char *text)
{
    refuse(&r->why, status, "%s", text);
    return status;
}

/* The body as an object; an empty one where there is none.  NULL: refused. */
static json_t *read_body(struct request *r)
{
    json_error_t where;
    json_t *root =
        r->body_size == 0 ? json_object() : json_loadb(request_body(r), r->body_size, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(root)) return root;
    json_decref(root);
    no(r, 400, "the body: expected a JSON object");
    return NULL;
}

bool base64_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = 0;
    uint32_t bits = 0;
    *size = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') padding++;
    if (length % 4 != 0 || length / 4 * 3 - padding > room) return false;
    for (size_t i = 0; i < length; i++) {
        const char *digit = i + padding < length && text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit && i + padding < length) return false;
        bits = bits << 6 | (digit ? (uint32_t)(digit - digits) : 0);
        if (i % 4 != 3) continue;
        for (int shift = 16; shift >= 0 && *size < length / 4 * 3 - padding; shift -= 8)
            out[(*size)++] = (unsigned char)(bits >> shift);
        bits = 0;
    }
    return true;
}

/* ---- models ---- */

unsigned repository_index(struct request *r)
{
    json_t *root = read_body(r);
    struct json j = { 0 };
    if (!root) return 400;
    models_index(&r->loop->server->models, json_is_true(json_object_get(root, "ready")), &j);
    json_decref(root);
    r->text = j.text;
    return 200;
}

/* The bytes that a client sends as a file have no name in any file system.  -1: refused. */
static int keep_file(struct request *r, const json_t *file)
{
    const size_t length = json_string_length(file);
    unsigned char *bytes = malloc(length + 1);
    size_t size, done = 0;
    int descriptor = -1;
    if (!bytes || !json_is_string(file) || !base64_decode(json_string_value(file), length, bytes, length, &size)) {
        free(bytes);
        no(r, 400, "parameter 'file:...': expected a file's bytes as base64");
        return -1;
    }
    descriptor = memfd_create("structure", MFD_CLOEXEC);
    while (descriptor >= 0 && done < size) {
        const ssize_t wrote = write(descriptor, bytes + done, size - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        done += (size_t)wrote;
    }
    free(bytes);
    if (descriptor >= 0 && done == size) return descriptor;
    if (descriptor >= 0) close(descriptor);
    no(r, 503, "no memory for the structure that was sent");
    return -1;
}

/* Reads what a load brings; *descriptor stays -1 without a file. */
static bool read_load(struct request *r, const json_t *root, const char **settings, int *descriptor)
{
    json_t *parameters = json_object_get(root, "parameters"), *value;
    const char *key;
    if (parameters && !json_is_object(parameters)) return no(r, 400, "'parameters': expected an object"), false;
    json_object_foreach(parameters, key, value)
    {
        if (strcmp(key, "config") == 0 && json_is_string(value)) {
            *settings = json_string_value(value);
        } else if (strncmp(key, "file:", 5) == 0 && *descriptor < 0) {
            *descriptor = keep_file(r, value);
            if (*descriptor < 0) return false;
        } else {
            return refuse(&r->why, 400, "parameter '%.64s': expected config (JSON in a string) or one file:NAME",
                          key);
        }
    }
    return true;
}

static void load_model(struct request *r, const char *settings, int descriptor)
{
    char path[64];
    struct serve_want want = { .name = r->name, .settings = settings, .from_client = settings || descriptor >= 0 };
    vic_error err = { VIC_OK, "" };
    const double start = seconds_now();
    vic_status st;
    if (descriptor >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        want.structure = path;
    }
    st = models_load(&r->loop->server->models, &want, &err);
    if (st == VIC_OK)
        log_message(LOG_INFO, "load", "model %s in %.3f s", r->name, seconds_now() - start);
    else if (st == VIC_CANNOT_READ)
        refuse(&r->why, 500, "failed to load '%s', failed to poll from model repository", r->name);
    else
        refuse(&r->why,
               st == VIC_BAD_ARGUMENT || st == VIC_BAD_INPUT ? 400
               : st == VIC_NO_MEMORY                         ? 503
                                                             : 500,
               "failed to load '%s': %.500s", r->name, err.text);
    r->result = st == VIC_OK ? 200 : r->why.status;
}

static struct request *request_of(struct job *job)
{
    return (struct request *)((char *)job - offsetof(struct request, job));
}

static void run_load(struct job *job)
{
    struct request *r = request_of(job);
    const char *settings = NULL;
    int descriptor = -1;
    json_t *root = read_body(r);
    if (root && read_load(r, root, &settings, &descriptor))
        load_model(r, settings, descriptor);
    else
        r->result = r->why.status;
    if (descriptor >= 0) close(descriptor);
    json_decref(root);
    request_done(r);
}

unsigned repository_load(struct request *r)
{
    if (!r->name_good) return no(r, 400, "a model's name is 1 to 64 letters, digits, '_', '.' and '-'");
    r->job.run = run_load;
    jobs_add(&r->job);
    return 0;
}

unsigned repository_finish(struct request *r)
{
    return r->result;
}

unsigned repository_unload(struct request *r)
{
    json_t *root = read_body(r);
    if (!root) return 400;
    json_decref(root);
    if (r->name_good && models_unload(&r->loop->server->models, r->name))
        log_message(LOG_INFO, "unload", "model %s", r->name);
    return 200; /* as Triton, also for what was not loaded */
}

/* ---- shared memory ---- */

bool repository_is_local(const struct request *r)
{
    return r->connection->gate->local;
}

static bool allowed(struct request *r, bool cuda)
{
    const struct serve_options *options = r->loop->server->options;
    return repository_is_local(r) && (cuda ? options->cuda_shm : options->client_shm);
}

static bool check_region(struct request *r, bool cuda)
{
    if (!allowed(r, cuda))
        return refuse(&r->why, 403,
                      "%s shared memory is off: start the server with %s, for clients on the same machine",
                      cuda ? "CUDA" : "system", cuda ? "--allow-cuda-shm" : "--allow-client-shm");
    return r->name_good || refuse(&r->why, 400, "a region's name is 1 to 64 letters, digits, '_', '.' and '-'");
}

static unsigned status(struct request *r, bool cuda)
{
    struct json j = { 0 };
    const bool one = strstr(r->route->path, "{region}") != NULL;
    const char *name = one ? r->name : NULL;
    bool found;
    if (!repository_is_local(r)) name = ""; /* which no region has */
    found = region_table_list(r->loop->server->regions, cuda, name, &j) || !one;
    if (!found) {
        json_free(&j);
        refuse(&r->why, 404, "Unable to find %s shared memory region: '%s'", cuda ? "cuda" : "system", r->name);
        return 404;
    }
    r->text = j.text;
    return 200;
}

static unsigned unregister(struct request *r, bool cuda)
{
    const bool one = strstr(r->route->path, "{region}") != NULL;
    if (repository_is_local(r) && (!one || r->name_good))
        region_table_remove(r->loop->server->regions, cuda, one ? r->name : NULL);
    return 200;
}

static bool read_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool register_system(struct request *r, const json_t *body)
{
    const json_t *key = json_object_get(body, "key"), *from = json_object_get(body, "offset");
    size_t offset = 0, bytes;
    if (!json_is_string(key) || (from && !read_size(from, &offset)) ||
        !read_size(json_object_get(body, "byte_size"), &bytes))
        return refuse(&r->why, 400, "expected 'key', a string, and 'byte_size' and 'offset', whole numbers");
    return region_table_add_system(r->loop->server->regions, r->name, json_string_value(key), offset, bytes, &r->why);
}

static bool register_cuda(struct request *r, const json_t *body)
{
    const json_t *text = json_object_get(json_object_get(body, "raw_handle"), "b64");
    unsigned char handle[CLIENT_HANDLE];
    size_t bytes, index, size;
    if (!json_is_string(text) || !read_size(json_object_get(body, "byte_size"), &bytes) ||
        !read_size(json_object_get(body, "device_id"), &index) || index >= 1024)
        return refuse(&r->why, 400, "expected 'raw_handle' with 'b64', 'device_id' and 'byte_size'");
    if (!base64_decode(json_string_value(text), json_string_length(text), handle, sizeof handle, &size) ||
        size != sizeof handle)
        return refuse(&r->why, 400, "'raw_handle': expected %zu bytes as base64", sizeof handle);
    return region_table_add_cuda(r->loop->server->regions, r->name, handle, (vic_device){ VIC_CUDA, (int32_t)index },
                                 bytes, &r->why);
}

static unsigned registration(struct request *r, bool cuda)
{
    json_t *body;
    bool good;
    if (!check_region(r, cuda)) return r->why.status;
    body = read_body(r);
    if (!body) return 400;
    good = cuda ? register_cuda(r, body) : register_system(r, body);
    json_decref(body);
    return good ? 200 : r->why.status;
}

unsigned repository_system_status(struct request *r)
{
    return status(r, false);
}

unsigned repository_system_register(struct request *r)
{
    return registration(r, false);
}

unsigned repository_system_unregister(struct request *r)
{
    return unregister(r, false);
}

unsigned repository_cuda_status(struct request *r)
{
    return status(r, true);
}

unsigned repository_cuda_register(struct request *r)
{
    return registration(r, true);
}

unsigned repository_cuda_unregister(struct request *r)
{
    return unregister(r, true);
}
