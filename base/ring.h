/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The io_uring of one loop: making it as good as the kernel allows, and what
 * is registered with it.  Above base/, use loop.h.
 *
 *	call		by			the ring then
 *	ring_open	any thread		is there, but disabled
 *	ring_start	the loop's thread	is enabled for this thread
 *	ring_stop	the loop's thread	is idle
 *	ring_close	any thread		is gone
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

/* Files an SQE can name by slot, saving the kernel's reference counting. */
#define RING_FILES_MAX 1024u

struct ring {
	struct io_uring uring;
	bool started;
	unsigned file_slots;
	unsigned files_free;
	uint16_t free_file[RING_FILES_MAX]; /* a stack of slots */
};

/* 0; -ENOSYS: no io_uring, or one without what we need (Linux 5.13);
 * -EPERM: disabled by sysctl or seccomp; -ENOMEM. */
int ring_open(struct ring *ring, unsigned entries);
void ring_start(struct ring *ring);
void ring_stop(struct ring *ring);
void ring_close(struct ring *ring);

/* Makes arena fixed buffer 0; 0 or why not (-ENOMEM: RLIMIT_MEMLOCK). */
int ring_register_arena(struct ring *ring, struct iovec arena);

/* slot >= 0; -ENFILE: none is free; or the kernel's reason. */
int ring_file_register(struct ring *ring, int fd);
void ring_file_unregister(struct ring *ring, int slot);

#endif
