/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other side of a ring: what the kernel does with it
 * (drivers/target/target_core_user.c), written from its rules and not from
 * ours.  Everything is small, so that the ring wraps often.
 */
#ifndef TESTS_UNIT_TARGET_TCMU_SUPPORT_KERNEL_H
#define TESTS_UNIT_TARGET_TCMU_SUPPORT_KERNEL_H

#include "target/tcmu/ring.h"
#include "tests/unit/base/support/cmocka.h"

#define KERNEL_RING   2048u       /* bytes of the command ring */
#define KERNEL_BLOCK  (64u << 10) /* of the data area: what is one iovec */
#define KERNEL_BLOCKS 64u
#define KERNEL_IDS    64u
#define KERNEL_OLD    0xee /* what an earlier command left */

struct kernel_command {
	bool used, done;
	bool reads; /* as the initiator has said */
	uint64_t length;
	unsigned block_count;
	unsigned blocks[KERNEL_BLOCKS];
	/* the outcome */
	uint8_t status;
	uint8_t sense[96];
	uint64_t in_length; /* that the initiator gets */
	uint8_t *in;        /* them, until the id is used anew */
};

struct kernel {
	int fd, device_fd;
	void *map, *lent; /* the same memory; lent is the ring's */
	size_t size;
	uint32_t head, cleaned;
	bool used[KERNEL_BLOCKS];
	struct kernel_command commands[KERNEL_IDS];
	unsigned completions;
	bool broken; /* userspace did what it must not */
};

/* flags: TCMU_MAILBOX_FLAG_... */
void kernel_open(struct kernel *kernel, uint16_t flags);
void kernel_close(struct kernel *kernel);
/* device_fd and lent once more, for a ring after the one that has them. */
void kernel_lend_again(struct kernel *kernel);

/* The command's id, or -1: no room.  data NULL: it reads, or has none. */
int kernel_put(struct kernel *kernel, const void *cdb, unsigned cdb_length,
    const void *data, uint64_t length);
/* An entry as it is, at the head. */
void kernel_put_raw(struct kernel *kernel, const void *entry, size_t length);
bool kernel_put_abort(struct kernel *kernel, uint16_t id);
void kernel_poke(struct kernel *kernel);
/* What userspace has answered, after a kick. */
void kernel_reap(struct kernel *kernel);
bool kernel_was_kicked(struct kernel *kernel);

#endif
