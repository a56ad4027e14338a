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

/* Requests come in bursts. */
static bool
wire_ready(struct nbd_wire *wire)
{
	return container_of(wire, struct client, wire)->left % 7 != 0;
}

/* No two that are under way have memory in common. */
static struct {
	uint8_t *to;
	uint32_t length;
} reads[NBD_READS_MAX];
static unsigned reads_first, reads_count;

static void
disk_begin(struct nbd_disk *disk, uint64_t offset, uint32_t length, uint8_t *to)
{
	unsigned at = (reads_first + reads_count++) % NBD_READS_MAX;

	assert(length > 0);
	assert(offset <= disk->size && length <= disk->size - offset);
	assert(reads_count <= NBD_READS_MAX);
	for (unsigned i = 0; i + 1 < reads_count; i++) {
		unsigned other = (reads_first + i) % NBD_READS_MAX;
		assert(to + length <= reads[other].to ||
		       to >= reads[other].to + reads[other].length);
	}
	reads[at].to = to;
	reads[at].length = length;
}

static int
disk_end(struct nbd_disk *disk)
{
	(void)disk;
	assert(reads_count > 0);
	memset(reads[reads_first].to, 'x', reads[reads_first].length);
	reads_first = (reads_first + 1) % NBD_READS_MAX;
	reads_count--;
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
	struct nbd_disk disk = {.size = DISK,
	    .begin = disk_begin,
	    .end = disk_end,
	    .map = disk_map};
	const struct nbd_export export = {.name = "ticket",
	    .bitmap = "since-mon",
	    .tls_required = size % 2,
	    .listed = size % 3 == 0,
	    .disk = &disk};
	struct client client = {.wire = {.read = wire_read,
				    .write = wire_write,
				    .ready = wire_ready,
				    .start_tls = wire_tls},
	    .at = data,
	    .left = size};

	reads_first = reads_count = 0;
	nbd_talk(&export, &client.wire);
	return 0;
}
