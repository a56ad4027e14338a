/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What no TCMU daemon can undercut: it takes commands from the ring, says GOOD
 *to each, and tells the kernel once for all that it found.  It has no medium:
 *READ gives what lies in the ring's memory, WRITE goes nowhere.  What is left
 *is the kernel's own work, one poll and one write a turn.
 *
 *	tcmu_floor /dev/uioN BYTES
 */
#include "base/endian.h"
#include "target/scsi/task.h"
#include "target/tcmu/ring.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u

static uint64_t blocks;

/* What the disk's driver wants to see before it takes it for one. */
static unsigned
inquiry(const uint8_t *cdb, uint8_t *data)
{
	static const uint8_t standard[36] = {
	    0, 0, 5, 2, 31, [8] = 'f', [16] = 'f'};
	static const uint8_t pages[] = {0, 0, 0, 2, 0, 0x80};
	static const uint8_t serial[] = {
	    0, 0x80, 0, 5, 'f', 'l', 'o', 'o', 'r'};

	const uint8_t *from = standard;
	unsigned length = sizeof(standard);

	if ((cdb[1] & 1) != 0) {
		from = cdb[2] == 0x80 ? serial : pages;
		length = cdb[2] == 0x80 ? sizeof(serial) : sizeof(pages);
	}
	memcpy(data, from, length);
	return length;
}

static unsigned
capacity(bool long_one, uint8_t *data)
{
	memset(data, 0, 32);
	if (!long_one) {
		store_be32(data, (uint32_t)(blocks - 1));
		store_be32(data + 4, BLOCK);
		return 8;
	}
	store_be64(data, blocks - 1);
	store_be32(data + 8, BLOCK);
	return 32;
}

/* -1: no such command. */
static int
data_in(const struct tcmu_command *command, uint8_t *data)
{
	switch (command->cdb[0]) {
	case 0x12: return (int)inquiry(command->cdb, data);
	case 0x25: return (int)capacity(false, data);
	case 0x9e: return (int)capacity(true, data);
	case 0x00: /* TEST UNIT READY */
	case 0x35: /* SYNCHRONIZE CACHE (10) */ return 0;
	}
	return -1;
}

static void
serve(struct tcmu_ring *ring, const struct tcmu_command *command)
{
	static const uint8_t no_such[18] = {0x70, 0, 5, [7] = 10, [12] = 0x20};
	struct tcmu_answer answer = {.id = command->id, .status = SCSI_GOOD};
	uint8_t data[64];
	int length;

	if (command->cdb[0] == 0x28 || command->cdb[0] == 0x2a) {
		tcmu_ring_complete(ring, &answer);
		return;
	}
	length = data_in(command, data);
	if (length < 0) {
		answer.status = SCSI_CHECK_CONDITION;
		answer.sense = no_such;
		answer.sense_length = sizeof(no_such);
	}
	if (length > 0 && command->iov_count > 0) {
		size_t room = command->iov[0].iov_len;
		memset(command->iov[0].iov_base, 0, room);
		memcpy(command->iov[0].iov_base, data,
		    (size_t)length < room ? (size_t)length : room);
	}
	tcmu_ring_complete(ring, &answer);
}

static int
turn(struct tcmu_ring *ring)
{
	static struct tcmu_event event;
	struct pollfd fd = {.fd = ring->fd, .events = POLLIN};
	uint32_t count;
	int ret, served = 0;

	while ((ret = tcmu_ring_next(ring, &event)) > 0) {
		if (event.kind != TCMU_COMMAND)
			continue;
		serve(ring, &event.command);
		served++;
	}
	if (ret < 0 || (served > 0 && tcmu_ring_kick(ring) < 0))
		return -EIO;
	if (served > 0)
		return 0;
	if (poll(&fd, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return read(ring->fd, &count, sizeof(count)) < 0 && errno == EIO ? -EIO
									 : 0;
}

int
main(int argc, char **argv)
{
	struct tcmu_ring *ring;

	if (argc != 3 || tcmu_ring_open(argv[1], &ring) < 0) {
		fprintf(stderr, "usage: tcmu_floor /dev/uioN BYTES\n");
		return 2;
	}
	blocks = strtoull(argv[2], NULL, 0) / BLOCK;
	while (turn(ring) == 0)
		continue;
	tcmu_ring_close(ring);
	return 0;
}
