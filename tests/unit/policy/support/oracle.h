/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a calendar means, found the slow way: the local clock of every minute of
 * ten years is written down, and who wants to know whether a policy runs then
 * looks.  It shares nothing with policy/ but the words.
 */
#ifndef TESTS_UNIT_POLICY_SUPPORT_ORACLE_H
#define TESTS_UNIT_POLICY_SUPPORT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_PARTS 4
#define ORACLE_TIMES 4

/* A calendar as a test makes it up, before it is words. */
enum oracle_kind { ORACLE_CLOCK, ORACLE_HOURLY, ORACLE_EVERY };

struct oracle_part {
	enum oracle_kind kind;
	bool weekday[7];                    /* from Monday */
	bool date[12][31];                  /* months and their days */
	unsigned time[ORACLE_TIMES], times; /* minutes */
	unsigned interval;                  /* minutes */
};

struct oracle_calendar {
	struct oracle_part part[ORACLE_PARTS];
	unsigned parts;
	char text[256];
};

/* At random (random(3)). */
void oracle_make_up(struct oracle_calendar *ret_calendar);

/* The ten years from 1 January of a year, UTC, in a zone. */
struct oracle {
	const char *zone;
	int64_t first; /* seconds since 1970 of minute 0 */
	size_t minutes;
	int32_t *local;    /* what the clock shows: minutes since 1970 */
	int32_t low, high; /* of local */
	uint32_t *reach;   /* of each local minute from low to high: the first
			    * minute at which the clock shows that or later */
	size_t *turns, turn_count; /* minutes at which the clock was set */
	uint64_t *runs;            /* a bit for each minute: the policy runs */
};

/* Sets TZ. */
void oracle_open(struct oracle *oracle, const char *zone, int year);
void oracle_close(struct oracle *oracle);
/* Fills runs. */
void oracle_run(struct oracle *oracle, const struct oracle_calendar *calendar);

bool oracle_runs(const struct oracle *oracle, size_t minute);
/* The first after that minute; minutes: there is none. */
size_t oracle_next(const struct oracle *oracle, size_t minute);
/* The last that is not after it; SIZE_MAX: there is none. */
size_t oracle_last(const struct oracle *oracle, size_t minute);
/* In [from, to). */
uint64_t oracle_count(const struct oracle *oracle, size_t from, size_t to);
/* The local date, in days since 1970, at that minute. */
int32_t oracle_date(const struct oracle *oracle, size_t minute);
/* Whether the zone has such a date. */
bool oracle_has_date(const struct oracle *oracle, int32_t date);

int64_t oracle_instant(const struct oracle *oracle, size_t minute);
/* One at random, most often near one at which the clock is set. */
size_t oracle_minute(const struct oracle *oracle);

#endif
