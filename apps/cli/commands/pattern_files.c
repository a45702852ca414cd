/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/pattern_files.h"

#include "arrays/ints.h"

#include <stdlib.h>
#include <string.h>

/* A matrix of no blocks says its block size in a few bytes, and one block row of it would be any number of atoms. */
enum { CSR_BLOCK = 128, MOST_BLOCK = 65536 };

static vic_status to_int32(const char *path, const char *what, const struct ints *a, int32_t *out, vic_error *err)
{
    for (int64_t i = 0; i < a->count; i++) {
        if (a->values[i] < INT32_MIN || a->values[i] > INT32_MAX)
            return fail(err, VIC_BAD_INPUT, "%s: %s[%lld]: expected a number of 32 bits, found %lld", path, what,
                        (long long)i, (long long)a->values[i]);
        out[i] = (int32_t)a->values[i];
    }
    return VIC_OK;
}

void pairs_free(struct pair_file *p)
{
    free(p->query);
    free(p->key);
    free(p->image);
}

static vic_status take_column(const char *path, const char *name, const struct ints *a, int64_t n, int64_t width,
                              int32_t **out, vic_error *err)
{
    char shape[128];
    bool good = width == 1 ? a->ndim == 1 : a->ndim == 2 && a->shape[1] == width;
    if (!good || a->shape[0] != n)
        return fail(err, VIC_BAD_INPUT, "%s: %s: expected shape [%lld%s], as i has, found %s", path, name,
                    (long long)n, width == 1 ? "" : ", 3", shape_text(a->ndim, a->shape, shape));
    TRY(allocate(a->count, sizeof **out, "the list of pairs", out, err));
    return to_int32(path, name, a, *out, err);
}

static vic_status read_pairs_npz(const char *path, struct pair_file *out, vic_error *err)
{
    static const char *const names[] = { "i", "j", "image" };
    int32_t **columns[] = { &out->query, &out->key, &out->image };
    vic_status st = VIC_OK;
    for (int c = 0; c < 3 && st == VIC_OK; c++) {
        struct ints a = { .ndim = 0 };
        bool found = false;
        st = ints_read_npz(path, names[c], &found, &a, err);
        if (st == VIC_OK && !found && c < 2)
            st = fail(err, VIC_BAD_INPUT, "%s: expected an array '%s' of pairs, found none of this name", path,
                      names[c]);
        if (c == 0) out->n = a.ndim > 0 ? a.shape[0] : 0;
        if (st == VIC_OK && found) st = take_column(path, names[c], &a, out->n, c == 2 ? 3 : 1, columns[c], err);
        ints_free(&a);
    }
    return st;
}

static vic_status read_pairs_npy(const char *path, struct pair_file *out, vic_error *err)
{
    struct ints a;
    char shape[128];
    vic_status st;
    TRY(ints_read_npy(path, &a, err));
    if (a.ndim != 2 || a.shape[1] != 2) {
        st = fail(err, VIC_BAD_INPUT, "%s: expected shape [pairs, 2], found %s", path,
                  shape_text(a.ndim, a.shape, shape));
        goto done;
    }
    out->n = a.shape[0];
    TRY_GOTO(allocate(out->n, sizeof *out->query, "the list of pairs", &out->query, err), done);
    TRY_GOTO(allocate(out->n, sizeof *out->key, "the list of pairs", &out->key, err), done);
    for (int64_t i = 0; i < out->n; i++) {
        const struct ints row = { .count = 2, .values = a.values + 2 * i };
        int32_t pair[2];
        TRY_GOTO(to_int32(path, "pair", &row, pair, err), done);
        out->query[i] = pair[0];
        out->key[i] = pair[1];
    }
done:
    ints_free(&a);
    return st;
}

vic_status pairs_read(const char *path, struct pair_file *out, vic_error *err)
{
    memset(out, 0, sizeof *out);
    switch (file_kind(path)) {
    case FILE_ZIP: return read_pairs_npz(path, out, err);
    case FILE_UNREADABLE: return file_unreadable(path, err);
    default: return read_pairs_npy(path, out, err);
    }
}

vic_pair_list pairs_list(const struct pair_file *p)
{
    const int64_t shape[] = { p->n, 3 };
    vic_pair_list list = VIC_INIT(vic_pair_list);
    list.query = vic_tensor_make(p->query, VIC_I32, 1, shape);
    list.key = vic_tensor_make(p->key, VIC_I32, 1, shape);
    if (p->image) list.shift = vic_tensor_make(p->image, VIC_I32, 2, shape);
    return list;
}

vic_status skip_read(const char *path, int64_t atoms, uint8_t **mask, vic_error *err)
{
    struct ints a;
    char shape[128];
    vic_status st;
    TRY(ints_read_npy(path, &a, err));
    if (a.ndim != 1 || a.count != atoms) {
        st = fail(err, VIC_BAD_INPUT, "%s: expected shape [%lld], one for each atom, found %s", path,
                  (long long)atoms, shape_text(a.ndim, a.shape, shape));
        goto done;
    }
    TRY_GOTO(allocate(atoms, 1, "flags of atoms", mask, err), done);
    for (int64_t i = 0; i < atoms; i++) (*mask)[i] = a.values[i] == 0;
done:
    ints_free(&a);
    return st;
}

vic_tensor mask_tensor(uint8_t *mask, int64_t atoms)
{
    return mask ? vic_tensor_make(mask, VIC_U8, 1, &atoms) : (vic_tensor){ 0 };
}

/* ---- block masks ---- */

struct mask {
    struct ints indptr, indices, shape, data;
    int64_t n_q, n_k, block;
};

static vic_status read_mask(const char *path, struct mask *m, vic_error *err)
{
    static const char *const names[] = { "indptr", "indices", "shape" };
    struct ints *arrays[] = { &m->indptr, &m->indices, &m->shape }, text;
    char format[16] = "", ignored[16];
    bool found;
    TRY(ints_read_shape(path, "format", &found, &text, format, err));
    if (!found || (strcmp(format, "bsr") != 0 && strcmp(format, "csr") != 0))
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected a block mask as scipy.sparse.save_npz() writes a bsr or csr matrix, found %s%s",
                    path, found ? "the format " : "no such thing", found ? format : "");
    for (int i = 0; i < 3; i++) {
        TRY(ints_read_npz(path, names[i], &found, arrays[i], err));
        if (!found || arrays[i]->ndim != 1)
            return fail(err, VIC_BAD_INPUT, "%s: expected an array '%s' of one dimension, found %s", path, names[i],
                        found ? "another" : "none");
    }
    if (m->shape.count != 2 || m->shape.values[0] < 0 || m->shape.values[1] < 0 || m->shape.values[0] > INT32_MAX ||
        m->shape.values[1] > INT32_MAX)
        return fail(err, VIC_BAD_INPUT, "%s: shape: expected rows and columns below 2^31", path);
    m->block = CSR_BLOCK;
    m->n_q = m->shape.values[0];
    m->n_k = m->shape.values[1];
    if (strcmp(format, "csr") == 0) {
        m->n_q *= CSR_BLOCK;
        m->n_k *= CSR_BLOCK;
    } else {
        TRY(ints_read_shape(path, "data", &found, &m->data, ignored, err));
        if (!found || m->data.ndim != 3 || m->data.shape[1] != m->data.shape[2])
            return fail(err, VIC_BAD_INPUT, "%s: data: expected shape [blocks, size, size], blocks being square",
                        path);
        m->block = m->data.shape[1];
        if (m->block > MOST_BLOCK)
            return fail(err, VIC_BAD_INPUT, "%s: data: expected blocks of at most %d atoms, found %lld", path,
                        MOST_BLOCK, (long long)m->block);
    }
    return VIC_OK;
}

static vic_status check_mask(const char *path, const struct mask *m, vic_error *err)
{
    int64_t rows = m->block > 0 ? (m->n_q + m->block - 1) / m->block : 0;
    if (m->indptr.count != rows + 1)
        return fail(err, VIC_BAD_INPUT, "%s: indptr: expected %lld entries, one more than block rows, found %lld",
                    path, (long long)rows + 1, (long long)m->indptr.count);
    if (m->indptr.values[rows] != m->indices.count)
        return fail(err, VIC_BAD_INPUT, "%s: indptr: expected to end in %lld, the number of indices, found %lld",
                    path, (long long)m->indices.count, (long long)m->indptr.values[rows]);
    return VIC_OK;
}

vic_status mask_open(vic_context *c, const char *path, const char *skip_path, vic_pattern **out, vic_error *err)
{
    vic_points queries = VIC_INIT(vic_points), keys = VIC_INIT(vic_points);
    vic_block_list list = VIC_INIT(vic_block_list);
    struct mask m;
    int32_t *column = NULL;
    uint8_t *mask = NULL;
    vic_status st;
    memset(&m, 0, sizeof m);
    TRY_GOTO(read_mask(path, &m, err), done);
    TRY_GOTO(check_mask(path, &m, err), done);
    TRY_GOTO(allocate(m.indices.count, sizeof *column, "the block mask", &column, err), done);
    TRY_GOTO(to_int32(path, "indices", &m.indices, column, err), done);
    if (skip_path && m.n_q != m.n_k) {
        st = fail(err, VIC_BAD_ARGUMENT, "--skip: the mask is not square, so queries and keys are different atoms");
        goto done;
    }
    if (skip_path) TRY_GOTO(skip_read(skip_path, m.n_q, &mask, err), done);
    queries.n = m.n_q;
    queries.mask = mask_tensor(mask, m.n_q);
    keys.n = m.n_k;
    list.block = m.block;
    list.row_ptr = m.indptr.values;
    list.column = column;
    st = vic_pattern_blocks(c, &queries, m.n_q == m.n_k ? NULL : &keys, &list, NULL, out, err);
done:
    free(mask);
    free(column);
    ints_free(&m.indptr);
    ints_free(&m.indices);
    ints_free(&m.shape);
    return st;
}
