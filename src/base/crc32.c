/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

#include <pthread.h>
#include <string.h>

/* table[k][b] is the CRC of byte b followed by k zero bytes, so that eight bytes need eight look-ups that do not wait
 * for each other ("slicing by 8", Kounavis and Berry 2008). */
static uint32_t table[8][256];
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0u);
        table[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255u];
}

uint32_t crc32_add(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    pthread_once(&made, make_table);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t first = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][first & 255u] ^ table[6][first >> 8 & 255u] ^ table[5][first >> 16 & 255u] ^
              table[4][first >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; n--) crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255u];
    return ~crc;
}
