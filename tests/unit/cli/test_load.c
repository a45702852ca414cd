/* SPDX-License-Identifier: Apache-2.0 */
/* What a load generator reads: heads of answers, and descriptions of models.  cmocka comes last: `fail` is a macro of
 * it. */
#include "cli/load/http.h"
#include "cli/load/load.h"
#include "cli/load/model.h"

#include "check.h"

#include <time.h>
#include <unistd.h>

static enum http_found read_head(const char *text, struct http_head *out)
{
    return http_head_read(text, strlen(text), out);
}

static void heads(void **state)
{
    struct http_head h;
    const char whole[] =
        "HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length:  25 \r\nInference-Header-Content-Length: "
        "7\r\nConnection: keep-alive\r\n\r\nbody";
    (void)state;
    assert_int_equal(read_head(whole, &h), HTTP_HEAD);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.head_size, sizeof whole - 1 - 4);
    assert_int_equal(h.body_size, 25);
    assert_int_equal(h.json_size, 7);
    assert_false(h.close);
    for (size_t size = 0; size < h.head_size; size++) {
        struct http_head part;
        CHECK(http_head_read(whole, size, &part) == HTTP_MORE, "after %zu bytes", size);
    }
    assert_int_equal(read_head("HTTP/1.1 503 \r\nContent-Length: 2\r\nCONNECTION: Close\r\n\r\n", &h), HTTP_HEAD);
    assert_true(h.status == 503 && h.close && h.json_size == 2);
    assert_int_equal(read_head("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", &h), HTTP_HEAD);
    assert_true(h.status == 204 && h.body_size == 0);
}

static void no_heads(void **state)
{
    static const char *const wrong[] = {
        "HTTP/1.1 200 OK\r\n\r\n",                      /* no length */
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", /* closes behind each answer */
        "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n", /* more than any answer has */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nInference-Header-Content-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nno colon\r\n\r\n",
        "SSH-2.0-x y z\r\nContent-Length: 1\r\n\r\n",
        "\r\n\r\n",
    };
    struct http_head h;
    char *endless = malloc(20000);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(read_head(wrong[i], &h) == HTTP_WRONG, "%s", wrong[i]);
    memset(endless, 'a', 20000);
    assert_int_equal(http_head_read(endless, 16000, &h), HTTP_MORE);
    assert_int_equal(http_head_read(endless, 20000, &h), HTTP_WRONG);
    free(endless);
}

static void servers(void **state)
{
    static const char *const wrong[] = { "",
                                         "http://",
                                         "127.0.0.1",
                                         "127.0.0.1:",
                                         ":8000",
                                         "127.0.0.1:0",
                                         "http://127.0.0.1:x/",
                                         "127.0.0.1:65536",
                                         "https://a:1",
                                         "127.0.0.1:8000/v2",
                                         "[::1]",
                                         "[]:80" };
    struct http_server s;
    vic_error err;
    char path[200];
    (void)state;
    CHECK_OK(http_server_find("http://127.0.0.1:8000/", NULL, &s, &err));
    assert_string_equal(s.host, "127.0.0.1:8000");
    assert_string_equal(s.label, "http://127.0.0.1:8000");
    CHECK_OK(http_server_find("[::1]:80", NULL, &s, &err));
    assert_string_equal(s.host, "[::1]:80");
    CHECK_OK(http_server_find("--unix", "/tmp/x.sock", &s, &err));
    assert_int_equal(s.address.ss_family, AF_UNIX);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_FAILS(http_server_find(wrong[i], NULL, &s, &err), VIC_BAD_ARGUMENT, "URL: ");
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CHECK_FAILS(http_server_find("", path, &s, &err), VIC_BAD_ARGUMENT, "--unix");
}

/* As Triton 2.51 describes a model. */
static const char metadata[] =
    "{\"name\":\"tiny\",\"versions\":[\"1\"],\"platform\":\"\",\"inputs\":[{\"name\":\"Q\",\"datatype\":\"FP32\","
    "\"shape\":[-1,5,2,8]},{\"name\":\"POSITIONS\",\"datatype\":\"FP64\",\"shape\":[5,3]},{\"name\":\"K\",\"datatype\":"
    "\"FP16\",\"shape\":[-1,5,2,8]}],\"outputs\":[{\"name\":\"O\",\"datatype\":\"FP32\",\"shape\":[-1,5,2,8]}]}";
static const char config[] =
    "{\"name\":\"tiny\",\"max_batch_size\":8,\"input\":[{\"name\":\"Q\",\"dims\":[5,2,8],\"optional\":false},"
    "{\"optional\": true ,\"dims\":[5,3],\"name\":\"POSITIONS\"},{\"name\":\"K\"}],\"output\":[{\"name\":\"O\"}]}";

static void models(void **state)
{
    struct model m = { 0 };
    vic_error err;
    (void)state;
    CHECK_OK(model_read_metadata(metadata, strlen(metadata), &m, &err));
    assert_true(m.inputs == 3 && m.outputs == 1 && m.input[0].shape[0] == -1);
    CHECK_OK(model_drop_optional(config, strlen(config), &m, &err));
    assert_int_equal(m.inputs, 2);
    assert_string_equal(m.input[1].name, "K");
    CHECK_OK(model_set_shapes(&m, 3, &err));
    assert_true(m.input[0].shape[0] == 3 && m.input[0].bytes == 3 * 5 * 2 * 8 * 4);
    assert_int_equal(model_input_bytes(&m), 3 * 5 * 2 * 8 * 6);
    assert_int_equal(model_place(m.input, 1), 1024); /* 960 in steps of 256 */
    assert_int_equal(model_place(m.input, 2), 1024 + 512);
}

/* Cut anywhere, a description is refused and not read beyond its end. */
static void cut_models(void **state)
{
    vic_error err;
    (void)state;
    for (size_t size = 0; size < strlen(metadata); size++) {
        struct model m = { 0 };
        char *text = malloc(size + 1);
        memcpy(text, metadata, size);
        text[size] = '\0';
        CHECK_FAILS(model_read_metadata(text, size, &m, &err), VIC_FAILED, "not understood");
        free(text);
    }
}

static void shapes(void **state)
{
    struct model m = { .name = "m", .inputs = 1, .outputs = 0 };
    struct model_tensor *t = &m.input[0];
    vic_error err;
    (void)state;
    *t = (struct model_tensor){ "Q", "FP32", 3, { 5, 2, 8 }, 0 };
    CHECK_OK(model_set_shapes(&m, 4, &err)); /* no open dimension: a batch is put before */
    assert_true(t->ndim == 4 && t->shape[0] == 4 && t->shape[1] == 5 && t->bytes == 4 * 5 * 2 * 8 * 4);
    *t = (struct model_tensor){ "Q", "FP32", 3, { 5, -1, 8 }, 0 };
    CHECK_FAILS(model_set_shapes(&m, 1, &err), VIC_BAD_INPUT, "dimension 1 of Q");
    *t = (struct model_tensor){ "Q", "BYTES", 1, { 5 }, 0 };
    CHECK_FAILS(model_set_shapes(&m, 1, &err), VIC_BAD_INPUT, "BYTES");
    *t = (struct model_tensor){ "Q", "FP32", 3, { INT64_MAX / 2, 2, 8 }, 0 };
    CHECK_FAILS(model_set_shapes(&m, 1, &err), VIC_NO_MEMORY, "more elements");
    *t = (struct model_tensor){ "Q", "FP64", 1, { INT64_MAX / 2 }, 0 };
    CHECK_FAILS(model_set_shapes(&m, 1, &err), VIC_NO_MEMORY, "more bytes");
}

/* Of this process, which has burnt some. */
static void processes(void **state)
{
    double cpu = -1.0;
    int64_t rss = 0;
    (void)state;
    while (clock() < CLOCKS_PER_SEC / 20) {
    }
    assert_true(process_look(getpid(), &cpu, &rss));
    CHECK(cpu > 0.02 && cpu < 3600.0, "got %g s", cpu); /* in steps of 0.01 s */
    CHECK(rss > 100000, "got %lld bytes", (long long)rss);
    assert_false(process_look(INT32_MAX, &cpu, &rss));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),     cmocka_unit_test(no_heads),   cmocka_unit_test(servers),
        cmocka_unit_test(models),    cmocka_unit_test(cut_models), cmocka_unit_test(shapes),
        cmocka_unit_test(processes),
    };
    return cmocka_run_group_tests_name("cli_load", tests, NULL, NULL);
}
