/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a file and a block device have in common: a file descriptor that takes
 * reads, writes and fdatasync through the ring.  One READ or WRITE is one SQE:
 * nothing is allocated, copied or looked up on its way.
 *
 * Private to backstores/; see stores.h.
 */
#ifndef BACKSTORES_LEAF_H
#define BACKSTORES_LEAF_H

#include "backstores/backstore.h"
#include <sys/types.h>

struct leaf {
	struct backstore bs; /* first */
	int fd;
	int slot;         /* registered file, or one of the two below */
	bool unflushed;   /* something was changed since the last FLUSH began */
	unsigned flushes; /* in flight */
	bool in_memory;   /* tmpfs: I/O is a copy, done at once (see leaf.c) */

	/* Modes of fallocate(2); one that the kernel refuses becomes 0 and is
	 * not tried again. */
	int unmap_mode;   /* for ZERO with may_unmap; 0: none */
	int zero_mode;    /* for any other ZERO; 0: none */
	int discard_mode; /* for DISCARD; 0: none */
};

#define LEAF_SLOT_UNTRIED (-1)
#define LEAF_SLOT_NONE    (-2)

#define LEAF_MAX_IO (8u << 20)

static inline struct leaf *
leaf_of(struct backstore *bs)
{
	return container_of(bs, struct leaf, bs);
}

/* Takes fd over.  The caller fills in the rest of leaf->bs. */
void leaf_init(struct leaf *leaf, struct loop *loop, int fd,
    const struct backstore_ops *ops, const char *path);

/* READ, WRITE, FLUSH, ZERO, DISCARD. */
void leaf_submit(struct leaf *leaf, struct bs_io *io);

/* After the last I/O: gives the slot back and closes fd. */
void leaf_done(struct leaf *leaf);

/* A change of any kind completed: the next FLUSH has work to do. */
void leaf_finish_change(struct leaf *leaf, struct bs_io *io, int result);

/* What the kernel said in the words of the contract. */
int leaf_error(enum bs_op op, int error);

/* An attribute of the request queue of a device, or of the disk it is a
 * partition of, from sysfs: its first word.  0 or -errno. */
int device_queue_attribute(
    dev_t device, const char *attribute, char *ret, size_t size);

/* Is that the queue's attribute?  False if unknown. */
bool device_queue_is(dev_t device, const char *attribute, const char *value);

#endif
