/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an NBD client says: the input is all of it, from its first flags on, to
 * a server with a disk of 1 MiB, a bitmap, and TLS that always succeeds.
 */
#include "backup/nbd.h"
#include "base/assert.h"
#include <errno.h>
#include <string.h>

#define DISK (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
	struct nbd_wire wire;
	const uint8_t *at;
	size_t left, answered;
};

static int
wire_read(struct nbd_wire *wire, void *to, size_t length)
{
	struct client *client = container_of(wire, struct client, wire);

	if (length > client->left)
		return -EPIPE;
	memcpy(to, client->at, length);
	client->at += length;
	client->left -= length;
	return 0;
}

/* A client that wants too much goes. */
static int
wire_write(struct nbd_wire *wire, const void *from, size_t length)
{
	struct client *client = container_of(wire, struct client, wire);

	(void)from;
	client->answered += length;
	return client->answered > 64 * DISK ? -EPIPE : 0;
}

static int
wire_tls(struct nbd_wire *wire)
{
	(void)wire;
	return 0;
}

static int
disk_read(struct nbd_disk *disk, uint64_t offset, uint32_t length, uint8_t *to)
{
	assert(length > 0);
	assert(offset <= disk->size && length <= disk->size - offset);
	memset(to, (int)offset, length);
	return 0;
}

static int
disk_map(struct nbd_disk *disk, enum nbd_map map, uint64_t offset,
    uint64_t length, struct nbd_extent *ret_extents, unsigned max)
{
	unsigned count = 0;

	assert(length > 0);
	assert(offset <= disk->size && length <= disk->size - offset);
	for (uint64_t left = disk->size - offset; left > 0 && count < max;
	     count++) {
		ret_extents[count].length = left < 777 ? left : 777;
		ret_extents[count].set = (count + map) % 2;
		left -= ret_extents[count].length;
	}
	return (int)count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbd_disk disk = {
	    .size = DISK, .read = disk_read, .map = disk_map};
	const struct nbd_export export = {.name = "ticket",
	    .bitmap = "since-mon",
	    .tls_required = size % 2,
	    .listed = size % 3 == 0,
	    .disk = &disk};
	struct client client = {.wire = {.read = wire_read,
				    .write = wire_write,
				    .start_tls = wire_tls},
	    .at = data,
	    .left = size};

	nbd_talk(&export, &client.wire);
	return 0;
}
