/* SPDX-License-Identifier: Apache-2.0 */
/* What the command cannot be made to write: archives past 4 GiB, arrays whose sizes lie. */
#include "cli/arrays/array.h"
#include "cli/buffer.h"

#include <unistd.h>

#include "check.h" /* last: cmocka's fail() would take the place of the command's */

static uint64_t field(const struct buffer *b, size_t at, int bytes)
{
    uint64_t value = 0;
    assert_true(at + (size_t)bytes <= b->size);
    for (int i = bytes; i-- > 0;) value = value << 8 | (unsigned char)b->data[at + (size_t)i];
    return value;
}

enum { GIB = 1 << 30, LOCAL = 30, CENTRAL = 46, NAME = 5 };

/* Offsets and meanings: APPNOTE.TXT of the zip format, 4.3.7, 4.3.12 and 4.5.3. */
static void check_entry(uint64_t size, uint64_t offset, bool central, uint64_t extra)
{
    const struct npz_entry e = { "a.npy", size, offset, 0x12345678 };
    struct buffer b = { NULL, 0, 0, false };
    const size_t shift = central ? 2 : 0, head = central ? CENTRAL : LOCAL;
    bool wide = size >= 0xffffffffu, far = central && offset >= 0xffffffffu;
    npz_entry(&b, &e, central);
    assert_int_equal(b.size, head + NAME + extra);
    assert_int_equal(field(&b, 0, 4), central ? 0x02014b50 : 0x04034b50);
    assert_int_equal(field(&b, 4 + shift, 2), extra ? 45 : 20);
    assert_int_equal(field(&b, 14 + shift, 4), 0x12345678);
    assert_int_equal(field(&b, 18 + shift, 4), wide ? 0xffffffff : size);
    assert_int_equal(field(&b, 22 + shift, 4), wide ? 0xffffffff : size);
    assert_int_equal(field(&b, 26 + shift, 2), NAME);
    assert_int_equal(field(&b, 28 + shift, 2), extra);
    if (central) assert_int_equal(field(&b, 42, 4), far ? 0xffffffff : offset);
    assert_memory_equal(b.data + head, "a.npy", NAME);
    if (extra) {
        size_t at = head + NAME;
        assert_int_equal(field(&b, at, 2), 1);
        assert_int_equal(field(&b, at + 2, 2), extra - 4);
        if (wide) {
            assert_int_equal(field(&b, at + 4, 8), size);
            assert_int_equal(field(&b, at + 12, 8), size);
        }
        if (far) assert_int_equal(field(&b, at + (wide ? 20 : 4), 8), offset);
    }
    buffer_free(&b);
}

static void entries(void **state)
{
    const uint64_t wide = (uint64_t)5 * GIB;
    (void)state;
    for (int central = 0; central < 2; central++) {
        check_entry(1000, 0, central, 0);
        check_entry(0xfffffffe, 77, central, 0);
        check_entry(0xffffffff, 77, central, 20); /* means "see the extra field" where 32 bits are */
        check_entry(wide, 77, central, 20);
        check_entry(1000, wide, central, central ? 12 : 0);
        check_entry(wide, 2 * wide, central, central ? 28 : 20);
    }
}

static void ends(void **state)
{
    const uint64_t far = (uint64_t)5 * GIB;
    struct buffer b = { NULL, 0, 0, false };
    (void)state;
    npz_end(&b, 3, 500, 200);
    assert_int_equal(b.size, 22);
    assert_int_equal(field(&b, 0, 4), 0x06054b50);
    assert_int_equal(field(&b, 10, 2), 3);
    assert_int_equal(field(&b, 12, 4), 200);
    assert_int_equal(field(&b, 16, 4), 500);
    b.size = 0;
    npz_end(&b, 3, far, 200); /* 4.3.14: the record; 4.3.15: where it is; the end as before */
    assert_int_equal(b.size, 56 + 20 + 22);
    assert_int_equal(field(&b, 0, 4), 0x06064b50);
    assert_int_equal(field(&b, 4, 8), 56 - 12);
    assert_int_equal(field(&b, 24, 8), 3);
    assert_int_equal(field(&b, 32, 8), 3);
    assert_int_equal(field(&b, 40, 8), 200);
    assert_int_equal(field(&b, 48, 8), far);
    assert_int_equal(field(&b, 56, 4), 0x07064b50);
    assert_int_equal(field(&b, 64, 8), far + 200);
    assert_int_equal(field(&b, 72, 4), 1);
    assert_int_equal(field(&b, 76, 4), 0x06054b50);
    assert_int_equal(field(&b, 92, 4), 0xffffffff);
    buffer_free(&b);
}

/* Sizes past 2^63: refused before the data are touched, and nothing is left behind. */
static void sizes_that_lie(void **state)
{
    char folder[] = "/tmp/vicinal-archives-XXXXXX", path[64];
    const struct npz_member array = { "a", "<f4", 2, { INT64_MAX / 2, 8 }, 4, NULL };
    const struct safetensors_member tensor = { "a", VIC_F32, 1, { -1 }, NULL };
    vic_error err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sizes", folder);
    CHECK_FAILS(npy_write(path, &array, &err), VIC_FAILED, "the array's size does not fit this machine");
    CHECK_FAILS(npz_write(path, &array, 1, &err), VIC_FAILED, "the size of array 'a' does not fit this machine");
    CHECK_FAILS(safetensors_write(path, NULL, &tensor, 1, &err), VIC_FAILED, "the size of tensor 'a' does not fit");
    assert_int_equal(rmdir(folder), 0); /* it is empty */
}

/* Every type comes back as it was written; the header fills up to a multiple of 8. */
static void types(void **state)
{
    char folder[] = "/tmp/vicinal-archives-XXXXXX", path[64];
    static const vic_dtype all[] = { VIC_F32, VIC_F16, VIC_BF16, VIC_F64 };
    static const char *const names[] = { "t", "tt", "ttt", "tttt", "ttttt", "tttttt", "ttttttt", "tttttttt" };
    const double values[] = { 1.5, -2.25 };
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/types.safetensors", folder);
    for (size_t i = 0; i < 4 * 8; i++) {
        double stored[2];
        struct safetensors_member tensor = { names[i % 8], all[i / 8], 1, { 2 }, stored };
        struct array back;
        vic_error err;
        for (int k = 0; k < 2; k++) element_store(all[i / 8], stored, k, values[k]);
        CHECK_OK(safetensors_write(path, NULL, &tensor, 1, &err));
        CHECK_OK(safetensors_read(path, NULL, "q", &back, &err));
        assert_int_equal(back.dtype, all[i / 8]);
        for (int k = 0; k < 2; k++) assert_true(element_load(back.dtype, back.data, k) == values[k]);
        array_free(&back);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        assert_int_equal(fgetc(file) % 8, 0);
        fclose(file);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries),
        cmocka_unit_test(ends),
        cmocka_unit_test(sizes_that_lie),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests_name("cli_archives", tests, NULL, NULL);
}
