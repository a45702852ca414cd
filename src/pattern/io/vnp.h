/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns in files, docs/pattern-format.md: what save.c writes, load.c reads and check.c believes. */
#ifndef VIC_PATTERN_IO_VNP_H
#define VIC_PATTERN_IO_VNP_H

#include "base/threads.h"
#include "contract/pattern.h"

/* Arrays are written as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, ".vnp files are little-endian");

#define VNP_MAGIC "\x89VNP\r\n\x1a\n" /* 8 bytes; no text file begins so, and a transfer as text damages it */

enum {
    VNP_VERSION = 3,  /* the newest; what an older one can say is written as that, so that older programs read it */
    VNP_FIXED = 224,  /* bytes before the table of sections */
    VNP_SECTION = 32, /* bytes of its rows */
    VNP_CELL = 80,    /* of the section of cells */
    VNP_RULE = 64,    /* of the section of rules */
    VNP_ALIGN = 64,   /* sections begin at multiples */
    VNP_MAX_RULES = 64,
    VNP_MAX_SECTIONS = 19 + 6 * VNP_MAX_RULES,
};

/* Where the head has what. */
enum vnp_head {
    VNP_AT_VERSION = 8,
    VNP_AT_HEAD_BYTES = 12,
    VNP_AT_FILE_BYTES = 16,
    VNP_AT_SECTIONS = 24,
    VNP_AT_CRC = 28, /* of the head with these four bytes 0 */
    VNP_AT_FLAGS = 32,
    VNP_AT_N_Q = 40,
    VNP_AT_N_K = 48,
    VNP_AT_CUTOFF = 56,
    VNP_AT_CELL = 64,
    VNP_AT_IMAGES = 136,
    VNP_AT_PARTIAL = 144,
    VNP_AT_RUNS = 152,
    VNP_AT_STRUCTURES = 160,
    VNP_AT_RULES = 168,
    VNP_AT_BOUNDARY = 176,
    VNP_AT_RESERVED = 184, /* zeros */
};

enum vnp_flags {
    VNP_ONE_SET = 1,
    VNP_EXCLUDE_SELF = 2,
    VNP_POSITIONS = 4,
    VNP_WRAPS = 8,
    VNP_PERIODIC = 16, /* and 32, 64: along a, b, c */
    VNP_IDS = 128,     /* version 2 */
    VNP_ALL_FLAGS = 255,
};
enum vnp_rule_flags {
    VNP_SELF_OUT = 1,
    VNP_LIST = 2,
    VNP_LIST_IMAGES = 4,
    VNP_Q_SKIP = 8,
    VNP_K_SKIP = 16,
    VNP_TRANSPOSED = 32, /* version 2 */
    VNP_LIST_FIRST = 64,
    VNP_ALL_RULE_FLAGS = 127,
};

enum vnp_id {
    VNP_Q_POSITIONS = 1,
    VNP_K_POSITIONS,
    VNP_Q_ORDER,
    VNP_K_ORDER,
    VNP_IMAGES,
    VNP_Q_WRAP,
    VNP_K_WRAP,
    VNP_PARTIAL_PTR,
    VNP_PARTIAL_CLUSTER,
    VNP_PARTIAL_IMAGE,
    VNP_PARTIAL_BITS,
    VNP_FULL_PTR,
    VNP_FULL_RUNS,
    VNP_OFFSETS,
    VNP_CELLS,
    VNP_RULES,
    VNP_RULE_PTR, /* of a rule, as all that follow */
    VNP_RULE_INDEX,
    VNP_RULE_IMAGE,
    VNP_RULE_Q_SKIP,
    VNP_RULE_K_SKIP,
    VNP_Q_IDS, /* version 2 */
    VNP_K_IDS,
    VNP_K_OFFSETS,
    VNP_RULE_FIRST, /* of a rule */
};

/* An array of the pattern. */
struct vnp_section {
    enum vnp_id id;
    uint32_t rule; /* 0 for the pattern's own */
    uint32_t crc;
    const char *what;
    uint64_t count, size; /* elements, and bytes of each */
    void *slot;           /* address of the pointer in the pattern */
    uint64_t offset;      /* in the file */
};

struct vnp {
    vic_pattern *p;
    unsigned char *cells, *rules; /* packed */
    unsigned char *head;          /* when writing */
    int64_t n_runs;
    struct vnp_section sections[VNP_MAX_SECTIONS];
    int n;
};

/* The list of sections that a pattern of these sizes and flags has, the same for writing and for reading: first the
 * pattern's own, then, once p->rules and `flags` [n_rules] are known, those of the rules. */
void vnp_list(struct vnp *f, bool positions, bool wraps, bool ids);
void vnp_list_rules(struct vnp *f, const uint32_t *flags);

/* The version that says what the pattern is: 1 where it can. */
int vnp_version(const vic_pattern *p);

/* Give sections from .. n - 1 their offsets, with `total` rows in the table; false when 63 bits do not hold them. */
bool vnp_place(struct vnp *f, int from, int total);
uint64_t vnp_end(const struct vnp *f); /* of the last section */

vic_status vnp_save(const vic_pattern *p, const char *path, vic_error *err);
vic_status vnp_save_to(const vic_pattern *p, int descriptor, const char *name, vic_error *err);

/* Everything is checked before it is believed: a file that lies gives BAD_INPUT with offset, expected and found, and
 * memory stays within a small multiple of the file's size. */
vic_status vnp_load(const char *path, struct pool *pool, vic_pattern **out, vic_error *err);

/* The contents of arrays that have the right sizes; fills p->n_full and info.pairs. */
vic_status vnp_check(const struct vnp *f, const char *path, vic_error *err);
vic_status vnp_check_rules(const struct vnp *f, const char *path, vic_error *err);

/* "PATH: byte N, WHAT[index]: expected ..., found ...", BAD_INPUT.  `slot` tells the section. */
vic_status vnp_wrong(const struct vnp *f, const char *path, const void *slot, int64_t index, vic_error *err,
                     const char *format, ...) __attribute__((format(printf, 6, 7)));

#endif
