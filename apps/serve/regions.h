/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that clients share with the server, by name.  Of system memory the descriptor is kept and read and written
 * like a file, never mapped: a client that shrinks it would otherwise kill the server. */
#ifndef VICINAL_SERVE_REGIONS_H
#define VICINAL_SERVE_REGIONS_H

#include "json.h"
#include "tensors.h"

struct region_table;
struct region;

struct region_table *region_table_open(void); /* NULL: no memory */
void region_table_close(struct region_table *r);

/* `key` as of shm_open(); `handle` of CUDA. */
bool region_table_add_system(struct region_table *r, const char *name, const char *key, size_t offset, size_t bytes,
                             struct refusal *why);
bool region_table_add_cuda(struct region_table *r, const char *name, const unsigned char handle[CLIENT_HANDLE],
                           vic_device device, size_t bytes, struct refusal *why);
/* NULL: all of that kind.  A region in use stays until its queries are answered. */
void region_table_remove(struct region_table *r, bool cuda, const char *name);
/* An array of them in JSON; NULL: all.  false: there is none of that name. */
bool region_table_list(struct region_table *r, bool cuda, const char *name, struct json *out);
int region_table_count(struct region_table *r);

/* A reference, which region_release() gives back; NULL: no such region, or not so large. */
struct region *region_table_find(struct region_table *r, const char *name, size_t offset, size_t bytes,
                                 struct refusal *why);
void region_release(struct region *region);

/* Have these bytes of the two any in common?  Two regions may be of the same memory. */
bool regions_overlap(const struct region *a, size_t a_offset, size_t a_bytes, const struct region *b, size_t b_offset,
                     size_t b_bytes);

/* CUDA: its memory, and on which device; NULL for system memory. */
void *region_memory(const struct region *region, size_t offset, vic_device *device);
/* System memory; false: it is no longer as large as it was. */
bool region_read(const struct region *region, size_t offset, void *to, size_t bytes);
bool region_write(const struct region *region, size_t offset, const void *from, size_t bytes);

#endif
