/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: the header's length in 8 bytes, the header as JSON {name: {dtype, shape, data_offsets}}, the data. */
#include "arrays/array.h"
#include "infile.h"
#include "json.h"
#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000, NAME_SIZE = 256 };

static const struct {
    const char *name;
    vic_dtype dtype;
} types[] = { { "F32", VIC_F32 }, { "F16", VIC_F16 }, { "BF16", VIC_BF16 }, { "F64", VIC_F64 } };
enum { TYPES = sizeof types / sizeof types[0] };

struct entry {
    char type[16];
    int ndim;
    int64_t shape[ARRAY_DIMS];
    uint64_t begin, end;
};

static bool take_numbers(struct json_cursor *c, int most, int *count, uint64_t *out)
{
    *count = 0;
    if (!json_take(c, '[')) return false;
    if (json_take(c, ']')) return true;
    do {
        if (*count >= most || !json_take_uint(c, &out[(*count)++])) return false;
    } while (json_take(c, ','));
    return json_take(c, ']');
}

static bool take_entry(struct json_cursor *c, struct entry *e)
{
    enum { TYPE = 1, SHAPE = 2, OFFSETS = 4 };
    uint64_t numbers[ARRAY_DIMS];
    char key[16];
    int seen = 0, count;
    memset(e, 0, sizeof *e);
    if (!json_take(c, '{')) return false;
    do {
        if (!json_take_text(c, key, sizeof key) || !json_take(c, ':')) return false;
        if (strcmp(key, "dtype") == 0) {
            if (!json_take_text(c, e->type, sizeof e->type)) return false;
            seen += TYPE;
        } else if (strcmp(key, "shape") == 0) {
            if (!take_numbers(c, ARRAY_DIMS, &e->ndim, numbers)) return false;
            for (int k = 0; k < e->ndim; k++) e->shape[k] = (int64_t)numbers[k];
            seen += SHAPE;
        } else if (strcmp(key, "data_offsets") == 0) {
            if (!take_numbers(c, 2, &count, numbers) || count != 2) return false;
            e->begin = numbers[0];
            e->end = numbers[1];
            seen += OFFSETS;
        } else {
            return false;
        }
    } while (json_take(c, ','));
    return seen == (TYPE | SHAPE | OFFSETS) && json_take(c, '}');
}

static vic_status check_entry(const char *path, const char *name, const struct entry *e, uint64_t data_size,
                              struct array *out, vic_error *err)
{
    char shape[128];
    int type = 0;
    while (type < TYPES && strcmp(types[type].name, e->type) != 0) type++;
    if (type == TYPES) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: tensor '%s': expected type F32, F16 or BF16, got %s; convert it with "
                    "t.float() before saving",
                    path, name, e->type);
    }
    out->dtype = types[type].dtype;
    out->ndim = e->ndim;
    memcpy(out->shape, e->shape, sizeof e->shape);
    if (!array_bytes(e->ndim, e->shape, vic_dtype_size(out->dtype), &out->bytes) || e->begin > e->end ||
        e->end > data_size || e->end - e->begin != out->bytes) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: tensor '%s': the header says %s of %s at bytes %llu to %llu of %llu, which do not agree: "
                    "the file was cut, or the header lies",
                    path, name, shape_text(e->ndim, e->shape, shape), e->type, (unsigned long long)e->begin,
                    (unsigned long long)e->end, (unsigned long long)data_size);
    }
    return VIC_OK;
}

vic_status safetensors_parse(const char *path, const char *header, size_t size, uint64_t file_size,
                             const char *tensor, const char *otherwise, struct array *out, uint64_t *data_at,
                             vic_error *err)
{
    struct json_cursor c = { header, header + size };
    struct entry e, chosen = { .ndim = 0 };
    char name[NAME_SIZE], first[NAME_SIZE] = "", all[400] = "";
    const char *wanted = tensor ? tensor : otherwise;
    int count = 0, found = 0;
    bool good = json_take(&c, '{'), empty = good && json_take(&c, '}');
    memset(out, 0, sizeof *out);
    while (good && !empty) {
        size_t used = strlen(all);
        good = json_take_text(&c, name, sizeof name) && json_take(&c, ':');
        if (good && strcmp(name, "__metadata__") == 0) {
            good = json_skip(&c);
        } else if (good) {
            good = take_entry(&c, &e);
            if (count == 0) snprintf(first, sizeof first, "%s", name);
            if (used + strlen(name) + 3 < sizeof all)
                snprintf(all + used, sizeof all - used, "%s%s", count ? ", " : "", name);
            if (strcmp(name, wanted) == 0 || (count == 0 && !tensor)) {
                if (strcmp(name, wanted) == 0) found++;
                chosen = e;
            }
            count++;
        }
        if (good && !json_take(&c, ',')) {
            good = json_take(&c, '}');
            break;
        }
    }
    if (!good) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: the header is damaged at byte %lld: expected {\"name\": {\"dtype\", "
                    "\"shape\", \"data_offsets\"}, ...}",
                    path, (long long)(c.at - header) + 8);
    }
    if (found > 1) return fail(err, VIC_BAD_INPUT, "%s: tensor '%s' is in the header %d times", path, wanted, found);
    if (!found && (tensor || count != 1)) {
        return fail(err, VIC_BAD_INPUT, "%s: expected a tensor '%s', got %s%s; name one as FILE.safetensors:NAME",
                    path, wanted, count ? "only " : "none", all);
    }
    *data_at = 8 + (uint64_t)size;
    TRY(check_entry(path, found ? wanted : first, &chosen, file_size - *data_at, out, err));
    *data_at += chosen.begin;
    return VIC_OK;
}

static vic_status open_file(const char *path, const char *tensor, const char *otherwise, bool numbers,
                            struct array *out, vic_error *err)
{
    struct infile in;
    struct array read = { 0 };
    unsigned char prefix[8];
    char *header = NULL;
    uint64_t length = 0, data_at;
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY(infile_open(&in, path, err));
    if (in.size < sizeof prefix) {
        st = fail(err, VIC_BAD_INPUT, "%s: not a safetensors file: it has only %llu bytes", path,
                  (unsigned long long)in.size);
        goto done;
    }
    TRY_GOTO(infile_read(&in, 0, prefix, sizeof prefix, err), done);
    for (int i = 7; i >= 0; i--) length = length << 8 | prefix[i];
    if (length > HEADER_MAX || length > in.size - sizeof prefix) {
        st = fail(err, VIC_BAD_INPUT,
                  "%s: not a safetensors file, or cut: it says that its header has %llu bytes, "
                  "and %llu follow",
                  path, (unsigned long long)length, (unsigned long long)(in.size - sizeof prefix));
        goto done;
    }
    TRY_GOTO(allocate((int64_t)length, 1, "the header of a safetensors file", &header, err), done);
    TRY_GOTO(infile_read(&in, sizeof prefix, header, (size_t)length, err), done);
    TRY_GOTO(safetensors_parse(path, header, (size_t)length, in.size, tensor, otherwise, &read, &data_at, err), done);
    if (numbers) {
        TRY_GOTO(allocate((int64_t)read.bytes, 1, path, &read.data, err), done);
        /* check_entry() has seen that the offsets lie in the file. */
        TRY_GOTO(infile_read(&in, data_at, read.data, read.bytes, err), done);
    }
    *out = read;
    read.data = NULL; /* the caller's from here on */
done:
    array_free(&read);
    free(header);
    infile_close(&in);
    return st;
}

vic_status safetensors_read(const char *path, const char *tensor, const char *otherwise, struct array *out,
                            vic_error *err)
{
    return open_file(path, tensor, otherwise, true, out, err);
}

vic_status safetensors_look(const char *path, const char *tensor, const char *otherwise, struct array *out,
                            vic_error *err)
{
    return open_file(path, tensor, otherwise, false, out, err);
}

vic_status safetensors_write(const char *path, const char *metadata, const struct safetensors_member *tensors,
                             int count, vic_error *err)
{
    struct json j = { 0 };
    struct outfile file;
    unsigned char prefix[8];
    uint64_t offset = 0;
    size_t bytes;
    vic_status st = VIC_OK;
    json_put_object(&j, NULL);
    if (metadata) json_put_raw(&j, "__metadata__", metadata);
    for (int t = 0; t < count; t++) {
        int type = 0;
        while (type < TYPES - 1 && types[type].dtype != tensors[t].dtype) type++;
        if (!array_bytes(tensors[t].ndim, tensors[t].shape, vic_dtype_size(tensors[t].dtype), &bytes)) {
            st =
                fail(err, VIC_FAILED, "%s: the size of tensor '%s' does not fit this machine", path, tensors[t].name);
            goto done;
        }
        json_put_object(&j, tensors[t].name);
        json_put_text(&j, "dtype", types[type].name);
        json_put_array(&j, "shape");
        for (int k = 0; k < tensors[t].ndim; k++) json_put_int(&j, NULL, tensors[t].shape[k]);
        json_put_array_end(&j);
        json_put_array(&j, "data_offsets");
        json_put_int(&j, NULL, (int64_t)offset);
        offset += bytes;
        json_put_int(&j, NULL, (int64_t)offset);
        json_put_array_end(&j);
        json_put_object_end(&j);
    }
    json_put_object_end(&j);
    for (size_t n = (8 - j.text.size % 8) % 8; n > 0; n--) buffer_text(&j.text, " "); /* the data begins aligned */
    TRY_GOTO(buffer_check(&j.text, "the header of a safetensors file", err), done);
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)j.text.size >> (8 * i));
    TRY_GOTO(outfile_open(&file, path, err), done);
    outfile_write(&file, prefix, sizeof prefix);
    outfile_write(&file, j.text.data, j.text.size);
    for (int t = 0; t < count; t++) {
        array_bytes(tensors[t].ndim, tensors[t].shape, vic_dtype_size(tensors[t].dtype), &bytes);
        outfile_write(&file, tensors[t].data, bytes);
    }
    st = outfile_commit(&file, err);
done:
    json_free(&j);
    return st;
}
