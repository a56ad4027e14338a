/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/chain.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>

static struct backup_points points;

/* uuids are letters here */
static void
add(uint64_t number, const char *uuid, const char *base)
{
	struct backup_point point = {.number = number};

	snprintf(point.uuid, sizeof(point.uuid), "%s", uuid);
	snprintf(point.name, sizeof(point.name), "day%s", uuid);
	snprintf(point.base_uuid, sizeof(point.base_uuid), "%s", base);
	backup_points_add(&points, &point);
}

static int
teardown(void **unused)
{
	(void)unused;
	backup_points_free(&points);
	return 0;
}

/* "abc": the chain of name, "abc!" when a base is missing */
static void
chain_is(const char *name, const char *expected)
{
	const struct backup_point *point = backup_points_find(&points, name);
	const struct backup_point *missing;
	struct backup_chain chain;
	char text[64];
	int length = 0;
	bool whole;

	assert_non_null(point);
	whole = backup_chain_of(&points, point, &chain, &missing);
	for (unsigned i = 0; i < chain.count; i++)
		length += sprintf(&text[length], "%s", chain.list[i]->uuid);
	sprintf(&text[length], "%s", whole ? "" : "!");
	assert_int_equal(missing == NULL, whole);
	assert_string_equal(text, expected);
	free(chain.list);
}

static void
a_chain_goes_back_to_the_full_one(void **unused)
{
	(void)unused;
	add(1, "a", "");
	add(2, "b", "a");
	add(3, "c", "b");
	chain_is("daya", "a");
	chain_is("dayc", "abc");
	chain_is("c", "abc");
}

static void
order_of_adding_does_not_matter(void **unused)
{
	(void)unused;
	add(3, "c", "b");
	add(1, "a", "");
	add(2, "b", "a");
	assert_int_equal(points.list[0].number, 1);
	assert_int_equal(points.list[2].number, 3);
	chain_is("c", "abc");
}

static void
branches_are_chains_of_their_own(void **unused)
{
	(void)unused;
	add(1, "a", "");
	add(2, "b", "a");
	add(3, "c", "a");
	add(4, "d", "");
	chain_is("b", "ab");
	chain_is("c", "ac");
	chain_is("d", "d");
}

static void
a_base_that_is_missing_is_said(void **unused)
{
	(void)unused;
	add(2, "b", "a");
	add(3, "c", "b");
	chain_is("c", "bc!");
}

/* A manifest that names a later one as its base would go round for ever. */
static void
a_base_is_older(void **unused)
{
	(void)unused;
	add(1, "a", "b");
	add(2, "b", "a");
	chain_is("a", "a!");
	chain_is("b", "ab!");
}

static void
numbers_and_snapshots_are_there_once(void **unused)
{
	struct backup_point point = {.number = 1, .uuid = "z"};

	(void)unused;
	add(1, "a", "");
	assert_true(backup_points_clash(&points, &point));
	point.number = 2;
	assert_false(backup_points_clash(&points, &point));
	point.uuid[0] = 'a';
	assert_true(backup_points_clash(&points, &point));
	assert_false(backup_points_clash(&points, &points.list[0]));
}

int
main(void)
{
#define claim(test) cmocka_unit_test_teardown(test, teardown)
	const struct CMUnitTest tests[] = {
	    claim(a_chain_goes_back_to_the_full_one),
	    claim(order_of_adding_does_not_matter),
	    claim(branches_are_chains_of_their_own),
	    claim(a_base_that_is_missing_is_said),
	    claim(a_base_is_older),
	    claim(numbers_and_snapshots_are_there_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
