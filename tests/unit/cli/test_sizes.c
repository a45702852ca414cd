/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes that no memory has, in what the command allocates.  cmocka comes last: `fail` is a macro of it. */
#include "cli/arrays/array.h"
#include "cli/buffer.h"
#include "cli/cli.h"

#include "check.h"

static void test_products(void **state)
{
    static const struct {
        int64_t a, b;
        size_t size;
        bool fits;
    } products[] = {
        { 6, 7, 8, true },
        { 0, INT64_MAX, 8, true },
        { INT64_MAX, 1, 1, true },
        { -1, 7, 8, false },
        { 6, -7, 8, false },
        { INT64_MAX, 2, 1, false },         /* the first product */
        { INT64_MAX, 1, 4, false },         /* the second */
        { INT64_MAX / 2 + 1, 1, 2, false }, /* fits size_t, but no object is so large */
    };
    size_t product;
    void *memory;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        bool fits = size_product(products[i].a, products[i].b, products[i].size, &product);
        CHECK(fits == products[i].fits, "product %zu", i);
        if (fits) assert_true(product == (size_t)products[i].a * (size_t)products[i].b * products[i].size);
    }
    CHECK_FAILS(allocate(INT64_MAX, 8, "things", &memory, &err), VIC_NO_MEMORY, "no memory for things");
    assert_null(memory);
    CHECK_FAILS(allocate(-1, 8, "things", &memory, &err), VIC_NO_MEMORY, "-1 times 8 bytes");
    CHECK_OK(allocate(0, 8, "things", &memory, &err));
    assert_non_null(memory);
    free(memory);
}

static void test_buffers(void **state)
{
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 2, (size_t)PTRDIFF_MAX / 2 + 1 };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buffer b = { 0 };
        buffer_text(&b, "abc");
        CHECK_OK(buffer_check(&b, "a text", &err));
        buffer_add(&b, "x", sizes[i]);
        CHECK_FAILS(buffer_check(&b, "a text", &err), VIC_NO_MEMORY, "no memory for a text");
        buffer_text(&b, "more"); /* nothing comes behind a gap */
        assert_int_equal(b.size, 3);
        assert_string_equal(b.data, "abc");
        buffer_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_products), cmocka_unit_test(test_buffers) };
    return cmocka_run_group_tests_name("cli_sizes", tests, NULL, NULL);
}
