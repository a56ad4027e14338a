/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data buffers of one loop.  One arena, mapped once (huge pages if the system
 * gives them), registered with the ring as fixed buffer 0, and divided by a
 * buddy allocator into power-of-two blocks from 4 KiB to 1 MiB: O(log) to take
 * and give back, no locks, no system call, no allocation on the data path.
 *
 * A buffer belongs to who took it until buf_put(); it may travel (socket to
 * SCSI to engine to disk) but only on its own loop's thread.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BUF_MIN (4u << 10)
#define BUF_MAX (1u << 20)

struct buf_pool;

/* A place in the queue of a pool that ran dry. */
struct buf_waiter {
	void (*ready)(struct buf_waiter *waiter); /* try buf_get again */
	struct list link;                         /* the pool's */
};

/* bytes is rounded up to a multiple of BUF_MAX.  NULL: no memory. */
struct buf_pool *buf_pool_new(uint64_t bytes);
void buf_pool_free(struct buf_pool *pool); /* asserts all came back */

/* Takes every buffer back and drops all waiters: for the simulator, when the
 * machine of those who had them lost power. */
void buf_pool_reset(struct buf_pool *pool);

/* At least length bytes (1..BUF_MAX), 4 KiB aligned, contents undefined.
 * NULL when the pool is exhausted: wait with buf_wait, or answer TASK SET
 * FULL; never block. */
void *buf_get(struct buf_pool *pool, size_t length);
void buf_put(struct buf_pool *pool, void *buf);

/* Gives back, in the same callback, what buf_get just gave (one of several that
 * only help together).  Nobody is woken: nothing is free now that was not free
 * before, and whoever waits and does this would wake himself for ever. */
void buf_unget(struct buf_pool *pool, void *buf);

/* ready() is called from a later buf_put, oldest waiter first; queue again if
 * the next buf_get still fails.  buf_wait_cancel is a no-op if not waiting. */
void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter);
void buf_wait_cancel(struct buf_pool *pool, struct buf_waiter *waiter);

/* Is [p, p + length) usable with READ_FIXED/WRITE_FIXED, buffer index 0: inside
 * the arena, and the arena registered with the ring?  If not, use the plain
 * operations. */
bool buf_is_fixed(const struct buf_pool *pool, const void *p, size_t length);

/* The loop says whether the kernel took the arena as fixed buffer 0 (it may
 * not: RLIMIT_MEMLOCK).  A new pool is not registered. */
void buf_pool_set_registered(struct buf_pool *pool, bool registered);

/* The arena, to register it. */
struct iovec buf_pool_arena(const struct buf_pool *pool);

uint64_t buf_pool_free_bytes(const struct buf_pool *pool);

/* A 4 KiB aligned page of zeros, read only, BUF_MAX bytes long; shared. */
const void *buf_zeros(void);

#endif
