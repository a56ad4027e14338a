/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/tcmu/support/kernel.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#define ENTRIES_AT 4096u
#define DATA_AT    (ENTRIES_AT + KERNEL_RING)
#define DATA_BYTES (KERNEL_BLOCK * KERNEL_BLOCKS)

static struct tcmu_mailbox *
mailbox(const struct kernel *kernel)
{
	return kernel->map;
}

static void *
at(const struct kernel *kernel, uint64_t offset)
{
	return (uint8_t *)kernel->map + offset;
}

static uint8_t *
block(const struct kernel *kernel, unsigned i)
{
	return at(kernel, DATA_AT + (uint64_t)i * KERNEL_BLOCK);
}

static void *
map(int memory, size_t size)
{
	void *at_ =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	assert_true(at_ != MAP_FAILED);
	return at_;
}

void
kernel_open(struct kernel *kernel, uint16_t flags)
{
	int pair[2];

	memset(kernel, 0, sizeof(*kernel));
	assert_int_equal(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    0);
	kernel->fd = pair[0];
	kernel->device_fd = pair[1];
	kernel->size = DATA_AT + DATA_BYTES;
	int memory = memfd_create("ring", MFD_CLOEXEC);
	assert_true(memory >= 0);
	assert_int_equal(ftruncate(memory, (off_t)kernel->size), 0);
	kernel->map = map(memory, kernel->size);
	kernel->lent = map(memory, kernel->size);
	close(memory);
	memset(block(kernel, 0), KERNEL_OLD, DATA_BYTES);
	*mailbox(kernel) = (struct tcmu_mailbox){
	    .version = TCMU_MAILBOX_VERSION,
	    .flags = flags,
	    .cmdr_off = ENTRIES_AT,
	    .cmdr_size = KERNEL_RING,
	};
}

/* The ring has closed its end. */
void
kernel_close(struct kernel *kernel)
{
	for (unsigned i = 0; i < KERNEL_IDS; i++)
		free(kernel->commands[i].in);
	munmap(kernel->map, kernel->size);
	close(kernel->fd);
}

void
kernel_lend_again(struct kernel *kernel)
{
	kernel->device_fd = fcntl(kernel->device_fd, F_DUPFD_CLOEXEC, 0);
	assert_true(kernel->device_fd >= 0);
	/* of length 0: a second mapping of the same memory */
	kernel->lent = mremap(kernel->map, 0, kernel->size, MREMAP_MAYMOVE);
	assert_true(kernel->lent != MAP_FAILED);
}

/* ---- into the ring ---- */

static uint32_t
room(const struct kernel *kernel)
{
	uint32_t used =
	    (kernel->head + KERNEL_RING - kernel->cleaned) % KERNEL_RING;

	return KERNEL_RING - used - 1;
}

/* NULL: no room.  An entry is in one piece: before the end a PAD goes. */
static void *
entry_new(struct kernel *kernel, uint32_t length)
{
	uint32_t rest = KERNEL_RING - kernel->head;

	if (length > rest) {
		if (room(kernel) < rest + length)
			return NULL;
		struct tcmu_cmd_entry_hdr *pad =
		    at(kernel, ENTRIES_AT + kernel->head);
		memset(pad, 0, sizeof(*pad));
		pad->len_op = rest | TCMU_OP_PAD;
		kernel->head = 0;
	}
	if (room(kernel) < length)
		return NULL;
	void *entry = at(kernel, ENTRIES_AT + kernel->head);
	memset(entry, 0, length);
	return entry;
}

static void
entry_done(struct kernel *kernel, uint32_t length)
{
	kernel->head = (kernel->head + length) % KERNEL_RING;
	__atomic_store_n(
	    &mailbox(kernel)->cmd_head, kernel->head, __ATOMIC_RELEASE);
}

static bool
blocks_take(struct kernel *kernel, struct kernel_command *command)
{
	uint64_t left = command->length;

	command->block_count = 0;
	for (unsigned i = KERNEL_BLOCKS; i-- > 0 && left > 0;) {
		if (kernel->used[i])
			continue;
		kernel->used[i] = true;
		command->blocks[command->block_count++] = i;
		left -= left < KERNEL_BLOCK ? left : KERNEL_BLOCK;
	}
	return left == 0;
}

static void
blocks_give(struct kernel *kernel, struct kernel_command *command)
{
	for (unsigned i = 0; i < command->block_count; i++)
		kernel->used[command->blocks[i]] = false;
	command->block_count = 0;
}

static int
id_take(struct kernel *kernel)
{
	for (int i = 0; i < (int)KERNEL_IDS; i++)
		if (!kernel->commands[i].used)
			return i;
	return -1;
}

static uint64_t
length_of(const struct kernel_command *command, unsigned i)
{
	uint64_t from = (uint64_t)i * KERNEL_BLOCK;
	uint64_t rest = command->length - from;

	return rest < KERNEL_BLOCK ? rest : KERNEL_BLOCK;
}

int
kernel_put(struct kernel *kernel, const void *cdb, unsigned cdb_length,
    const void *data, uint64_t length)
{
	int id = id_take(kernel);
	if (id < 0)
		return -1;
	struct kernel_command *command = &kernel->commands[id];
	free(command->in);
	*command = (struct kernel_command){
	    .used = true, .length = length, .reads = data == NULL};
	bool have = blocks_take(kernel, command);
	uint32_t base = sizeof(struct tcmu_cmd_entry) +
			command->block_count * sizeof(struct iovec);
	uint32_t bytes = (base + cdb_length + 7) & ~7u;
	struct tcmu_cmd_entry *entry = have ? entry_new(kernel, bytes) : NULL;
	if (entry == NULL) {
		blocks_give(kernel, command);
		command->used = false;
		return -1;
	}
	entry->hdr.len_op = bytes | TCMU_OP_CMD;
	entry->hdr.cmd_id = (uint16_t)id;
	entry->req.iov_cnt = command->block_count;
	entry->req.cdb_off = ENTRIES_AT + kernel->head + base;
	memcpy(at(kernel, entry->req.cdb_off), cdb, cdb_length);
	for (unsigned i = 0; i < command->block_count; i++) {
		uint64_t offset =
		    DATA_AT + (uint64_t)command->blocks[i] * KERNEL_BLOCK;
		entry->req.iov[i] =
		    (struct iovec){.iov_base = (void *)(uintptr_t)offset,
			.iov_len = length_of(command, i)};
		if (data != NULL)
			memcpy(block(kernel, command->blocks[i]),
			    (const uint8_t *)data + (size_t)i * KERNEL_BLOCK,
			    length_of(command, i));
		else
			memset(block(kernel, command->blocks[i]), KERNEL_OLD,
			    KERNEL_BLOCK);
	}
	entry_done(kernel, bytes);
	return id;
}

void
kernel_put_raw(struct kernel *kernel, const void *raw, size_t length)
{
	void *entry = entry_new(kernel, (uint32_t)length);

	assert_non_null(entry);
	memcpy(entry, raw, length);
	entry_done(kernel, (uint32_t)length);
}

bool
kernel_put_abort(struct kernel *kernel, uint16_t id)
{
	const uint32_t bytes = sizeof(struct tcmu_tmr_entry) + 8;
	struct tcmu_tmr_entry *entry = entry_new(kernel, bytes);

	if (entry == NULL)
		return false;
	entry->hdr.len_op = bytes | TCMU_OP_TMR;
	entry->tmr_type = TCMU_TMR_ABORT_TASK;
	entry->cmd_cnt = 1;
	memcpy((uint8_t *)entry + sizeof(*entry), &id, sizeof(id));
	entry_done(kernel, bytes);
	return true;
}

void
kernel_poke(struct kernel *kernel)
{
	const uint32_t one = 1;
	uint8_t before[256];

	/* uio counts, and nobody need read it: no poke is too many */
	while (read(kernel->device_fd, before, sizeof(before)) > 0)
		;
	assert_int_equal(write(kernel->fd, &one, sizeof(one)), sizeof(one));
}

bool
kernel_was_kicked(struct kernel *kernel)
{
	uint8_t some[256];

	return read(kernel->fd, some, sizeof(some)) > 0;
}

/* ---- out of the ring: tcmu_handle_completion() ---- */

static void
gather(struct kernel *kernel, struct kernel_command *command, uint64_t length)
{
	command->in = malloc(length + 1);
	assert_non_null(command->in);
	command->in_length = length;
	for (unsigned i = 0; i * (uint64_t)KERNEL_BLOCK < length; i++) {
		uint64_t rest = length - i * (uint64_t)KERNEL_BLOCK;
		memcpy(command->in + (size_t)i * KERNEL_BLOCK,
		    block(kernel, command->blocks[i]),
		    rest < KERNEL_BLOCK ? rest : KERNEL_BLOCK);
	}
}

static void
completed(struct kernel *kernel, const struct tcmu_cmd_entry *entry)
{
	struct kernel_command *command;
	uint64_t length;
	bool valid;

	if (entry->hdr.cmd_id >= KERNEL_IDS ||
	    !kernel->commands[entry->hdr.cmd_id].used ||
	    kernel->commands[entry->hdr.cmd_id].done) {
		kernel->broken = true; /* "cmd_id not found, ring is broken" */
		return;
	}
	command = &kernel->commands[entry->hdr.cmd_id];
	command->done = true;
	command->status = entry->rsp.scsi_status;
	memcpy(command->sense, entry->rsp.sense_buffer, sizeof(command->sense));
	valid = command->reads && (entry->hdr.uflags & TCMU_UFLAG_READ_LEN) &&
		entry->rsp.read_len > 0;
	length = command->length;
	if (valid && entry->rsp.read_len < length)
		length = entry->rsp.read_len;
	if (command->reads && (command->status != 0x02 || valid))
		gather(kernel, command, length);
	blocks_give(kernel, command);
	kernel->completions++;
}

void
kernel_reap(struct kernel *kernel)
{
	uint32_t tail =
	    __atomic_load_n(&mailbox(kernel)->cmd_tail, __ATOMIC_ACQUIRE);

	while (kernel->cleaned != tail && !kernel->broken) {
		const struct tcmu_cmd_entry *entry =
		    at(kernel, ENTRIES_AT + kernel->cleaned);
		if (tcmu_hdr_get_op(entry->hdr.len_op) == TCMU_OP_CMD)
			completed(kernel, entry);
		kernel->cleaned =
		    (kernel->cleaned + tcmu_hdr_get_len(entry->hdr.len_op)) %
		    KERNEL_RING;
	}
}
