/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include "structure/io/source.h"
#include "structure/structure.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <zlib.h>

static const char two[] = "2\nwater-like\nH 0 0 0\nO 0 0 1\n";

/* gzip of `text` into out; its size. */
static size_t gzip(const void *text, size_t size, unsigned char *out, size_t room)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void check_text(const char *path, const char *expected)
{
    struct source s;
    vic_error err = { VIC_OK, "" };
    CHECK_OK(source_read(path, source_limit(), &s, &err));
    assert_int_equal(s.size, strlen(expected));
    assert_string_equal(s.text, expected);
    source_free(&s);
}

static void check_fails(const char *path, size_t limit, vic_status status, const char *part)
{
    struct source s;
    vic_error err = { VIC_OK, "" };
    CHECK_FAILS(source_read(path, limit, &s, &err), status, part);
    assert_null(s.text);
}

static void test_plain_and_gzip(void **state)
{
    unsigned char packed[600];
    size_t a = gzip(two, strlen(two), packed, sizeof packed), b;
    char twice[2 * sizeof two];
    (void)state;
    check_text(files_write("plain.xyz", two), two);
    check_text(files_write_bytes("packed.xyz.gz", packed, a), two);
    check_text(files_write_bytes("no_ending", packed, a), two);
    b = gzip(two, strlen(two), packed + a, sizeof packed - a);
    snprintf(twice, sizeof twice, "%s%s", two, two);
    check_text(files_write_bytes("members.gz", packed, a + b), twice);
    memset(packed + a + b, 0, 50);
    check_text(files_write_bytes("padded.gz", packed, a + b + 50), twice);
    packed[a + b] = 'x';
    check_fails(files_write_bytes("behind.gz", packed, a + b + 50), source_limit(), VIC_BAD_INPUT, "after its end");
    check_text(files_write("bom.xyz", "\xef\xbb\xbf"
                                      "2\n"),
               "2\n");
}

/* Longer, packed, than what is read at once. */
static void test_long_gzip(void **state)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 1);
    unsigned char *packed = malloc(SIZE);
    uint64_t seed = 3;
    (void)state;
    assert_true(text && packed);
    for (int i = 0; i < SIZE; i++) text[i] = (char)('0' + random_bits(&seed) % 64);
    text[SIZE] = 0;
    size_t n = gzip(text, SIZE, packed, SIZE);
    assert_in_range(n, SIZE / 2, SIZE);
    check_text(files_write_bytes("long.gz", packed, n), text);
    check_fails(files_write_bytes("long.gz", packed, n / 2), source_limit(), VIC_BAD_INPUT, "its end missing");
    free(packed);
    free(text);
}

static void test_broken_gzip(void **state)
{
    unsigned char packed[600];
    size_t a = gzip(two, strlen(two), packed, sizeof packed);
    (void)state;
    check_fails(files_write_bytes("cut.gz", packed, a - 9), source_limit(), VIC_BAD_INPUT, "its end missing");
    check_fails(files_write_bytes("head.gz", packed, 2), source_limit(), VIC_BAD_INPUT, "its end missing");
    packed[a - 6] ^= 1; /* the checksum */
    check_fails(files_write_bytes("sum.gz", packed, a), source_limit(), VIC_BAD_INPUT, "incorrect data check");
}

/* 64 MiB of zeros are 64 KiB as gzip: memory stays near the limit, not near what they would inflate to. */
static void test_gzip_bomb(void **state)
{
    size_t size = (size_t)64 << 20, packed_size;
    unsigned char *packed = malloc(1 << 20);
    char *zeros = calloc(size, 1);
    (void)state;
    assert_true(packed && zeros);
    packed_size = gzip(zeros, size, packed, 1 << 20);
    check_fails(files_write_bytes("bomb.gz", packed, packed_size), (size_t)4 << 20, VIC_BAD_INPUT, "at most 4 MiB");
    memset(zeros, ' ', size);
    check_fails(files_write_bytes("large", zeros, (size_t)5 << 20), (size_t)4 << 20, VIC_BAD_INPUT, "at most 4 MiB");
    free(zeros);
    free(packed);
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    check_fails(files_path("missing.pdb"), source_limit(), VIC_CANNOT_READ, "No such file");
    check_fails(files_folder, source_limit(), VIC_CANNOT_READ, "is a directory");
    check_fails(files_write("empty", ""), source_limit(), VIC_BAD_INPUT, "empty file");
    {
        static char tar[600] = "1crn.pdb";
        struct source padded;
        vic_error err;
        memcpy(tar + 257, "ustar", 5);
        check_fails(files_write_bytes("tar", tar, sizeof tar), source_limit(), VIC_BAD_INPUT, "found a tar archive");
        /* whole lines before a disk's block of nothing; what is cut in a line is not that */
        CHECK_OK(source_read(files_write_bytes("padded", "2\nab\n\0\0\0\0", 9), source_limit(), &padded, &err));
        assert_string_equal(padded.text, "2\nab\n");
        assert_int_equal(padded.size, 5);
        source_free(&padded);
        check_fails(files_write_bytes("cut", "2\nab\0\0", 6), source_limit(), VIC_BAD_INPUT, "NUL byte at offset 4");
        check_fails(files_write_bytes("all", "\0\0\0", 3), source_limit(), VIC_BAD_INPUT, "NUL byte at offset 0");
    }
    check_fails(files_write_bytes("nul", "2\nab\0cd\n", 8), source_limit(), VIC_BAD_INPUT, "NUL byte at offset 4");
    check_fails(files_write("bz2", "BZh91AY"), source_limit(), VIC_BAD_INPUT, "bzip2");
    if (geteuid() != 0) {
        const char *path = files_write("secret", two);
        assert_int_equal(chmod(path, 0), 0);
        check_fails(path, source_limit(), VIC_CANNOT_READ, "Permission denied");
    }
}

static void test_a_pipe_is_read_to_its_end(void **state)
{
    char path[400];
    pid_t child;
    (void)state;
    snprintf(path, sizeof path, "%s", files_path("pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out = open(path, O_WRONLY);
        bool fine = write(out, two, 5) == 5 && write(out, two + 5, strlen(two) - 5) > 0;
        _exit(fine ? 0 : 1);
    }
    check_text(path, two);
    waitpid(child, NULL, 0);
}

static void test_bytes_in_memory(void **state)
{
    static const char text[] = "2\rt\rH 0 0 0\rO 1 2 3"; /* not terminated: the last byte is left out */
    vic_read_options o = VIC_INIT(vic_read_options);
    vic_error err = { VIC_OK, "" };
    struct source source;
    struct vic_structure *s;
    (void)state;
    o.max_atoms = ATOMS_MOST;
    CHECK_OK(source_from_bytes("memory", text, sizeof text - 1, &source, &err));
    CHECK_OK(structure_from_source(&source, &o, &s, &err));
    CHECK_POSITION(files_info(s), 1, 1, 2, 3);
    structure_free(s);
    source_free(&source);
    CHECK_FAILS(source_from_bytes("memory", text, sizeof text, &source, &err), VIC_BAD_INPUT,
                "memory: expected text, found a NUL");
    assert_null(source.text);
    CHECK_FAILS(source_from_bytes("memory", NULL, 0, &source, &err), VIC_BAD_INPUT, "found an empty file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_in_memory),
        cmocka_unit_test(test_plain_and_gzip),
        cmocka_unit_test(test_long_gzip),
        cmocka_unit_test(test_broken_gzip),
        cmocka_unit_test(test_gzip_bomb),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_a_pipe_is_read_to_its_end),
    };
    return FILES_TESTS("structure_source", tests);
}
