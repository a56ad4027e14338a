/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks of which the fuzzer has thousands a second: a table of blocks, those
 * of the base until they are written.
 */
#include "tests/fuzz/image/image.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *arena;
static unsigned arena_used;
static uint8_t **touched[ARENA_BLOCKS]; /* elements of disk->now */

static const uint8_t zeros[FMT_BLOCK];

void
arena_init(void)
{
	arena = aligned_alloc(FMT_BLOCK, (size_t)ARENA_BLOCKS * FMT_BLOCK);
	assert(arena != NULL);
}

static struct disk *
disk_of(struct backstore *bs)
{
	return container_of(bs, struct disk, bs);
}

/* A block to be changed, or NULL: there is no such one. */
uint8_t *
block_edit(struct disk *disk, uint64_t block)
{
	uint8_t *old, *copy;

	if (block >= DISK_BLOCKS)
		return NULL;
	old = disk->now[block];
	if (old != NULL && old >= arena &&
	    old < arena + (size_t)ARENA_BLOCKS * FMT_BLOCK)
		return old;
	if (arena_used == ARENA_BLOCKS)
		return NULL;
	copy = arena + (size_t)arena_used * FMT_BLOCK;
	memcpy(copy, old != NULL ? old : zeros, FMT_BLOCK);
	touched[arena_used++] = &disk->now[block];
	disk->now[block] = copy;
	return copy;
}

const uint8_t *
block_read(const struct disk *disk, uint64_t block)
{
	return block < DISK_BLOCKS && disk->now[block] != NULL
		   ? disk->now[block]
		   : zeros;
}

bool
block_touched(unsigned n, struct where *ret_where)
{
	struct image *image = f.now;

	if (n >= arena_used)
		return false;
	*ret_where = (struct where){0};
	for (unsigned d = 0; d < image->disks; d++) {
		struct disk *disk = image->disk[d];
		if (touched[n] < disk->now ||
		    touched[n] >= disk->now + DISK_BLOCKS)
			continue;
		ret_where->disk = (uint8_t)d;
		ret_where->block = (uint32_t)(touched[n] - disk->now);
	}
	return true;
}

bool
block_is_touched(const struct where *where)
{
	const struct disk *disk = f.now->disk[where->disk];

	return disk->now[where->block] != disk->base[where->block];
}

static int
disk_move(struct disk *disk, struct bs_io *io)
{
	uint64_t at = io->offset;

	for (unsigned i = 0; i < io->iov_count; i++) {
		uint8_t *data = io->iov[i].iov_base;
		uint64_t left = io->iov[i].iov_len;
		while (left > 0) {
			uint64_t block = at / FMT_BLOCK, in = at % FMT_BLOCK;
			uint64_t part =
			    left < FMT_BLOCK - in ? left : FMT_BLOCK - in;
			if (io->op == BS_READ) {
				memcpy(
				    data, block_read(disk, block) + in, part);
			} else {
				uint8_t *to = block_edit(disk, block);
				if (to == NULL)
					return -ENOSPC;
				memcpy(to + in, data, part);
			}
			data += part;
			at += part;
			left -= part;
		}
	}
	return 0;
}

static int
disk_zero(struct disk *disk, struct bs_io *io)
{
	uint64_t at = io->offset, end = at + io->length;

	while (at < end) {
		uint64_t in = at % FMT_BLOCK, part = FMT_BLOCK - in;
		uint8_t *to;
		if (part > end - at)
			part = end - at;
		if (block_read(disk, at / FMT_BLOCK) != zeros) {
			to = block_edit(disk, at / FMT_BLOCK);
			if (to == NULL)
				return -ENOSPC;
			memset(to + in, 0, part);
		}
		at += part;
	}
	return 0;
}

static void
disk_submit(struct backstore *bs, struct bs_io *io)
{
	int result = 0;

	if (io->op == BS_READ || io->op == BS_WRITE)
		result = disk_move(disk_of(bs), io);
	else if (io->op == BS_ZERO)
		result = disk_zero(disk_of(bs), io);
	else
		assert(io->op == BS_FLUSH); /* all the engine wants of one */
	bs_complete_later(io, result);
}

static void
disk_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	(void)bs;
	done(arg);
}

static const struct backstore_ops disk_ops = {
    .name = "fuzz",
    .submit = disk_submit,
    .close = disk_close,
};

void
disk_reset(struct disk *disk, unsigned number, uint32_t block_size)
{
	disk->bs = (struct backstore){
	    .ops = &disk_ops,
	    .loop = f.loop,
	    .size = disk->base_size,
	    .block_size = block_size,
	    .physical_block_size = FMT_BLOCK,
	    .mem_align = 1,
	    .max_io = MiB,
	    .volatile_cache = true,
	    .thin = true,
	};
	snprintf(disk->bs.name, sizeof(disk->bs.name), "disk%u", number);
}

void
arena_reset(void)
{
	struct image *image = f.now;

	for (unsigned i = 0; i < arena_used; i++)
		for (unsigned d = 0; d < image->disks; d++) {
			struct disk *disk = image->disk[d];
			if (touched[i] >= disk->now &&
			    touched[i] < disk->now + DISK_BLOCKS)
				*touched[i] =
				    disk->base[touched[i] - disk->now];
		}
	arena_used = 0;
}

/* What is on the disks now is the base from here on. */
void
disk_keep(struct disk *disk)
{
	for (unsigned i = 0; i < DISK_BLOCKS; i++) {
		if (disk->now[i] == disk->base[i])
			continue;
		if (memcmp(disk->now[i], zeros, FMT_BLOCK) == 0) {
			disk->base[i] = NULL;
			continue;
		}
		disk->base[i] = malloc(FMT_BLOCK);
		assert(disk->base[i] != NULL);
		memcpy(disk->base[i], disk->now[i], FMT_BLOCK);
	}
}
