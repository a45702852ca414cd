/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary folder, files in it, and short ways to read them.  Include it before everything else. */
#ifndef VIC_TESTS_STRUCTURE_FILES_H
#define VIC_TESTS_STRUCTURE_FILES_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "check.h"
#include "vicinal_structure.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char files_folder[64];

static inline int files_setup(void **state)
{
    (void)state;
    snprintf(files_folder, sizeof files_folder, "/tmp/vicinal-test-XXXXXX");
    return mkdtemp(files_folder) ? 0 : -1;
}

static inline int files_count(void)
{
    DIR *folder = opendir(files_folder);
    int count = 0;
    for (struct dirent *e; folder && (e = readdir(folder));) count += e->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static inline int files_teardown(void **state)
{
    DIR *folder = opendir(files_folder);
    (void)state;
    for (struct dirent *e; folder && (e = readdir(folder));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", files_folder, e->d_name);
        if (e->d_name[0] != '.') remove(path);
    }
    if (folder) closedir(folder);
    return rmdir(files_folder);
}

static inline const char *files_path(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", files_folder, name);
    return path;
}

static inline const char *files_write_bytes(const char *name, const void *bytes, size_t size)
{
    const char *path = files_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *files_write(const char *name, const char *text)
{
    return files_write_bytes(name, text, strlen(text));
}

/* What there is to know of a structure. */
static inline vic_structure_info files_info(const vic_structure *s)
{
    vic_structure_info info = VIC_INIT(vic_structure_info);
    vic_error err;
    CHECK_OK(vic_structure_get(s, &info, &err));
    return info;
}

/* The structure of a text; fails the test with the error.  Free it with vic_structure_free(). */
static inline vic_structure *files_read(const char *text, const vic_read_options *options)
{
    vic_structure *s = NULL;
    vic_error err = { VIC_OK, "" };
    CHECK_OK(vic_structure_read(files_write("input", text), options, &s, &err));
    assert_non_null(s);
    return s;
}

/* Reading a text must fail with this status and this part of the message, and leave no structure. */
#define CHECK_REFUSED(text, options, expected, part) files_refused(__LINE__, text, options, expected, part)
static inline void files_refused(int line, const char *text, const vic_read_options *options, vic_status expected,
                                 const char *part)
{
    vic_error err = { VIC_OK, "" };
    vic_structure *s = (vic_structure *)(uintptr_t)8;
    vic_status status = vic_structure_read(files_write("input", text), options, &s, &err);
    CHECK(status == expected, "line %d: expected %s, got %s (%s)", line, vic_status_name(expected),
          vic_status_name(status), err.text);
    CHECK(strstr(err.text, part), "line %d: no \"%s\" in: %s", line, part, err.text);
    CHECK(!s && err.status == expected, "line %d: a structure is left", line);
}

/* The text is read, and the notes hold this part. */
#define CHECK_NOTED(text, options, atoms, part) files_noted(__LINE__, text, options, atoms, part)
static inline void files_noted(int line, const char *text, const vic_read_options *options, int64_t atoms,
                               const char *part)
{
    vic_structure *s = files_read(text, options);
    vic_structure_info v = files_info(s);
    CHECK(v.atoms == atoms, "line %d: expected %lld atoms, got %lld", line, (long long)atoms, (long long)v.atoms);
    assert_non_null(v.notes);
    CHECK(!*part || strstr(v.notes, part), "line %d: no \"%s\" in: %s", line, part, v.notes);
    vic_structure_free(s);
}

#define CHECK_POSITION(view, i, x_, y_, z_)                                                                          \
    do {                                                                                                             \
        const double *p_ = (view).positions + 3 * (i);                                                               \
        CHECK(fabs(p_[0] - (x_)) < 1e-9 && fabs(p_[1] - (y_)) < 1e-9 && fabs(p_[2] - (z_)) < 1e-9,                   \
              "atom %d: expected %g %g %g, got %.12g %.12g %.12g", (int)(i), (double)(x_), (double)(y_),             \
              (double)(z_), p_[0], p_[1], p_[2]);                                                                    \
    } while (0)

#define FILES_TESTS(name, tests) cmocka_run_group_tests_name(name, tests, files_setup, files_teardown)

#endif
