/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block that was changed is kept with a bit for each of its sectors, so that
 * a write of less than a block needs no read first; a READ that is not all ours
 * goes to the store below, and what is ours is laid over it when it comes back.
 */
#include "backstores/overlay.h"
#include "backstores/layer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK       4096u
#define SECTOR      512u
#define ALL_SECTORS 0xffu
#define SLOTS_MIN   1024u

struct block {
	struct block *next; /* of the slot */
	uint64_t number;
	uint8_t sectors; /* which are ours */
	uint8_t *data;   /* NULL: zeros */
};

struct overlay {
	struct layer layer; /* first; while open */
	struct backstore *below;
	bool opened;
	struct block **slot;
	uint64_t slots, blocks;
};

static struct overlay *
overlay_of(struct backstore *bs)
{
	return container_of(bs, struct overlay, layer.bs);
}

/* ---- the table of blocks ---- */

static struct block **
slot_of(const struct overlay *overlay, uint64_t number)
{
	uint64_t hash = number * 0x9e3779b97f4a7c15ull;

	return &overlay->slot[(hash >> 32) & (overlay->slots - 1)];
}

static struct block *
block_find(const struct overlay *overlay, uint64_t number)
{
	struct block *block = *slot_of(overlay, number);

	while (block != NULL && block->number != number)
		block = block->next;
	return block;
}

static void
block_insert(struct overlay *overlay, struct block *block)
{
	struct block **slot = slot_of(overlay, block->number);

	block->next = *slot;
	*slot = block;
}

/* Twice the slots, if there is memory for them; it works without. */
static void
table_grow(struct overlay *overlay)
{
	struct block **old = overlay->slot;
	uint64_t slots = overlay->slots;

	overlay->slot = calloc(2 * slots, sizeof(*old));
	if (overlay->slot == NULL) {
		overlay->slot = old;
		return;
	}
	overlay->slots = 2 * slots;
	for (uint64_t i = 0; i < slots; i++)
		for (struct block *b = old[i], *next; b != NULL; b = next) {
			next = b->next;
			block_insert(overlay, b);
		}
	free(old);
}

/* NULL: no memory. */
static struct block *
block_get(struct overlay *overlay, uint64_t number)
{
	struct block *block = block_find(overlay, number);

	if (block != NULL)
		return block;
	block = calloc(1, sizeof(*block));
	if (block == NULL)
		return NULL;
	if (overlay->blocks == overlay->slots)
		table_grow(overlay);
	block->number = number;
	block_insert(overlay, block);
	overlay->blocks++;
	return block;
}

/* ---- sectors of a block ---- */

static uint8_t
sector_mask(unsigned from, unsigned length)
{
	unsigned first = from / SECTOR, count = length / SECTOR;

	assert(from % SECTOR == 0);
	assert(length % SECTOR == 0);
	return (uint8_t)(((1u << count) - 1) << first);
}

static int
block_write(struct block *block, unsigned from, const void *data, unsigned size)
{
	if (block->data == NULL)
		block->data = calloc(1, BLOCK);
	if (block->data == NULL)
		return -ENOMEM;
	memcpy(block->data + from, data, size);
	block->sectors |= sector_mask(from, size);
	return 0;
}

static void
block_zero(struct block *block, unsigned from, unsigned size)
{
	block->sectors |= sector_mask(from, size);
	if (block->sectors == ALL_SECTORS && size == BLOCK) {
		free(block->data);
		block->data = NULL;
	}
	if (block->data != NULL)
		memset(block->data + from, 0, size);
}

/* Lays what is ours of [from, from + size) over data. */
static void
block_lay(
    const struct block *block, unsigned from, uint8_t *data, unsigned size)
{
	for (unsigned at = 0; at < size; at += SECTOR) {
		if (!(block->sectors >> (from + at) / SECTOR & 1))
			continue;
		if (block->data != NULL)
			memcpy(data + at, block->data + from + at, SECTOR);
		else
			memset(data + at, 0, SECTOR);
	}
}

/* ---- I/O: piece by piece, each in one block and one element ---- */

struct piece {
	struct overlay *overlay;
	uint64_t number;
	unsigned from, size;
	uint8_t *data;
};

static int
pieces_of_element(struct overlay *overlay, uint64_t at, const struct iovec *iov,
    int (*each)(struct piece *piece))
{
	uint64_t done = 0;
	int r = 0;

	while (done < iov->iov_len && r == 0) {
		struct piece piece = {.overlay = overlay,
		    .number = (at + done) / BLOCK,
		    .from = (at + done) % BLOCK,
		    .size = BLOCK - (at + done) % BLOCK};
		if (piece.size > iov->iov_len - done)
			piece.size = (unsigned)(iov->iov_len - done);
		if (iov->iov_base != NULL)
			piece.data = (uint8_t *)iov->iov_base + done;
		r = each(&piece);
		done += piece.size;
	}
	return r;
}

static int
pieces_each(struct overlay *overlay, const struct bs_io *io,
    int (*each)(struct piece *piece))
{
	const struct iovec nothing = {NULL, io->length};
	const struct iovec *iov = io->iov_count > 0 ? io->iov : &nothing;
	unsigned count = io->iov_count > 0 ? io->iov_count : 1;
	uint64_t at = io->offset;
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++) {
		r = pieces_of_element(overlay, at, &iov[i], each);
		at += iov[i].iov_len;
	}
	return r;
}

static int
piece_write(struct piece *piece)
{
	struct block *block = block_get(piece->overlay, piece->number);

	if (block == NULL)
		return -ENOMEM;
	return block_write(block, piece->from, piece->data, piece->size);
}

static int
piece_zero(struct piece *piece)
{
	struct block *block = block_get(piece->overlay, piece->number);

	if (block == NULL)
		return -ENOMEM;
	block_zero(block, piece->from, piece->size);
	return 0;
}

static int
piece_lay(struct piece *piece)
{
	const struct block *block = block_find(piece->overlay, piece->number);

	if (block != NULL)
		block_lay(block, piece->from, piece->data, piece->size);
	return 0;
}

/* -ENODATA: not all of it is ours. */
static int
piece_is_ours(struct piece *piece)
{
	const struct block *block = block_find(piece->overlay, piece->number);
	uint8_t mask = sector_mask(piece->from, piece->size);

	return block != NULL && (block->sectors & mask) == mask ? 0 : -ENODATA;
}

static void
overlay_read(struct overlay *overlay, struct bs_io *io)
{
	if (pieces_each(overlay, io, piece_is_ours) < 0) {
		layer_forward(&overlay->layer, io);
		return;
	}
	pieces_each(overlay, io, piece_lay);
	bs_complete_later(io, 0);
}

static void
read_completed(struct layer *layer, struct layer_io *lio)
{
	if (lio->result == 0)
		pieces_each(overlay_of(&layer->bs), lio->outer, piece_lay);
	layer_complete(lio);
}

static void
overlay_extents(struct bs_io *io)
{
	io->extents[0] = (struct bs_extent){
	    .offset = io->offset, .length = io->length, .kind = BS_EXTENT_DATA};
	io->extent_count = 1;
	bs_complete_later(io, 0);
}

static void
overlay_submit(struct backstore *bs, struct bs_io *io)
{
	struct overlay *overlay = overlay_of(bs);

	switch (io->op) {
	case BS_READ: overlay_read(overlay, io); break;
	case BS_EXTENTS: overlay_extents(io); break;
	case BS_WRITE:
		bs_complete_later(io, pieces_each(overlay, io, piece_write));
		break;
	case BS_ZERO:
	case BS_DISCARD:
		bs_complete_later(io, pieces_each(overlay, io, piece_zero));
		break;
	case BS_FLUSH:
	case BS_OP_COUNT: bs_complete_later(io, 0); break;
	}
}

/* ---- what was changed ---- */

static int
number_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int
overlay_each(
    struct overlay *overlay, int (*each)(void *arg, uint64_t offset), void *arg)
{
	uint64_t *number = calloc(overlay->blocks + 1, sizeof(*number));
	uint64_t count = 0;
	int r = 0;

	if (number == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < overlay->slots; i++)
		for (struct block *b = overlay->slot[i]; b != NULL; b = b->next)
			number[count++] = b->number;
	qsort(number, count, sizeof(*number), number_compare);
	for (uint64_t i = 0; i < count && r == 0; i++)
		r = each(arg, number[i] * BLOCK);
	free(number);
	return r;
}

/* ---- life ---- */

static void
overlay_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct overlay *overlay = overlay_of(bs);

	layer_done(&overlay->layer);
	overlay->opened = false;
	done(arg);
}

static const struct backstore_ops overlay_ops = {
    .name = "overlay",
    .submit = overlay_submit,
    .close = overlay_close,
};

struct overlay *
overlay_new(struct backstore *below)
{
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (overlay == NULL)
		return NULL;
	overlay->below = below;
	overlay->slots = SLOTS_MIN;
	overlay->slot = calloc(SLOTS_MIN, sizeof(*overlay->slot));
	if (overlay->slot == NULL) {
		free(overlay);
		return NULL;
	}
	return overlay;
}

struct backstore *
overlay_open(struct overlay *overlay)
{
	struct backstore *bs = &overlay->layer.bs;

	assert(!overlay->opened);
	memset(&overlay->layer, 0, sizeof(overlay->layer));
	layer_init(&overlay->layer, &overlay_ops, overlay->below);
	overlay->layer.completed = read_completed;
	memcpy(bs->name, overlay->below->name, sizeof(bs->name));
	bs->read_only = bs->volatile_cache = bs->thin = bs->suspect = false;
	overlay->opened = true;
	return bs;
}

void
overlay_free(struct overlay *overlay)
{
	if (overlay == NULL)
		return;
	assert(!overlay->opened);
	for (uint64_t i = 0; i < overlay->slots; i++)
		for (struct block *b = overlay->slot[i], *next; b != NULL;
		     b = next) {
			next = b->next;
			free(b->data);
			free(b);
		}
	free(overlay->slot);
	free(overlay);
}
