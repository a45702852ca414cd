/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "commands/memory_room.h"

#include "numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH = 4096 };

static void at_most(struct memory_room *room, uint64_t bytes, const char *from)
{
    if (bytes < room->bytes) *room = (struct memory_room){ bytes, from };
}

/* The number after `key` in a file of "key number" lines, or with key NULL the first one.  False also for "max". */
static bool number_in(const char *path, const char *key, uint64_t *out)
{
    char line[256];
    bool found = false;
    FILE *file = fopen(path, "r");
    if (!file) return false;
    while (!found && fgets(line, sizeof line, file)) {
        size_t length = key ? strlen(key) : 0;
        char *end;
        if (key && (strncmp(line, key, length) != 0 || !strchr(" :\t", line[length]))) continue;
        line[strcspn(line, "\n")] = '\0';
        const char *number = line + length + strspn(line + length, " :\t");
        *out = strtoull(number, &end, 10);
        found = end > number;
        if (!key) break;
    }
    fclose(file);
    return found;
}

/* One group: what its limit leaves, counting as free what the kernel can drop of the files it has read. */
static void look_at_group(const char *folder, bool v2, struct memory_room *room)
{
    char path[2 * PATH + 64];
    uint64_t limit, used, cached = 0;
    snprintf(path, sizeof path, "%s/%s", folder, v2 ? "memory.max" : "memory.limit_in_bytes");
    if (!number_in(path, NULL, &limit)) return;
    snprintf(path, sizeof path, "%s/%s", folder, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (!number_in(path, NULL, &used)) used = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (!number_in(path, v2 ? "inactive_file" : "total_inactive_file", &cached)) cached = 0;
    used = used > cached ? used - cached : 0;
    at_most(room, limit > used ? limit - used : 0, "its control group (cgroup) leaves");
}

/* A group and all above it.  In a container the path may be that of the host: then only its end is there, the
 * root. */
static void look_at_groups(const char *mount, const char *group, bool v2, struct memory_room *room)
{
    char folder[2 * PATH];
    size_t least = strlen(mount), length = strlen(group);
    if (least + length >= sizeof folder) return;
    memcpy(folder, mount, least);
    memcpy(folder + least, group, length + 1);
    for (;;) {
        char *slash;
        look_at_group(folder, v2, room);
        slash = strrchr(folder, '/');
        if (strlen(folder) <= least || !slash) return;
        *slash = '\0';
        if (strlen(folder) < least) return;
    }
}

static void look_at_control_groups(const char *root, struct memory_room *room)
{
    char path[PATH], line[PATH];
    FILE *file;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    file = fopen(path, "r");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        char mount[PATH], *controllers = strchr(line, ':'),
                          *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (strcmp(controllers + 1, "") == 0) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            look_at_groups(mount, group, true, room);
        } else if (strcmp(controllers + 1, "memory") == 0) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/memory", root);
            look_at_groups(mount, group, false, room);
        }
    }
    fclose(file);
}

static void look_at_address_space(const char *root, struct memory_room *room)
{
    char path[PATH];
    struct rlimit limit;
    uint64_t pages = 0, left, threads;
    long page = sysconf(_SC_PAGESIZE), processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || page <= 0) return;
    snprintf(path, sizeof path, "%s/proc/self/statm", root);
    if (!number_in(path, NULL, &pages)) pages = 0;
    pages *= (uint64_t)page;
    left = (uint64_t)limit.rlim_cur > pages ? (uint64_t)limit.rlim_cur - pages : 0;
    /* Addresses that are not used: 8 MiB of stack for each thread and 64 MiB where malloc() finds them, and what
     * arrays take in advance to grow into. */
    threads = (uint64_t)(processors > 0 ? processors : 1) * (72 << 20);
    left -= threads < left / 4 ? threads : left / 4;
    at_most(room, left - left / 8, "the limit of its address space (ulimit -v) leaves");
}

struct memory_room memory_room(const char *root)
{
    struct memory_room room = { UINT64_MAX, "" };
    char path[PATH];
    uint64_t kib;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (number_in(path, "MemAvailable", &kib) && kib < UINT64_MAX / 1024)
        at_most(&room, kib * 1024, "this machine has available (MemAvailable)");
    look_at_control_groups(root, &room);
    look_at_address_space(root, &room);
    return room;
}

/* ---- refusing ---- */

static struct number bytes_of(double bytes)
{
    return bytes_text(bytes < 1.8e19 ? (uint64_t)bytes : UINT64_MAX);
}

static struct number pairs_of(double pairs)
{
    return pairs < 9e15 ? count_text((int64_t)pairs) : real_text(pairs, 3);
}

vic_status memory_check(bool force, double bytes, const char *what, const char *advice, vic_error *err)
{
    struct memory_room room = memory_room("");
    if (force || room.bytes == UINT64_MAX || bytes <= (double)room.bytes) return VIC_OK;
    return fail(err, VIC_NO_MEMORY, "%s would take %s, and %s %s; %s, or try it anyway with --force", what,
                bytes_of(bytes).s, room.from, bytes_text(room.bytes).s, advice);
}

vic_status memory_guard_open(struct memory_guard *g, bool force, double beside, vic_pattern_options *options,
                             vic_error *err)
{
    *g = (struct memory_guard){ .beside = beside, .estimate = VIC_INIT(vic_pattern_estimate) };
    if (force) return VIC_OK;
    g->room = memory_room("");
    if (g->room.bytes == UINT64_MAX) return VIC_OK;
    if (beside >= (double)g->room.bytes)
        return memory_check(false, beside, "what is needed besides the pattern (tensors and results)",
                            "take fewer or smaller heads, a smaller type or fewer atoms", err);
    options->max_bytes = (size_t)((double)g->room.bytes - beside);
    options->estimate = &g->estimate;
    return VIC_OK;
}

/* What would be refused no more, with its option; "" where nobody knows. */
static const char *advice(const struct memory_guard *g, int nearest, char out[96])
{
    double fitting = ((double)g->room.bytes - g->beside) / g->estimate.bytes * nearest;
    out[0] = '\0';
    if (nearest > 0 && fitting >= 1.0) snprintf(out, 96, "take fewer, such as --nearest %.0f", fitting);
    if (nearest == 0 && g->estimate.fitting_cutoff > 0.0)
        snprintf(out, 96, "take a smaller one, such as --cutoff %s", plain_text(g->estimate.fitting_cutoff).s);
    if (!*out) snprintf(out, 96, "take fewer atoms");
    return out;
}

vic_status memory_guard_close(const struct memory_guard *g, int nearest, double cutoff, vic_status st, vic_error *err)
{
    const vic_pattern_estimate *e = &g->estimate;
    char asked[64], besides[96] = "", what[96];
    bool smaller = nearest == 0 && e->cutoff < cutoff;
    if (st != VIC_NO_MEMORY || !e->refused) return st;
    if (nearest > 0)
        snprintf(asked, sizeof asked, "--nearest %d", nearest);
    else
        snprintf(asked, sizeof asked, "--cutoff %s", plain_text(cutoff).s);
    if (g->beside >= 1e6)
        snprintf(besides, sizeof besides, ", beside %s of tensors and results", bytes_of(g->beside).s);
    return fail(err, VIC_NO_MEMORY,
                "%s: %s%s%sthe pattern would have about %s pairs and take about %s%s, and %s %s; %s, or build it "
                "anyway with --force",
                asked, smaller ? "at " : "", smaller ? plain_text(e->cutoff).s : "", smaller ? " A already " : "",
                pairs_of(e->pairs).s, bytes_of(e->bytes).s, besides, g->room.from, bytes_text(g->room.bytes).s,
                advice(g, nearest, what));
}
