/* SPDX-License-Identifier: Apache-2.0 */
/* Pattern files that lie: each byte changed, each length cut, and values changed behind checksums that are right.
 * Whatever is accepted must be usable without a fault; run under sanitizers this says more. */
#include "base/threads.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/ranges.h"
#include "pattern/statistics.h"
#include "unit/pattern/vnp_file.h"

/* Loads; what comes is used in every way that reads its arrays. */
static vic_status try_load(struct pool *pool, vic_error *err)
{
    vic_pattern *p;
    vic_status st = vnp_load(path, pool, &p, err);
    if (st != VIC_OK) {
        assert_null(p);
        assert_true(err->text[0]);
        return st;
    }
    int64_t n = p->info.pairs, *counts = calloc((size_t)p->n_q + 1, sizeof *counts), sum = 0;
    int32_t *query = malloc(((size_t)n + 1) * sizeof *query), *key = malloc(((size_t)n + 1) * sizeof *key),
            *image = malloc(3 * ((size_t)n + 1) * sizeof *image);
    assert_true(counts && query && key && image);
    pattern_counts(p, counts);
    for (int64_t i = 0; i < p->n_q; i++) sum += counts[i];
    assert_int_equal(sum, n);
    assert_int_equal(pattern_neighbours(p, pool, &(struct neighbour_arrays){ .i = query, .j = key, .shift = image },
                                        err),
                     VIC_OK);
    free(counts);
    free(query);
    free(key);
    free(image);
    pattern_release(p);
    return VIC_OK;
}

/* The reference goes by the rules of what was accepted: some rows of attention, whatever they give. */
static void use_rules(vic_context *context)
{
    static float zeros[1024 * 8];
    const vic_plan_options o = { .size = sizeof o, .dtype = VIC_F32, .head_dim = 8 };
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_pattern *p;
    vic_plan *plan;
    vic_error err;
    double out[3 * 8];
    CHECK_OK(vic_pattern_load(context, path, &p, &err));
    vic_pattern_info info = info_of(p);
    const int64_t q[] = { info.n_q, 1, 8 }, k[] = { info.n_k, 1, 8 }, rows[] = { 0, info.n_q / 2, info.n_q - 1 };
    if (info.n_q > 0 && info.n_q <= 1024 && info.n_k <= 1024) {
        CHECK_OK(vic_plan_create(context, p, &o, &plan, &err));
        args.q = vic_tensor_make(zeros, VIC_F32, 3, q);
        args.k = args.v = vic_tensor_make(zeros, VIC_F32, 3, k);
        vic_status st = vic_attention_reference(context, plan, &args, 3, rows, out, NULL, NULL, &err);
        assert_true(st == VIC_OK || st == VIC_BAD_INPUT || st == VIC_NO_MEMORY);
        vic_plan_free(plan);
    }
    vic_pattern_free(p);
}

/* A small pattern with everything in it: images, wraps, full runs, partial blocks, rules of several kinds. */
static vic_pattern *rich(void)
{
    enum { N = 150 };
    double x[3 * N];
    bool mask[N];
    uint64_t seed = 3;
    const double cell[9] = { 9, 0, 0, 2, 8, 0, 0, 1, 10 };
    const int64_t n = N;
    const int32_t query[] = { 0, 5, 149, 70 }, key[] = { 1, 5, 0, 71 },
                  shift[] = { 0, 0, 0, 1, 0, 0, 0, -1, 2, 0, 0, 0 };
    const vic_pair_list list = pairs_listed(4, query, key, shift);
    vic_pattern *a, *b, *c, *d;
    vic_error err;
    for (int i = 0; i < 3 * N; i++) x[i] = 12.0 * random_uniform(&seed);
    for (int i = 0; i < N; i++) mask[i] = i % 9 != 0;
    vic_points points = points_at(N, x, cell);
    points.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n);
    a = cutoff_pattern(&points, 3.0);
    b = blocks_pattern(N, 0, 32, (const int64_t[]){ 0, 2, 3, 4, 5, 5 }, (const int32_t[]){ 0, 3, 1, 2, 4 });
    CHECK_OK(vic_pattern_union(NULL, a, b, &c, &err));
    CHECK_OK(vic_pattern_exclude(NULL, c, &list, &d, &err));
    vic_pattern_free(a);
    vic_pattern_free(b);
    vic_pattern_free(c);
    points = points_at(N, x, cell);
    CHECK_OK(vic_pattern_pairs(NULL, &points, NULL, &list, NULL, &a, &err));
    CHECK_OK(vic_pattern_union(NULL, d, a, &c, &err));
    vic_pattern_free(a);
    vic_pattern_free(d);
    return c;
}

static vic_pattern *several(void)
{
    const int64_t offsets[] = { 0, 1, 1, 40, 70 };
    double x[210], cells[36] = { 0 };
    uint64_t seed = 4;
    for (int i = 0; i < 210; i++) x[i] = 6.0 * random_uniform(&seed);
    for (int i = 0; i < 3; i++) cells[18 + 4 * i] = 6.0 + i;
    vic_points points = points_at(70, x, cells);
    points.groups = 4;
    points.group_offsets = offsets;
    return cutoff_pattern(&points, 2.5);
}

/* One block mask with full runs, and one set of keys of its own. */
static vic_pattern *runs(void)
{
    return generated_pattern("blocks:3x4:n=7,block=64");
}

static struct bytes saved(vic_pattern *p)
{
    vic_error err;
    CHECK_OK(vnp_save(p, path, &err));
    vic_pattern_free(p);
    return read_bytes();
}

static vic_pattern *(*const makers[])(void) = { rich, several, runs };
enum { MAKERS = sizeof makers / sizeof makers[0] };

static void every_byte(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    if (SANITIZED == 2) skip(); /* one thread */
    CHECK_OK(pool_create(1, &pool, &err));
    for (int maker = 0; maker < MAKERS; maker++) {
        struct bytes b = saved(makers[maker]());
        assert_int_equal(try_load(pool, &err), VIC_OK);
        size_t step = b.n / 4000 + 1;
        for (size_t i = 0; i < b.n; i += i < 2048 ? 1 : step) {
            b.data[i] ^= (unsigned char)(1u << i % 8);
            write_bytes(b);
            CHECK(try_load(pool, &err) != VIC_OK, "byte %zu of %zu changed, and nobody noticed", i, b.n);
            b.data[i] ^= (unsigned char)(1u << i % 8);
        }
        free(b.data);
    }
    pool_free(pool);
}

static void every_length(void **state)
{
    struct pool *pool;
    vic_error err;
    (void)state;
    if (SANITIZED == 2) skip(); /* one thread */
    CHECK_OK(pool_create(1, &pool, &err));
    struct bytes b = saved(rich());
    for (size_t n = 0; n < b.n; n += n < 1024 ? 1 : 97) {
        write_bytes((struct bytes){ b.data, n });
        assert_int_not_equal(try_load(pool, &err), VIC_OK);
    }
    unsigned char *longer = calloc(b.n + 64, 1);
    assert_non_null(longer);
    memcpy(longer, b.data, b.n);
    write_bytes((struct bytes){ longer, b.n + 64 });
    assert_int_not_equal(try_load(pool, &err), VIC_OK);
    free(longer);
    free(b.data);
    pool_free(pool);
}

/* Behind right checksums: whole words replaced by hostile ones, everywhere. */
static void hostile_values(void **state)
{
    enum { ROUNDS = SANITIZED == 2 ? 200 : 3000 };
    static const uint64_t hostile[] = {
        0, 1, UINT64_MAX, (uint64_t)1 << 63, INT32_MAX, (uint64_t)UINT32_MAX << 32, 0x7ff0000000000000u
    };
    struct pool *pool;
    vic_error err;
    uint64_t seed = 17;
    int64_t refused = 0, taken = 0;
    vic_context *context = context_of(0);
    (void)state;
    CHECK_OK(pool_create(1, &pool, &err));
    for (int maker = 0; maker < MAKERS; maker++) {
        struct bytes b = saved(makers[maker]());
        struct bytes c = { malloc(b.n), b.n };
        assert_non_null(c.data);
        for (int round = 0; round < ROUNDS; round++) {
            memcpy(c.data, b.data, b.n);
            for (uint64_t change = 0; change <= random_bits(&seed) % 2; change++) {
                size_t size = random_bits(&seed) % 2 ? 4 : 8;
                /* Half of them in the head, which is small beside the arrays. */
                size_t at = random_bits(&seed) % (random_bits(&seed) % 2 ? 640 : b.n - 8) / size * size;
                uint64_t value = random_bits(&seed) % 2 ? hostile[random_bits(&seed) % 7]
                                                        : u64(c.data + at) + random_bits(&seed) % 5 - 2;
                memcpy(c.data + at, &value, size);
            }
            seal(c);
            write_bytes(c);
            if (try_load(pool, &err) != VIC_OK)
                refused++;
            else if (taken++ % 4 == 0)
                use_rules(context);
        }
        free(c.data);
        free(b.data);
    }
    print_message("%lld refused, %lld taken and used\n", (long long)refused, (long long)taken);
    assert_true(refused > MAKERS * ROUNDS / 2);
    vic_context_free(context);
    pool_free(pool);
}

/* Something that version 1 cannot say. */
static vic_pattern *ranged_by(int64_t share)
{
    const int64_t first[] = { 0, 20 }, ptr[] = { 0, 2 };
    const int32_t ranges[] = { 5, 20, 0, 3 };
    const struct ranges_input in = { 1, first, ptr, ranges, -1, 0, share };
    const struct point_set q = { .n = 20 };
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(pattern_ranges(&q, NULL, &in, pool, &p, &err));
    pool_free(pool);
    return p;
}

static vic_pattern *ranged(void)
{
    return ranged_by(1);
}

/* Something that version 2 cannot say. */
static vic_pattern *shared_places(void)
{
    return ranged_by(4);
}

/* ---- words ---- */

/* Change one value in the file of `make` and look for the words. */
static void check_words(vic_pattern *make(void), enum vnp_id id, size_t index, size_t size, uint64_t value,
                        const char *words)
{
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    struct bytes b = saved(make());
    memcpy((id ? section(b, id) : b.data) + index * size, &value, size);
    seal(b);
    write_bytes(b);
    CHECK_FAILS(try_load(pool, &err), VIC_BAD_INPUT, words);
    free(b.data);
    pool_free(pool);
}

static void words(void **state)
{
    (void)state;
    check_words(rich, VNP_Q_ORDER, 7, 4, 150, "query order[7]: expected an atom below 150, found 150");
    check_words(runs, VNP_Q_ORDER, 7, 4, 3, "query order[7]: expected each atom once, found 3 again");
    check_words(rich, VNP_PARTIAL_CLUSTER, 2, 4, 99, "partial_cluster[2]: expected a cluster below 10, found 99");
    check_words(rich, VNP_PARTIAL_CLUSTER, 2, 4, UINT64_MAX, "found -1");
    check_words(rich, VNP_PARTIAL_IMAGE, 0, 4, 5000, "partial_image[0]: expected an image below");
    check_words(rich, VNP_PARTIAL_PTR, 1, 8, 100000, "partial_ptr[1]: expected 0 to");
    check_words(runs, VNP_PARTIAL_PTR, 0, 8, 1, "partial_ptr[0]: expected 0 to 0, found 1");
    check_words(runs, VNP_FULL_RUNS, 1, 4, 4096, "full_runs[0]: expected clusters of 16 keys, below 16");
    check_words(runs, VNP_FULL_RUNS, 2, 4, 1, "full_runs[0]: expected an image below 1, found 1");
    check_words(rich, VNP_Q_WRAP, 3, 4, 1u << 30, "query wraps[1]: expected wraps within 2^29");
    check_words(rich, VNP_Q_POSITIONS, 4, 8, 0x7ff8000000000000u, "query positions[1]: expected coordinates within");
    check_words(rich, VNP_RULES, 0, 4, 99, "rules[0]: expected a kind from 1 to 9, found 99");
    check_words(rich, VNP_RULES, 0, 4, RULE_UNITE, "rules[0]:");
    check_words(rich, VNP_RULE_INDEX, 0, 4, 4096, "a rule's index[0]: expected 0 to");
    check_words(several, VNP_OFFSETS, 2, 8, 71, "offsets[2]: expected 1 to 70, found 71");
    check_words(several, VNP_CELLS, 39, 8, 9, "cells[3]: expected periodic axes from 0 to 7, found 9");
    check_words(rich, 0, VNP_AT_VERSION / 4, 4, 4, "expected version 1 to 3 of the format, found 4");
    check_words(ranged, 0, VNP_AT_VERSION / 4, 4, 1, "version of what the file holds: expected 2, found 1");
    check_words(shared_places, 0, VNP_AT_VERSION / 4, 4, 2, "version of what the file holds: expected 3, found 2");
    check_words(shared_places, VNP_RULES, 6, 8, 7,
                "expected a multiple of the 7 queries that share a place, found 20");
    check_words(shared_places, VNP_RULES, 6, 8, UINT64_MAX, "queries_per_place: expected 1 to 2147483647, got -1");
    check_words(rich, VNP_RULES, 6, 8, 2, "rules[0]: expected reserved bytes of 0, found others");
    check_words(rich, 0, VNP_AT_N_Q / 8, 8, UINT64_MAX, "number of queries: expected 0 to");
    check_words(rich, 0, VNP_AT_PARTIAL / 8, 8, (uint64_t)1 << 62, "number of partial blocks: expected 0 to");
    check_words(rich, 0, VNP_AT_RESERVED / 8, 8, 1, "a reserved byte: expected 0, found 1");
    check_words(rich, 0, VNP_AT_N_K / 8, 8, 149, "number of keys, where queries are keys: expected 150, found 149");
    check_words(rich, VNP_RULES, 1, 4, VNP_LIST_IMAGES, "rules[0]: expected flags that go together, found 4");
    check_words(rich, VNP_RULES, 1, 4, VNP_LIST_FIRST, "rules[0]: expected flags that go together, found 64");
    check_words(rich, VNP_RULES, 1, 4, VNP_K_SKIP, "rules[0]: expected flags that go together, found 16");
    check_words(rich, VNP_RULES, 1, 4, 128, "rules[0]: expected flags that go together, found 128");
    check_words(rich, VNP_RULES, 4, 8, UINT64_MAX, "rules[0]: expected a list within the file, found -1 rows of 0");
    check_words(rich, VNP_RULES, 4, 8, (uint64_t)1 << 40,
                "expected a list within the file, found 1099511627776 rows");
    check_words(rich, VNP_RULES, 5, 8, UINT64_MAX, "rules[0]: expected a list within the file, found 0 rows of -1");
    check_words(rich, VNP_RULES, 5, 8, (uint64_t)1 << 40, "found 0 rows of 1099511627776");
    check_words(rich, VNP_RULES, 4, 8, 1, "rules[0]: expected no list, found 1 rows");
    check_words(rich, VNP_RULES, 5, 8, 1, "rules[0]: expected no list, found 0 rows");
    check_words(rich, VNP_RULES, 6, 8, 1, "rules[0]: expected reserved bytes of 0");
    check_words(rich, VNP_RULES, 7, 8, 1, "rules[0]: expected reserved bytes of 0");
    check_words(rich, 0, VNP_FIXED / 4, 4, 99, "section 0, kind: expected 1, found 99");
    check_words(rich, 0, VNP_FIXED / 4 + 1, 4, 1, "section 0, rule: expected 0, found 1");
    check_words(rich, 0, VNP_FIXED / 8 + 1, 8, 64, "section 0, offset: expected");
    check_words(rich, 0, VNP_FIXED / 8 + 2, 8, 64, "section 0, bytes: expected 3600, found 64");
    check_words(rich, 0, VNP_FIXED / 4 + 7, 4, 1, "section 0, reserved: expected 0, found 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte),
        cmocka_unit_test(every_length),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("pattern_vnp", tests, set_up, tear_down);
}
