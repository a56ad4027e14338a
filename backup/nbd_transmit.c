/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests.  Reads are begun as they come and answered in that order; what
 * comes between them is answered at once, which the protocol allows.  While one
 * waits for the disk nothing is taken, and while one is written to a client
 * that does not take it neither: so a client has what it is given here, and no
 * more.
 */
#include "backup/nbd_talk.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest extent that its 32 bits can say, in whole blocks. */
#define EXTENT_LENGTH_MAX 0xfffff000u

/* Takes and forgets. */
static int
skip(struct nbd_talk *talk, uint64_t length)
{
	int ret = 0;

	while (length > 0 && ret == 0) {
		size_t part = sizeof(talk->option);
		if (length < part)
			part = (size_t)length;
		ret = talk->wire->read(talk->wire, talk->option, part);
		length -= part;
	}
	return ret;
}

/* ---- answers ---- */

static int
send_simple(struct nbd_talk *talk, const struct nbd_ask *ask, uint32_t error)
{
	struct nbd_simple_reply reply;

	be32_set(&reply.magic, NBD_SIMPLE_REPLY);
	be32_set(&reply.error, error);
	be64_set(&reply.cookie, ask->cookie);
	return talk->wire->write(talk->wire, &reply, sizeof(reply));
}

/* head: what the chunk's type has before its data. */
static int
send_chunk(struct nbd_talk *talk, const struct nbd_ask *ask, uint16_t type,
    bool done, const void *head, size_t head_length, const void *data,
    size_t length)
{
	struct nbd_chunk chunk;
	int ret;

	be32_set(&chunk.magic, NBD_CHUNK);
	be16_set(&chunk.flags, done ? NBD_CHUNK_FLAG_DONE : 0);
	be16_set(&chunk.type, type);
	be64_set(&chunk.cookie, ask->cookie);
	be32_set(&chunk.length, (uint32_t)(head_length + length));
	ret = talk->wire->write(talk->wire, &chunk, sizeof(chunk));
	if (ret == 0 && head_length > 0)
		ret = talk->wire->write(talk->wire, head, head_length);
	if (ret == 0 && length > 0)
		ret = talk->wire->write(talk->wire, data, length);
	return ret;
}

static int
send_error(struct nbd_talk *talk, const struct nbd_ask *ask, uint32_t error)
{
	uint8_t head[6] = {0}; /* the error, and a message of no length */

	if (!talk->structured)
		return send_simple(talk, ask, error);
	store_be32(head, error);
	return send_chunk(
	    talk, ask, NBD_CHUNK_ERROR, true, head, sizeof(head), NULL, 0);
}

static int
send_ok(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	if (!talk->structured)
		return send_simple(talk, ask, 0);
	return send_chunk(talk, ask, NBD_CHUNK_NONE, true, NULL, 0, NULL, 0);
}

static bool
lies_within(const struct nbd_talk *talk, const struct nbd_ask *ask)
{
	uint64_t size = talk->export->disk->size;

	return ask->offset <= size && ask->length <= size - ask->offset;
}

/* ---- reads ---- */

static struct nbd_read *
read_at(struct nbd_reads *reads, unsigned index)
{
	return &reads->list[(reads->first + index) % NBD_READS_MAX];
}

/* Where length bytes have room behind the newest, of which there is one; false:
 * nowhere yet. */
static bool
reads_room(struct nbd_reads *reads, size_t length, size_t *ret_at)
{
	const struct nbd_read *newest;
	size_t begin, end;

	*ret_at = 0;
	if (reads->count == NBD_READS_MAX)
		return false;
	assert(reads->count > 0);
	newest = read_at(reads, reads->count - 1);
	begin = reads->list[reads->first].at;
	end = newest->at + newest->ask.length;
	if (end > begin && reads->size - end >= length) {
		*ret_at = end;
		return true;
	}
	if (end > begin)
		return length <= begin;
	*ret_at = end;
	return begin - end >= length;
}

/* With no read under way. */
static void
reads_size(struct nbd_reads *reads, size_t length)
{
	size_t size = length > NBD_READS_BYTES ? length : NBD_READS_BYTES;

	if (size == reads->size)
		return;
	free(reads->data);
	reads->data = malloc(size);
	assert(reads->data != NULL);
	reads->size = size;
}

static int
send_data(struct nbd_talk *talk, const struct nbd_ask *ask, const uint8_t *data)
{
	uint8_t head[8];
	int ret;

	store_be64(head, ask->offset);
	if (talk->structured)
		return send_chunk(talk, ask, NBD_CHUNK_OFFSET_DATA, true, head,
		    sizeof(head), data, ask->length);
	ret = send_simple(talk, ask, 0);
	return ret < 0 ? ret : talk->wire->write(talk->wire, data, ask->length);
}

/* Of the oldest. */
static int
end_read(struct nbd_talk *talk)
{
	struct nbd_disk *disk = talk->export->disk;
	struct nbd_reads *reads = &talk->reads;
	const struct nbd_read *oldest = read_at(reads, 0);
	int ret;

	assert(reads->count > 0);
	ret = disk->end(disk);
	ret = ret < 0 ? send_error(talk, &oldest->ask, NBD_EIO)
		      : send_data(talk, &oldest->ask, reads->data + oldest->at);
	reads->first = (reads->first + 1) % NBD_READS_MAX;
	reads->count--;
	talk->taken = 0;
	return ret;
}

static int
do_read(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	struct nbd_disk *disk = talk->export->disk;
	struct nbd_reads *reads = &talk->reads;
	size_t at = 0;
	int ret = 0;

	if (!lies_within(talk, ask) || ask->length > NBD_PAYLOAD_MAX ||
	    (ask->flags & ~NBD_CMD_FLAG_DF))
		return send_error(talk, ask, NBD_EINVAL);
	if (ask->length == 0)
		return send_ok(talk, ask);
	while (ret == 0 && reads->count > 0 &&
	       !reads_room(reads, ask->length, &at))
		ret = end_read(talk);
	if (ret < 0)
		return ret;
	if (reads->count == 0) {
		reads_size(reads, ask->length);
		at = 0;
	}
	*read_at(reads, reads->count++) = (struct nbd_read){*ask, at};
	disk->begin(disk, ask->offset, ask->length, reads->data + at);
	return 0;
}

/* ---- other commands ---- */

static uint32_t
state_of(enum nbd_map map, bool set)
{
	if (map == NBD_MAP_DIRTY)
		return set ? NBD_STATE_DIRTY : 0;
	return set ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO;
}

/* The descriptors, cut to what was asked for; how many. */
static unsigned
describe(enum nbd_map map, const struct nbd_ask *ask,
    struct nbd_extent *extents, unsigned count, uint8_t *to)
{
	uint64_t left = ask->length;
	unsigned i;

	for (i = 0; i < count && left > 0; i++) {
		uint64_t length = extents[i].length;
		assert(length > 0);
		if (length > left)
			length = left;
		if (length > EXTENT_LENGTH_MAX)
			length = EXTENT_LENGTH_MAX;
		store_be32(&to[8 * i], (uint32_t)length);
		store_be32(&to[8 * i + 4], state_of(map, extents[i].set));
		left -= length;
		/* what was cut leaves nothing known behind it */
		if (length < extents[i].length)
			return i + 1;
	}
	return i;
}

static int
send_status(struct nbd_talk *talk, const struct nbd_ask *ask, enum nbd_map map,
    bool done)
{
	struct nbd_disk *disk = talk->export->disk;
	unsigned max = ask->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : NBD_EXTENTS_MAX;
	struct nbd_extent extents[NBD_EXTENTS_MAX];
	uint8_t head[4], data[8 * NBD_EXTENTS_MAX];
	int count =
	    disk->map(disk, map, ask->offset, ask->length, extents, max);

	if (count < 0)
		return send_error(talk, ask, NBD_EIO);
	assert(count > 0);
	store_be32(head, nbd_context_id(map));
	return send_chunk(talk, ask, NBD_CHUNK_BLOCK_STATUS, done, head,
	    sizeof(head), data,
	    8 * describe(map, ask, extents, (unsigned)count, data));
}

static int
do_block_status(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	unsigned last = NBD_CONTEXTS;
	int ret = 0;

	for (unsigned map = 0; map < NBD_CONTEXTS; map++)
		last = talk->contexts[map] ? map : last;
	if (last == NBD_CONTEXTS || ask->length == 0 ||
	    !lies_within(talk, ask) || (ask->flags & ~NBD_CMD_FLAG_REQ_ONE))
		return send_error(talk, ask, NBD_EINVAL);
	for (unsigned map = 0; map < NBD_CONTEXTS && ret == 0; map++) {
		if (talk->contexts[map])
			ret = send_status(talk, ask, map, map == last);
	}
	return ret;
}

/* Its data have to be taken, or what follows is not understood. */
static int
do_write(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	int ret = skip(talk, ask->length);

	return ret < 0 ? ret : send_error(talk, ask, NBD_EPERM);
}

static int
do_change(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	return send_error(talk, ask, NBD_EPERM);
}

static int
do_disconnect(struct nbd_talk *talk, const struct nbd_ask *ask)
{
	(void)talk, (void)ask;
	return -ECONNABORTED;
}

static int (*const commands[])(
    struct nbd_talk *talk, const struct nbd_ask *ask) = {
    [NBD_CMD_READ] = do_read,
    [NBD_CMD_WRITE] = do_write,
    [NBD_CMD_DISC] = do_disconnect,
    [NBD_CMD_TRIM] = do_change,
    [NBD_CMD_WRITE_ZEROES] = do_change,
    [NBD_CMD_BLOCK_STATUS] = do_block_status,
};

static int
next_request(struct nbd_talk *talk)
{
	struct nbd_request raw;
	struct nbd_ask ask;
	int ret = talk->wire->read(talk->wire, &raw, sizeof(raw));

	if (ret < 0)
		return ret;
	if (be32_get(&raw.magic) != NBD_REQUEST)
		return -EBADMSG;
	ask = (struct nbd_ask){
	    .flags = be16_get(&raw.flags),
	    .type = be16_get(&raw.type),
	    .cookie = be64_get(&raw.cookie),
	    .offset = be64_get(&raw.offset),
	    .length = be32_get(&raw.length),
	};
	if (ask.type >= ARRAY_SIZE(commands) || commands[ask.type] == NULL)
		return send_error(talk, &ask, NBD_EINVAL);
	return commands[ask.type](talk, &ask);
}

/* Is it time to answer what was begun? */
static bool
has_to_end(struct nbd_talk *talk)
{
	if (talk->reads.count == 0)
		return false;
	return talk->taken++ >= NBD_READS_MAX || talk->wire->ready == NULL ||
	       !talk->wire->ready(talk->wire);
}

void
nbd_transmit(struct nbd_talk *talk)
{
	int ret = 0;

	while (ret == 0)
		ret = has_to_end(talk) ? end_read(talk) : next_request(talk);
	/* who goes has an answer to all that he has asked for */
	while (ret == -ECONNABORTED && talk->reads.count > 0) {
		if (end_read(talk) < 0)
			break;
	}
}

void
nbd_talk(const struct nbd_export *export, struct nbd_wire *wire)
{
	struct nbd_talk *talk = calloc(1, sizeof(*talk));

	assert(talk != NULL);
	talk->export = export;
	talk->wire = wire;
	if (nbd_negotiate(talk) > 0) {
		if (export->admitted != NULL)
			export->admitted(export);
		nbd_transmit(talk);
	}
	free(talk->reads.data);
	free(talk);
}
