/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames that zstd's decoders take and that cost no processor to make (RFC
 * 8878): one that holds its bytes as they are, and one that holds nothing.
 *
 * The first is made where its bytes lie.  They are put into its blocks, with
 * room between them for what the blocks begin with:
 *
 *	magic, header, size     9 bytes
 *	block                   3 bytes, and 128 KiB of data
 *	block                   3 bytes, and the rest
 *
 * It has no checksum of its own: whoever needs one has it around the file.
 */
#ifndef BACKUP_ZSTD_FRAME_H
#define BACKUP_ZSTD_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* RFC 8878 3.1.1.2.4: the most that a block may hold. */
#define FRAME_BLOCK (128u << 10)
/* What a frame of that many bytes takes at most. */
#define FRAME_ROOM(bytes) (9 + (bytes) + 3 * ((bytes) / FRAME_BLOCK + 1))

/* Where byte `at` of its data lies, and how many are in one piece from there
 * on: of data of any length. */
uint8_t *frame_data(uint8_t *frame, size_t at, size_t *ret_length);
/* The frame around `length` bytes, at least 1; returns how long it is. */
size_t frame_store(uint8_t *frame, size_t length);

/* A skippable frame with which what is `length` bytes long becomes a multiple
 * of align, a power of two of at least 16; how long it is, at most align + 7;
 * 0: it is one. */
size_t frame_pad(uint8_t *to, size_t length, size_t align);

#endif
