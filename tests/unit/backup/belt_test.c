/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parcels go through all stages in order, one taker at a time, whatever the
 * threads do; a belt that is stopped keeps nobody waiting.  Run with
 * SAN=tsan it is about the threads; not covered: threads that cannot be had.
 */
#include "backup/belt.h"
#include "tests/unit/base/support/cmocka.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define PARCELS 7
#define ROUNDS  3000

enum { FIRST, MANY, ORDERED, AGAIN, STAGES };

struct parcel {
	unsigned number;
	unsigned been;      /* stages */
	atomic_uint takers; /* at a time */
};

struct line {
	struct belt *belt;
	struct parcel parcels[PARCELS];
	atomic_uint next_many;
	unsigned next_ordered, next_again;
	unsigned threads_seen[BELT_THREADS_MAX];
	unsigned stop_at; /* 0: never */
};

static void
taken_alone(struct parcel *parcel, unsigned stage)
{
	assert_int_equal(atomic_fetch_add(&parcel->takers, 1), 0);
	assert_int_equal(parcel->been, stage);
	parcel->been = stage + 1;
	assert_int_equal(atomic_fetch_sub(&parcel->takers, 1), 1);
}

static void
work_many(void *arg, unsigned thread, void *argument)
{
	struct line *line = arg;
	struct parcel *parcel = argument;

	taken_alone(parcel, MANY);
	line->threads_seen[thread]++;
	/* some are overtaken */
	for (unsigned i = 0; i < parcel->number % 5; i++)
		sched_yield();
	atomic_fetch_add(&line->next_many, 1);
}

static void
work_ordered(void *arg, unsigned thread, void *argument)
{
	struct line *line = arg;
	struct parcel *parcel = argument;

	assert_int_equal(thread, 0);
	taken_alone(parcel, ORDERED);
	assert_int_equal(parcel->number, line->next_ordered++);
	if (line->stop_at != 0 && parcel->number == line->stop_at)
		belt_stop(line->belt);
}

static void
work_again(void *arg, unsigned thread, void *argument)
{
	struct line *line = arg;
	struct parcel *parcel = argument;

	(void)thread;
	taken_alone(parcel, AGAIN);
	assert_int_equal(parcel->number, line->next_again++);
}

static struct line *
line_new(unsigned stop_at)
{
	static const struct belt_stage stages[STAGES] = {
	    [FIRST] = {.threads = 0},
	    [MANY] = {"many", 4, 1, work_many},
	    [ORDERED] = {"ordered", 1, 0, work_ordered},
	    [AGAIN] = {"again", 1, 0, work_again},
	};
	struct line *line = calloc(1, sizeof(*line));
	const struct belt_params params = {.stages = stages,
	    .stage_count = STAGES,
	    .parcels = line->parcels,
	    .parcel_size = sizeof(line->parcels[0]),
	    .parcel_count = PARCELS,
	    .arg = line};

	line->stop_at = stop_at;
	line->belt = belt_new(&params);
	assert_non_null(line->belt);
	return line;
}

static void
line_free(struct line *line)
{
	belt_free(line->belt);
	free(line);
}

/* How many could be sent. */
static unsigned
send(struct line *line, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		struct parcel *parcel = belt_take(line->belt, FIRST);
		if (parcel == NULL)
			return i - from;
		parcel->number = i;
		parcel->been = 1;
		belt_pass(line->belt, FIRST, parcel);
	}
	return count;
}

static void
parcels_stay_in_order(void **unused)
{
	struct line *line = line_new(0);
	unsigned seen = 0;

	(void)unused;
	assert_int_equal(send(line, 0, ROUNDS), ROUNDS);
	assert_true(belt_drain(line->belt));
	assert_int_equal(line->next_many, ROUNDS);
	assert_int_equal(line->next_ordered, ROUNDS);
	assert_int_equal(line->next_again, ROUNDS);
	for (unsigned i = 0; i < BELT_THREADS_MAX; i++)
		seen += line->threads_seen[i];
	assert_int_equal(seen, ROUNDS);
	/* and it goes on */
	assert_int_equal(send(line, ROUNDS, 10), 10);
	assert_true(belt_drain(line->belt));
	assert_int_equal(line->next_again, ROUNDS + 10);
	line_free(line);
}

static void
what_waits_is_counted(void **unused)
{
	struct line *line = line_new(0);
	struct parcel *parcel;

	(void)unused;
	assert_int_equal(belt_waiting(line->belt, FIRST), PARCELS);
	parcel = belt_take(line->belt, FIRST);
	assert_int_equal(belt_waiting(line->belt, FIRST), PARCELS - 1);
	assert_int_equal(belt_waiting(line->belt, MANY), 0);
	parcel->been = 1;
	belt_pass(line->belt, FIRST, parcel);
	assert_true(belt_drain(line->belt));
	assert_int_equal(belt_waiting(line->belt, FIRST), PARCELS);
	for (unsigned i = MANY; i < STAGES; i++)
		assert_int_equal(belt_waiting(line->belt, i), 0);
	line_free(line);
}

static void
a_stopped_belt_keeps_nobody(void **unused)
{
	(void)unused;
	for (unsigned stop_at = 1; stop_at < 200; stop_at++) {
		struct line *line = line_new(stop_at);
		/* never all: what is not taken does not come back */
		assert_true(send(line, 0, ROUNDS) <= stop_at + PARCELS);
		assert_false(belt_drain(line->belt));
		assert_null(belt_take(line->belt, FIRST));
		/* what was taken is let go of, and nothing more is taken */
		assert_int_equal(line->next_ordered, stop_at + 1);
		line_free(line);
	}
}

static void
it_ends_with_parcels_on_their_way(void **unused)
{
	(void)unused;
	for (unsigned count = 0; count < 100; count++) {
		struct line *line = line_new(0);
		assert_int_equal(send(line, 0, count), count);
		line_free(line);
	}
}

/* ---- who made it may be the last as well ---- */

struct source {
	unsigned parcels[3], next;
};

static void
work_make(void *arg, unsigned thread, void *argument)
{
	struct source *source = arg;
	unsigned *parcel = argument;

	(void)thread;
	*parcel = source->next++;
}

static void
it_reads_ahead(void **unused)
{
	static const struct belt_stage stages[] = {
	    {"make", 1, 0, work_make}, {.threads = 0}};
	struct source source = {.next = 0};
	const struct belt_params params = {.stages = stages,
	    .stage_count = 2,
	    .parcels = source.parcels,
	    .parcel_size = sizeof(source.parcels[0]),
	    .parcel_count = 3,
	    .arg = &source};
	struct belt *belt = belt_new(&params);

	(void)unused;
	assert_non_null(belt);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned *parcel = belt_take(belt, 1);
		assert_int_equal(*parcel, i);
		belt_pass(belt, 1, parcel);
	}
	belt_free(belt);
	belt_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parcels_stay_in_order),
	    cmocka_unit_test(what_waits_is_counted),
	    cmocka_unit_test(a_stopped_belt_keeps_nobody),
	    cmocka_unit_test(it_ends_with_parcels_on_their_way),
	    cmocka_unit_test(it_reads_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
