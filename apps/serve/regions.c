/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "regions.h"

#include "vicinal_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct region {
    struct region *next;
    char name[MOST_NAME + 1], key[MOST_NAME + 2];
    bool cuda;
    int descriptor; /* system */
    void *memory;   /* CUDA */
    vic_device device;
    size_t offset, bytes;
    _Atomic int references; /* one of the table's */
};

struct region_table {
    pthread_rwlock_t lock;
    struct region *first; /* in the order of registration */
    int count;
};

struct region_table *region_table_open(void)
{
    struct region_table *r = calloc(1, sizeof *r);
    if (r) pthread_rwlock_init(&r->lock, NULL);
    return r;
}

void region_release(struct region *region)
{
    if (!region || atomic_fetch_sub(&region->references, 1) != 1) return;
    if (region->cuda)
        vic_memory_close(region->device, region->memory);
    else
        close(region->descriptor);
    free(region);
}

void region_table_close(struct region_table *r)
{
    if (!r) return;
    region_table_remove(r, false, NULL);
    region_table_remove(r, true, NULL);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}

static struct region **find(struct region_table *r, const char *name)
{
    struct region **at = &r->first;
    while (*at && strcmp((*at)->name, name) != 0) at = &(*at)->next;
    return at;
}

/* Puts it into the table, which then owns it. */
static bool add(struct region_table *r, struct region *region, struct refusal *why)
{
    bool good = true;
    struct region **at;
    pthread_rwlock_wrlock(&r->lock);
    at = find(r, region->name);
    if (*at)
        good = refuse(why, 400, "shared memory region '%s' already in manager", region->name);
    else if (r->count == MOST_REGIONS)
        good = refuse(why, 503, "there are %d shared memory regions, as many as there may be", MOST_REGIONS);
    else
        *at = region;
    r->count += good;
    pthread_rwlock_unlock(&r->lock);
    if (!good) region_release(region);
    return good;
}

static struct region *make(const char *name, struct refusal *why)
{
    struct region *region = calloc(1, sizeof *region);
    if (!region) {
        refuse(why, 503, "no memory for another shared memory region");
        return NULL;
    }
    snprintf(region->name, sizeof region->name, "%s", name);
    region->descriptor = -1;
    region->references = 1;
    return region;
}

/* "/name" or "name", and no other path: shm_open() must not be led anywhere. */
static bool good_key(const char *key)
{
    if (*key == '/') key++;
    return good_name(key) && strcmp(key, ".") != 0 && strcmp(key, "..") != 0;
}

/* Opens it; the server lends its rights to nobody: the memory must belong to the server's own user. */
static bool open_system(struct region *region, size_t offset, size_t bytes, struct refusal *why)
{
    struct stat s;
    size_t end;
    region->descriptor = shm_open(region->key, O_RDWR | O_CLOEXEC, 0);
    if (region->descriptor < 0 || fstat(region->descriptor, &s) != 0 || !S_ISREG(s.st_mode) || s.st_uid != geteuid())
        return refuse(why, 400,
                      "Unable to open shared memory region: '%s': expected the key of POSIX shared memory that "
                      "belongs to the server's own user",
                      region->name);
    if (bytes == 0 || __builtin_add_overflow(offset, bytes, &end) || s.st_size < 0 || end > (size_t)s.st_size)
        return refuse(why, 400,
                      "Invalid shared memory region: '%s': expected 1 byte or more within the memory, got offset %zu "
                      "and byte_size %zu",
                      region->name, offset, bytes);
    region->offset = offset;
    region->bytes = bytes;
    return true;
}

bool region_table_add_system(struct region_table *r, const char *name, const char *key, size_t offset, size_t bytes,
                             struct refusal *why)
{
    struct region *region;
    if (!good_key(key))
        return refuse(why, 400, "region '%s': key: expected / and 1 to %d letters, digits, '_', '.' and '-'", name,
                      MOST_NAME);
    region = make(name, why);
    if (!region) return false;
    snprintf(region->key, sizeof region->key, "%s", key);
    if (!open_system(region, offset, bytes, why)) {
        if (region->descriptor >= 0) close(region->descriptor);
        free(region);
        return false;
    }
    return add(r, region, why);
}

bool region_table_add_cuda(struct region_table *r, const char *name, const unsigned char handle[CLIENT_HANDLE],
                           vic_device device, size_t bytes, struct refusal *why)
{
    vic_memory_handle open;
    vic_error err;
    struct region *region = make(name, why);
    if (!region) return false;
    memcpy(open.bytes, handle, sizeof open.bytes);
    if (bytes == 0 || vic_memory_open(device, &open, bytes, &region->memory, &err) != VIC_OK) {
        free(region);
        return refuse(why, 400,
                      "failed to register shared memory region: invalid args: '%s' is no memory of GPU %d that "
                      "another process has exported, or not %zu bytes of it",
                      name, device.index, bytes);
    }
    region->cuda = true;
    region->device = device;
    region->bytes = bytes;
    return add(r, region, why);
}

void region_table_remove(struct region_table *r, bool cuda, const char *name)
{
    struct region *removed = NULL;
    pthread_rwlock_wrlock(&r->lock);
    for (struct region **at = &r->first; *at;) {
        struct region *region = *at;
        if (region->cuda != cuda || (name && strcmp(region->name, name) != 0)) {
            at = &region->next;
            continue;
        }
        *at = region->next;
        region->next = removed;
        removed = region;
        r->count--;
    }
    pthread_rwlock_unlock(&r->lock);
    while (removed) {
        struct region *next = removed->next;
        region_release(removed);
        removed = next;
    }
}

static void describe(const struct region *region, struct json *out)
{
    json_put_object(out, NULL);
    json_put_text(out, "name", region->name);
    if (region->cuda) {
        json_put_int(out, "device_id", region->device.index);
    } else {
        json_put_text(out, "key", region->key);
        json_put_int(out, "offset", (int64_t)region->offset);
    }
    json_put_int(out, "byte_size", (int64_t)region->bytes);
    json_put_object_end(out);
}

bool region_table_list(struct region_table *r, bool cuda, const char *name, struct json *out)
{
    bool found = name == NULL;
    json_put_array(out, NULL);
    pthread_rwlock_rdlock(&r->lock);
    for (const struct region *region = r->first; region; region = region->next) {
        if (region->cuda != cuda || (name && strcmp(region->name, name) != 0)) continue;
        describe(region, out);
        found = true;
    }
    pthread_rwlock_unlock(&r->lock);
    json_put_array_end(out);
    return found;
}

int region_table_count(struct region_table *r)
{
    int count;
    pthread_rwlock_rdlock(&r->lock);
    count = r->count;
    pthread_rwlock_unlock(&r->lock);
    return count;
}

struct region *region_table_find(struct region_table *r, const char *name, size_t offset, size_t bytes,
                                 struct refusal *why)
{
    struct region *region;
    size_t end;
    pthread_rwlock_rdlock(&r->lock);
    region = *find(r, name);
    if (!region) {
        refuse(why, 404, "Unable to find shared memory region: '%s'", name);
    } else if (__builtin_add_overflow(offset, bytes, &end) || end > region->bytes) {
        refuse(why, 400, "Invalid offset + byte size for shared memory region: '%s'", name);
        region = NULL;
    } else {
        atomic_fetch_add(&region->references, 1);
    }
    pthread_rwlock_unlock(&r->lock);
    return region;
}

void *region_memory(const struct region *region, size_t offset, vic_device *device)
{
    if (!region->cuda) return NULL;
    *device = region->device;
    return (char *)region->memory + offset;
}

static bool same_memory(const struct region *a, const struct region *b)
{
    struct stat s, t;
    if (a == b) return true;
    if (a->cuda || b->cuda) return a->cuda && b->cuda && a->memory == b->memory;
    return fstat(a->descriptor, &s) == 0 && fstat(b->descriptor, &t) == 0 && s.st_dev == t.st_dev &&
           s.st_ino == t.st_ino;
}

bool regions_overlap(const struct region *a, size_t a_offset, size_t a_bytes, const struct region *b, size_t b_offset,
                     size_t b_bytes)
{
    const size_t a_start = a->offset + a_offset, b_start = b->offset + b_offset;
    return a_start < b_start + b_bytes && b_start < a_start + a_bytes && same_memory(a, b);
}

/* What pread() and pwrite() have in common.  A write must not make the memory longer again, so it is looked at. */
static bool move(const struct region *region, size_t offset, void *to, const void *from, size_t bytes)
{
    const off_t start = (off_t)(region->offset + offset);
    size_t done = 0;
    struct stat s;
    if (from && (fstat(region->descriptor, &s) != 0 || s.st_size < start + (off_t)bytes)) return false;
    while (done < bytes) {
        const ssize_t moved =
            from ? pwrite(region->descriptor, (const char *)from + done, bytes - done, start + (off_t)done)
                 : pread(region->descriptor, (char *)to + done, bytes - done, start + (off_t)done);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return false;
        done += (size_t)moved;
    }
    return true;
}

bool region_read(const struct region *region, size_t offset, void *to, size_t bytes)
{
    return move(region, offset, to, NULL, bytes);
}

bool region_write(const struct region *region, size_t offset, const void *from, size_t bytes)
{
    return move(region, offset, NULL, from, bytes);
}
