/* SPDX-License-Identifier: Apache-2.0 */
/* Pattern files as files: what stands in the way of writing one, what is no file, sizes that no file has. */
#include "base/threads.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"
#include "unit/pattern/vnp_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static vic_status load(vic_error *out)
{
    struct pool *pool;
    vic_pattern *p;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    vic_status st = vnp_load(path, pool, &p, out);
    pool_free(pool);
    assert_true((st == VIC_OK) == (p != NULL));
    if (p) pattern_release(p);
    return st;
}

static const char *part(int i)
{
    static char name[128];
    snprintf(name, sizeof name, "%s.part-%ld-%d", path, (long)getpid(), i);
    return name;
}

static void put_part(int i)
{
    int file = open(part(i), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "mine", 4), 4);
    close(file);
}

/* More than 2^63 pairs need a file of several GB: here they were counted before. */
static void pairs_past_63_bits(void **state)
{
    static const struct {
        const char *text; /* full blocks alone, or partial ones */
        int64_t before;
        bool fits;
    } cases[] = {
        { "blocks:1x1:n=1,block=128", INT64_MAX - 128 * 128, true },
        { "blocks:1x1:n=1,block=128", INT64_MAX - 128 * 128 + 1, false },
        { "blocks:1x1:n=1,block=16", INT64_MAX - 16 * 16, true },
        { "blocks:1x1:n=1,block=16", INT64_MAX - 16 * 16 + 1, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vic_pattern *p = generated_pattern(cases[i].text);
        struct vnp *f = calloc(1, sizeof *f);
        vic_error err;
        assert_non_null(f);
        f->p = p;
        f->n_runs = p->full_ptr[p->strips];
        vnp_list(f, false, false, false);
        p->info.pairs = cases[i].before;
        if (cases[i].fits)
            CHECK_OK(vnp_check(f, path, &err));
        else
            CHECK_FAILS(vnp_check(f, path, &err), VIC_BAD_INPUT, "expected fewer than 2^63 pairs");
        free(f);
        vic_pattern_free(p);
    }
}

/* Files beside it of the names that would be taken: they stay, and another name is found, up to a hundred. */
static void names_in_use(void **state)
{
    vic_pattern *p = generated_pattern("blocks:2x2:n=2,block=64");
    vic_error err;
    char text[8] = "";
    (void)state;
    put_part(0);
    CHECK_OK(vnp_save(p, path, &err));
    CHECK_OK(load(&err));
    FILE *file = fopen(part(0), "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    assert_string_equal(text, "mine");
    assert_int_not_equal(access(part(1), F_OK), 0);
    for (int i = 1; i < 100; i++) put_part(i);
    CHECK_FAILS(vnp_save(p, path, &err), VIC_CANNOT_WRITE, "cannot create a file beside it: File exists");
    CHECK_OK(load(&err));
    for (int i = 0; i < 100; i++) assert_int_equal(unlink(part(i)), 0);
    vic_pattern_free(p);
}

static void no_regular_files(void **state)
{
    vic_pattern *p = generated_pattern("blocks:2x2:n=2,block=64");
    vic_error err;
    char saved[sizeof path];
    (void)state;
    CHECK_FAILS(vnp_save(p, "/dev/null", &err), VIC_CANNOT_WRITE, "/dev/null: expected a regular file to write");
    CHECK_FAILS(vnp_save(p, "/nowhere/p.vnp", &err), VIC_CANNOT_WRITE, "cannot create a file beside it: No such");
    strcpy(saved, path);
    strcpy(path, "/tmp");
    CHECK_FAILS(load(&err), VIC_CANNOT_READ, "/tmp: expected a regular file: a pattern is not read from pipes");
    strcpy(path, "/nowhere");
    CHECK_FAILS(load(&err), VIC_CANNOT_READ, "/nowhere: cannot open: No such file");
    strcpy(path, saved);
    vic_pattern_free(p);
}

/* No room for the last bytes, which are written past the stream's buffer: the old file stays and nothing beside it.
 */
static void no_room(void **state)
{
    vic_pattern *small = generated_pattern("blocks:2x2:n=2,block=64"),
                *p = generated_pattern("blocks:200x200:n=4000,block=64");
    struct rlimit limit, before;
    vic_error err;
    (void)state;
    CHECK_OK(vnp_save(p, path, &err));
    struct bytes b = read_bytes();
    assert_true(p->full_ptr[p->strips] * (int64_t)sizeof *p->full_runs > 20000); /* the last section */
    CHECK_OK(vnp_save(small, path, &err));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t less = 5000; less < 30000; less += 4000) {
        limit = before;
        limit.rlim_cur = b.n - less;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        vic_status st = vnp_save(p, path, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        CHECK_FAILS(st, VIC_CANNOT_WRITE, "cannot write: ");
        assert_int_not_equal(access(part(0), F_OK), 0);
        CHECK_OK(load(&err));
    }
    signal(SIGXFSZ, SIG_DFL);
    free(b.data);
    vic_pattern_free(p);
    vic_pattern_free(small);
}

static void too_many_rules(void **state)
{
    vic_pattern *one = generated_pattern("blocks:2x2:n=2,block=64"),
                *p = generated_pattern("blocks:2x2:n=1,block=64"), *next;
    vic_error err;
    (void)state;
    while (p->n_rules < VNP_MAX_RULES - 1) {
        CHECK_OK(vic_pattern_union(NULL, p, one, &next, &err));
        vic_pattern_free(p);
        p = next;
    }
    CHECK_OK(vnp_save(p, path, &err));
    CHECK_OK(load(&err));
    CHECK_OK(vic_pattern_union(NULL, p, one, &next, &err));
    CHECK_FAILS(vnp_save(next, path, &err), VIC_BAD_ARGUMENT, "unions and exclusions of 64 steps at most, got 65");
    vic_pattern_free(next);
    vic_pattern_free(p);
    vic_pattern_free(one);
}

/* ---- sizes ---- */

static void places(void **state)
{
    struct vnp *f = calloc(1, sizeof *f);
    (void)state;
    assert_non_null(f);
    f->n = 2;
    f->sections[0].size = f->sections[1].size = 8;
    f->sections[0].count = 9;
    assert_true(vnp_place(f, 0, 2));
    assert_int_equal(f->sections[0].offset, 320); /* 224 + 2 * 32, up to a multiple of 64 */
    assert_int_equal(f->sections[1].offset, 448);
    assert_int_equal(vnp_end(f), 448);
    f->sections[1].count = (uint64_t)1 << 61;
    assert_false(vnp_place(f, 0, 2)); /* the product */
    f->sections[1].count = UINT64_MAX / 8;
    assert_false(vnp_place(f, 1, 2)); /* the sum */
    f->sections[1].count = (uint64_t)1 << 60;
    assert_false(vnp_place(f, 0, 2)); /* 63 bits */
    f->sections[1].count--;
    f->sections[1].count -= 448 / 8 + 8;
    assert_true(vnp_place(f, 1, 2));
    free(f);
}

/* A pattern whose sizes lie; nothing of the arrays is read before they are added up. */
static void too_large_to_save(void **state)
{
    vic_pattern *p = generated_pattern("blocks:2x2:n=2,block=64");
    vic_error err;
    int64_t n = p->n_partial;
    (void)state;
    p->n_partial = (int64_t)1 << 61;
    CHECK_FAILS(vnp_save(p, path, &err), VIC_CANNOT_WRITE, "the pattern is too large for a file");
    p->n_partial = n;
    vic_pattern_free(p);
}

/* A file of holes may be large enough for any count in its head. */
static void a_file_of_holes(void **state)
{
    vic_pattern *p = generated_pattern("blocks:2x2:n=2,block=64");
    const uint64_t size = (uint64_t)1 << 62, count = (uint64_t)1 << 61;
    char saved[sizeof path];
    vic_error err;
    (void)state;
    CHECK_OK(vnp_save(p, path, &err));
    vic_pattern_free(p);
    struct bytes b = read_bytes();
    memcpy(b.data + VNP_AT_FILE_BYTES, &size, sizeof size);
    memcpy(b.data + VNP_AT_PARTIAL, &count, sizeof count);
    seal(b);
    strcpy(saved, path);
    strcpy(path, "/dev/shm/vnp-test-XXXXXX");
    int file = mkstemp(path);
    bool made = file >= 0 && ftruncate(file, (off_t)size) == 0 && write(file, b.data, b.n) == (ssize_t)b.n;
    free(b.data);
    vic_status st = made ? load(&err) : VIC_OK;
    if (file >= 0) {
        close(file);
        unlink(path);
    }
    strcpy(path, saved);
    if (!made) skip(); /* this file system has no such files */
    CHECK_FAILS(st, VIC_BAD_INPUT, "the sizes in the head ask for");
}

/* Sizes in the head that agree with the file's, but not with each other. */
static void sizes_of_the_head(void **state)
{
    vic_pattern *p = generated_pattern("blocks:2x2:n=2,block=64");
    vic_error err;
    (void)state;
    CHECK_OK(vnp_save(p, path, &err));
    vic_pattern_free(p);
    struct bytes b = read_bytes(), longer = { calloc(b.n + VNP_ALIGN, 1), b.n + VNP_ALIGN };
    assert_non_null(longer.data);
    memcpy(longer.data, b.data, b.n);
    memcpy(longer.data + VNP_AT_FILE_BYTES, &longer.n, sizeof longer.n);
    seal(longer);
    write_bytes(longer);
    CHECK_FAILS(load(&err), VIC_BAD_INPUT, "sections up to byte");
    const uint32_t sections = 5, head = VNP_FIXED + 5 * VNP_SECTION;
    b.n = VNP_FIXED;
    memcpy(b.data + VNP_AT_FILE_BYTES, &b.n, sizeof b.n);
    memcpy(b.data + VNP_AT_SECTIONS, &sections, sizeof sections);
    memcpy(b.data + VNP_AT_HEAD_BYTES, &head, sizeof head);
    write_bytes(b);
    CHECK_FAILS(load(&err), VIC_BAD_INPUT, "bytes of the head, at most: expected 224, found 384");
    free(longer.data);
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_past_63_bits), cmocka_unit_test(names_in_use),
        cmocka_unit_test(no_regular_files),   cmocka_unit_test(no_room),
        cmocka_unit_test(too_many_rules),     cmocka_unit_test(places),
        cmocka_unit_test(too_large_to_save),  cmocka_unit_test(a_file_of_holes),
        cmocka_unit_test(sizes_of_the_head),
    };
    return cmocka_run_group_tests_name("pattern_vnp_saving", tests, set_up, tear_down);
}
