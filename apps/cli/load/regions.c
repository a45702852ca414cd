/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* getrandom */
#include "load/regions.h"

#include "json.h"
#include "vicinal_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static const vic_device cpu = { VIC_CPU, 0 };

static const char *word(enum region_kind kind)
{
    return kind == REGIONS_CUDA ? "cuda" : "system";
}

static vic_status tell(const struct http_server *s, enum region_kind kind, const char *name, const char *action,
                       const char *body, vic_error *err)
{
    struct buffer answer = { 0 };
    char path[160];
    int status = 0;
    vic_status st;
    snprintf(path, sizeof path, "/v2/%ssharedmemory/region/%s/%s", word(kind), name, action);
    st = http_ask(s, "POST", path, body, &status, &answer, err);
    if (st == VIC_OK && status != 200)
        st = fail(err, VIC_FAILED,
                  "%s: %s: the server answers %d: %.300s; vicinal serve takes shared memory only with "
                  "--allow-%s-shm",
                  s->label, path, status, answer.data, kind == REGIONS_CUDA ? "cuda" : "client");
    buffer_free(&answer);
    return st;
}

/* ---- system ---- */

/* Its bytes are all taken at once: a machine that has no more would end a process that writes to them later. */
static vic_status make_system(const char *key, size_t bytes, void **out, vic_error *err)
{
    int on = shm_open(key, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600), code;
    if (on < 0) return fail(err, VIC_FAILED, "shared memory %s: %s", key, strerror(errno));
    code = posix_fallocate(on, 0, (off_t)bytes);
    if (code == 0) {
        *out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, on, 0);
        if (*out == MAP_FAILED) code = errno;
    }
    close(on);
    if (code == 0) return VIC_OK;
    *out = NULL;
    return fail(err, VIC_NO_MEMORY, "shared memory of %zu bytes: %s; see how much /dev/shm holds", bytes,
                strerror(code));
}

static vic_status open_system(const struct http_server *s, struct region *r, vic_error *err)
{
    struct json body = { 0 };
    char key[80];
    vic_status st;
    snprintf(key, sizeof key, "/%s", r->name);
    TRY_GOTO(make_system(key, r->bytes, &r->data, err), done);
    json_put_object(&body, NULL);
    json_put_text(&body, "key", key);
    json_put_int(&body, "offset", 0);
    json_put_int(&body, "byte_size", (int64_t)r->bytes);
    json_put_object_end(&body);
    TRY_GOTO(buffer_check(&body.text, "a request", err), done);
    st = tell(s, REGIONS_SYSTEM, r->name, "register", body.text.data, err);
    r->registered = st == VIC_OK;
done:
    (void)shm_unlink(key);
    json_free(&body);
    return st;
}

/* ---- CUDA ---- */

static vic_status open_cuda(const struct http_server *s, vic_device device, struct region *r, vic_error *err)
{
    struct buffer body = { 0 };
    vic_memory_handle handle;
    vic_status st;
    TRY(vic_memory_alloc(device, r->bytes, &r->data, err));
    TRY(vic_memory_export(device, r->data, &handle, err));
    buffer_text(&body, "{\"raw_handle\":{\"b64\":\"");
    buffer_base64(&body, handle.bytes, sizeof handle.bytes);
    buffer_printf(&body, "\"},\"device_id\":%d,\"byte_size\":%zu}", device.index, r->bytes);
    st = buffer_check(&body, "a request", err);
    if (st == VIC_OK) st = tell(s, REGIONS_CUDA, r->name, "register", body.data, err);
    r->registered = st == VIC_OK;
    buffer_free(&body);
    return st;
}

/* ---- both ---- */

static vic_status write_cuda(vic_device device, struct region *r, const void *from, vic_error *err)
{
    void *zeros = NULL;
    vic_status st;
    if (from) return vic_memory_copy(device, r->data, cpu, from, r->bytes, err);
    TRY(allocate((int64_t)r->bytes, 1, "zeros", &zeros, err));
    st = vic_memory_copy(device, r->data, cpu, zeros, r->bytes, err);
    free(zeros);
    return st;
}

static vic_status open_one(const struct http_server *s, struct regions *r, struct region *one, const char *what,
                           const void *from, vic_error *err)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return fail(err, VIC_FAILED, "no random numbers: %s", strerror(errno));
    snprintf(one->name, sizeof one->name, "vicinal-bench-%016" PRIx64 "-%s", number, what);
    if (r->kind == REGIONS_CUDA) {
        TRY(open_cuda(s, r->device, one, err));
        return write_cuda(r->device, one, from, err);
    }
    TRY(open_system(s, one, err));
    if (from) memcpy(one->data, from, one->bytes); /* zeros otherwise, as it was made */
    return VIC_OK;
}

vic_status regions_open(const struct http_server *s, enum region_kind kind, vic_device device, const void *inputs,
                        size_t input_bytes, size_t output_bytes, struct regions *r, vic_error *err)
{
    r->kind = kind;
    r->device = device;
    r->in.bytes = input_bytes;
    r->out.bytes = output_bytes;
    TRY(open_one(s, r, &r->in, "in", inputs, err));
    return open_one(s, r, &r->out, "out", NULL, err);
}

vic_status regions_read(const struct regions *r, size_t at, void *to, size_t bytes, vic_error *err)
{
    const char *from = (const char *)r->out.data + at;
    if (r->kind == REGIONS_CUDA) return vic_memory_copy(cpu, to, r->device, from, bytes, err);
    memcpy(to, from, bytes);
    return VIC_OK;
}

void regions_close(const struct http_server *s, struct regions *r)
{
    struct region *both[] = { &r->in, &r->out };
    vic_error err;
    for (int i = 0; i < 2; i++) {
        if (both[i]->registered) (void)tell(s, r->kind, both[i]->name, "unregister", "", &err);
        if (both[i]->data && r->kind == REGIONS_CUDA) vic_memory_free(r->device, both[i]->data);
        if (both[i]->data && r->kind == REGIONS_SYSTEM) (void)munmap(both[i]->data, both[i]->bytes);
    }
    memset(r, 0, sizeof *r);
}
