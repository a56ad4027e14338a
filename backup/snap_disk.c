/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/snap_disk.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include <errno.h>
#include <string.h>

#define UNIT      4096u /* of a LUN and of what varved says of it */
#define KNOWN_MAX 4096u
#define DOWN(n)   ((n) / UNIT * UNIT)
#define UP(n)     DOWN((n) + UNIT - 1)

static int
lost(json_t *problem)
{
	json_decref(problem);
	return -EIO;
}

/* ---- reading ---- */

static void
broke(struct snap_disk *snap, json_t *problem)
{
	snap->broken |= problem != NULL;
	json_decref(problem);
}

/* What of piece lies in what is read goes where it belongs. */
static void
piece_copy(const struct piece *piece, const struct snap_read *read)
{
	uint64_t begin = piece->offset, end = piece_end(piece);

	if (begin < read->offset)
		begin = read->offset;
	if (end > read->offset + read->length)
		end = read->offset + read->length;
	memcpy(read->to + (begin - read->offset),
	    piece->data + (begin - piece->offset), end - begin);
}

/* As much as there is room for of what is not asked for yet. */
static void
ask_ahead(struct snap_disk *snap)
{
	struct initiator *initiator = snap->initiator;

	while (snap->asking < snap->count && !snap->broken) {
		struct snap_read *read =
		    &snap->reads[(snap->first + snap->asking) % NBD_READS_MAX];
		uint64_t part = read->end - read->asked;
		if (part > TRANSFER_MAX)
			part = TRANSFER_MAX;
		if (!initiator_room(initiator))
			return;
		broke(snap,
		    initiator_read(initiator, read->asked, (uint32_t)part));
		read->asked += part;
		if (read->asked == read->end)
			snap->asking++;
	}
}

static void
snap_begin(struct nbd_disk *disk, uint64_t offset, uint32_t length, uint8_t *to)
{
	struct snap_disk *snap = container_of(disk, struct snap_disk, disk);

	assert(snap->count < NBD_READS_MAX);
	snap->reads[(snap->first + snap->count) % NBD_READS_MAX] =
	    (struct snap_read){.offset = offset,
		.length = length,
		.to = to,
		.asked = DOWN(offset),
		.got = DOWN(offset),
		.end = UP(offset + length)};
	snap->count++;
	ask_ahead(snap);
}

/* Transfers end in the order in which they were begun: the next is of the
 * oldest read.  A session in which one failed has it in the way for ever. */
static int
snap_end(struct nbd_disk *disk)
{
	struct snap_disk *snap = container_of(disk, struct snap_disk, disk);
	struct snap_read *read = &snap->reads[snap->first];
	struct piece piece;

	assert(snap->count > 0);
	while (read->got < read->end && !snap->broken) {
		ask_ahead(snap);
		if (snap->broken)
			break;
		broke(snap, initiator_oldest(snap->initiator, &piece));
		if (snap->broken)
			break;
		piece_copy(&piece, read);
		read->got = piece_end(&piece);
		initiator_drop(snap->initiator);
	}
	snap->first = (snap->first + 1) % NBD_READS_MAX;
	snap->count--;
	snap->asking -= snap->asking > 0;
	return snap->broken ? -EIO : 0;
}

/* ---- the map ---- */

/* Asks from offset on. */
static int
learn(struct snap_map *map, uint64_t offset, uint64_t size)
{
	struct extents *extents;
	struct extent extent = {.length = 0};
	json_t *problem = NULL;

	map->params.offset = map->begin = DOWN(offset);
	map->count = 0;
	extents = extents_new(&map->params);
	while (problem == NULL && map->count < KNOWN_MAX) {
		problem = extents_next(extents, &extent);
		if (problem != NULL || extent.length == 0)
			break;
		map->extents[map->count++] = extent;
	}
	extents_free(extents);
	map->end = extent.length == 0 ? size : extent.offset + extent.length;
	if (problem == NULL)
		return 0;
	map->end = map->begin;
	return lost(problem);
}

/* The first extent that ends behind offset. */
static unsigned
extent_at(const struct snap_map *map, uint64_t offset)
{
	unsigned low = 0, high = map->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct extent *extent = &map->extents[middle];
		if (extent->offset + extent->length > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Of the difference from nothing all extents are data; of one from a base both
 * kinds are dirty. */
static int
snap_map(struct nbd_disk *disk, enum nbd_map which, uint64_t offset,
    uint64_t length, struct nbd_extent *ret_extents, unsigned max)
{
	struct snap_disk *snap = container_of(disk, struct snap_disk, disk);
	struct snap_map *map = &snap->maps[which];
	uint64_t end = offset + length;
	unsigned count = 0;

	if (offset < map->begin || offset >= map->end) {
		int ret = learn(map, offset, disk->size);
		if (ret < 0)
			return ret;
	}
	if (end > map->end)
		end = map->end;
	for (unsigned i = extent_at(map, offset); offset < end && count < max;
	     count++) {
		const struct extent *extent = &map->extents[i];
		bool set = i < map->count && extent->offset <= offset;
		uint64_t until = end;
		if (set)
			until = extent->offset + extent->length, i++;
		else if (i < map->count && extent->offset < end)
			until = extent->offset;
		if (until > end)
			until = end;
		ret_extents[count] = (struct nbd_extent){until - offset, set};
		offset = until;
	}
	return (int)count;
}

/* ---- life ---- */

void
snap_disk_init(struct snap_disk *snap, struct initiator *initiator,
    uint64_t size, const struct extents_params params[2])
{
	*snap = (struct snap_disk){.disk.size = size,
	    .disk.begin = snap_begin,
	    .disk.end = snap_end,
	    .disk.map = snap_map,
	    .initiator = initiator};
	for (unsigned i = 0; i < 2; i++) {
		snap->maps[i].params = params[i];
		snap->maps[i].extents =
		    calloc(KNOWN_MAX, sizeof(struct extent));
		assert(snap->maps[i].extents != NULL);
	}
}

void
snap_disk_done(struct snap_disk *snap)
{
	for (unsigned i = 0; i < 2; i++)
		free(snap->maps[i].extents);
}
