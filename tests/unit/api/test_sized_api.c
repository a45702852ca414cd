/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that begin with their size, given in every size: what an older program knows is taken and filled and nothing
 * behind it is touched, what a newer one does not use is no hindrance, and the rest is refused by name.  Each lies in
 * memory of exactly its size, so that AddressSanitizer sees a step beyond it.  tests/api/check_abi.py does the same with
 * whole programs. */
#include "objects.h"

#include "vicinal_dev.h"
#include "vicinal_structure.h"

enum { N = 20, DIM = 8, LEAST = sizeof(size_t) };

static struct {
    double at[3 * N];
    float x[N * DIM], out[N * DIM], lse[N];
    int32_t first[1];
    vic_points points;
    vic_pattern *pattern;
    vic_plan *plan;
    vic_structure *structure;
    vic_tensor q, result, part_lse;
} o;

/* ---- one call for each struct, given as bytes ---- */

static vic_status end(vic_pattern *p, vic_status st)
{
    vic_pattern_free(p);
    return st;
}

#define FILL(type)                                                                                                   \
    static void fill_##type(type *s);                                                                                \
    static void fill_bytes_##type(void *s)                                                                           \
    {                                                                                                                \
        fill_##type(s);                                                                                              \
    }                                                                                                                \
    static void fill_##type(type *s)
#define CALL(type) static vic_status call_##type(void *s, vic_error *err)

FILL(vic_context_options)
{
    s->threads = 1;
}
CALL(vic_context_options)
{
    vic_context *c = NULL;
    vic_status st = vic_context_create(s, &c, err);
    vic_context_free(c);
    return st;
}

CALL(vic_context_info)
{
    return vic_context_get(NULL, s, err);
}

FILL(vic_points)
{
    *s = o.points;
}
CALL(vic_points)
{
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_cutoff(NULL, s, NULL, 2.0, NULL, &p, err);
    return end(p, st);
}

FILL(vic_pattern_options)
{
    s->exclude_self = true;
}
CALL(vic_pattern_options)
{
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_cutoff(NULL, &o.points, NULL, 2.0, s, &p, err);
    return end(p, st);
}

CALL(vic_pattern_estimate)
{
    vic_pattern_options options = { .size = sizeof options, .max_bytes = (size_t)1 << 40, .estimate = s };
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_cutoff(NULL, &o.points, NULL, 2.0, &options, &p, err);
    return end(p, st);
}

FILL(vic_block_list)
{
    static const int64_t row_ptr[] = { 0, 1, 2 };
    static const int32_t column[] = { 0, 0 };
    s->block = 16;
    s->row_ptr = row_ptr;
    s->column = column;
}
CALL(vic_block_list)
{
    vic_points points = points_of(N);
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_blocks(NULL, &points, NULL, s, NULL, &p, err);
    return end(p, st);
}

FILL(vic_pair_list)
{
    const int64_t one = 1;
    s->query = s->key = vic_tensor_make(o.first, VIC_I32, 1, &one);
}
CALL(vic_pair_list)
{
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_pairs(NULL, &o.points, NULL, s, NULL, &p, err);
    return end(p, st);
}

FILL(vic_range_list)
{
    static const int64_t queries[] = { 0, N }, ranges[] = { 0, 1 };
    static const int32_t keys[] = { 0, N };
    s->groups = 1;
    s->query_offsets = queries;
    s->range_offsets = ranges;
    s->ranges = keys;
}
CALL(vic_range_list)
{
    vic_points points = points_of(N);
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_ranges(NULL, &points, NULL, s, NULL, &p, err);
    return end(p, st);
}

FILL(vic_page_list)
{
    static const int64_t queries[] = { 0, N }, lengths[] = { N < 16 ? N : 16 };
    static const int32_t table[] = { 0 };
    s->groups = 1;
    s->page = 16;
    s->query_offsets = queries;
    s->lengths = lengths;
    s->table = table;
    s->table_stride = 1;
}
CALL(vic_page_list)
{
    vic_points points = points_of(N);
    vic_pattern *p = NULL;
    vic_status st = vic_pattern_pages(NULL, &points, NULL, s, NULL, &p, err);
    return end(p, st);
}

CALL(vic_pattern_info)
{
    return vic_pattern_get(o.pattern, s, err);
}

FILL(vic_neighbors)
{
    (void)s;
}
CALL(vic_neighbors)
{
    return vic_pattern_neighbors(NULL, o.pattern, s, err);
}

FILL(vic_block_mask)
{
    s->query_block = s->key_block = 64;
}
CALL(vic_block_mask)
{
    return vic_pattern_block_mask(NULL, o.pattern, s, err);
}

FILL(vic_plan_options)
{
    s->dtype = VIC_F32;
    s->head_dim = DIM;
}
CALL(vic_plan_options)
{
    vic_plan *plan = NULL;
    vic_status st = vic_plan_create(NULL, o.pattern, s, &plan, err);
    vic_plan_free(plan);
    return st;
}

CALL(vic_plan_info)
{
    return vic_plan_get(o.plan, s, err);
}

FILL(vic_attention_args)
{
    s->q = s->k = s->v = o.q;
    s->out = o.result;
}
CALL(vic_attention_args)
{
    double row[DIM];
    const int64_t first = 0;
    vic_status st = vic_attention(NULL, o.plan, s, err);
    if (st != VIC_OK) return st;
    return vic_attention_reference(NULL, o.plan, s, 1, &first, row, NULL, NULL, err);
}

FILL(vic_attention_backward_args)
{
    s->q = s->k = s->v = s->out = s->dout = o.q;
    s->lse = o.part_lse;
    s->dq = o.result;
}
CALL(vic_attention_backward_args)
{
    double seconds, dq[N * DIM];
    const vic_time_options t = { .size = sizeof t, .launches = 1, .warm_up = -1 };
    const vic_reference_gradients g = { .size = sizeof g, .dq = dq };
    vic_status st = vic_attention_backward(NULL, o.plan, s, err);
    if (st == VIC_OK) st = vic_attention_backward_time(NULL, o.plan, s, &t, &seconds, err);
    return st == VIC_OK ? vic_attention_backward_reference(NULL, o.plan, s, &g, err) : st;
}

FILL(vic_reference_gradients)
{
    static double dq[N * DIM];
    s->dq = dq;
}
CALL(vic_reference_gradients)
{
    vic_attention_backward_args args = VIC_INIT(vic_attention_backward_args);
    fill_vic_attention_backward_args(&args);
    return vic_attention_backward_reference(NULL, o.plan, &args, s, err);
}

FILL(vic_combine_args)
{
    s->parts = 1;
    s->part_out = &o.q;
    s->part_lse = &o.part_lse;
    s->out = o.result;
}
CALL(vic_combine_args)
{
    return vic_combine(NULL, s, err);
}

FILL(vic_time_options)
{
    s->launches = 1;
    s->warm_up = -1;
}
CALL(vic_time_options)
{
    vic_attention_args args = VIC_INIT(vic_attention_args);
    double seconds[1000]; /* as many as there are by default */
    fill_vic_attention_args(&args);
    return vic_attention_time(NULL, o.plan, &args, s, seconds, err);
}

CALL(vic_kernel_info)
{
    return vic_kernel_get(0, s, err);
}

CALL(vic_device_info)
{
    return vic_device_get(0, s, err);
}

CALL(vic_switch_info)
{
    return vic_switch_get(0, s, err);
}

FILL(vic_read_options)
{
    s->max_atoms = 1000;
}
CALL(vic_read_options)
{
    vic_structure *structure = NULL;
    vic_status st = vic_structure_read("examples/quartz.xyz", s, &structure, err);
    vic_structure_free(structure);
    return st;
}

CALL(vic_structure_info)
{
    return vic_structure_get(o.structure, s, err);
}

/* ---- the table ---- */

struct range {
    size_t at, size;
};

/* clang-format off */
#define MEMBER(type, member) { offsetof(type, member), sizeof((type *)0)->member }
#define NO_MEMBER { 0, 0 }
#define FILLED(type) { #type, sizeof(type), NULL, call_##type, false, true, { NO_MEMBER, NO_MEMBER } }
#define READ_(type, out, other) \
    { #type, sizeof(type), fill_bytes_##type, call_##type, true, out, { MEMBER(type, reserved), other } }
#define READ(type, out) READ_(type, out, NO_MEMBER)
#define READ_1(type, out) READ_(type, out, MEMBER(type, reserved_1)) /* with small ones too, which fill a hole */
/* clang-format on */

static const struct sized {
    const char *name;
    size_t size;
    void (*fill)(void *s); /* a good one, in memory that is 0 beside its size; NULL = that is one already */
    vic_status (*call)(void *s, vic_error *err);
    bool in, out; /* read, filled */
    struct range reserved[2];
} structs[] = {
    READ_1(vic_context_options, false),
    FILLED(vic_context_info),
    READ(vic_points, false),
    READ_1(vic_pattern_options, false),
    FILLED(vic_pattern_estimate),
    READ(vic_block_list, false),
    READ(vic_pair_list, false),
    READ_1(vic_range_list, false),
    READ_1(vic_page_list, false),
    FILLED(vic_pattern_info),
    READ_1(vic_neighbors, true),
    READ(vic_block_mask, true),
    READ_1(vic_plan_options, false),
    FILLED(vic_plan_info),
    READ_1(vic_attention_args, false),
    READ_1(vic_attention_backward_args, false),
    READ(vic_combine_args, false),
    READ(vic_reference_gradients, false),
    READ_1(vic_time_options, false),
    FILLED(vic_kernel_info),
    FILLED(vic_device_info),
    FILLED(vic_switch_info),
    READ_1(vic_read_options, false),
    FILLED(vic_structure_info),
};
#define EACH_STRUCT(s) for (const struct sized *s = structs; s < structs + sizeof structs / sizeof *structs; s++)

static void set_size(unsigned char *bytes, size_t size)
{
    memcpy(bytes, &size, sizeof size);
}

/* A good one of the library's size, in memory of `size` bytes that are 0 behind it; or its first bytes. */
static unsigned char *make(const struct sized *s, size_t size)
{
    size_t whole = size > s->size ? size : s->size;
    unsigned char *full = calloc(1, whole), *bytes = malloc(size);
    assert_true(full && bytes);
    set_size(full, s->size);
    if (s->fill) s->fill(full);
    memcpy(bytes, full, size);
    set_size(bytes, size);
    free(full);
    return bytes;
}

static void must_work(const struct sized *s, unsigned char *bytes)
{
    vic_error err = { VIC_OK, "" };
    vic_status st = s->call(bytes, &err);
    CHECK(st == VIC_OK, "%s: %s: %s", s->name, vic_status_name(st), err.text);
}

static void must_refuse(const struct sized *s, unsigned char *bytes, const char *words, vic_error *err)
{
    vic_status st = s->call(bytes, err);
    CHECK(st == VIC_BAD_ARGUMENT && strstr(err->text, words), "%s: expected \"%s\", got %s: %s", s->name, words,
          vic_status_name(st), st == VIC_OK ? "" : err->text);
}

/* ---- tests ---- */

static void as_they_are(void **state)
{
    (void)state;
    EACH_STRUCT(s)
    {
        unsigned char *bytes = make(s, s->size);
        must_work(s, bytes);
        free(bytes);
    }
}

static void sizes_that_are_none(void **state)
{
    static const size_t wrong[] = { 0, 1, LEAST - 1, 65537, SIZE_MAX };
    char words[80];
    (void)state;
    EACH_STRUCT(s)
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vic_error err = { VIC_OK, "" };
        unsigned char *bytes = make(s, s->size);
        set_size(bytes, wrong[i]);
        snprintf(words, sizeof words, "%s.size is %zu", s->name, wrong[i]);
        must_refuse(s, bytes, words, &err);
        free(bytes);
    }
}

/* Members that an older program did not have are 0, the default: most calls work, and some lack what they need. */
static void of_older_programs(void **state)
{
    (void)state;
    EACH_STRUCT(s)
    for (size_t size = LEAST; size < s->size; size += sizeof(void *)) { /* no pointer is cut in two */
        vic_error err = { VIC_OK, "" };
        unsigned char *bytes = make(s, size);
        vic_status st = s->call(bytes, &err);
        CHECK(st == VIC_OK || (s->in && (st == VIC_BAD_ARGUMENT || st == VIC_BAD_INPUT)), "%s of %zu bytes: %s: %s",
              s->name, size, vic_status_name(st), err.text);
        free(bytes);
    }
}

/* A program that does not know the last members works as before. */
static void of_programs_without_the_reserve(void **state)
{
    (void)state;
    EACH_STRUCT(s)
    {
        unsigned char *bytes = make(s, s->size - (s->reserved[0].size ? s->reserved[0].size : 8));
        must_work(s, bytes);
        free(bytes);
    }
}

static void of_newer_programs(void **state)
{
    static const size_t more[] = { 1, 8, 64, 1000 };
    (void)state;
    EACH_STRUCT(s)
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        size_t size = s->size + more[i];
        unsigned char *bytes = make(s, size);
        if (!s->in) memset(bytes + s->size, 0x5a, more[i]); /* what is filled may hold anything */
        must_work(s, bytes);
        if (s->out)
            for (size_t k = s->size; k < size; k++)
                CHECK(bytes[k] == 0, "%s: byte %zu was left as it was", s->name, k);
        free(bytes);
    }
}

/* What a newer program sets behind what this library knows cannot be done, and is not passed over. */
static void of_newer_programs_that_ask_for_more(void **state)
{
    char words[80];
    (void)state;
    EACH_STRUCT(s)
    for (size_t at = s->size; s->in && at < s->size + 64; at++) {
        vic_error err = { VIC_OK, "" };
        unsigned char *bytes = make(s, s->size + 64);
        bytes[at] = 1;
        snprintf(words, sizeof words, "%s has %zu bytes", s->name, s->size + 64);
        must_refuse(s, bytes, words, &err);
        snprintf(words, sizeof words, "%zu that vicinal", s->size);
        assert_non_null(strstr(err.text, words));
        free(bytes);
    }
}

/* The same bytes in any size, and none behind them. */
static void filled_up_to_their_size(void **state)
{
    enum { CANARY = 0xa5, BEHIND = 32 };
    (void)state;
    EACH_STRUCT(s)
    {
        if (s->in) continue; /* a part of what is asked is another question */
        unsigned char *full = make(s, s->size), *bytes = malloc(s->size + BEHIND);
        assert_non_null(bytes);
        must_work(s, full);
        for (size_t size = LEAST; size <= s->size; size++) {
            memset(bytes, CANARY, s->size + BEHIND);
            set_size(bytes, size);
            must_work(s, bytes);
            assert_memory_equal(bytes + LEAST, full + LEAST, size - LEAST);
            for (size_t k = size; k < s->size + BEHIND; k++)
                CHECK(bytes[k] == CANARY, "%s of %zu bytes: byte %zu was written", s->name, size, k);
            set_size(full, size);
            assert_memory_equal(bytes, full, LEAST); /* it is the caller's */
        }
        free(full);
        free(bytes);
    }
}

static void reserved_members(void **state)
{
    char words[80];
    (void)state;
    EACH_STRUCT(s)
    for (int r = 0; r < 2; r++)
        for (size_t k = 0; k < s->reserved[r].size; k++) {
            vic_error err = { VIC_OK, "" };
            unsigned char *bytes = make(s, s->size);
            bytes[s->reserved[r].at + k] = 1;
            snprintf(words, sizeof words, "%s: a reserved member is not 0", s->name);
            must_refuse(s, bytes, words, &err);
            free(bytes);
        }
}

static int set_up(void **state)
{
    const int64_t shape[] = { N, 1, DIM };
    const vic_plan_options p = { .size = sizeof p, .dtype = VIC_F32, .head_dim = DIM, .backward = true };
    vic_error err;
    (void)state;
    for (int i = 0; i < 3 * N; i++) o.at[i] = i * i % 17 * 0.3;
    o.points = points_at(N, o.at, NULL);
    o.pattern = cutoff_pattern(&o.points, 2.0);
    o.q = vic_tensor_make(o.x, VIC_F32, 3, shape);
    o.result = vic_tensor_make(o.out, VIC_F32, 3, shape);
    o.part_lse = vic_tensor_make(o.lse, VIC_F32, 2, shape);
    if (vic_plan_create(NULL, o.pattern, &p, &o.plan, &err) != VIC_OK) return -1;
    return vic_structure_from_arrays(N, o.at, NULL, NULL, NULL, &o.structure, &err) == VIC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vic_plan_free(o.plan);
    vic_pattern_free(o.pattern);
    vic_structure_free(o.structure);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_they_are),
        cmocka_unit_test(sizes_that_are_none),
        cmocka_unit_test(of_older_programs),
        cmocka_unit_test(of_programs_without_the_reserve),
        cmocka_unit_test(of_newer_programs),
        cmocka_unit_test(of_newer_programs_that_ask_for_more),
        cmocka_unit_test(filled_up_to_their_size),
        cmocka_unit_test(reserved_members),
    };
    return cmocka_run_group_tests_name("api_sized", tests, set_up, tear_down);
}
