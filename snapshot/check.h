/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check of a pool: reads only, by its own walk over the on-disk structures (it
 * shares the format with the engine, not the engine's state): every invariant
 * that can be seen on disk, leaks, double use.
 *
 *	pool_check         a pool that nobody has open; the records of its log
 *	                   are applied by the engine's own recovery, in memory
 *	pool_check_pinned  a checkpoint of a pool that is open and goes on
 */
#ifndef SNAPSHOT_CHECK_H
#define SNAPSHOT_CHECK_H

#include "backstores/backstore.h"

struct pool_pin;

enum check_severity { CHECK_NOTE, CHECK_LEAK, CHECK_DAMAGE };

/* What the versions of one family come to. */
struct check_family {
	uint64_t id;
	char name[64];                   /* of a volume of it, or "" */
	uint64_t volumes, snapshots;     /* also those in the trash */
	uint64_t hidden;                 /* deleted, but not gone yet */
	uint64_t data_blocks, map_pages; /* each counted once */
};

struct check_report {
	/* called once per finding; code is stable ("bitmap.leak"), text says
	 * what and where */
	void (*finding)(void *arg, enum check_severity severity,
	    const char *code, const char *text);
	void (*progress)(void *arg, uint64_t pages_done, uint64_t pages_all);
	/* called once per family, in the order of their ids, at the end; may be
	 * NULL */
	void (*family)(void *arg, const struct check_family *family);
	void *arg;

	/* results: of the recovered state, if there is one */
	char pool[64];
	uint64_t volumes, snapshots, hidden, pages, data_blocks, leaked_blocks;
	uint64_t log_records; /* that recovery would apply */
	uint64_t findings[CHECK_DAMAGE + 1];
};

/* Runs the loop given by step until it is done: check is for tools and tests.
 * step(arg) must run one event of the backstores' loop.  Writes to none of
 * them.  If the log has records, the checkpoint is checked first; if there is
 * no damage in it, recovery is run in memory and what comes of it is checked
 * too, else recovery is only tried.  Memory: two bits per block, some 50 bytes
 * per page of maps, and what recovery makes dirty.  0: finished, see findings;
 * -ENOENT no pool there; -ENODEV a device missing; -EBADMSG nothing could be
 * opened; -EPROTO newer format; -EIO. */
int pool_check(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report);

/* The same walk over what a pin (pin.h) holds, and over nothing else: not the
 * superblocks and the log that are on the devices by now, since those are
 * written meanwhile.  bs[0..pin->count): what pin_view() has made, in that
 * order; step runs their loop, which need not be the pool's.  Of pin nothing
 * but its superblock is read.  Errors as above, and -ECANCELED: the pin was
 * lost, and what was found before that is true. */
int pool_check_pinned(const struct pool_pin *pin, struct backstore **bs,
    void (*step)(void *arg), void *step_arg, struct check_report *report);

#endif
