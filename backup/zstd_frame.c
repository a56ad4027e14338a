/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/zstd_frame.h"
#include "base/assert.h"
#include "base/endian.h"
#include <string.h>

/* RFC 8878 3.1.1: a magic number, Frame_Header_Descriptor, and
 * Frame_Content_Size, of 4 bytes; without a window (Single_Segment_flag). */
#define MAGIC           0xFD2FB528u
#define SIZE_OF_4_BYTES (2u << 6)
#define SINGLE_SEGMENT  (1u << 5)
#define HEADER          9u
/* 3.1.1.2: Last_Block, Block_Type in 2 bits (0: Raw_Block), Block_Size. */
#define BLOCK_HEADER     3u
#define LAST_BLOCK       1u
#define BLOCK_SIZE_SHIFT 3
/* 3.1.2: a magic number and the size of what is skipped, of 4 bytes each. */
#define SKIPPABLE_MAGIC  0x184D2A50u
#define SKIPPABLE_HEADER 8u

static uint8_t *
block_of(uint8_t *frame, size_t number)
{
	return &frame[HEADER + number * (BLOCK_HEADER + FRAME_BLOCK)];
}

uint8_t *
frame_data(uint8_t *frame, size_t at, size_t *ret_length)
{
	size_t within = at % FRAME_BLOCK;

	*ret_length = FRAME_BLOCK - within;
	return &block_of(frame, at / FRAME_BLOCK)[BLOCK_HEADER + within];
}

size_t
frame_store(uint8_t *frame, size_t length)
{
	size_t last = (length - 1) / FRAME_BLOCK;

	assert(length > 0);
	assert(length <= UINT32_MAX);
	store_le32(frame, MAGIC);
	frame[4] = SIZE_OF_4_BYTES | SINGLE_SEGMENT;
	store_le32(&frame[5], (uint32_t)length);
	for (size_t i = 0; i <= last; i++) {
		size_t size =
		    i == last ? length - last * FRAME_BLOCK : FRAME_BLOCK;
		uint32_t header = (uint32_t)size << BLOCK_SIZE_SHIFT |
				  (i == last ? LAST_BLOCK : 0);
		uint8_t *block = block_of(frame, i);
		block[0] = (uint8_t)header;
		block[1] = (uint8_t)(header >> 8);
		block[2] = (uint8_t)(header >> 16);
	}
	return HEADER + (last + 1) * BLOCK_HEADER + length;
}

size_t
frame_pad(uint8_t *to, size_t length, size_t align)
{
	size_t pad = (align - length % align) % align;

	assert(align >= 16);
	assert((align & (align - 1)) == 0);
	if (pad == 0)
		return 0;
	if (pad < SKIPPABLE_HEADER)
		pad += align;
	store_le32(to, SKIPPABLE_MAGIC);
	store_le32(&to[4], (uint32_t)(pad - SKIPPABLE_HEADER));
	memset(&to[SKIPPABLE_HEADER], 0, pad - SKIPPABLE_HEADER);
	return pad;
}
