/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"
#include "check.h"

#include <stdlib.h>
#include <zlib.h>

static void same_as_zlib(void **state)
{
    unsigned char bytes[4099];
    (void)state;
    srand(7); /* any bytes will do */
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)rand();
    for (size_t first = 0; first < 9; first++)
        for (size_t n = 0; n < sizeof bytes - 9; n = n < 40 ? n + 1 : n * 3) {
            uint32_t whole = crc32_add(0, bytes + first, n), parts = crc32_add(0, bytes + first, n / 3);
            parts = crc32_add(parts, bytes + first + n / 3, n - n / 3);
            assert_int_equal(whole, crc32(0, bytes + first, (uInt)n));
            assert_int_equal(parts, whole);
        }
}

static void known_value(void **state)
{
    (void)state;
    assert_int_equal(crc32_add(0, "123456789", 9), 0xcbf43926u);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(same_as_zlib), cmocka_unit_test(known_value) };
    return cmocka_run_group_tests_name("unit_base_crc32", tests, NULL, NULL);
}
