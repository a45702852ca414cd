/* SPDX-License-Identifier: Apache-2.0 */
/* numpy's .npy: magic, version, header length, a Python dictionary, the data. */
#include "arrays/array.h"
#include "buffer.h"
#include "infile.h"
#include "outfile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 65536 };

/* The dictionary's text. */
struct scan {
    const char *at, *end;
};

static void blanks(struct scan *s)
{
    while (s->at < s->end && isspace((unsigned char)*s->at)) s->at++;
}

static bool take(struct scan *s, char token)
{
    blanks(s);
    if (s->at >= s->end || *s->at != token) return false;
    s->at++;
    return true;
}

static bool take_word(struct scan *s, const char *word)
{
    size_t length = strlen(word);
    blanks(s);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0) return false;
    s->at += length;
    return true;
}

static bool take_quoted(struct scan *s, char *out, size_t size)
{
    char quote;
    size_t used = 0;
    blanks(s);
    if (s->at >= s->end || (*s->at != '\'' && *s->at != '"')) return false;
    quote = *s->at++;
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\' || used + 1 >= size) return false;
        out[used++] = *s->at++;
    }
    out[used] = '\0';
    return take(s, quote);
}

static bool take_shape(struct scan *s, struct array *out)
{
    out->ndim = 0;
    if (!take(s, '(')) return false;
    while (!take(s, ')')) {
        int64_t value = 0;
        blanks(s);
        if (out->ndim >= ARRAY_DIMS || s->at >= s->end || !isdigit((unsigned char)*s->at)) return false;
        while (s->at < s->end && isdigit((unsigned char)*s->at)) {
            if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s->at - '0', &value))
                return false;
            s->at++;
        }
        out->shape[out->ndim++] = value;
        if (!take(s, ',') && !(s->at < s->end && *s->at == ')')) return false;
    }
    return true;
}

static vic_status set_type(const char *path, const char *type, struct array *out, vic_error *err)
{
    out->dtype = npy_dtype(type);
    if (out->dtype != VIC_DTYPE_UNKNOWN) return VIC_OK;
    if (type[0] == '>') {
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected little-endian numbers, got type '%s'; save it with a.astype('<%s')", path, type,
                    type + 1);
    }
    if (strcmp(type, "|V2") == 0 || strcmp(type, "<V2") == 0) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected float32 or float16, got type '%s'; .npy has no bfloat16: use .safetensors for it",
                    path, type);
    }
    return fail(err, VIC_BAD_INPUT,
                "%s: expected float32 ('<f4') or float16 ('<f2'), got type '%s'; save it with "
                "a.astype(numpy.float32)",
                path, type);
}

static vic_status parse_dictionary(const char *path, struct scan s, struct array *out, char type[16], vic_error *err)
{
    char key[24];
    bool have_type = false, have_order = false, have_shape = false, fortran = false, good = take(&s, '{');
    while (good && !take(&s, '}')) {
        good = take_quoted(&s, key, sizeof key) && take(&s, ':');
        if (good && strcmp(key, "descr") == 0 && !have_type) {
            if (take(&s, '['))
                return fail(err, VIC_BAD_INPUT,
                            "%s: expected plain numbers, got records with named fields; save one "
                            "field alone",
                            path);
            have_type = good = take_quoted(&s, type, 16);
        } else if (good && strcmp(key, "fortran_order") == 0 && !have_order) {
            fortran = take_word(&s, "True");
            have_order = good = fortran || take_word(&s, "False");
        } else if (good && strcmp(key, "shape") == 0 && !have_shape) {
            have_shape = good = take_shape(&s, out);
        } else {
            good = false;
        }
        if (good && !take(&s, ',')) {
            good = take(&s, '}');
            break;
        }
    }
    if (!good || !have_type || !have_order || !have_shape) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: the header is damaged: expected a dictionary with descr, fortran_order and shape (at most "
                    "%d dimensions); write the file again with numpy.save",
                    path, ARRAY_DIMS);
    }
    if (fortran) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected rows first, got Fortran order; save it with numpy.ascontiguousarray(a)", path);
    }
    return VIC_OK;
}

vic_status npy_parse_header(const char *path, const char *bytes, size_t size, struct array *out, char type[16],
                            uint64_t *data_at, vic_error *err)
{
    const unsigned char *u = (const unsigned char *)bytes;
    size_t length, start;
    memset(out, 0, sizeof *out);
    if (size < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return fail(err, VIC_BAD_INPUT, "%s: not a .npy file: it does not begin with \\x93NUMPY", path);
    if (u[6] < 1 || u[6] > 3)
        return fail(err, VIC_BAD_INPUT, "%s: expected .npy version 1, 2 or 3, got %d", path, u[6]);
    start = u[6] == 1 ? 10 : 12;
    length = (size_t)(u[8] | u[9] << 8);
    if (u[6] > 1 && size >= 12) length |= (size_t)u[10] << 16 | (size_t)u[11] << 24;
    if (start > size || length > size - start) {
        return fail(err, VIC_BAD_INPUT, "%s: the header says it is %zu bytes long, but the file %s", path, length,
                    length > HEADER_MAX ? "cannot have such a header" : "ends before");
    }
    TRY(parse_dictionary(path, (struct scan){ bytes + start, bytes + start + length }, out, type, err));
    *data_at = start + length;
    return VIC_OK;
}

vic_status npy_parse(const char *path, const char *bytes, size_t size, uint64_t file_size, struct array *out,
                     uint64_t *data_at, vic_error *err)
{
    char shape[128], type[16] = "";
    TRY(npy_parse_header(path, bytes, size, out, type, data_at, err));
    TRY(set_type(path, type, out, err));
    if (!array_bytes(out->ndim, out->shape, vic_dtype_size(out->dtype), &out->bytes) ||
        out->bytes > file_size - *data_at) {
        return fail(err, VIC_BAD_INPUT,
                    "%s: the header says %s of %s, but only %llu bytes follow: the file was cut, or the header lies",
                    path, shape_text(out->ndim, out->shape, shape), vic_dtype_name(out->dtype),
                    (unsigned long long)(file_size - *data_at));
    }
    return VIC_OK;
}

static vic_status open_array(const char *path, bool numbers, struct array *out, vic_error *err)
{
    struct infile in;
    char *head = NULL;
    size_t size;
    uint64_t data_at;
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY(infile_open(&in, path, err));
    size = in.size < HEADER_MAX + 12 ? (size_t)in.size : HEADER_MAX + 12;
    TRY_GOTO(allocate((int64_t)size, 1, "the header of a .npy file", &head, err), done);
    TRY_GOTO(infile_read(&in, 0, head, size, err), done);
    TRY_GOTO(npy_parse(path, head, size, in.size, out, &data_at, err), done);
    if (!numbers) goto done;
    TRY_GOTO(allocate((int64_t)out->bytes, 1, path, &out->data, err), done);
    TRY_GOTO(infile_read(&in, data_at, out->data, out->bytes, err), done);
done:
    if (st != VIC_OK) array_free(out);
    free(head);
    infile_close(&in);
    return st;
}

vic_status npy_read(const char *path, struct array *out, vic_error *err)
{
    return open_array(path, true, out, err);
}

vic_status npy_look(const char *path, struct array *out, vic_error *err)
{
    return open_array(path, false, out, err);
}

void npy_header(const struct npz_member *array, struct buffer *out)
{
    struct buffer dictionary = { NULL, 0, 0, false };
    char prefix[10] = "\x93NUMPY\x01";
    size_t padding, length;
    buffer_printf(&dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (", array->type);
    for (int k = 0; k < array->ndim; k++) buffer_printf(&dictionary, "%lld, ", (long long)array->shape[k]);
    buffer_text(&dictionary, "), }");
    /* The data begins at a multiple of 64 and the header ends in a newline, as numpy writes it. */
    padding = 63 - (sizeof prefix + dictionary.size) % 64;
    for (size_t i = 0; i < padding; i++) buffer_text(&dictionary, " ");
    buffer_text(&dictionary, "\n");
    length = dictionary.size;
    prefix[7] = 0;
    prefix[8] = (char)(length & 0xff);
    prefix[9] = (char)(length >> 8);
    buffer_add(out, prefix, sizeof prefix);
    buffer_add(out, dictionary.data, dictionary.size);
    out->failed |= dictionary.failed;
    buffer_free(&dictionary);
}

vic_status npy_write(const char *path, const struct npz_member *array, vic_error *err)
{
    struct buffer header = { NULL, 0, 0, false };
    struct outfile file;
    size_t bytes;
    vic_status st;
    if (!array_bytes(array->ndim, array->shape, array->item, &bytes))
        return fail(err, VIC_FAILED, "%s: the array's size does not fit this machine", path);
    npy_header(array, &header);
    TRY_GOTO(buffer_check(&header, "a .npy header", err), done);
    TRY_GOTO(outfile_open(&file, path, err), done);
    outfile_write(&file, header.data, header.size);
    outfile_write(&file, array->data, bytes);
    st = outfile_commit(&file, err);
done:
    buffer_free(&header);
    return st;
}
