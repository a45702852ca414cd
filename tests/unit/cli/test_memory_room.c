/* SPDX-License-Identifier: Apache-2.0 */
/* What memory there is, from files as Linux writes them below a folder of our own.  cmocka comes last. */
#define _POSIX_C_SOURCE 200809L
#include "cli/commands/memory_room.h"
#include "cli/field_names.h"
#include "cli/numbers.h"

#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void write_file(const char *path, const char *content)
{
    char full[512];
    FILE *file;
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/vicinal-room-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static const char meminfo[] =
    "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n";

static void nobody_says(void **state)
{
    (void)state;
    assert_true(memory_room(root).bytes == UINT64_MAX);
    write_file("/proc/meminfo", "MemTotal:       16000000 kB\n"); /* an old kernel */
    assert_true(memory_room(root).bytes == UINT64_MAX);
}

static void the_machine(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    assert_int_equal(memory_room(root).bytes, 8000000ll * 1024);
    assert_non_null(strstr(memory_room(root).from, "MemAvailable"));
}

/* The limit of a group further up holds as well; what it has read of files does not count as used. */
static void groups_of_version_2(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    write_file("/proc/self/cgroup", "0::/a/b\n");
    write_file("/sys/fs/cgroup/a/b/memory.max", "max\n");
    write_file("/sys/fs/cgroup/a/b/memory.current", "1000000\n");
    assert_int_equal(memory_room(root).bytes, 8000000ll * 1024);
    write_file("/sys/fs/cgroup/a/memory.max", "3000000\n");
    write_file("/sys/fs/cgroup/a/memory.current", "1000000\n");
    assert_int_equal(memory_room(root).bytes, 2000000);
    write_file("/sys/fs/cgroup/a/memory.stat", "anon 7\nfile 500000\ninactive_file 400000\n");
    assert_int_equal(memory_room(root).bytes, 2400000);
    assert_non_null(strstr(memory_room(root).from, "cgroup"));
    write_file("/sys/fs/cgroup/a/b/memory.max", "900000\n"); /* less than is in use */
    assert_int_equal(memory_room(root).bytes, 0);
}

/* In a container the path is often that of the host, and only the mount's root is there. */
static void groups_of_version_1(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    write_file("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/0123\n3:cpuset:/\n0::/\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000\n");
    assert_int_equal(memory_room(root).bytes, 8000000ll * 1024);
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000000\n");
    write_file("/sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 250000\n");
    assert_int_equal(memory_room(root).bytes, 4250000);
}

static void fields_become_options(void **state)
{
    static const struct {
        vic_status status;
        const char *text, *expected;
    } cases[] = {
        { VIC_BAD_ARGUMENT, "head_dim: expected 8, got 65", "--head-dim: expected 8, got 65" },
        { VIC_BAD_ARGUMENT, "head_dim_v: expected 8", "--head-dim-v: expected 8" },
        { VIC_BAD_ARGUMENT, "supercell[1]: expected", "--supercell: expected" },
        { VIC_BAD_ARGUMENT, "k: expected 1", "--nearest: expected 1" },
        { VIC_NO_DEVICE, "device.index: there is no device 7", "--device: there is no device 7" },
        { VIC_BAD_ARGUMENT, "--cutoff: got x", "--cutoff: got x" },
        { VIC_BAD_ARGUMENT, "cutoff", "cutoff" },
        { VIC_BAD_INPUT, "cell: expected atoms", "cell: expected atoms" }, /* a file of that name */
        { VIC_CANNOT_READ, "k: cannot open", "k: cannot open" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vic_error err = { cases[i].status, "" };
        snprintf(err.text, sizeof err.text, "%s", cases[i].text);
        field_names_to_options(&err);
        assert_string_equal(err.text, cases[i].expected);
    }
}

static void one_and_many(void **state)
{
    (void)state;
    assert_string_equal(counted(1, "atom").s, "1 atom");
    assert_string_equal(counted(0, "atom").s, "0 atoms");
    assert_string_equal(counted(1234, "thread").s, "1,234 threads");
    assert_string_equal(counted(INT64_MIN, "strip").s, "-9,223,372,036,854,775,808 strips");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_says, make_root, remove_root),
        cmocka_unit_test_setup_teardown(the_machine, make_root, remove_root),
        cmocka_unit_test_setup_teardown(groups_of_version_2, make_root, remove_root),
        cmocka_unit_test_setup_teardown(groups_of_version_1, make_root, remove_root),
        cmocka_unit_test(fields_become_options),
        cmocka_unit_test(one_and_many),
    };
    return cmocka_run_group_tests_name("unit_cli_memory_room", tests, NULL, NULL);
}
