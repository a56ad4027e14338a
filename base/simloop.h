/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's loop: a fake clock, and a scheduler that picks the next
 * event by seed, so that one thread runs every interleaving the code allows,
 * again and again the same for the same seed.  Behind the same struct loop as
 * the real one (base/loop.h); loop_sqe() is not available on it.
 */
#ifndef BASE_SIMLOOP_H
#define BASE_SIMLOOP_H

#include "base/loop.h"

/* bytes: size of the buffer pool. */
int simloop_new(uint64_t seed, uint64_t bytes, struct loop **ret_loop);

/* Runs one event: a task, or (when there is none) the next timer, moving the
 * clock.  False: nothing left to run. */
bool simloop_step(struct loop *loop);

/* Steps until *stop is true; false: ran out of events first. */
bool simloop_run_until(struct loop *loop, const bool *stop);

/* Forgets every queued task and timer and takes every buffer back: the machine
 * lost power.  What was queued must still be in memory. */
void simloop_power_off(struct loop *loop);

/* ... and is on again: as a new loop with that seed, in the same memory. */
void simloop_power_on(struct loop *loop, uint64_t seed);
void simloop_free(struct loop *loop);

/* The seeded generator behind it all (xorshift64*), for the tests' choices. */
uint64_t sim_random(uint64_t *state);
uint64_t sim_below(uint64_t *state, uint64_t limit); /* 0 .. limit - 1 */

#endif
