/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store of one loop, to be read from another: for work that would hold up the
 * loop the store lives on, and runs on a thread of its own instead.  A READ
 * goes there as a message, and comes back as one: some ten microseconds more
 * than it takes by itself.
 *
 * The owner of the store below may have to take it away while someone reads.
 * So every READ is judged there, right before it is sent on and again when it
 * has come back: from the first refusal on nothing touches the store below any
 * more, and what came back too late is refused too.
 */
#ifndef BACKSTORES_RELAY_H
#define BACKSTORES_RELAY_H

#include "backstores/backstore.h"

struct relay_params {
	struct loop *loop; /* of who reads; may be the same */
	struct backstore *below;
	/* On below's loop: 0, or how the READ ends; NULL: always 0. */
	int (*judge)(void *arg);
	void *arg;
};

/* On below's loop, which outlives the relay.  Read-only, with the name of the
 * store below and its size as it is now; closing it leaves that one alone.
 * NULL: no memory. */
struct backstore *relay_new(const struct relay_params *params);

#endif
