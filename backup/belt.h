/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A belt: a ring of parcels that go through stages, each in threads of its own,
 * so that who reads, compresses, sums and writes never wait for one another
 * while there are parcels.
 *
 *	at a stage   nobody's: it waits there for its turn
 *	taken        belt_take(): the taker's alone, until belt_pass()
 *
 * A stage takes parcels in the order in which they went round.  Of a stage with
 * several threads they may come out of order, and the next one takes them in
 * order all the same.  What has passed the last stage is at the first again;
 * all are there at the beginning.
 *
 * A stage without threads is worked by who made the belt, with belt_take() and
 * belt_pass(), from one thread.
 */
#ifndef BACKUP_BELT_H
#define BACKUP_BELT_H

#include <stdbool.h>
#include <stddef.h>

#define BELT_STAGES_MAX  5
#define BELT_THREADS_MAX 8 /* of a stage */

struct belt_stage {
	const char *name; /* of its threads, at most 15 characters */
	unsigned threads;
	int nice; /* setpriority(2): their share of the processors */
	/* In thread 0 ... threads - 1 of it: what is done with a parcel.  It
	 * may call belt_waiting() and belt_stop(), and nothing else of a belt.
	 */
	void (*work)(void *arg, unsigned thread, void *parcel);
};

struct belt_params {
	const struct belt_stage *stages;
	unsigned stage_count;
	void *parcels; /* the caller's, parcel_count of parcel_size */
	size_t parcel_size;
	unsigned parcel_count;
	void *arg;
};

struct belt;

/* Copies params.  NULL: there are no more threads to be had (-EAGAIN). */
struct belt *belt_new(const struct belt_params *params);
/* Waits for what is being worked on; the rest is left.  NULL is nothing. */
void belt_free(struct belt *belt);

/* Waits for the next parcel; NULL: the belt was stopped. */
void *belt_take(struct belt *belt, unsigned stage);
/* That it took. */
void belt_pass(struct belt *belt, unsigned stage, void *parcel);
/* Waits, by who works the first stage and has taken nothing there, until all
 * parcels are back; false: the belt was stopped. */
bool belt_drain(struct belt *belt);

/* Parcels that wait at a stage: many, when it is the slowest. */
unsigned belt_waiting(struct belt *belt, unsigned stage);
/* Nothing is taken any more. */
void belt_stop(struct belt *belt);

#endif
