/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/ring.h"
#include "base/assert.h"
#include <errno.h>
#include <sys/resource.h>

/* What we ask for, in the order in which we do without.  The ring starts
 * disabled (5.10): whoever enables it becomes its single issuer. */
static const unsigned wishes[] = {
    IORING_SETUP_DEFER_TASKRUN, /* 6.1: completions wait until we look */
    IORING_SETUP_SINGLE_ISSUER, /* 6.0: no locking in the kernel */
    IORING_SETUP_COOP_TASKRUN,  /* 5.19: no interrupt to deliver them */
    IORING_SETUP_SUBMIT_ALL,    /* 5.18: a bad SQE fails alone */
};

/* EXT_ARG (5.11): wait with a timeout in one call.  NODROP (5.5): no
 * completion is lost when the queue is full.  RSRC_TAGS came with 5.13, as
 * did the multishot poll that wakes us. */
#define NEEDED                                                                 \
	(IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS)

static unsigned
wishes_from(size_t first)
{
	unsigned flags = 0;

	for (size_t i = first; i < ARRAY_SIZE(wishes); i++)
		flags |= wishes[i];
	return flags;
}

static int
ring_try(struct ring *ring, unsigned entries, unsigned flags)
{
	struct io_uring_params params = {
	    .flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
		     IORING_SETUP_CLAMP,
	    .cq_entries = 4 * entries,
	};
	int ret = io_uring_queue_init_params(entries, &ring->uring, &params);

	if (ret < 0)
		return ret;
	if ((params.features & NEEDED) == NEEDED)
		return 0;
	io_uring_queue_exit(&ring->uring);
	return -ENOSYS;
}

/* As many slots as the limit of open files lets us have; none is no error. */
static void
ring_open_files(struct ring *ring)
{
	struct rlimit limit;
	unsigned slots = RING_FILES_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < slots)
		slots = (unsigned)limit.rlim_cur;
	if (io_uring_register_files_sparse(&ring->uring, slots) < 0)
		slots = 0;
	ring->file_slots = ring->files_free = slots;
	for (unsigned i = 0; i < slots; i++)
		ring->free_file[i] = (uint16_t)(slots - 1 - i);
}

int
ring_open(struct ring *ring, unsigned entries)
{
	int ret = -EINVAL;

	for (size_t i = 0; ret == -EINVAL && i <= ARRAY_SIZE(wishes); i++)
		ret = ring_try(ring, entries, wishes_from(i));
	if (ret == -EINVAL) /* not even disabled with a CQ of its own size */
		return -ENOSYS;
	if (ret < 0)
		return ret;
	ring->started = false;
	ring_open_files(ring);
	return 0;
}

void
ring_start(struct ring *ring)
{
	int ret;

	if (!ring->started) {
		/* liburing 2.3 declares io_uring_enable_rings() but does not
		 * export it */
		ret = io_uring_register((unsigned)ring->uring.ring_fd,
		    IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		assert(ret == 0);
		ring->started = true;
	}
	/* 5.18: spares each system call the lookup of the ring's file; the
	 * registration is this thread's, so ring_stop() undoes it */
	io_uring_register_ring_fd(&ring->uring);
}

void
ring_stop(struct ring *ring)
{
	io_uring_unregister_ring_fd(&ring->uring);
}

void
ring_close(struct ring *ring)
{
	io_uring_queue_exit(&ring->uring);
}

int
ring_register_arena(struct ring *ring, struct iovec arena)
{
	return io_uring_register_buffers(&ring->uring, &arena, 1);
}

int
ring_file_register(struct ring *ring, int fd)
{
	unsigned slot;
	int ret;

	assert(fd >= 0);
	if (ring->files_free == 0)
		return -ENFILE;
	slot = ring->free_file[ring->files_free - 1];
	ret = io_uring_register_files_update(&ring->uring, slot, &fd, 1);
	if (ret < 0)
		return ret;
	ring->files_free--;
	return (int)slot;
}

void
ring_file_unregister(struct ring *ring, int slot)
{
	int none = -1, ret;

	assert(slot >= 0 && (unsigned)slot < ring->file_slots);
	assert(ring->files_free < ring->file_slots);
	ret = io_uring_register_files_update(
	    &ring->uring, (unsigned)slot, &none, 1);
	assert(ret == 1);
	ring->free_file[ring->files_free++] = (uint16_t)slot;
}
