/* SPDX-License-Identifier: Apache-2.0 */
/* A step's 4096 bits are a table of 64 words of 64 bits, in which the number of a word is that of a key and the
 * number of a bit in it that of a row.  The order of wgmma's accumulators is the same bits under other numbers: of
 * the twelve bits that number a word and a bit in it, some are exchanged.  With j for the octet's number, c for the
 * key's number in its octet and r for the row's,
 *
 *               word                  bit in it
 *     before    c1 j2 j0 j1 c0 c2     r5 r4 r3 r2 r1 r0      (so that every exchange below is of neighbours in pairs)
 *     after     r5 r4 r2 r1 r0 c2     c1 j2 j1 j0 r3 c0      two words of 32 bits each
 *
 * which exchanges r5, r4, r2, r1 and r0 with c1, j2, j0, j1 and c0, after r3 and r1 have been exchanged. */
#include "kernels/cuda/sm90/plan/masks.h"

#include <string.h>

enum { WORDS = STAGE_OCTETS * OCTET };

/* Exchanges bit `word_bit` of a word's number with bit `bit` of the number of a bit in it.  `low` has the bits whose
 * number has a 0 there. */
static inline void exchange(uint64_t words[WORDS], int word_bit, int bit, uint64_t low)
{
    const int step = 1 << word_bit, shift = 1 << bit;
    for (int first = 0; first < WORDS; first += 2 * step)
        for (int i = first; i < first + step; i++) {
            uint64_t difference = (words[i] >> shift ^ words[i + step]) & low;
            words[i + step] ^= difference;
            words[i] ^= difference << shift;
        }
}

/* Exchanges bits 3 and 1 of the number of a bit in a word. */
static inline void exchange_3_1(uint64_t words[WORDS])
{
    for (int i = 0; i < WORDS; i++) {
        uint64_t difference = (words[i] >> 6 ^ words[i]) & 0x00cc00cc00cc00ccu;
        words[i] ^= difference ^ difference << 6;
    }
}

static void load(const uint64_t *const bits[STAGE_OCTETS], uint64_t words[WORDS])
{
    for (int j = 0; j < STAGE_OCTETS; j++)
        for (int c = 0; c < OCTET; c++) {
            int word = (c >> 1 & 1) << 5 | (j >> 2) << 4 | (j & 1) << 3 | (j >> 1 & 1) << 2 | (c & 1) << 1 | c >> 2;
            words[word] = bits[j] ? bits[j][c] : 0;
        }
}

void mask_words(const uint64_t *const bits[STAGE_OCTETS], uint32_t words[STEP_WORDS])
{
    uint64_t table[WORDS];
    load(bits, table);
    exchange_3_1(table);
    exchange(table, 5, 5, 0x00000000ffffffffu);
    exchange(table, 4, 4, 0x0000ffff0000ffffu);
    exchange(table, 3, 2, 0x0f0f0f0f0f0f0f0fu);
    exchange(table, 2, 3, 0x00ff00ff00ff00ffu);
    exchange(table, 1, 0, 0x5555555555555555u);
    for (int i = 0; i < WORDS; i++) {
        words[2 * i] = (uint32_t)table[i];
        words[2 * i + 1] = (uint32_t)(table[i] >> 32);
    }
}
