/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that processes share: what is refused, and what a machine without a GPU answers.  tests/gpu/test_memory_gpu.c
 * shares some. */
#include "check.h"
#include "vicinal_dev.h"
#include "vicinal_engine.h"

static const vic_device cpu = { VIC_CPU, 0 }, host = { VIC_CUDA_HOST, 0 }, gpu = { VIC_CUDA, 0 };

static void refused(void **state)
{
    vic_memory_handle handle;
    char byte = 0;
    void *memory = &byte;
    vic_error err;
    (void)state;
    memset(&handle, 7, sizeof handle);
    CHECK_FAILS(vic_memory_export(cpu, &byte, &handle, &err), VIC_BAD_ARGUMENT, "expected VIC_CUDA, got 1");
    CHECK_FAILS(vic_memory_export(host, &byte, &handle, &err), VIC_BAD_ARGUMENT, "expected VIC_CUDA, got 3");
    CHECK_FAILS(vic_memory_export(gpu, NULL, &handle, &err), VIC_BAD_ARGUMENT, "memory");
    CHECK_FAILS(vic_memory_export(gpu, &byte, NULL, &err), VIC_BAD_ARGUMENT, "out");
    for (size_t i = 0; i < sizeof handle.bytes; i++) assert_int_equal(handle.bytes[i], 0);
    CHECK_FAILS(vic_memory_open(cpu, &handle, 1, &memory, &err), VIC_BAD_ARGUMENT, "only memory of a GPU");
    assert_null(memory);
    CHECK_FAILS(vic_memory_open(gpu, NULL, 1, &memory, &err), VIC_BAD_ARGUMENT, "handle");
    CHECK_FAILS(vic_memory_open(gpu, &handle, 1, NULL, &err), VIC_BAD_ARGUMENT, "out");
    vic_memory_close(cpu, NULL);
    vic_memory_close(gpu, NULL);
}

static void without_a_gpu(void **state)
{
    vic_memory_handle handle = { { 1 } };
    char byte = 0;
    void *memory = &byte;
    vic_error err;
    (void)state;
    vic_context_options o = { .size = sizeof o, .device = gpu };
    vic_context *c;
    if (vic_context_create(&o, &c, &err) == VIC_OK) {
        vic_context_free(c);
        skip();
    }
    CHECK_FAILS(vic_memory_export(gpu, &byte, &handle, &err), VIC_NO_DEVICE, "");
    CHECK_FAILS(vic_memory_open(gpu, &handle, 1, &memory, &err), VIC_NO_DEVICE, "");
    assert_null(memory);
    CHECK_FAILS(vic_memory_alloc(host, 16, &memory, &err), VIC_NO_DEVICE, "");
    assert_null(memory);
    vic_memory_free(host, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(refused), cmocka_unit_test(without_a_gpu) };
    return cmocka_run_group_tests_name("engine_memory", tests, NULL, NULL);
}
