/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to a pattern other than positions and a cutoff, and patterns in files. */
#include "pattern/combine.h"
#include "pattern/cutoff.h"
#include "pattern/generate.h"
#include "pattern/io/vnp.h"
#include "pattern/masks.h"
#include "pattern/nearest.h"

#include <string.h>

/* Options for a way that a cutoff or self pairs say nothing to. */
static vic_status take_options(const vic_pattern_options *given, const char *way, bool cutoff, bool self,
                               vic_pattern_options *out, vic_error *err)
{
    *out = (vic_pattern_options)VIC_PATTERN_OPTIONS_INIT;
    TRY(options_copy(out, sizeof *out, given, "vic_pattern_options", err));
    if (!cutoff && out->cutoff != 0.0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s have no cutoff: expected 0, got %g", way, out->cutoff);
    if (!self && out->exclude_self)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "exclude_self says nothing to %s: take the self pairs out with vic_pattern_exclude()", way);
    return VIC_OK;
}

static vic_status check_skip(const vic_pattern_options *o, bool one_set, vic_error *err)
{
    if (one_set && o->skip_keys)
        return vic_fail(err, VIC_BAD_ARGUMENT, "skip_keys: the queries are the keys, so `skip` says it for both");
    return VIC_OK;
}

vic_status vic_pattern_from_blocks(int64_t n_q, int64_t n_k, int64_t block, const int64_t *row_ptr,
                                   const int32_t *column, const vic_pattern_options *options, vic_pattern **out,
                                   vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    const struct block_mask mask = { block, row_ptr, column };
    *out = NULL;
    TRY(take_options(options, "blocks", false, false, &o, err));
    TRY(check_skip(&o, n_k == 0, err));
    if (!row_ptr) return vic_fail(err, VIC_BAD_ARGUMENT, "row_ptr is NULL");
    TRY(pool_create(o.threads, &pool, err));
    const struct point_set queries = { .n = n_q, .mask = o.skip }, keys = { .n = n_k, .mask = o.skip_keys };
    st = pattern_from_blocks(&queries, n_k == 0 ? NULL : &keys, &mask, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_generate(const char *text, const vic_pattern_options *options, vic_pattern **out,
                                vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(take_options(options, "blocks", false, false, &o, err));
    if (o.skip || o.skip_keys)
        return vic_fail(err, VIC_BAD_ARGUMENT, "skip: generated blocks have no atoms of their own to leave out");
    TRY(pool_create(o.threads, &pool, err));
    st = pattern_generate(text, pool, out, err);
    pool_free(pool);
    return st;
}

/* The view must outlive what it gives. */
static struct point_set points_of(const vic_structure_view *view, const uint8_t *mask)
{
    return (struct point_set){ .n = view->atoms,
                               .positions = view->positions,
                               .mask = mask,
                               .cells = &view->cell[0][0],
                               .periodic = view->periodic };
}

vic_status vic_pattern_from_pairs(const vic_structure *s, int64_t n_q, int64_t n_k, int64_t pairs,
                                  const int32_t *query, const int32_t *key, const int32_t *image,
                                  const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    struct pair_list list = { pairs, query, key, image };
    vic_structure_view view;
    bool one_set = n_k == 0;
    *out = NULL;
    TRY(take_options(options, "pairs given one by one", false, false, &o, err));
    struct point_set queries = { .n = n_q, .mask = o.skip }, keys = { .n = n_k, .mask = o.skip_keys };
    if (s) {
        view = vic_structure_get(s);
        queries = points_of(&view, o.skip);
        one_set = true;
        if (n_q != view.atoms || (n_k != 0 && n_k != n_q))
            return vic_fail(err, VIC_BAD_ARGUMENT,
                            "the structure has %lld atoms: expected n_q to say so, and n_k 0; got %lld and %lld",
                            (long long)view.atoms, (long long)n_q, (long long)n_k);
    }
    TRY(check_skip(&o, one_set, err));
    TRY(pool_create(o.threads, &pool, err));
    st = pattern_from_pairs(&queries, one_set ? NULL : &keys, &list, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_nearest(const vic_structure *s, int64_t k, const vic_pattern_options *options,
                               vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    *out = NULL;
    if (!s) return vic_fail(err, VIC_BAD_ARGUMENT, "structure is NULL: read one first");
    vic_structure_view view = vic_structure_get(s);
    TRY(take_options(options, "nearest neighbours", false, true, &o, err));
    TRY(check_skip(&o, true, err));
    const struct point_set points = points_of(&view, o.skip);
    const struct nearest_input input = { k, o.exclude_self, o.max_bytes, o.estimate };
    TRY(pool_create(o.threads, &pool, err));
    st = pattern_nearest(&points, NULL, &input, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_windows(int64_t atoms, int64_t queries, int64_t keys, const vic_pattern_options *options,
                               vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(take_options(options, "windows", false, false, &o, err));
    TRY(check_skip(&o, true, err));
    TRY(pool_create(o.threads, &pool, err));
    const struct point_set points = { .n = atoms, .mask = o.skip };
    st = pattern_windows(&points, queries, keys, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_structures(int64_t structures, const int64_t *offsets, const double *positions,
                                  const double *cells, const bool *periodic, const vic_pattern_options *options,
                                  vic_pattern **out, vic_error *err)
{
    vic_pattern_options o;
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(take_options(options, "structures", true, true, &o, err));
    TRY(check_skip(&o, true, err));
    if (!offsets) return vic_fail(err, VIC_BAD_ARGUMENT, "offsets is NULL");
    if (structures < 1 || structures > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "structures: expected 1 to %d, got %lld", INT32_MAX,
                        (long long)structures);
    const struct point_set points = { .n = offsets[structures],
                                      .positions = positions,
                                      .mask = o.skip,
                                      .groups = structures,
                                      .group_offsets = offsets,
                                      .cells = cells,
                                      .periodic = periodic };
    const struct cutoff_input input = { .cutoff = o.cutoff, .exclude_self = o.exclude_self };
    TRY(pool_create(o.threads, &pool, err));
    st = pattern_cutoff(&points, NULL, &input, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_unite(const vic_pattern *a, const vic_pattern *b, vic_pattern **out, vic_error *err)
{
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(pool_create(0, &pool, err));
    st = pattern_unite(a, b, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_exclude(const vic_pattern *p, int64_t pairs, const int32_t *query, const int32_t *key,
                               const int32_t *image, vic_pattern **out, vic_error *err)
{
    struct pair_list list = { pairs, query, key, image };
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(pool_create(0, &pool, err));
    st = pattern_exclude(p, &list, pool, out, err);
    pool_free(pool);
    return st;
}

vic_status vic_pattern_save(const vic_pattern *p, const char *path, vic_error *err)
{
    return vnp_save(p, path, err);
}

vic_status vic_pattern_save_to(const vic_pattern *p, int descriptor, const char *name, vic_error *err)
{
    if (!p || !name)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL: expected %s", p ? "name" : "pattern",
                        p ? "what errors shall call the file" : "one that was built");
    return vnp_save_to(p, descriptor, name, err);
}

vic_status vic_pattern_load(const char *path, vic_pattern **out, vic_error *err)
{
    struct pool *pool;
    vic_status st;
    *out = NULL;
    TRY(pool_create(0, &pool, err));
    st = vnp_load(path, pool, out, err);
    pool_free(pool);
    return st;
}

const double *vic_pattern_positions(const vic_pattern *p, vic_side side)
{
    return side == VIC_KEY ? p->k_positions : p->q_positions;
}
