/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring by the kernel's header alone.
 *
 * The kernel moves cmd_head, we move cmd_tail.  Commands are taken ahead of the
 * tail, so there is a place of our own (taken).  An answer is written over the
 * oldest entry that has none yet, whosever command that was, and says by its
 * cmd_id which command it is for: so nothing of an entry may be needed any more
 * once it has been taken.
 */
#include "target/tcmu/ring.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* the header would define struct iovec once more */
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

struct native {
	struct tcmu_ring ring;
	struct tcmu_mailbox *mailbox;
	uint8_t *entries; /* the command ring */
	uint32_t entries_size;
	uint32_t taken; /* up to here entries have been read */
	unsigned
	    unanswered; /* commands that have been taken and not answered */
};

static struct native *
native_of(struct tcmu_ring *ring)
{
	return container_of(ring, struct native, ring);
}

/* ---- what the kernel has put there ---- */

static struct tcmu_cmd_entry_hdr *
header_at(const struct native *native, uint32_t at)
{
	return (void *)(native->entries + at);
}

/* 0: nothing that the rest of the ring could hold. */
static uint32_t
entry_length(const struct native *native, uint32_t at)
{
	uint32_t length = tcmu_hdr_get_len(header_at(native, at)->len_op);

	if (length < sizeof(struct tcmu_cmd_entry_hdr) ||
	    length > native->entries_size - at)
		return 0;
	return length;
}

static uint32_t
after(const struct native *native, uint32_t at)
{
	return (at + entry_length(native, at)) % native->entries_size;
}

/* Entries that want no answer give their place back as soon as they are the
 * oldest. */
static void
tail_move(struct native *native, uint32_t tail)
{
	while (tail != native->taken &&
	       tcmu_hdr_get_op(header_at(native, tail)->len_op) != TCMU_OP_CMD)
		tail = after(native, tail);
	__atomic_store_n(&native->mailbox->cmd_tail, tail, __ATOMIC_RELEASE);
}

/* By the group code, SPC-4 4.2.5.1; vendors' have what the entry has. */
static unsigned
cdb_length(const uint8_t *cdb, unsigned room)
{
	static const uint8_t of_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};
	unsigned length = of_group[cdb[0] >> 5];

	if (cdb[0] == 0x7f && room > 7)
		length = 8u + cdb[7];
	else if (length == 0)
		length = 16;
	if (length > room)
		length = room;
	return length < SCSI_CDB_MAX ? length : SCSI_CDB_MAX;
}

static int
take_command(const struct native *native, const struct tcmu_cmd_entry *entry,
    uint32_t length, struct tcmu_command *command)
{
	const uint8_t *map = native->ring.map;
	uint64_t entry_at = (uint64_t)((const uint8_t *)entry - map);
	uint64_t cdb_at = entry->req.cdb_off;
	uint32_t count = entry->req.iov_cnt;

	if (length < sizeof(*entry) || cdb_at < entry_at ||
	    cdb_at >= entry_at + length ||
	    count > (length - offsetof(struct tcmu_cmd_entry, req.iov)) /
			sizeof(struct iovec))
		return -EIO;
	*command = (struct tcmu_command){.id = entry->hdr.cmd_id};
	command->cdb_length = (uint8_t)cdb_length(
	    map + cdb_at, (unsigned)(entry_at + length - cdb_at));
	memcpy(command->cdb, map + cdb_at, command->cdb_length);
	for (uint32_t i = 0; i < count; i++) {
		struct iovec iov = entry->req.iov[i];
		if (!tcmu_command_add(&native->ring, command,
			(uint64_t)(uintptr_t)iov.iov_base, iov.iov_len))
			return -EIO;
	}
	return 1;
}

/* More than there is room for: those are not told of, and end by themselves. */
static int
take_abort(const struct tcmu_tmr_entry *entry, uint32_t length,
    struct tcmu_event *event)
{
	uint32_t count = entry->cmd_cnt;

	if (length < sizeof(*entry) ||
	    count > (length - sizeof(*entry)) / sizeof(entry->cmd_ids[0]))
		return -EIO;
	event->abort_count = count < TCMU_ABORT_MAX ? count : TCMU_ABORT_MAX;
	memcpy(event->abort, (const uint8_t *)entry + sizeof(*entry),
	    event->abort_count * sizeof(event->abort[0]));
	return 1;
}

static int
take(struct native *native, const struct tcmu_cmd_entry_hdr *header,
    uint32_t length, struct tcmu_event *event)
{
	switch (tcmu_hdr_get_op(header->len_op)) {
	case TCMU_OP_PAD: return 0;
	case TCMU_OP_CMD:
		event->kind = TCMU_COMMAND;
		native->unanswered++;
		return take_command(
		    native, (const void *)header, length, &event->command);
	case TCMU_OP_TMR:
		event->kind = TCMU_ABORT;
		return take_abort((const void *)header, length, event);
	}
	return -EIO;
}

static int
native_next(struct tcmu_ring *ring, struct tcmu_event *ret_event)
{
	struct native *native = native_of(ring);
	uint32_t head =
	    __atomic_load_n(&native->mailbox->cmd_head, __ATOMIC_ACQUIRE);
	int ret = 0;

	while (ret == 0 && native->taken != head) {
		uint32_t at = native->taken;
		uint32_t length = entry_length(native, at);
		if (length == 0)
			return -EIO;
		ret = take(native, header_at(native, at), length, ret_event);
		if (ret < 0)
			return ret;
		native->taken = after(native, at);
		if (native->unanswered == 0)
			tail_move(native, native->mailbox->cmd_tail);
	}
	return ret;
}

/* ---- answers ---- */

static void
native_complete(struct tcmu_ring *ring, const struct tcmu_answer *answer)
{
	struct native *native = native_of(ring);
	uint32_t tail = native->mailbox->cmd_tail;
	struct tcmu_cmd_entry *entry = (void *)header_at(native, tail);

	assert(native->unanswered > 0);
	assert(tcmu_hdr_get_op(entry->hdr.len_op) == TCMU_OP_CMD);
	assert(answer->sense_length <= sizeof(entry->rsp.sense_buffer));
	entry->hdr.cmd_id = answer->id;
	entry->hdr.uflags = 0;
	memset(&entry->rsp, 0, sizeof(entry->rsp));
	entry->rsp.scsi_status = (uint8_t)answer->status;
	if (answer->sense_length > 0)
		memcpy(entry->rsp.sense_buffer, answer->sense,
		    answer->sense_length);
	if (answer->is_short && ring->has_length) {
		assert(answer->length > 0);
		entry->hdr.uflags |= TCMU_UFLAG_READ_LEN;
		entry->rsp.read_len = answer->length;
	}
	native->unanswered--;
	tail_move(native, after(native, tail));
}

/* ---- life ---- */

static void
native_free(struct tcmu_ring *ring)
{
	free(native_of(ring));
}

static const struct tcmu_ring_ops native_ops = {
    .next = native_next,
    .complete = native_complete,
    .free = native_free,
};

int
tcmu_native_new(int fd, void *map, size_t size, struct tcmu_ring **ret_ring)
{
	struct native *native = calloc(1, sizeof(*native));

	(void)fd;
	(void)size;
	if (native == NULL)
		return -ENOMEM;
	native->ring.ops = &native_ops;
	native->ring.is_heritable = true;
	native->mailbox = map;
	native->ring.has_length =
	    native->mailbox->flags & TCMU_MAILBOX_FLAG_CAP_READ_LEN;
	native->entries = (uint8_t *)map + native->mailbox->cmdr_off;
	native->entries_size = native->mailbox->cmdr_size;
	native->taken = native->mailbox->cmd_tail;
	*ret_ring = &native->ring;
	return 0;
}
