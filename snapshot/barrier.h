/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A barrier for what is in flight: whoever asks for one learns when all has
 * ended that began before.  What begins later is never waited for, and nothing
 * that begins waits.
 *
 * What is in flight counts on one of two sides.  A barrier turns the sides and
 * has passed when the old one is empty.  A second one that is asked for
 * meanwhile turns them when the first has passed, never before, so that an old
 * side never gets new members; all who ask meanwhile share it.
 */
#ifndef SNAPSHOT_BARRIER_H
#define SNAPSHOT_BARRIER_H

#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct barrier {
	uint8_t side;
	unsigned flying[2];
	uint64_t turned; /* barriers that have turned the sides */
	uint64_t asked;  /* ... and that were asked for: at most one more */
	uint64_t passed;
	struct list waiting; /* struct waiter: woken when one has passed */
};

void barrier_init(struct barrier *barrier);
/* Returns the side, to be given to leave. */
unsigned barrier_enter(struct barrier *barrier);
void barrier_leave(struct barrier *barrier, unsigned side);
/* Returns the number to ask barrier_passed for. */
uint64_t barrier_ask(struct barrier *barrier);

static inline bool
barrier_passed(const struct barrier *barrier, uint64_t number)
{
	return number <= barrier->passed;
}

#endif
