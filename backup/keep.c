/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/keep.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 100000ul

const char *const keep_words[KEEP_PERIODS] = {
    "last", "hourly", "daily", "weekly", "monthly", "yearly"};

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

/* Two instants with the same number are in one period. */
static int64_t
number_of(enum keep_period period, uint64_t when)
{
	time_t seconds = (time_t)when;
	struct tm tm;
	int64_t day;

	localtime_r(&seconds, &tm);
	day = (int64_t)(tm.tm_year) * 366 + tm.tm_yday;
	switch (period) {
	case KEEP_HOURLY:
		/* the hour that a clock set back shows twice is two hours */
		return (seconds + tm.tm_gmtoff) / 3600 * 2 + (tm.tm_isdst > 0);
	case KEEP_DAILY: return day;
	case KEEP_WEEKLY:
		/* days since a Monday, 1970-01-05, of the local date */
		return ((seconds + tm.tm_gmtoff) / 86400 + 3) / 7;
	case KEEP_MONTHLY: return tm.tm_year * 12 + tm.tm_mon;
	case KEEP_YEARLY: return tm.tm_year;
	case KEEP_LAST:
	case KEEP_PERIODS: break;
	}
	return seconds;
}

static void
keep_period(enum keep_period period, unsigned wanted, const uint64_t *times,
    size_t count, unsigned *kept)
{
	int64_t last = 0;
	bool any = false;

	for (size_t i = count; i-- > 0 && wanted > 0;) {
		int64_t number = number_of(period, times[i]);
		if (period != KEEP_LAST && any && number == last)
			continue;
		kept[i] |= 1u << period;
		last = number;
		any = true;
		wanted--;
	}
}

void
keep_apply(const struct keep_rule *rule, const uint64_t *times, size_t count,
    unsigned *ret_kept)
{
	memset(ret_kept, 0, count * sizeof(*ret_kept));
	for (unsigned p = 0; p < KEEP_PERIODS; p++)
		keep_period((enum keep_period)p, rule->count[p], times, count,
		    ret_kept);
	if (count > 0)
		ret_kept[count - 1] |= 1u << KEEP_LAST;
}
