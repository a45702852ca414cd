/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and chunks: a section of attention_body.h and attention_backward_body.h, compiled with them for each
 * instruction set, and the first one: the other sections need it.  It walks over a strip's blocks, and lists for each
 * row group which keys it computes with. */
#ifndef LANES
#error "chunks_body.h is a section of attention_body.h and attention_backward_body.h: include one of these"
#endif
#include "kernels/cpu/attention_cpu.h"
#include "kernels/cpu/vector.h"

#include <string.h>

enum { VECTORS = GROUP_ROWS / LANES }; /* vectors that hold one number of each row of a group */

/* Full unrolling makes the accumulator arrays registers. */
#define UNROLL _Pragma("GCC unroll 16")

static const _Alignas(64) int32_t lane_bits[GROUP_ROWS] = {
    1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000
};

/* The lanes of vector `w` of a group whose bit is set: all ones there, else 0. */
INLINE vi lanes_in(uint16_t bits, int w)
{
    vi lane = *(const vi *)(lane_bits + w * LANES);
    return (lane & (int32_t)bits) == lane;
}

/* ---- Chunks of keys ---------------------------------------------------------------------------------------- */

/* How far the walk over a strip's blocks has come. */
struct cursor {
    int64_t run, partial;
    int32_t taken; /* clusters of the run that are done */
};

static void add_block(struct strip_scratch *s, int32_t cluster, int32_t image, const uint64_t bits[CLUSTER])
{
    int n = s->chunk_keys;
    for (int key = 0; key < CLUSTER; key++) {
        uint64_t word = bits[key];
        s->key_rows[n] = cluster * CLUSTER + key;
        s->key_images[n] = image;
        for (int g = 0; g < STRIP_GROUPS; g++) {
            uint16_t group_bits = (uint16_t)(word >> (GROUP_ROWS * g));
            s->keys[g][s->key_count[g]] = (struct group_key){ (uint16_t)n, group_bits };
            s->key_count[g] += group_bits != 0;
        }
        n += word != 0;
    }
    s->chunk_keys = n;
}

/* Fills the chunk with the strip's next keys; false when there are no more. */
static bool next_chunk(const struct vic_pattern *p, int64_t strip, struct cursor *at, struct strip_scratch *s)
{
    static const struct block_bits full = BLOCK_BITS_ALL;
    s->chunk_keys = 0;
    memset(s->key_count, 0, sizeof s->key_count);
    while (s->chunk_keys <= CHUNK - CLUSTER) {
        if (at->run < p->full_ptr[strip + 1]) {
            const struct full_run *run = &p->full_runs[at->run];
            add_block(s, run->first + at->taken, run->image, full.key);
            if (++at->taken == run->count) {
                at->run++;
                at->taken = 0;
            }
        } else if (at->partial < p->partial_ptr[strip + 1]) {
            add_block(s, p->partial_cluster[at->partial], p->partial_image[at->partial],
                      p->partial_bits[at->partial].key);
            at->partial++;
        } else {
            break;
        }
    }
    /* No lane uses the score of a padding key, but its memory is read. */
    for (int g = 0; g < STRIP_GROUPS; g++)
        for (int pad = 0; pad < KEY_PAD; pad++) s->keys[g][s->key_count[g] + pad] = (struct group_key){ 0, 0 };
    return s->chunk_keys > 0;
}
