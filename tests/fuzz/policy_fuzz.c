/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What administrators write of policies: the first line is a schedule, the
 * second a rule of what to keep, the third where backups go.
 *
 * What is taken must hold: instants are in order and agree with each other, a
 * problem is a line of printable text, and a rule keeps the newest point.
 */
#include "backup/keep.h"
#include "base/assert.h"
#include "policy/calendar.h"
#include "policy/names.h"
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOW    1795658400 /* 2026-11-26 */
#define POINTS 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
schedule(const char *text)
{
	struct calendar calendar;
	const char *problem = calendar_parse(text, &calendar);
	int64_t at = NOW;

	if (problem != NULL) {
		assert(strlen(problem) < CALENDAR_PROBLEM_MAX);
		for (; *problem != '\0'; problem++)
			assert(isprint((unsigned char)*problem));
		return;
	}
	for (unsigned i = 0; i < 20; i++) {
		int64_t next = calendar_next(&calendar, at);
		if (next == 0)
			return;
		assert(next > at);
		assert(calendar_last(&calendar, next) == next);
		assert(calendar_last(&calendar, next - 1) <= at);
		assert(calendar_count(&calendar, at, next, 2) == 1);
		at = next;
	}
}

static void
rule(const char *text)
{
	struct keep_point points[POINTS];
	unsigned kept[POINTS];
	struct keep_rule rule;

	if (!keep_parse(text, &rule))
		return;
	for (unsigned i = 0; i < POINTS; i++)
		points[i] = (struct keep_point){
		    .when = NOW + (int64_t)i * 40000, .good = true};
	keep_apply(&rule, points, POINTS, kept);
	assert(kept[POINTS - 1] >> KEEP_GOOD & 1);
}

static void
directory(const char *form)
{
	char path[PATH_MAX];

	assert(policy_directory_fixed(form) <= strlen(form));
	if (!policy_directory(form, "vms/web01", path, sizeof(path)))
		return;
	assert(strstr(path, "{lun}") == NULL || strstr(form, "{lu") != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const lines[])(const char *text) = {
	    schedule, rule, directory};
	char *text = malloc(size + 1), *at = text;

	assert(text != NULL);
	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(lines) && at != NULL; i++)
		lines[i](strsep(&at, "\n"));
	free(text);
	return 0;
}
