/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/tensors.h"

#include "check.h"

static bool reads(const char *text, struct infer_head *head, struct refusal *why)
{
    why->status = 0;
    return infer_head_read(text, strlen(text), head, why);
}

#define SHAPE        "\"shape\":[5,2,8],\"datatype\":\"FP32\""
#define BINARY(name) "{\"name\":\"" name "\"," SHAPE ",\"parameters\":{\"binary_data_size\":320}}"
#define REGION(name, more)                                                                                           \
    "{\"name\":\"" name "\"," SHAPE ",\"parameters\":{\"shared_memory_region\":\"r\"," more "}}"

/* Binary inputs lie in the order of the request, whatever their names; outputs are what was asked for. */
static void places(void **state)
{
    struct infer_head head;
    struct refusal why;
    (void)state;
    assert_true(reads("{\"inputs\":[" BINARY("V") "," BINARY("Q") "," BINARY(
                          "K") "],\"id\":\"a\\\"b\\u00e4\","
                               "\"parameters\":{\"binary_data_output\":true,\"timeout\":1500000,\"what\":[1]}}",
                      &head, &why));
    assert_int_equal(head.input[INPUT_V].offset, 0);
    assert_int_equal(head.input[INPUT_Q].offset, 320);
    assert_int_equal(head.input[INPUT_K].offset, 640);
    assert_int_equal(head.binary, 960);
    assert_int_equal(head.input[INPUT_POSITIONS].place, PLACE_NONE);
    assert_string_equal(head.id, "\"a\\\"b\xc3\xa4\"");
    assert_true(head.timeout > 1.49 && head.timeout < 1.51);
    assert_int_equal(head.outputs, 1);
    assert_int_equal(head.output[OUTPUT_O].place, PLACE_BINARY);
    assert_int_equal(head.output[OUTPUT_LSE].place, PLACE_NONE);
    assert_null(head.root);
}

static void regions(void **state)
{
    struct infer_head head;
    struct refusal why;
    (void)state;
    assert_true(reads(
        "{\"inputs\":[" REGION(
            "Q",
            "\"shared_memory_byte_size\":320,\"shared_memory_offset\":9") "],"
                                                                          "\"outputs\":[{\"name\":\"LSE\",\"parameters\":{\"binary_data\":false,\"shared_memory_region\":"
                                                                          "\"out\",\"shared_memory_byte_size\":41}},{\"name\":\"O\"}]}",
        &head, &why));
    assert_int_equal(head.input[INPUT_Q].place, PLACE_REGION);
    assert_int_equal(head.input[INPUT_Q].offset, 9);
    assert_int_equal(head.binary, 0);
    assert_int_equal(head.order[0], OUTPUT_LSE);
    assert_int_equal(head.output[OUTPUT_LSE].bytes, 41);
    assert_string_equal(head.output[OUTPUT_LSE].region, "out");
    assert_int_equal(head.output[OUTPUT_O].place, PLACE_JSON);
    assert_false(reads("{\"inputs\":[" REGION("Q", "\"shared_memory_byte_size\":319") "]}", &head, &why));
    assert_non_null(strstr(why.text, "320 bytes"));
    assert_false(reads("{\"inputs\":[" REGION("Q", "\"shared_memory_byte_size\":-1") "]}", &head, &why));
    assert_false(
        reads("{\"inputs\":[" REGION("Q", "\"shared_memory_byte_size\":320,\"shared_memory_offset\":1.0") "]}", &head,
              &why));
}

/* Sizes whose sum or product leaves size_t are refused, not wrapped. */
static void sizes(void **state)
{
    static const char huge[] =
        "{\"name\":\"%c\",\"shape\":[2305843009213693951],\"datatype\":\"FP16\",\"parameters\":"
        "{\"binary_data_size\":4611686018427387902}}";
    char one[256], two[256], three[256], text[1024];
    struct infer_head head;
    struct refusal why;
    size_t bytes;
    (void)state;
    snprintf(one, sizeof one, huge, 'Q');
    snprintf(two, sizeof two, huge, 'K');
    snprintf(three, sizeof three, huge, 'V');
    snprintf(text, sizeof text, "{\"inputs\":[%s,%s]}", one, two);
    assert_true(reads(text, &head, &why));
    snprintf(text, sizeof text, "{\"inputs\":[%s,%s,%s]}", one, two, three);
    assert_false(reads(text, &head, &why));
    assert_non_null(strstr(why.text, "do not fit any machine"));
    assert_false(shape_bytes(2, (const int64_t[]){ INT64_MAX, 2 }, 4, &bytes));
    assert_false(shape_bytes(2, (const int64_t[]){ -1, 0 }, 4, &bytes));
    assert_false(shape_bytes(1, (const int64_t[]){ INT64_MAX / 2 }, 4, &bytes));
    assert_true(shape_bytes(3, (const int64_t[]){ 3, 0, 5 }, 4, &bytes) && bytes == 0);
    assert_true(shape_bytes(0, NULL, 4, &bytes) && bytes == 4);
}

static void numbers(void **state)
{
    float values[4] = { 9, 9, 9, 9 };
    double wide[2];
    struct infer_head head;
    struct refusal why;
    (void)state;
    assert_true(reads("{\"inputs\":[{\"name\":\"Q\",\"shape\":[3,1],\"datatype\":\"FP32\",\"data\":[[1],[2.5],[-3]]},"
                      "{\"name\":\"K\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[[1],[2.5,-3]]},"
                      "{\"name\":\"CELL\",\"shape\":[2],\"datatype\":\"FP64\",\"data\":[0.1,1e308]}]}",
                      &head, &why));
    assert_non_null(head.root);
    assert_true(infer_numbers(&head.input[INPUT_Q], "Q", values, &why));
    assert_true(values[0] == 1.0f && values[1] == 2.5f && values[2] == -3.0f && values[3] == 9.0f);
    assert_false(infer_numbers(&head.input[INPUT_K], "K", values, &why));
    assert_true(infer_numbers(&head.input[INPUT_CELL], "CELL", wide, &why));
    assert_true(wide[0] == 0.1 && wide[1] == 1e308);
    infer_head_close(&head);
    assert_null(head.root);
    infer_head_close(&head);
}

static void names(void **state)
{
    char longest[MOST_NAME + 2], words[96];
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[MOST_NAME + 1] = '\0';
    assert_false(good_name(longest));
    longest[MOST_NAME] = '\0';
    assert_true(good_name(longest));
    assert_false(good_name(""));
    assert_false(good_name("a/b"));
    assert_false(good_name("a b"));
    assert_false(good_name("\xc3\xa4"));
    assert_true(good_name("Az09_.-"));
    assert_int_equal(type_by_name("BF16"), VIC_BF16);
    assert_int_equal(type_by_name("UINT16"), VIC_DTYPE_UNKNOWN);
    assert_string_equal(type_name(VIC_F16), "FP16");
    assert_string_equal(type_name(VIC_DTYPE_UNKNOWN), "");
    assert_string_equal(shape_words(3, (const int64_t[]){ 5, -1, INT64_MAX }, words), "[5,-1,9223372036854775807]");
    assert_string_equal(shape_words(0, NULL, words), "[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(places), cmocka_unit_test(regions), cmocka_unit_test(sizes),
                                        cmocka_unit_test(numbers), cmocka_unit_test(names) };
    return cmocka_run_group_tests_name("serve/tensors.c", tests, NULL, NULL);
}
