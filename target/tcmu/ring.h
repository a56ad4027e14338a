/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring of a device of the kernel's target_core_user: commands come in it,
 * their data lie beside it, answers go back through it in any order.  Layout
 * and rules: <linux/target_core_user.h>, drivers/target/target_core_user.c.
 *
 *	tcmu_ring_next      takes what the kernel has put there
 *	tcmu_ring_complete  answers one command
 *	tcmu_ring_kick      tells the kernel of all that were answered
 *
 * Who drives it is a table, so that the same device code runs on the kernel's
 * header alone (ring_native.c) or on a library.
 */
#ifndef TARGET_TCMU_RING_H
#define TARGET_TCMU_RING_H

#include "target/scsi/task.h"

struct tcmu_ring;

/* The data are the kernel's memory, mapped here, until the command is
 * completed.  It does not say which way they go: before a command that reads
 * they hold what some command before it left. */
struct tcmu_command {
	uint16_t id;
	uint8_t cdb[SCSI_CDB_MAX]; /* zero padded */
	uint8_t cdb_length;
	uint64_t length; /* bytes of data, also those beyond iov */
	unsigned iov_count;
	struct iovec iov[SCSI_TASK_IOV_MAX];
};

#define TCMU_ABORT_MAX 256

struct tcmu_event {
	enum tcmu_event_kind {
		TCMU_COMMAND,
		TCMU_ABORT, /* the commands of those ids; each is to be
			       completed as well */
	} kind;
	struct tcmu_command command;
	uint16_t abort[TCMU_ABORT_MAX];
	unsigned abort_count;
};

struct tcmu_answer {
	uint16_t id;
	enum scsi_status status;
	const uint8_t *sense; /* of CHECK CONDITION */
	unsigned sense_length;
	/* Data-In of fewer bytes than the command has room for: only these go
	 * to the initiator.  Not 0: what has none is zeroed by the caller. */
	bool is_short;
	uint32_t length;
};

struct tcmu_ring_ops {
	/* 1: *ret_event; 0: nothing; -EIO: what is there is not a ring. */
	int (*next)(struct tcmu_ring *ring, struct tcmu_event *ret_event);
	void (*complete)(
	    struct tcmu_ring *ring, const struct tcmu_answer *answer);
	/* All but what the ring has below. */
	void (*free)(struct tcmu_ring *ring);
};

struct tcmu_ring {
	const struct tcmu_ring_ops *ops;
	int fd; /* to be polled for input: there may be something */
	void *map;
	size_t size; /* of map */
	/* Does the kernel look at tcmu_answer.length?  If not, all bytes go to
	 * the initiator. */
	bool has_length;
	/* May another ring go on with it (tcmu_ring_inherit) where this one has
	 * answered all that it had taken? */
	bool is_heritable;
};

enum tcmu_driver {
	TCMU_NATIVE,
	TCMU_LIBTCMU, /* only in some builds (ring_libtcmu.c) */
};

/* "native", "libtcmu".  -EINVAL: neither; -ENOSYS: it is not in this build. */
int tcmu_driver_parse(const char *word, enum tcmu_driver *ret_driver);
/* Before the first ring of that driver is opened, while nothing else runs;
 * blocks.  0; -ELIBACC, -ELIBBAD: the library cannot be loaded, or is one that
 * varve does not know; *ret_problem says so. */
int tcmu_driver_load(enum tcmu_driver driver, const char **ret_problem);

/* uio: "/dev/uio7", whose kernel device is ours alone.  0; -EBUSY: another has
 * it open; -ENODEV: it is no ring; -errno.  Blocks for as long as open(2) and
 * mmap(2) do. */
int tcmu_ring_open(
    enum tcmu_driver driver, const char *uio, struct tcmu_ring **ret_ring);
/* The same of one that a program before us had open, and answered all that it
 * had taken; fd becomes the ring's, or is closed. */
int tcmu_ring_inherit(
    enum tcmu_driver driver, int fd, struct tcmu_ring **ret_ring);
/* The same of a descriptor and what it maps, which become the ring's if it
 * succeeds: for tests. */
int tcmu_ring_from(enum tcmu_driver driver, int fd, void *map, size_t size,
    struct tcmu_ring **ret_ring);
void tcmu_ring_close(struct tcmu_ring *ring);

static inline int
tcmu_ring_next(struct tcmu_ring *ring, struct tcmu_event *ret_event)
{
	return ring->ops->next(ring, ret_event);
}

static inline void
tcmu_ring_complete(struct tcmu_ring *ring, const struct tcmu_answer *answer)
{
	ring->ops->complete(ring, answer);
}

/* 0; -EIO: the device is gone. */
int tcmu_ring_kick(struct tcmu_ring *ring);

/* ---- for drivers ---- */

extern const bool tcmu_libtcmu_is_built;
int tcmu_libtcmu_load(const char **ret_problem);

/* Of a map whose mailbox is sound.  0; -ENOMEM; -ELIBACC: not loaded. */
int tcmu_native_new(
    int fd, void *map, size_t size, struct tcmu_ring **ret_ring);
int tcmu_libtcmu_new(
    int fd, void *map, size_t size, struct tcmu_ring **ret_ring);

/* One more piece of the command's data, offset bytes into the map.  False: that
 * is not in it. */
bool tcmu_command_add(const struct tcmu_ring *ring,
    struct tcmu_command *command, uint64_t offset, uint64_t length);

#endif
