/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of Triton's JSON: what it takes, what it refuses, and that it stays within its text. */
#include "triton/config.h" /* before cmocka, which has a fail() of its own */

#include "stand_in.h"
#include "vicinal_dev.h"

static void test_values(void **state)
{
    (void)state;
    const char *text =
        " {\"a\" : [1, -2.5e3 ,true,null,\"x\\n\\u00e9\\ud83d\\ude00\"], \"b\":{},\"c\":\"12\" , \"d\":[ ]} ";
    struct json json, value = { NULL, NULL }, name;
    char out[32];
    int64_t number;
    int n = 0;
    assert_true(json_parse(text, strlen(text), &json));
    const struct json a = json_member(json, "a");
    for (; json_next(a, NULL, &value); n++) {
        if (n == 0) assert_true(json_int(value, &number) && number == 1);
        if (n == 1) assert_false(json_int(value, &number));
        if (n == 2) assert_true(json_true(value));
        if (n == 3) assert_false(json_true(value) || json_string(value, out, sizeof out));
    }
    assert_int_equal(n, 5);
    assert_true(json_string(value, out, sizeof out));
    assert_string_equal(out, "x\n\xc3\xa9\xf0\x9f\x98\x80");
    assert_false(json_string(value, out, 8));
    assert_true(json_string(value, out, 9));
    assert_true(json_int(json_member(json, "c"), &number) && number == 12);
    assert_null(json_member(json, "e").begin);
    assert_null(json_member(a, "a").begin);
    value = (struct json){ NULL, NULL };
    assert_false(json_next(json_member(json, "b"), &name, &value));
    assert_false(json_next(json_member(json, "d"), NULL, &value));
    assert_false(json_next(json_member(json, "c"), NULL, &value));
    assert_false(json_next(value, NULL, &value));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "",      "{",         "}",     "{\"a\"}", "{\"a\":}",  "{\"a\":1,}",
                                         "[1,]",  "[1 2]",     "[",     "\"",      "\"\\",      "\"\n\"",
                                         "tru",   "-",         "{a:1}", "{} {}",   "{\"a\" 1}", "[\"a\":1]",
                                         "{1:2}", "{\"a\":1]", "nul",   "+1",      "{,}",       "[,]" };
    static const char *const strings[] = { "\"\\x\"",     "\"\\u12\"",          "\"\\ud800\"",
                                           "\"\\u0000\"", "\"\\udc00\\ud800\"", "\"\\ud800\\u0041\"" };
    struct json json;
    char out[32], deep[200];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        /* In memory of its own, so that a step beyond its end is seen. */
        const size_t n = strlen(wrong[i]);
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, wrong[i], n);
        if (json_parse(copy, n, &json)) fail_msg("taken: %s", wrong[i]);
        free(copy);
    }
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        assert_true(json_parse(strings[i], strlen(strings[i]), &json));
        if (json_string(json, out, sizeof out)) fail_msg("taken: %s", strings[i]);
    }
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_false(json_parse(deep, 200, &json));
    assert_true(json_parse(deep + 40, 120, &json));
}

/* Cut short or with a byte changed anywhere it is refused or read, and never read beyond. */
static void test_spoilt(void **state)
{
    (void)state;
    const char *text =
        "{\"name\":\"m\",\"input\":[{\"name\":\"Q\",\"dims\":[-1,\"3\",8]}],\"parameters\":{\"heads\":{"
        "\"string_value\":\"\\u0034\"}}}";
    const size_t n = strlen(text);
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        const size_t length = i < (int)n ? (size_t)i : n;
        struct json json;
        struct config config;
        char *copy = malloc(length ? length : 1);
        assert_non_null(copy);
        memcpy(copy, text, length);
        if (length == n) copy[random_bits(&seed) % n] = (char)random_bits(&seed);
        if (json_parse(copy, length, &json)) (void)config_read(json, &config, NULL);
        free(copy);
    }
}

/* What is missing is filled in where it was empty, absent, or before its neighbour. */
static void test_completion(void **state)
{
    (void)state;
    static const char output[] = "\"output\":[{\"name\":\"O\",\"data_type\":\"TYPE_FP32\",\"dims\":[128,2,8]}]";
    const char *const lists[] = { "\"input\":[],\"output\":[]", "\"output\":[],\"x\":1,\"input\":[]", "\"x\":1",
                                  "\"input\":[],\"z\":[]", output };
    vic_pattern *pattern;
    vic_error err;
    CHECK_OK(vic_pattern_generate(NULL, "blocks:1x1:density=1", NULL, &pattern, &err));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char text[512], *made, name[16];
        struct json json, value = { NULL, NULL };
        struct config config;
        int64_t dim;
        snprintf(text, sizeof text,
                 "{%s,\"parameters\":{\"heads\":{\"string_value\":\"2\"},\"head-dim\":{\"string_value\":\"8\"}}}",
                 lists[i]);
        assert_true(json_parse(text, strlen(text), &json));
        CHECK_OK(config_read(json, &config, &err));
        CHECK_OK(config_check(&config, pattern, &err));
        CHECK_OK(config_complete(&config, json, &made, &err));
        if (!json_parse(made, strlen(made), &json)) fail_msg("no JSON: %s", made);
        const struct json inputs = json_member(json, "input"), outputs = json_member(json, "output");
        for (int t = 0; t < 3; t++) {
            assert_true(json_next(inputs, NULL, &value));
            assert_true(json_string(json_member(value, "name"), name, sizeof name));
            assert_string_equal(name, tensor_names[t]);
            struct json first = { NULL, NULL };
            assert_true(json_next(json_member(value, "dims"), NULL, &first) && json_int(first, &dim) && dim == 128);
        }
        assert_false(json_next(inputs, NULL, &value));
        value = (struct json){ NULL, NULL };
        assert_true(json_next(outputs, NULL, &value));
        assert_int_equal(json_next(outputs, NULL, &value), i < 4);
        assert_true(json_member(json, "parameters").begin != NULL);
        /* What it made is a whole configuration. */
        CHECK_OK(config_read(json, &config, &err));
        assert_false(config.complete_inputs || config.complete_outputs);
        CHECK_OK(config_check(&config, pattern, &err));
        free(made);
    }
    vic_pattern_free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_spoilt),
        cmocka_unit_test(test_completion),
    };
    return cmocka_run_group_tests_name("triton json", tests, NULL, NULL);
}
