/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which snapshots or backups a rule keeps: "last=3,daily=7,weekly=4".
 *
 * last=N keeps the N newest; hourly, daily, weekly, monthly and yearly keep the
 * newest of each of the last N hours (days, ...) that have one.  Weeks begin on
 * Monday.  Days are those of the time zone of the process (TZ); an hour that a
 * clock shows twice is two.
 *
 * Points come in the order in which they were made, and "newest" and "the last
 * N" are by that order; the time of a point only says in which day it is.  So
 * it does no harm that a clock was wrong: points from a day in the future are
 * kept until N days have had points after them, and those that come after a
 * clock was set back are new.  A day that comes again is one with the first.
 *
 * A point that is not good (its run failed, or it is damaged) counts for
 * nothing: it takes nobody's place.  The newest good one is always kept,
 * whatever the rule; so is what is held.  A held one has its place as others.
 *
 * Whether a rule is applied after each point or once at the end makes no
 * difference to what is left then, if no point changes meanwhile.
 */
#ifndef BACKUP_KEEP_H
#define BACKUP_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keep_reason {
	KEEP_LAST,
	KEEP_HOURLY,
	KEEP_DAILY,
	KEEP_WEEKLY,
	KEEP_MONTHLY,
	KEEP_YEARLY,
	KEEP_PERIODS, /* what a rule can say; the others are in all rules */
	KEEP_GOOD = KEEP_PERIODS, /* the newest good one */
	KEEP_HELD,
	KEEP_REASONS
};
/* "last", ..., "yearly", "last-good", "held" */
extern const char *const keep_words[KEEP_REASONS];

struct keep_rule {
	unsigned count[KEEP_PERIODS];
};

struct keep_point {
	int64_t when; /* seconds since 1970 */
	bool good, held;
};

/* False: it is no rule, or keeps nothing. */
bool keep_parse(const char *text, struct keep_rule *ret_rule);

/* points: in the order in which they were made.  ret_kept: for each the set of
 * 1 << reason that keep it; 0: none does. */
void keep_apply(const struct keep_rule *rule, const struct keep_point *points,
    size_t count, unsigned *ret_kept);

/* The same, point by point.  A keeper remembers no more points than it keeps.
 */
struct keeper;
struct keeper *keeper_new(const struct keep_rule *rule);
void keeper_free(struct keeper *keeper); /* NULL is nothing */
/* The next point.  number: the caller's of it, its place in kept.  ret_gone:
 * the numbers of those, itself included, that nothing keeps from now on.
 * Returns how many they are.  Cheap, except for each point of a period that was
 * left and comes again. */
size_t keeper_add(struct keeper *keeper, const struct keep_point *point,
    size_t number, unsigned *kept, size_t ret_gone[KEEP_REASONS]);

#endif
