/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backstore that remembers what it was asked, can keep what it was asked
 * from being done until it is told to, and can fail it.
 */
#ifndef TESTS_UNIT_TARGET_SCSI_SUPPORT_SPY_H
#define TESTS_UNIT_TARGET_SCSI_SUPPORT_SPY_H

#include "backstores/backstore.h"

#define SPY_LOG_MAX 4096

struct spy_entry {
	enum bs_op op;
	uint64_t offset, length;
	bool fua, may_unmap, atomic;
	unsigned iov_count;
};

struct spy {
	struct backstore bs; /* first */
	struct backstore *below;
	struct spy_entry log[SPY_LOG_MAX];
	unsigned log_count;
	bool hold;
	struct list held;      /* bs_io, oldest first */
	int fail[BS_OP_COUNT]; /* -errno, 0: does it */
	unsigned fail_skip;    /* let so many pass first */
	struct bs_usage usage; /* what it says */
};

struct spy *spy_new(struct backstore *below);
/* Lets the oldest held I/O go; false: none is held. */
bool spy_release(struct spy *spy);
void spy_release_all(struct spy *spy);
unsigned spy_count(const struct spy *spy, enum bs_op op);
/* The index-th of this kind. */
const struct spy_entry *spy_find(
    const struct spy *spy, enum bs_op op, unsigned index);
void spy_forget(struct spy *spy);

#endif
