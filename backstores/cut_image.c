/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backstores/cut_image.h"
#include "backstores/sparse.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* slots[]: no versions; on the dirty list or not */
#define SLOT_CLEAN  0u
#define SLOT_LISTED UINT32_MAX

struct version {
	uint32_t older; /* 1 + index, or 0 */
	uint64_t sequence;
	uint64_t salt; /* one for all sectors of a write */
	uint8_t data[SECTOR];
};

static void *
grow(void *array, uint64_t count, size_t element)
{
	array = realloc(array, count * element);
	assert(array != NULL);
	return array;
}

/* ---- versions ---- */

static uint32_t
version_take(struct cut_image *image)
{
	uint32_t index;

	if (image->version_free != 0) {
		index = image->version_free;
		image->version_free = image->versions[index - 1].older;
		return index;
	}
	if (image->version_count == image->version_max) {
		image->version_max =
		    image->version_max ? 2 * image->version_max : 256;
		image->versions = grow(image->versions, image->version_max,
		    sizeof(struct version));
	}
	return ++image->version_count;
}

/* Frees index and all older ones. */
static void
versions_drop(struct cut_image *image, uint32_t index)
{
	while (index != 0) {
		struct version *version = &image->versions[index - 1];
		uint32_t older = version->older;
		version->older = image->version_free;
		image->version_free = index;
		index = older;
	}
}

static uint32_t
slot_newest(const struct cut_image *image, uint64_t sector)
{
	uint32_t slot = image->slots[sector];

	return slot == SLOT_LISTED ? 0 : slot;
}

static void
dirty_add(struct cut_image *image, uint64_t sector)
{
	if (image->dirty_count == image->dirty_max) {
		image->dirty_max =
		    image->dirty_max ? 2 * image->dirty_max : 256;
		image->dirty =
		    grow(image->dirty, image->dirty_max, sizeof(uint64_t));
	}
	image->dirty[image->dirty_count++] = sector;
}

/* Remembers what newest holds now as a version of the sector. */
static void
version_add(struct cut_image *image, uint64_t sector, uint64_t salt)
{
	uint32_t index = version_take(image);
	struct version *version = &image->versions[index - 1];

	if (image->slots[sector] == SLOT_CLEAN)
		dirty_add(image, sector);
	version->older = slot_newest(image, sector);
	version->sequence = image->sequence;
	version->salt = salt;
	memcpy(version->data, image->newest + sector * SECTOR, SECTOR);
	image->slots[sector] = index;
}

/* What newest holds is durable: nothing older can come back. */
static void
sector_harden(struct cut_image *image, uint64_t sector)
{
	versions_drop(image, slot_newest(image, sector));
	if (image->slots[sector] != SLOT_CLEAN)
		image->slots[sector] = SLOT_LISTED;
	memcpy(image->platter + sector * SECTOR,
	    image->newest + sector * SECTOR, SECTOR);
}

/* The version at *from, if any, is durable, and older ones are gone. */
static void
version_harden(struct cut_image *image, uint64_t sector, uint32_t *from)
{
	uint32_t index = *from;

	if (index == 0)
		return;
	memcpy(image->platter + sector * SECTOR,
	    image->versions[index - 1].data, SECTOR);
	*from = 0;
	versions_drop(image, index);
}

void
cut_image_changed(struct cut_image *image, uint64_t offset, uint64_t length,
    uint64_t salt, bool durable)
{
	uint64_t sector = offset / SECTOR, end = (offset + length) / SECTOR;

	image->sequence++;
	for (; sector < end; sector++) {
		if (durable)
			sector_harden(image, sector);
		else
			version_add(image, sector, salt);
	}
}

void
cut_image_flush(struct cut_image *image, uint64_t sequence)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < image->dirty_count; i++) {
		uint64_t sector = image->dirty[i];
		uint32_t head = slot_newest(image, sector), *at = &head;

		while (*at != 0 && image->versions[*at - 1].sequence > sequence)
			at = &image->versions[*at - 1].older;
		version_harden(image, sector, at);
		image->slots[sector] = head == 0 ? SLOT_CLEAN : head;
		if (head != 0)
			image->dirty[kept++] = sector;
	}
	image->dirty_count = kept;
}

/* ---- the cut ---- */

/* Any function that spreads its input over its output will do (the finalizer
 * of splitmix64, Steele et al. 2014). */
uint64_t
cut_image_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Did this version of the sector ever reach the platter? */
static bool
version_survives(const struct version *version, uint64_t sector,
    unsigned keep_percent, uint64_t salt)
{
	uint64_t draw = cut_image_mix(version->salt ^ salt);

	if (draw % 4 == 0) /* torn */
		draw = cut_image_mix(draw + sector);
	return (draw >> 8) % 100 < keep_percent;
}

static void
cut_sector(struct cut_image *image, uint64_t sector, unsigned keep_percent,
    uint64_t salt)
{
	uint32_t head = slot_newest(image, sector), at = head;

	while (at != 0 && !version_survives(&image->versions[at - 1], sector,
			      keep_percent, salt))
		at = image->versions[at - 1].older;
	if (at != 0)
		memcpy(image->platter + sector * SECTOR,
		    image->versions[at - 1].data, SECTOR);
	versions_drop(image, head);
	image->slots[sector] = SLOT_CLEAN;
	memcpy(image->newest + sector * SECTOR,
	    image->platter + sector * SECTOR, SECTOR);
}

void
cut_image_cut(struct cut_image *image, unsigned keep_percent, uint64_t salt)
{
	for (uint64_t i = 0; i < image->dirty_count; i++)
		cut_sector(image, image->dirty[i], keep_percent, salt);
	image->dirty_count = 0;
}

/* Calls change() on every copy of the sector there is. */
void
cut_image_change_all(struct cut_image *image, uint64_t sector,
    void (*change)(uint8_t *data, const void *arg), const void *arg)
{
	uint32_t at = slot_newest(image, sector);

	change(image->newest + sector * SECTOR, arg);
	change(image->platter + sector * SECTOR, arg);
	for (; at != 0; at = image->versions[at - 1].older)
		change(image->versions[at - 1].data, arg);
}

/* ---- life ---- */

static uint64_t
slots_bytes(uint64_t size)
{
	return size / SECTOR * sizeof(uint32_t);
}

void
cut_image_done(struct cut_image *image)
{
	sparse_unmap(image->newest, image->size);
	sparse_unmap(image->platter, image->size);
	sparse_unmap(image->slots, slots_bytes(image->size));
	free(image->versions);
	free(image->dirty);
}

int
cut_image_init(struct cut_image *image, uint64_t size)
{
	*image = (struct cut_image){.size = size};
	image->newest = sparse_map(size);
	image->platter = sparse_map(size);
	image->slots = sparse_map(slots_bytes(size));
	if (image->newest == NULL || image->platter == NULL ||
	    image->slots == NULL) {
		cut_image_done(image);
		return -ENOMEM;
	}
	sparse_dense(image->newest, size);
	sparse_dense(image->platter, size);
	return 0;
}

/* Forgets what is past the new end: it is zeros if it comes back. */
static void
cut_off(struct cut_image *image, uint64_t size)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < image->dirty_count; i++) {
		uint64_t sector = image->dirty[i];
		if (sector < size / SECTOR) {
			image->dirty[kept++] = sector;
			continue;
		}
		versions_drop(image, slot_newest(image, sector));
		image->slots[sector] = SLOT_CLEAN;
	}
	image->dirty_count = kept;
	sparse_clear(image->newest, size, image->size);
	sparse_clear(image->platter, size, image->size);
}

static void *
remap(void *p, uint64_t bytes, uint64_t new_bytes)
{
	p = sparse_remap(p, bytes, new_bytes);
	assert(p != NULL); /* out of addresses, of which there are 2^47 */
	return p;
}

void
cut_image_resize(struct cut_image *image, uint64_t size)
{
	uint64_t old = image->size;

	if (size < old)
		cut_off(image, size);
	image->newest = remap(image->newest, old, size);
	image->platter = remap(image->platter, old, size);
	image->slots = remap(image->slots, slots_bytes(old), slots_bytes(size));
	image->size = size;
}
