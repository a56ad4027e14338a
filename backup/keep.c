/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For each reason a queue of the points that it keeps, from the oldest to the
 * newest, of which no two are in the same period.  A point of a period that the
 * queue has takes that one's place and goes to its end; one of a new period
 * pushes out the oldest when the queue is full.  For last=N each point is a
 * period of its own, and the newest good one is last=1.
 */
#include "backup/keep.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 100000ul
#define ROOM_MIN  8

/* clang-format off */
const char *const keep_words[KEEP_REASONS] = {
	[KEEP_LAST] = "last",       [KEEP_HOURLY] = "hourly",
	[KEEP_DAILY] = "daily",     [KEEP_WEEKLY] = "weekly",
	[KEEP_MONTHLY] = "monthly", [KEEP_YEARLY] = "yearly",
	[KEEP_GOOD] = "last-good",  [KEEP_HELD] = "held",
};
/* clang-format on */

struct place {
	int64_t period;
	size_t point;
};

/* The places from first on; those before it are free again. */
struct queue {
	struct place *places;
	size_t first, count, room, wanted;
	int64_t highest; /* period that it ever had */
};

struct keeper {
	struct queue queues[KEEP_HELD];
	int64_t added;
};

/* ---- the text ---- */

/* One "daily=7" up to its comma. */
static const char *
parse_one(const char *text, struct keep_rule *rule)
{
	size_t word = strcspn(text, "=,");
	unsigned long count;
	char *end;

	for (unsigned p = 0; p < KEEP_PERIODS; p++) {
		if (strlen(keep_words[p]) != word ||
		    strncmp(text, keep_words[p], word) != 0)
			continue;
		if (text[word] != '=' || text[word + 1] < '0' ||
		    text[word + 1] > '9' || rule->count[p] != 0)
			return NULL;
		errno = 0;
		count = strtoul(&text[word + 1], &end, 10);
		if (errno != 0 || count > COUNT_MAX)
			return NULL;
		rule->count[p] = (unsigned)count;
		return end;
	}
	return NULL;
}

bool
keep_parse(const char *text, struct keep_rule *ret_rule)
{
	unsigned sum = 0;

	*ret_rule = (struct keep_rule){{0}};
	do {
		text = parse_one(text, ret_rule);
	} while (text != NULL && *text == ',' && *++text != '\0');
	if (text == NULL || *text != '\0' || text[-1] == ',')
		return false;
	for (unsigned p = 0; p < KEEP_PERIODS; p++)
		sum += ret_rule->count[p];
	return sum > 0;
}

/* ---- periods ---- */

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Two points with the same number are in one period. */
static void
periods_of(int64_t when, int64_t added, int64_t ret_period[KEEP_HELD])
{
	time_t seconds = (time_t)when;
	struct tm tm = {0};
	int64_t local, day;

	localtime_r(&seconds, &tm);
	local = when + tm.tm_gmtoff;
	day = floor_div(local, 86400);
	ret_period[KEEP_LAST] = added;
	/* the offset, in minutes, tells an hour from its repetition */
	ret_period[KEEP_HOURLY] =
	    floor_div(local, 3600) * 4096 - tm.tm_gmtoff / 60;
	ret_period[KEEP_DAILY] = day;
	/* 1970-01-05 was a Monday */
	ret_period[KEEP_WEEKLY] = floor_div(day + 3, 7);
	ret_period[KEEP_MONTHLY] = (int64_t)tm.tm_year * 12 + tm.tm_mon;
	ret_period[KEEP_YEARLY] = tm.tm_year;
	ret_period[KEEP_GOOD] = added;
}

/* ---- queues ---- */

static void
queue_make_room(struct queue *queue)
{
	if (queue->first + queue->count < queue->room)
		return;
	if (queue->first < queue->room / 2 || queue->room == 0) {
		queue->room = queue->room != 0 ? 2 * queue->room : ROOM_MIN;
		queue->places = reallocarray(
		    queue->places, queue->room, sizeof(*queue->places));
		assert(queue->places != NULL);
	} else {
		memmove(queue->places, &queue->places[queue->first],
		    queue->count * sizeof(*queue->places));
		queue->first = 0;
	}
}

/* NULL: no point that it has is in the period. */
static struct place *
queue_find(const struct queue *queue, int64_t period)
{
	if (queue->count == 0 || period > queue->highest)
		return NULL;
	for (size_t i = queue->first + queue->count; i-- > queue->first;) {
		if (queue->places[i].period == period)
			return &queue->places[i];
	}
	return NULL;
}

/* The place that a point of the period takes; NULL: a new one. */
static struct place *
queue_give_way(const struct queue *queue, int64_t period)
{
	struct place *same = queue_find(queue, period);

	if (same == NULL && queue->count == queue->wanted)
		return &queue->places[queue->first];
	return same;
}

static void
queue_remove(struct queue *queue, struct place *place)
{
	struct place *first = &queue->places[queue->first];

	if (place == first)
		queue->first++;
	else
		memmove(place, place + 1,
		    (size_t)(first + queue->count - place - 1) *
			sizeof(*place));
	queue->count--;
}

static void
queue_append(struct queue *queue, int64_t period, size_t point)
{
	queue_make_room(queue);
	queue->places[queue->first + queue->count++] =
	    (struct place){.period = period, .point = point};
	if (queue->count == 1 || period > queue->highest)
		queue->highest = period;
}

/* ---- the keeper ---- */

struct keeper *
keeper_new(const struct keep_rule *rule)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	assert(keeper != NULL);
	for (unsigned r = 0; r < KEEP_PERIODS; r++)
		keeper->queues[r].wanted = rule->count[r];
	keeper->queues[KEEP_GOOD].wanted = 1;
	return keeper;
}

void
keeper_free(struct keeper *keeper)
{
	if (keeper == NULL)
		return;
	for (unsigned r = 0; r < KEEP_HELD; r++)
		free(keeper->queues[r].places);
	free(keeper);
}

/* Returns whether that let go of a point: *ret_gone. */
static bool
take_place(struct queue *queue, unsigned reason, int64_t period, size_t number,
    unsigned *kept, size_t *ret_gone)
{
	struct place *place;
	bool gone = false;

	if (queue->wanted == 0)
		return false;
	place = queue_give_way(queue, period);
	if (place != NULL) {
		kept[place->point] &= ~(1u << reason);
		gone = kept[place->point] == 0;
		*ret_gone = place->point;
		queue_remove(queue, place);
	}
	queue_append(queue, period, number);
	kept[number] |= 1u << reason;
	return gone;
}

size_t
keeper_add(struct keeper *keeper, const struct keep_point *point, size_t number,
    unsigned *kept, size_t ret_gone[KEEP_REASONS])
{
	int64_t period[KEEP_HELD];
	size_t gone = 0;

	kept[number] = point->held ? 1u << KEEP_HELD : 0;
	if (!point->good) {
		ret_gone[0] = number;
		return !point->held;
	}
	periods_of(point->when, keeper->added++, period);
	for (unsigned r = 0; r < KEEP_HELD; r++) {
		if (take_place(&keeper->queues[r], r, period[r], number, kept,
			&ret_gone[gone]))
			gone++;
	}
	assert(kept[number] & 1u << KEEP_GOOD);
	return gone;
}

void
keep_apply(const struct keep_rule *rule, const struct keep_point *points,
    size_t count, unsigned *ret_kept)
{
	struct keeper *keeper = keeper_new(rule);
	size_t gone[KEEP_REASONS];

	for (size_t i = 0; i < count; i++)
		keeper_add(keeper, &points[i], i, ret_kept, gone);
	keeper_free(keeper);
}
