/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CRC32C (Castagnoli), the sum of iSCSI digests (RFC 7143 13.1) and of varve's
 * pages: initial value and final xor 0xffffffff.  By ISA-L.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc = CRC32C_SEED; crc = crc32c_add(crc, a, n); ...; crc32c_end(crc) */
#define CRC32C_SEED 0xffffffffu

uint32_t crc32c_add(uint32_t crc, const void *data, size_t length);

static inline uint32_t
crc32c_end(uint32_t crc)
{
	return crc ^ 0xffffffffu;
}

static inline uint32_t
crc32c(const void *data, size_t length)
{
	return crc32c_end(crc32c_add(CRC32C_SEED, data, length));
}

#endif
