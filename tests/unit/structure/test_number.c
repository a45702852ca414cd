/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "structure/number.h"

#include <locale.h>

static double read_ok(const char *text, int shift)
{
    double value = -12345;
    CHECK(number_read(text, strlen(text), shift, &value), "%s", text);
    return value;
}

static void test_numbers_equal_strtod(void **state)
{
    static const char *const texts[] = { "1",
                                         "-0.5",
                                         ".25",
                                         "7.",
                                         "  12.345 ",
                                         "+3e2",
                                         "1.5E-7",
                                         "-1.5d3",
                                         "0.1",
                                         "123456.78",
                                         "1e22",
                                         "9007199254740993",
                                         "0.30000000000000004",
                                         "1.7976931348623157e308",
                                         "2.2250738585072014e-308",
                                         "0.000000000000000000000012345678901234567890",
                                         "4.9e-324" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        char copy[64];
        snprintf(copy, sizeof copy, "%s", texts[i]);
        for (char *c = copy; *c; ++c)
            if (*c == 'd') *c = 'e';
        assert_true(read_ok(texts[i], 0) == strtod(copy, NULL));
    }
}

static void test_random_numbers_equal_strtod(void **state)
{
    uint64_t seed = 7;
    (void)state;
    for (int i = 0; i < 20000; ++i) {
        char text[64];
        double scale = pow(10, (double)(random_bits(&seed) % 40) - 20);
        snprintf(text, sizeof text, "%.*g", 1 + (int)(random_bits(&seed) % 20), random_normal(&seed) * scale);
        CHECK(read_ok(text, 0) == strtod(text, NULL), "%s of seed 7, step %d", text, i);
    }
}

static void test_shift_rounds_once(void **state)
{
    (void)state;
    assert_true(read_ok("0.569", 1) == 5.69); /* 0.569 * 10 is 5.6899999999999995 */
    assert_true(read_ok("1.165", 1) == 11.65);
    assert_true(read_ok("-12.3456", 1) == -123.456);
}

/* The short way knows no number that the long one does not, and none otherwise: same answer, same bits. */
static void both_ways(const char *text, size_t length)
{
    for (int shift = 0; shift <= 1; ++shift) {
        double quick = 4.25, slow = 4.25;
        bool read = number_read(text, length, shift, &quick), known = number_read_any(text, length, shift, &slow);
        CHECK(read == known && (!read || memcmp(&quick, &slow, sizeof quick) == 0),
              "\"%.*s\" with shift %d: %s %.17g, the long way %s %.17g", (int)length, text, shift,
              read ? "read" : "refused", quick, known ? "read" : "refused", slow);
    }
}

static void test_all_short_texts_are_read_alike(void **state)
{
    static const char letters[] = " \t+-.0915eEd*/:\xb0";
    enum { LETTERS = sizeof letters - 1, MOST = 5 };
    (void)state;
    for (int length = 0, texts = 1; length <= MOST; ++length, texts *= LETTERS)
        for (int number = 0; number < texts; ++number) {
            char text[MOST];
            for (int i = 0, rest = number; i < length; ++i, rest /= LETTERS) text[i] = letters[rest % LETTERS];
            both_ways(text, (size_t)length);
        }
}

/* Of any width and number of decimals, in a field or not; and then with one character changed. */
static void test_printed_numbers_are_read_alike(void **state)
{
    static const char odd[] = " +-.e0";
    uint64_t seed = 11;
    (void)state;
    for (int i = 0; i < 300000; ++i) {
        char text[64];
        double scale = pow(10, (double)(random_bits(&seed) % 12) - 4);
        int length =
            snprintf(text, sizeof text, random_bits(&seed) % 4 ? "%*.*f" : "%-*.*f", (int)(random_bits(&seed) % 20),
                     (int)(random_bits(&seed) % 12), random_normal(&seed) * scale);
        double value;
        both_ways(text, (size_t)length);
        if (!number_read(text, (size_t)length, 0, &value)) fail_msg("\"%s\" was refused", text);
        CHECK(value == strtod(text, NULL) && signbit(value) == signbit(strtod(text, NULL)), "%s of step %d", text, i);
        text[random_bits(&seed) % (uint64_t)length] = odd[random_bits(&seed) % (sizeof odd - 1)];
        both_ways(text, (size_t)length);
    }
}

static void test_what_is_no_number(void **state)
{
    static const char *const texts[] = { "",    " ",   "-",     ".",   "+.",       "1 2",   "1.2.3", "1..2",
                                         "++1", "1e",  "1e+",   "nan", "inf",      "-Inf",  "0x10",  "1,5",
                                         "12a", "a12", "1e999", "--1", "1.1E5(2)", "*****", "1-2" };
    double value;
    int64_t integer;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
        CHECK(!number_read(texts[i], strlen(texts[i]), 0, &value), "\"%s\" was read as %g", texts[i], value);
        CHECK(!number_read_integer(texts[i], strlen(texts[i]), &integer), "\"%s\" was read", texts[i]);
    }
    assert_false(number_read_integer("9223372036854775808", 19, &integer));
    assert_true(number_read_integer("-9223372036854775808", 20, &integer) && integer == INT64_MIN);
    assert_false(number_read_integer("1.0", 3, &integer));
}

/* Programs with a comma for a point must write the same files. */
static void test_printing_ignores_the_locale(void **state)
{
    static const char *const locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "C" };
    char text[40];
    (void)state;
    for (size_t i = 0; i < sizeof locales / sizeof *locales; ++i) {
        if (!setlocale(LC_NUMERIC, locales[i])) continue;
        assert_int_equal(number_print(text, sizeof text, "%8.3f", -1.5), 8);
        assert_string_equal(text, "  -1.500");
        assert_true(read_ok("0.00000000000000000012345678901234567890", 0) == 1.2345678901234567890e-19);
    }
    setlocale(LC_NUMERIC, "C");
    assert_int_equal(number_print(text, 4, "%8.3f", -1.5), -1);
}

static void test_exact_printing_reads_back(void **state)
{
    uint64_t seed = 3;
    char text[40];
    (void)state;
    for (int i = 0; i < 5000; ++i) {
        double value = random_normal(&seed) * 100;
        int length = number_print_exact(text, sizeof text, value);
        assert_true(length > 0 && read_ok(text, 0) == value);
    }
    assert_int_equal(number_print_exact(text, sizeof text, 0.1), 3);
    number_print_exact(text, sizeof text, -INFINITY);
    assert_string_equal(text, "-inf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_equal_strtod),
        cmocka_unit_test(test_random_numbers_equal_strtod),
        cmocka_unit_test(test_all_short_texts_are_read_alike),
        cmocka_unit_test(test_printed_numbers_are_read_alike),
        cmocka_unit_test(test_shift_rounds_once),
        cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_printing_ignores_the_locale),
        cmocka_unit_test(test_exact_printing_reads_back),
    };
    return cmocka_run_group_tests_name("structure_number", tests, NULL, NULL);
}
