/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backstore is a thing that stores bytes: a file, a block device, memory, a
 * thin volume of the engine, or a test layer around one of them.  All are
 * called through the checker in backstore.c, which asserts what every
 * implementation may rely on and what every caller may expect.
 *
 * Life of a struct bs_io (who owns it, what is legal):
 *
 *   idle       caller     fill in; bs_submit
 *   in flight  backstore  nothing by the caller; exactly one bs_complete
 *   complete() caller     read result and outputs; reuse or free
 *
 * complete() never runs inside bs_submit(): an implementation that is done at
 * once defers by bs_complete_later().  A backstore lives on one loop, and all
 * calls are made on that loop's thread.  Writes and reads in flight together
 * over the same blocks have no order.
 *
 * Durability: a WRITE, ZERO or DISCARD that completed is durable after a FLUSH
 * that was submitted later completed with 0; a WRITE or ZERO with fua is
 * durable when it completes.  A failed FLUSH says that any unflushed write may
 * be lost, and is never retried into a success.
 *
 * A WRITE with atomic is wholly there after a crash, or wholly not, whatever
 * was made durable; and one that fails has changed nothing.  Who reads or
 * writes the same blocks beside it may see any mixture: as above.
 */
#ifndef BACKSTORES_BACKSTORE_H
#define BACKSTORES_BACKSTORE_H

#include "base/assert.h"
#include "base/list.h"
#include "base/loop.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BS_IO_MAGIC 0xb510b510u
#define BS_IOV_MAX  64

enum bs_op {
	BS_READ,    /* into iov */
	BS_WRITE,   /* from iov */
	BS_FLUSH,   /* offset and length are 0: the whole store */
	BS_ZERO,    /* reads as zeros afterwards; may_unmap: give space back */
	BS_DISCARD, /* a hint; what is read afterwards is undefined */
	BS_EXTENTS, /* what is mapped: fills extents[] */
	BS_OP_COUNT
};

enum bs_extent_kind {
	BS_EXTENT_DATA,
	BS_EXTENT_HOLE,   /* reads as zeros and holds no space */
	BS_EXTENT_POISON, /* unreadable */
};

struct bs_extent {
	uint64_t offset, length; /* bytes */
	enum bs_extent_kind kind;
};

struct backstore;

struct bs_io {
	uint32_t magic; /* BS_IO_MAGIC, by bs_io_init */
	enum bs_op op;
	bool fua;       /* WRITE, ZERO */
	bool may_unmap; /* ZERO */
	bool atomic;    /* WRITE: at most atomic_max, of whole atomic_units */
	bool in_flight; /* the checker's */
	bool in_submit; /* the checker's: inside ops->submit */

	uint64_t offset, length; /* bytes, multiples of block_size */

	/* READ, WRITE: length bytes in all; elements and addresses are
	 * multiples of mem_align.  The array and the memory are the caller's
	 * and stay until complete(); the array is not changed. */
	const struct iovec *iov;
	unsigned iov_count;

	/* EXTENTS: the caller's array.  On success extent_count >= 1 entries
	 * cover [offset, offset + some length] without gaps, in order, cut at
	 * the end of the request; fewer than asked if the array is full. */
	struct bs_extent *extents;
	unsigned extent_max, extent_count;

	/* result: 0 or -errno.  -EIO failed, -ENODATA unreadable medium (POISON
	 * or a bad block), -ENOSPC no space now (overwrites still work),
	 * -EROFS read-only, -ECANCELED closed meanwhile, -ENOMEM out of
	 * buffers, try again. */
	void (*complete)(struct bs_io *io, int result);

	/* For whoever implements the backstore, while in flight. */
	struct backstore *bs;   /* set by bs_submit */
	struct list link;       /* initialised by bs_submit */
	struct loop_io kernel;  /* a leaf's ring operation */
	struct loop_task later; /* bs_complete_later */
	struct iovec scratch[2];
	void *priv;
	int result;
};

/* Space of a thin store, in bytes. */
struct bs_usage {
	uint64_t used;      /* it has mapped */
	uint64_t free;      /* it could have now, shared with others */
	uint64_t warn_free; /* so little free, and users are warned; 0: never */
};

struct backstore_ops {
	const char *name;

	/* Takes io; ends in exactly one bs_complete or bs_complete_later. */
	void (*submit)(struct backstore *bs, struct bs_io *io);

	/* Changes size (bytes, a multiple of block_size); never called with a
	 * smaller size while I/O is in flight past it.  May be NULL: fixed.
	 * done is called later with 0 or -errno. */
	void (*resize)(struct backstore *bs, uint64_t size,
	    void (*done)(void *arg, int result), void *arg);

	/* Makes space for [offset, offset + length) certain where the store is
	 * itself thin (a sparse file): -ENOSPC if the host has none.  Contents
	 * become zeros if they were holes, and the first writes are then as
	 * fast as overwrites.  May take as long as writing that much.  Nothing
	 * else is in flight there meanwhile.  May be NULL: nothing to do. */
	void (*reserve)(struct backstore *bs, uint64_t offset, uint64_t length,
	    void (*done)(void *arg, int result), void *arg);

	/* O(1).  May be NULL: not known. */
	void (*usage)(struct backstore *bs, struct bs_usage *ret_usage);

	/* Nothing is in flight.  Frees bs; then calls done. */
	void (*close)(struct backstore *bs, void (*done)(void *arg), void *arg);
};

/* First member of every implementation. */
struct backstore {
	const struct backstore_ops *ops;
	struct loop *loop;
	char name[128];      /* for logs: the path, or pool/lun */
	uint64_t size;       /* bytes */
	uint32_t block_size; /* granularity of offset and length: 512..4096 */
	uint32_t physical_block_size; /* writes of this unit are not RMW */
	uint32_t mem_align;   /* of buffers, a power of two, at most 4096 */
	uint32_t optimal_io;  /* bytes, or 0 unknown */
	uint32_t max_io;      /* bytes per READ/WRITE; larger is the caller's
				 to split; at least 1 MiB */
	uint32_t atomic_max;  /* bytes of a WRITE with atomic; 0: cannot */
	uint32_t atomic_unit; /* its offset and length are multiples of it */
	bool read_only;
	bool volatile_cache; /* completed writes need FLUSH to be durable */
	bool thin;           /* ZERO with may_unmap gives space back, and
				EXTENTS tells holes */
	bool rotational;
	bool suspect; /* a FLUSH failed: later ones fail too */

	unsigned in_flight; /* the checker's */
	uint64_t ops_done[BS_OP_COUNT], bytes_done[BS_OP_COUNT];
	uint64_t errors;
};

static inline void
bs_io_init(struct bs_io *io)
{
	*io = (struct bs_io){.magic = BS_IO_MAGIC};
	list_init(&io->link);
}

/* The only way into a backstore.  Checks op, alignment, bounds, direction and
 * flags by assertion: callers validate what came from a peer before. */
void bs_submit(struct backstore *bs, struct bs_io *io);

/* The only way out.  Not from inside ops->submit: then bs_complete_later. */
void bs_complete(struct bs_io *io, int result);
void bs_complete_later(struct bs_io *io, int result);

/* Checked wrappers of the optional operations; done is never called from
 * inside the call.  resize: -EOPNOTSUPP when fixed. */
void bs_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg);
void bs_reserve(struct backstore *bs, uint64_t offset, uint64_t length,
    void (*done)(void *arg, int result), void *arg);
void bs_close(struct backstore *bs, void (*done)(void *arg), void *arg);

/* Total of an iovec array. */
uint64_t bs_iov_length(const struct iovec *iov, unsigned count);

/* Cuts [from, from + length) out of iov into ret (at most max elements);
 * returns the elements used.  Asserts that it fits. */
unsigned bs_iov_slice(const struct iovec *iov, unsigned count, uint64_t from,
    uint64_t length, struct iovec *ret, unsigned max);

#endif
