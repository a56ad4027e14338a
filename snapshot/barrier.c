/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/barrier.h"
#include "base/assert.h"
#include "snapshot/page.h"

void
barrier_init(struct barrier *barrier)
{
	*barrier = (struct barrier){.side = 0};
	list_init(&barrier->waiting);
}

unsigned
barrier_enter(struct barrier *barrier)
{
	barrier->flying[barrier->side]++;
	return barrier->side;
}

/* The old side is empty. */
static void
barrier_turn(struct barrier *barrier)
{
	assert(barrier->passed == barrier->turned);
	assert(barrier->flying[barrier->side ^ 1] == 0);
	barrier->side ^= 1;
	barrier->turned++;
	if (barrier->flying[barrier->side ^ 1] == 0)
		barrier->passed = barrier->turned;
}

uint64_t
barrier_ask(struct barrier *barrier)
{
	if (barrier->passed == barrier->turned) {
		barrier_turn(barrier);
		barrier->asked = barrier->turned;
	} else {
		barrier->asked = barrier->turned + 1;
	}
	return barrier->asked;
}

void
barrier_leave(struct barrier *barrier, unsigned side)
{
	assert(barrier->flying[side] > 0);
	if (--barrier->flying[side] > 0 || side == barrier->side)
		return;
	barrier->passed = barrier->turned;
	if (barrier->asked > barrier->turned)
		barrier_turn(barrier);
	waiters_wake(&barrier->waiting, 0);
}
