/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which backups of a directory a rule is said to keep, by dry runs.
 *
 * Not covered: what becomes of the others (merge_test, tests/integration), and
 * the rule itself (keep_test).
 */
#include "backup/backup.h"
#include "base/assert.h"
#include "support/points.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY   86400
#define TODAY (20000ull * DAY)

static char path[64];
static struct directory *directory;

static int
setup(void **unused)
{
	(void)unused;
	setenv("TZ", "UTC", 1);
	strcpy(path, "/tmp/varve-prune-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_null(directory_open(path, DIRECTORY_ADD, true, &directory));
	return 0;
}

static int
teardown(void **unused)
{
	char command[96];

	(void)unused;
	snprintf(command, sizeof(command), "rm -rf %s", path);
	return system(command);
}

/* Of a snapshot that was made so many days from now, by its clock; NULL: a full
 * one. */
static struct backup_point
backup(uint64_t number, int days, const struct backup_point *base)
{
	struct backup_point point;
	char name[8];

	snprintf(name, sizeof(name), "s%u", (unsigned)number);
	point = point_of(number, name);
	point.created = TODAY + (uint64_t)(int64_t)(days * DAY);
	if (base != NULL)
		point_on(&point, base);
	point_commit(directory, &point);
	return point;
}

static void
append_keeps(char *text, const json_t *item)
{
	const json_t *keeps = json_object_get(item, "keeps"), *word;
	size_t i;

	if (json_array_size(keeps) == 0)
		return;
	strcat(text, json_string_value(json_object_get(item, "name")));
	json_array_foreach(keeps, i, word)
	{
		strcat(text, i == 0 ? ":" : "+");
		strcat(text, json_string_value(word));
	}
	strcat(text, " ");
}

/* "s1:daily s3:last+daily+last-good " */
static void
expect(const char *keep, const char *kept)
{
	struct backup_watch watch = {0};
	struct backup_prune_params params = {
	    .path = path, .keep = keep, .dry_run = true, .watch = &watch};
	json_t *items = NULL, *item;
	char text[1024] = "";
	size_t i;

	directory_close(directory);
	directory = NULL;
	assert_null(backup_prune(&params, &items));
	json_array_foreach(items, i, item) append_keeps(text, item);
	json_decref(items);
	assert_string_equal(text, kept);
}

static void
each_says_what_keeps_it(void **unused)
{
	struct backup_point s1, s2;

	(void)unused;
	s1 = backup(1, -2, NULL);
	s2 = backup(2, -1, &s1);
	backup(3, 0, &s2);
	expect("last=1,daily=2", "s2:daily s3:last+daily+last-good ");
}

/* A full one of an older snapshot was made last. */
static void
what_is_new_goes_by_snapshots(void **unused)
{
	struct backup_point s1;

	(void)unused;
	s1 = backup(1, -1, NULL);
	backup(2, 0, &s1);
	backup(3, -2, NULL);
	expect("last=1", "s2:last+last-good ");
}

/* The clock was a year ahead when the first two were made. */
static void
what_stands_on_another_is_newer(void **unused)
{
	struct backup_point point;

	(void)unused;
	point = backup(1, 365, NULL);
	point = backup(2, 366, &point);
	point = backup(3, 1, &point);
	backup(4, 2, &point);
	expect("last=1,daily=3", "s2:daily s3:daily s4:last+daily+last-good ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		each_says_what_keeps_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_is_new_goes_by_snapshots, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_stands_on_another_is_newer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
