/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as in zlib, PNG and zip (ISO 3309; polynomial 0xedb88320, reflected), so that the core needs no zlib. */
#ifndef VIC_BASE_CRC32_H
#define VIC_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Returns the CRC of what `crc` is the CRC of, followed by `n` bytes; the CRC of nothing is 0. */
uint32_t crc32_add(uint32_t crc, const void *bytes, size_t n);

#endif
