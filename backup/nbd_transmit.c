/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests, one after the other, each answered before the next is taken.
 */
#include "backup/nbd_talk.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest extent that its 32 bits can say, in whole blocks. */
#define EXTENT_LENGTH_MAX 0xfffff000u

struct ask {
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
};

int
nbd_skip(struct nbd_talk *talk, uint64_t length)
{
	int ret = 0;

	while (length > 0 && ret == 0) {
		size_t part = length < sizeof(talk->buffer)
				  ? (size_t)length
				  : sizeof(talk->buffer);
		ret = talk->wire->read(talk->wire, talk->buffer, part);
		length -= part;
	}
	return ret;
}

/* ---- answers ---- */

static int
send_simple(struct nbd_talk *talk, const struct ask *ask, uint32_t error)
{
	struct nbd_simple_reply reply;

	be32_set(&reply.magic, NBD_SIMPLE_REPLY);
	be32_set(&reply.error, error);
	be64_set(&reply.cookie, ask->cookie);
	return talk->wire->write(talk->wire, &reply, sizeof(reply));
}

/* head: what the chunk's type has before its data. */
static int
send_chunk(struct nbd_talk *talk, const struct ask *ask, uint16_t type,
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
send_error(struct nbd_talk *talk, const struct ask *ask, uint32_t error)
{
	uint8_t head[6] = {0}; /* the error, and a message of no length */

	if (!talk->structured)
		return send_simple(talk, ask, error);
	store_be32(head, error);
	return send_chunk(
	    talk, ask, NBD_CHUNK_ERROR, true, head, sizeof(head), NULL, 0);
}

static int
send_ok(struct nbd_talk *talk, const struct ask *ask)
{
	if (!talk->structured)
		return send_simple(talk, ask, 0);
	return send_chunk(talk, ask, NBD_CHUNK_NONE, true, NULL, 0, NULL, 0);
}

static bool
lies_within(const struct nbd_talk *talk, const struct ask *ask)
{
	uint64_t size = talk->export->disk->size;

	return ask->offset <= size && ask->length <= size - ask->offset;
}

/* ---- commands ---- */

static int
do_read(struct nbd_talk *talk, const struct ask *ask)
{
	struct nbd_disk *disk = talk->export->disk;
	uint8_t head[8];
	int ret;

	if (!lies_within(talk, ask) || ask->length > NBD_PAYLOAD_MAX ||
	    (ask->flags & ~NBD_CMD_FLAG_DF))
		return send_error(talk, ask, NBD_EINVAL);
	if (ask->length == 0)
		return send_ok(talk, ask);
	ret = disk->read(disk, ask->offset, ask->length, talk->buffer);
	if (ret < 0)
		return send_error(talk, ask, NBD_EIO);
	store_be64(head, ask->offset);
	if (talk->structured)
		return send_chunk(talk, ask, NBD_CHUNK_OFFSET_DATA, true, head,
		    sizeof(head), talk->buffer, ask->length);
	ret = send_simple(talk, ask, 0);
	return ret < 0
		   ? ret
		   : talk->wire->write(talk->wire, talk->buffer, ask->length);
}

static uint32_t
state_of(enum nbd_map map, bool set)
{
	if (map == NBD_MAP_DIRTY)
		return set ? NBD_STATE_DIRTY : 0;
	return set ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO;
}

/* The descriptors, cut to what was asked for; how many. */
static unsigned
describe(enum nbd_map map, const struct ask *ask, struct nbd_extent *extents,
    unsigned count, uint8_t *to)
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
send_status(
    struct nbd_talk *talk, const struct ask *ask, enum nbd_map map, bool done)
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
do_block_status(struct nbd_talk *talk, const struct ask *ask)
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
do_write(struct nbd_talk *talk, const struct ask *ask)
{
	int ret = nbd_skip(talk, ask->length);

	return ret < 0 ? ret : send_error(talk, ask, NBD_EPERM);
}

static int
do_change(struct nbd_talk *talk, const struct ask *ask)
{
	return send_error(talk, ask, NBD_EPERM);
}

static int
do_disconnect(struct nbd_talk *talk, const struct ask *ask)
{
	(void)talk, (void)ask;
	return -ECONNABORTED;
}

static int (*const commands[])(struct nbd_talk *talk, const struct ask *ask) = {
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
	struct ask ask;
	int ret = talk->wire->read(talk->wire, &raw, sizeof(raw));

	if (ret < 0)
		return ret;
	if (be32_get(&raw.magic) != NBD_REQUEST)
		return -EBADMSG;
	ask = (struct ask){
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

void
nbd_transmit(struct nbd_talk *talk)
{
	while (next_request(talk) == 0)
		;
}

void
nbd_talk(const struct nbd_export *export, struct nbd_wire *wire)
{
	struct nbd_talk *talk = malloc(sizeof(*talk));

	assert(talk != NULL);
	memset(talk, 0, offsetof(struct nbd_talk, option));
	talk->export = export;
	talk->wire = wire;
	if (nbd_negotiate(talk) > 0) {
		if (export->admitted != NULL)
			export->admitted(export);
		nbd_transmit(talk);
	}
	free(talk);
}
