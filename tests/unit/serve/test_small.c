/* SPDX-License-Identifier: Apache-2.0 */
/* What is small and has no file of its own: the pool, base64, secrets, paths. */
#include "serve/handler.h"
#include "serve/repository.h"
#include "serve/routes.h"

#include "check.h"

static void pool_counts_and_keeps(void **state)
{
    struct pool_room room = { .most = 64 * 1024 };
    struct pool pool = { .room = &room }, other = { .room = &room };
    char *a, *b, *c;
    (void)state;
    a = pool_take(&pool, 1);
    b = pool_take(&pool, 5000);
    assert_true(a && b && (uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
    assert_true(pool_size(a) >= 1 && pool_size(b) >= 5000);
    memset(b, 1, pool_size(b));
    assert_int_equal(room.used, pool_size(a) + pool_size(b));
    assert_null(pool_take(&other, 64 * 1024)); /* the room is all pools' */
    c = b;
    pool_give(&pool, b);
    assert_ptr_equal(pool_take(&pool, 4097), c); /* the same memory again */
    pool_give(&pool, c);
    pool_give(&pool, a);
    pool_give(&pool, NULL);
    assert_int_equal(room.used, 0);
    assert_null(pool_take(&pool, SIZE_MAX));
    assert_null(pool_take(&pool, (size_t)1 << 50));
    assert_int_equal(room.used, 0);
    pool_close(&pool);
    pool_close(&other);
}

/* Every size is held by its class, and by no smaller one. */
static void pool_sizes(void **state)
{
    struct pool_room room = { .most = SIZE_MAX / 2 };
    struct pool pool = { .room = &room };
    size_t last = 0;
    (void)state;
    for (size_t bytes = 1; bytes < (size_t)1 << 22; bytes += 1 + bytes / 50) {
        char *memory = pool_take(&pool, bytes);
        assert_non_null(memory);
        memory[0] = memory[bytes - 1] = 1;
        assert_true(pool_size(memory) >= bytes && pool_size(memory) <= (bytes < 4096 ? 4096 : bytes + bytes / 4 + 1));
        assert_true(pool_size(memory) >= last);
        last = pool_size(memory);
        pool_give(&pool, memory);
        memory = pool_take(&pool, last); /* just as large: the same class */
        assert_int_equal(pool_size(memory), last);
        pool_give(&pool, memory);
    }
    assert_int_equal(room.used, 0);
    pool_close(&pool);
}

static bool decodes(const char *text, const char *expected, size_t room)
{
    unsigned char out[64];
    size_t size;
    memset(out, 0x55, sizeof out);
    if (!base64_decode(text, strlen(text), out, room, &size)) return false;
    assert_true(size <= room && out[size] == 0x55);
    return size == strlen(expected) && memcmp(out, expected, size) == 0;
}

static void base64(void **state)
{
    static const char *const wrong[] = { "a", "ab", "abc", "====", "a===", "ab=c", "=abc", "ab!d", "abc\n", "YWJj=" };
    unsigned char out[64];
    size_t size;
    (void)state;
    assert_true(decodes("", "", 10));
    assert_true(decodes("YQ==", "a", 1));
    assert_true(decodes("YWI=", "ab", 2));
    assert_true(decodes("YWJj", "abc", 3));
    assert_true(decodes("YWJjZA==", "abcd", 10));
    assert_true(decodes("+/+/", "\xfb\xff\xbf", 3));
    assert_false(decodes("YWJj", "abc", 2));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (base64_decode(wrong[i], strlen(wrong[i]), out, sizeof out, &size)) fail_msg("taken: %s", wrong[i]);
    assert_false(base64_decode("ab\0d", 4, out, sizeof out, &size));
}

static void secrets(void **state)
{
    (void)state;
    assert_true(same_secret("abc", "abc"));
    assert_false(same_secret("abd", "abc"));
    assert_false(same_secret("ab", "abc"));
    assert_false(same_secret("abcd", "abc"));
    assert_false(same_secret("", "abc"));
}

static const struct route *find(struct request *r, const char *method, const char *url)
{
    memset(r, 0, sizeof *r);
    return route_find(method, url, r);
}

static void paths(void **state)
{
    struct request *r = calloc(1, sizeof *r);
    const struct route *route;
    (void)state;
    assert_non_null(r);
    route = find(r, "POST", "/v2/models/a.b-c_D/versions/1/infer");
    assert_true(route && route->body == BODY_TENSORS && r->name_good && r->version_good);
    assert_string_equal(r->name, "a.b-c_D");
    route = find(r, "GET", "/v2/models/stats"); /* and not a model of that name */
    assert_true(route && r->name[0] == '\0');
    route = find(r, "GET", "/v2/models/stats/stats");
    assert_true(route && strcmp(r->name, "stats") == 0);
    route = find(r, "GET", "/v2/models/a b");
    assert_true(route && !r->name_good && r->name[0] == '\0');
    assert_true(find(r, "GET", "/v2/models/m/versions/12/ready") && !r->version_good && r->version_given);
    assert_null(find(r, "GET", "/v2/models//ready"));
    assert_int_equal(r->why.status, 404);
    assert_null(find(r, "DELETE", "/v2"));
    assert_int_equal(r->why.status, 405);
    assert_non_null(find(r, "HEAD", "/v2"));
    assert_null(find(r, "HEAD", "/v2/repository/index"));
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(pool_counts_and_keeps), cmocka_unit_test(pool_sizes),
                                        cmocka_unit_test(base64), cmocka_unit_test(secrets),
                                        cmocka_unit_test(paths) };
    return cmocka_run_group_tests_name("serve/small", tests, NULL, NULL);
}
