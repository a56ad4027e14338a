/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CRC32C by ISA-L, which picks the processor's fastest way (SSE4.2, PCLMULQDQ,
 * ARMv8 CRC) at run time.
 */
#include "base/crc32c.h"
#include <isa-l/crc.h>

/* crc32_iscsi() counts in int. */
#define PIECE_MAX ((size_t)1 << 30)

uint32_t
crc32c_add(uint32_t crc, const void *data, size_t length)
{
	/* its prototype lacks the const that its code keeps */
	unsigned char *at = (unsigned char *)(uintptr_t)data;

	while (length > PIECE_MAX) {
		crc = crc32_iscsi(at, (int)PIECE_MAX, crc);
		at += PIECE_MAX;
		length -= PIECE_MAX;
	}
	return crc32_iscsi(at, (int)length, crc);
}
