/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a snapshot is sent to: a copy that a varved here has (copy.h), or the
 * other end of a pipe, where one of these is again (pipe.h).
 *
 *	new      agree()                                       -> agreed
 *	agreed   it is there, or it was a dry run: free() only
 *	         sink.put() and mark(), often; then finish()   -> ended
 *	any      free()
 */
#ifndef BACKUP_RECEIVER_H
#define BACKUP_RECEIVER_H

#include "backup/offer.h"
#include "backup/piece.h"

struct receiver {
	struct sink sink;
	/* Whether, from where on and since what it is taken; unless it is a dry
	 * run, all is made ready for what lies at agreed->offset and behind.
	 * offer outlives the receiver. */
	json_t *(*agree)(struct receiver *receiver, const struct offer *offer,
	    struct agreed *ret_agreed);
	/* What has come need not come again. */
	json_t *(*mark)(struct receiver *receiver);
	/* All has come: the copy has the snapshot, durably. */
	json_t *(*finish)(struct receiver *receiver);
	void (*free)(struct receiver *receiver);
};

#endif
