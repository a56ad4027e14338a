/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes a pool: checked at home against a survey, done in one call to
 * the pool's loop, then the audit row and what the state has of it.
 *
 *	change_new    the request's own from then on; fill in what op needs
 *	change_start  op->run() on the pool's loop, until it is done
 *	              failed: the request has failed, by op->faults
 *	              done: op->record(), commit, then(request) answers
 */
#ifndef TARGET_CHANGE_H
#define TARGET_CHANGE_H

#include "snapshot/family.h"
#include "target/method.h"

struct change;

struct change_fault {
	int error; /* 0 ends the table */
	const char *code, *why;
};

enum { CHANGE_STARTED = 0, CHANGE_DONE = 1 };

struct change_op {
	/* Starts change->pool_request on the pool's loop: CHANGE_STARTED; or
	 * -errno.  volume: that of change->uuid; it is there unless
	 * change->step > 0 or the uuid is zero. */
	int (*run)(struct change *change, struct volume *volume);
	/* run is called again after each success, with step counted up, until
	 * it says CHANGE_DONE. */
	bool repeats;
	/* In the transaction; may be NULL. */
	int (*record)(struct state *state, const struct change *change);
	const struct change_fault *faults; /* looked at before the common */
};

struct change {
	struct request *request;
	struct pool_request pool_request;
	const struct change_op *op;
	struct pool *pool;
	int64_t pool_id;
	unsigned step;
	char what[2 * REF_TEXT_MAX]; /* "cannot create vms/web01" */
	void (*then)(struct request *request);
	/* for op: */
	uuid_t uuid, other; /* zero: none */
	uuid_t *uuids;      /* several; freed with the change */
	unsigned uuid_count;
	char name[REF_NAME_MAX], old_name[REF_NAME_MAX], lun_name[REF_NAME_MAX];
	uint64_t size, quota, reserve;
	uint32_t block_size;
	unsigned warn_at, stop_at;     /* percent */
	const struct backstore *store; /* of a device, to be compared only */
	const char *path;              /* ... the request's */
	bool flag;
	enum consistency consistency;
	bool deleting; /* the step under way is change_delete's */
	uuid_t *gone;  /* what it deleted; freed with the change */
	unsigned gone_count;
	bool cache_said;         /* those say something of its write cache */
	bool protect_said;       /* ... of whether it is read only */
	json_t *settings;        /* of the LUN, as they are to be; NULL: as they
				    are */
	struct set_unit *unit;   /* lun set's; freed with the change */
	struct lun *lun;         /* served: it may have another size then */
	struct volume_stat stat; /* of pool_request.volume, when it is done */
};

struct change *change_new(struct request *request, const struct change_op *op,
    const char *what, ...) __attribute__((format(printf, 3, 4)));
void change_start(struct request *request, struct house_pool *hp,
    void (*then)(struct request *request));

/* An op's run: the volume gets change->name. */
int change_rename(struct change *change, struct volume *volume);

/* An op's step: the volume is deleted for good, and when it is gone the state
 * forgets it, also if a later step fails. */
int change_delete(struct change *change, struct volume *volume);

/* change->uuids[i] on the pool's loop; NULL: gone. */
struct volume *change_volume(const struct change *change, unsigned i);

#endif
