/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to open descriptors: the bytes of the form that takes a path, at the descriptor's place. */
#define _XOPEN_SOURCE 700
#include "objects.h"
#include "vicinal_structure.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static vic_structure *s;
static vic_pattern *p;
static const double values[4] = { 1, 2.5, -3, 40 };

static vic_status write_it(const char *name, int descriptor, vic_error *err)
{
    if (strcmp(name, "p.vnp") == 0)
        return descriptor < 0 ? vic_pattern_save(p, name, err) : vic_pattern_save_to(p, descriptor, name, err);
    return descriptor < 0 ? vic_structure_write(s, name, "value", values, err)
                          : vic_structure_write_to(s, descriptor, name, "value", values, err);
}

static size_t content(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t got;
    assert_non_null(file);
    got = fread(out, 1, size, file);
    fclose(file);
    assert_true(got > 0 && got < size);
    return got;
}

static void test_same_bytes(void **state)
{
    static const char *const names[] = { "a.pdb",    "a.cif", "a.mmcif",  "a.xyz",
                                         "a.extxyz", "A.PDB", "a.ExtXyz", "p.vnp" };
    static char by_path[65536], by_descriptor[65536];
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int file = open("there", O_RDWR | O_CREAT | O_TRUNC, 0600);
        size_t size;
        assert_true(file >= 0);
        CHECK_OK(write_it(names[i], -1, &err));
        assert_int_equal(write(file, "before\n", 7), 7);
        CHECK_OK(write_it(names[i], file, &err));
        assert_int_equal(write(file, "after", 5), 5); /* still open, and behind what was written */
        close(file);
        size = content(names[i], by_path, sizeof by_path);
        assert_int_equal(content("there", by_descriptor, sizeof by_descriptor), 7 + size + 5);
        assert_memory_equal(by_descriptor, "before\n", 7);
        assert_memory_equal(by_descriptor + 7, by_path, size);
        assert_memory_equal(by_descriptor + 7 + size, "after", 5);
        assert_int_equal(unlink(names[i]), 0);
        assert_int_equal(unlink("there"), 0);
    }
}

static void test_pipe(void **state)
{
    static char bytes[65536];
    int ends[2];
    vic_error err;
    vic_pattern *again;
    FILE *file = NULL;
    ssize_t got;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    CHECK_OK(vic_pattern_save_to(p, ends[1], "a pipe", &err)); /* a few kilobytes, which a pipe holds */
    close(ends[1]);
    got = read(ends[0], bytes, sizeof bytes);
    close(ends[0]);
    assert_true(got > 0 && (file = fopen("p.vnp", "wb")));
    assert_int_equal(fwrite(bytes, 1, (size_t)got, file), got);
    assert_int_equal(fclose(file), 0);
    CHECK_OK(vic_pattern_load(NULL, "p.vnp", &again, &err));
    assert_true(info_of(again).pairs == info_of(p).pairs);
    vic_pattern_free(again);
    assert_int_equal(unlink("p.vnp"), 0);
}

static void test_failures(void **state)
{
    static const char *const names[] = { "a.pdb", "a.cif", "a.xyz", "p.vnp" };
    int full = open("/dev/full", O_WRONLY), only_read = open("/dev/null", O_RDONLY),
        null = open("/dev/null", O_WRONLY);
    vic_error err;
    (void)state;
    assert_true(full >= 0 && only_read >= 0 && null >= 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_FAILS(write_it(names[i], full, &err), VIC_CANNOT_WRITE, "cannot write: No space left");
        assert_non_null(strstr(err.text, names[i]));
        CHECK_FAILS(write_it(names[i], only_read, &err), VIC_CANNOT_WRITE, "cannot write to descriptor");
        CHECK_FAILS(write_it(names[i], 12345, &err), VIC_BAD_ARGUMENT, "expected an open file, got 12345");
        assert_int_equal(access(names[i], F_OK), -1); /* the name is a name alone */
    }
    /* The first thing that is wrong is told, not that the file is then not whole either. */
    CHECK_FAILS(vic_structure_write_to(s, full, "a.pdb", "value", (const double[4]){ 1e9 }, &err), VIC_CANNOT_WRITE,
                "the value of atom 1");
    CHECK_FAILS(vic_structure_write_to(s, null, "a.gro", "value", values, &err), VIC_BAD_ARGUMENT, ".pdb, .cif");
    CHECK_FAILS(vic_structure_write_to(NULL, null, "a.pdb", "value", values, &err), VIC_BAD_ARGUMENT, "is NULL");
    CHECK_FAILS(vic_structure_write_to(s, null, NULL, "value", values, &err), VIC_BAD_ARGUMENT, "name is NULL");
    CHECK_FAILS(vic_structure_write_to(s, null, "", "value", values, &err), VIC_BAD_ARGUMENT, "name is empty");
    CHECK_FAILS(vic_structure_write_to(s, null, "a.pdb", "value", NULL, &err), VIC_BAD_ARGUMENT, "values is NULL");
    CHECK_FAILS(vic_pattern_save_to(NULL, null, "p.vnp", &err), VIC_BAD_ARGUMENT, "pattern is NULL");
    CHECK_FAILS(vic_pattern_save_to(p, null, NULL, &err), VIC_BAD_ARGUMENT, "name is NULL");
    assert_int_equal(close(full) + close(only_read) + close(null), 0); /* none was closed by the calls */
}

static int setup(void **state)
{
    static const double positions[12] = { 0, 0, 0, 1.5, 0, 0, 0, 1.5, 0, 9, 9, 9 };
    vic_points points = VIC_INIT(vic_points);
    vic_error err;
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vicinal-descriptors-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    if (vic_structure_from_arrays(4, positions, NULL, NULL, NULL, &s, &err) != VIC_OK) return -1;
    if (vic_structure_points(s, &points, &err) != VIC_OK) return -1;
    return vic_pattern_cutoff(NULL, &points, NULL, 2.0, NULL, &p, &err) == VIC_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    vic_pattern_free(p);
    vic_structure_free(s);
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_pipe),
                                        cmocka_unit_test(test_failures) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
