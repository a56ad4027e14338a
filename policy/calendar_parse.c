/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words to calendars.  A part is a word that says which days, what it takes
 * (days, dates), and times; the table has a row for each such word.
 */
#include "base/assert.h"
#include "policy/calendar.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANK       " \t\r\n"
#define ALL_DAYS    0x7f
#define ALL_DATES   UINT32_MAX
#define DAY_MINUTES 1440
#define WORDS_MAX   3 /* of a part, and more are wrong */

struct words {
	char *word[WORDS_MAX + 1];
	unsigned count;
};

struct parse {
	struct calendar *calendar;
	struct calendar_part *part; /* that is being read */
	bool wrong;
};

/* The first one counts.  Whatever the text was, this is printable. */
static bool __attribute__((format(printf, 2, 3)))
wrong(struct parse *parse, const char *format, ...)
{
	char *problem = parse->calendar->problem;
	va_list args;

	if (parse->wrong)
		return false;
	va_start(args, format);
	vsnprintf(problem, CALENDAR_PROBLEM_MAX, format, args);
	va_end(args);
	for (; *problem != '\0'; problem++) {
		if (*problem < ' ' || *problem > '~')
			*problem = '?';
	}
	parse->wrong = true;
	return false;
}

/* ---- numbers and names ---- */

/* One or two digits; returns what comes after them, NULL: it is none. */
static const char *
number_read(const char *text, unsigned min, unsigned max, unsigned *ret_number)
{
	unsigned number = 0, digits = 0;

	for (; text[digits] >= '0' && text[digits] <= '9' && digits < 3;
	     digits++)
		number = number * 10 + (unsigned)(text[digits] - '0');
	*ret_number = number;
	if (digits < 1 || digits > 2 || number < min || number > max)
		return NULL;
	return text + digits;
}

static bool
number_is(const char *text, unsigned min, unsigned max, unsigned *ret_number)
{
	const char *end = number_read(text, min, max, ret_number);

	return end != NULL && *end == '\0';
}

/* "mon" or "monday" */
static bool
weekday_is(const char *text, unsigned *ret_weekday)
{
	static const char *const names[] = {"monday", "tuesday", "wednesday",
	    "thursday", "friday", "saturday", "sunday"};

	for (unsigned i = 0; i < 7; i++) {
		if (strcmp(text, names[i]) == 0 ||
		    (strlen(text) == 3 && strncmp(text, names[i], 3) == 0)) {
			*ret_weekday = i;
			return true;
		}
	}
	return false;
}

/* ---- the items of lists: each is read into the part ---- */

static bool
time_item(struct parse *parse, char *item)
{
	struct calendar *calendar = parse->calendar;
	bool hourly = parse->part->kind == CALENDAR_HOURLY;
	unsigned hour = 0, minute;
	const char *rest = hourly ? item : number_read(item, 0, 23, &hour);

	if (rest == NULL || *rest != ':' || strlen(rest) != 3 ||
	    !number_is(rest + 1, 0, 59, &minute))
		return hourly
			   ? wrong(parse,
				 "'%.20s' is no minute of the hour: :00 to :59",
				 item)
			   : wrong(parse,
				 "'%.20s' is no time of day: 00:00 to 23:59",
				 item);
	if (calendar->times == CALENDAR_TIMES_MAX)
		return wrong(
		    parse, "it has more than %d times", CALENDAR_TIMES_MAX);
	calendar->time[calendar->times++] = (uint16_t)(hour * 60 + minute);
	parse->part->times++;
	return true;
}

/* "mon", "mon..fri", "sat..mon" */
static bool
weekday_item(struct parse *parse, char *item)
{
	char *to = strstr(item, "..");
	unsigned first, last;
	bool good;

	if (to != NULL)
		*to = '\0';
	good = weekday_is(item, &first);
	last = first;
	if (good && to != NULL)
		good = weekday_is(to + 2, &last);
	if (to != NULL)
		*to = '.';
	if (!good)
		return wrong(parse,
		    "'%.20s' is no day of the week: mon, tue, wed, thu, fri, "
		    "sat, sun, or as mon..fri",
		    item);
	for (; first != last; first = (first + 1) % 7)
		parse->part->weekdays |= (uint8_t)(1u << first);
	parse->part->weekdays |= (uint8_t)(1u << last);
	return true;
}

/* "15", "last" */
static bool
date_item(struct parse *parse, char *item)
{
	unsigned day = 31;

	if (strcmp(item, "last") != 0 && !number_is(item, 1, 31, &day))
		return wrong(parse,
		    "'%.20s' is no day of the month: 1 to 31, or last", item);
	for (unsigned month = 0; month < 12; month++)
		parse->part->dates[month] |= 1u << (day - 1);
	return true;
}

/* "12-31" */
static bool
year_item(struct parse *parse, char *item)
{
	static const uint8_t days[12] = {
	    31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned month, day;
	const char *rest = number_read(item, 1, 12, &month);

	if (rest == NULL || *rest != '-' ||
	    !number_is(rest + 1, 1, days[month - 1], &day))
		return wrong(parse,
		    "'%.20s' is no day of the year: month and day, 01-01 to "
		    "12-31",
		    item);
	parse->part->dates[month - 1] |= 1u << (day - 1);
	return true;
}

/* The items that commas separate. */
static bool
list_read(struct parse *parse, char *list,
    bool (*item)(struct parse *parse, char *item))
{
	bool good = true;

	while (list != NULL && good)
		good = item(parse, strsep(&list, ","));
	return good;
}

/* ---- parts ---- */

struct word_row {
	const char *word;
	enum calendar_kind kind;
	uint8_t weekdays; /* if none are said */
	bool (*takes)(struct parse *parse, char *item);
	const char *otherwise; /* of what it takes */
	const char *example;
};

/* clang-format off */
static const struct word_row rows[] = {
	{"hourly",   CALENDAR_HOURLY, ALL_DAYS, NULL,         NULL,    "hourly :15"},
	{"daily",    CALENDAR_CLOCK,  ALL_DAYS, NULL,         NULL,    "daily 02:00,14:00"},
	{"weekly",   CALENDAR_CLOCK,  0,        weekday_item, "mon",   "weekly sun 03:00"},
	{"weekdays", CALENDAR_CLOCK,  0x1f,     NULL,         NULL,    "weekdays 22:00"},
	{"weekends", CALENDAR_CLOCK,  0x60,     NULL,         NULL,    "weekends 10:00"},
	{"monthly",  CALENDAR_CLOCK,  ALL_DAYS, date_item,    "1",     "monthly 1,15 04:00"},
	{"yearly",   CALENDAR_CLOCK,  ALL_DAYS, year_item,    "01-01", "yearly 12-31 23:00"},
};
/* clang-format on */

static const struct word_row by_days = {
    .kind = CALENDAR_CLOCK, .takes = weekday_item, .example = "mon..fri 22:00"};

static void
all_dates(struct calendar_part *part)
{
	for (unsigned month = 0; month < 12; month++)
		part->dates[month] = ALL_DATES;
}

static bool
takes_dates(const struct word_row *row)
{
	return row->takes == date_item || row->takes == year_item;
}

/* What the row takes, then times, and no more. */
static bool
part_read(struct parse *parse, const struct word_row *row,
    const struct words *words, unsigned at)
{
	char otherwise[8], midnight[8];
	struct calendar_part *part = parse->part;

	part->kind = row->kind;
	part->weekdays = row->weekdays;
	if (!takes_dates(row))
		all_dates(part);
	if (row->takes != NULL) {
		char *list = otherwise;
		if (row->otherwise == NULL ||
		    (at < words->count && strchr(words->word[at], ':') == NULL))
			list = words->word[at++];
		else
			snprintf(
			    otherwise, sizeof(otherwise), "%s", row->otherwise);
		if (!list_read(parse, list, row->takes))
			return false;
	}
	snprintf(midnight, sizeof(midnight), "%s",
	    row->kind == CALENDAR_HOURLY ? ":00" : "00:00");
	if (!list_read(parse, at < words->count ? words->word[at] : midnight,
		time_item))
		return false;
	if (at + 1 < words->count)
		return wrong(parse, "'%.20s' is a word too many: as %s",
		    words->word[at + 1], row->example);
	return true;
}

/* "every 15m" */
static bool
every_read(struct parse *parse, const struct words *words)
{
	const char *text = words->count > 1 ? words->word[1] : "";
	char *unit;
	unsigned long minutes = strtoul(text, &unit, 10);

	if (words->count != 2 || text[0] < '0' || text[0] > '9' ||
	    (strcmp(unit, "m") != 0 && strcmp(unit, "h") != 0))
		return wrong(parse,
		    "every takes a number and m or h: as every 15m, every 4h");
	if (minutes > DAY_MINUTES)
		minutes = 0;
	if (*unit == 'h')
		minutes *= 60;
	if (minutes == 0 || DAY_MINUTES % minutes != 0)
		return wrong(parse,
		    "'%.20s' does not divide a day: as every 15m, every 4h",
		    text);
	parse->part->kind = CALENDAR_EVERY;
	parse->part->interval = (int64_t)minutes * 60;
	parse->part->weekdays = ALL_DAYS;
	all_dates(parse->part);
	return true;
}

static bool
words_read(struct parse *parse, const struct words *words)
{
	const char *first = words->word[0];
	char *days;
	unsigned weekday;

	if (words->count == 0)
		return wrong(parse, "a part of it is empty: as daily 02:00");
	if (words->count > WORDS_MAX)
		return wrong(parse,
		    "'%.20s' is a word too many: as daily "
		    "02:00; parts are joined by ';'",
		    words->word[WORDS_MAX]);
	if (strcmp(first, "every") == 0)
		return every_read(parse, words);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(first, rows[i].word) == 0)
			return part_read(parse, &rows[i], words, 1);
	}
	days = strdupa(first);
	days[strcspn(days, ".,")] = '\0';
	if (weekday_is(days, &weekday))
		return part_read(parse, &by_days, words, 0);
	return wrong(parse,
	    "'%.20s' is not known: hourly, daily, weekly, weekdays, weekends, "
	    "monthly, yearly, every, or days as mon..fri",
	    first);
}

static bool
next_part(struct parse *parse, char *text)
{
	struct calendar *calendar = parse->calendar;
	struct words words = {.count = 0};
	char *rest = NULL;

	if (calendar->parts == CALENDAR_PARTS_MAX)
		return wrong(
		    parse, "it has more than %d parts", CALENDAR_PARTS_MAX);
	for (char *word = strtok_r(text, BLANK, &rest);
	     word != NULL && words.count <= WORDS_MAX;
	     word = strtok_r(NULL, BLANK, &rest))
		words.word[words.count++] = word;
	parse->part = &calendar->part[calendar->parts++];
	parse->part->time = calendar->times;
	return words_read(parse, &words);
}

/* In small letters; a blank after a comma is none. */
static void
copy_plain(const char *text, char *copy)
{
	char before = '\0';

	for (; *text != '\0'; text++) {
		if (before == ',' && strchr(BLANK, *text) != NULL)
			continue;
		before = *text;
		if (before >= 'A' && before <= 'Z')
			before = (char)(before + ('a' - 'A'));
		*copy++ = before;
	}
	*copy = '\0';
}

const char *
calendar_parse(const char *text, struct calendar *ret_calendar)
{
	struct parse parse = {.calendar = ret_calendar};
	char copy[CALENDAR_TEXT_MAX];
	char *rest = copy;
	bool good = true;

	*ret_calendar = (struct calendar){0};
	if (strlen(text) >= sizeof(copy)) {
		wrong(&parse, "it is longer than %zu characters",
		    sizeof(copy) - 1);
		return ret_calendar->problem;
	}
	copy_plain(text, copy);
	while (rest != NULL && good)
		good = next_part(&parse, strsep(&rest, ";"));
	return good ? NULL : ret_calendar->problem;
}
