/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry as a value: who is found, who holds, what a removal releases. */
#include "target/scsi/registry.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define T "iqn.2026-01.x:t"

static struct registry *registry;

static int
setup(void **unused)
{
	(void)unused;
	registry = registry_new();
	return registry == NULL ? -1 : 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	registry_free(registry);
	return 0;
}

static int
add(const char *initiator, uint16_t port, uint64_t key, bool all_ports)
{
	struct registration r = {
	    .key = key, .port = port, .all_ports = all_ports, .target = T};

	snprintf(r.initiator, sizeof(r.initiator), "%s", initiator);
	return registry_register(registry, &r);
}

static void
hold(enum registry_type type, unsigned holder)
{
	registry->type = type;
	registry->holder = holder;
}

static void
a_nexus_is_found_by_both_its_ports(void **unused)
{
	(void)unused;
	assert_int_equal(add("a", 1, 10, false), 0);
	assert_int_equal(add("a", 2, 11, false), 1);
	assert_int_equal(add("b", 1, 12, false), 2);
	assert_int_equal(registry_find(registry, "a", T, 1), 0);
	assert_int_equal(registry_find(registry, "a", T, 2), 1);
	assert_int_equal(registry_find(registry, "B", T, 1), 2);
	assert_int_equal(registry_find(registry, "b", T, 2), -1);
	assert_int_equal(registry_find(registry, "a", "other", 1), -1);
}

static void
registering_again_changes_the_key(void **unused)
{
	(void)unused;
	assert_int_equal(add("a", 1, 10, false), 0);
	assert_int_equal(add("a", 1, 20, false), 0);
	assert_int_equal(registry->count, 1);
	assert_int_equal(registry->list[0].key, 20);
}

static void
one_for_all_ports_takes_in_those_of_single_ones(void **unused)
{
	(void)unused;
	add("a", 1, 10, false);
	add("b", 1, 11, false);
	add("a", 2, 12, false);
	hold(REGISTRY_WRITE_EXCLUSIVE, 2);
	assert_int_equal(add("a", 3, 13, true), 1);
	assert_int_equal(registry->count, 2);
	for (uint16_t port = 1; port < 9; port++)
		assert_int_equal(registry_find(registry, "a", T, port), 1);
	assert_int_equal(registry->type, REGISTRY_WRITE_EXCLUSIVE);
	assert_true(registry_is_holder(registry, 1));
}

static void
and_has_no_holder_of_its_own_where_all_hold(void **unused)
{
	(void)unused;
	add("a", 1, 10, false);
	add("b", 1, 11, false);
	hold(REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS, 0);
	assert_int_equal(add("a", 3, 13, true), 1);
	assert_int_equal(registry->holder, 0);
	assert_true(registry_is_holder(registry, 1));
}

static void
there_are_so_many_and_no_more(void **unused)
{
	char name[16];

	(void)unused;
	for (unsigned i = 0; i < REGISTRY_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(add(name, 1, 1 + i, false), i);
	}
	assert_int_equal(add("one more", 1, 1, false), -ENOSPC);
	assert_int_equal(add("n7", 1, 99, false), 7);
	registry_remove(registry, 3);
	assert_int_equal(add("one more", 1, 1, false), (int)REGISTRY_MAX - 1);
}

static void
who_holds_and_who_may(void **unused)
{
	/* type, is 0 the holder, is 1, may 0, may 1, may a stranger */
	static const struct {
		enum registry_type type;
		bool holds[2], may[2];
	} rows[] = {
	    {REGISTRY_WRITE_EXCLUSIVE, {true, false}, {true, false}},
	    {REGISTRY_EXCLUSIVE_ACCESS, {true, false}, {true, false}},
	    {REGISTRY_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, {true, false},
		{true, true}},
	    {REGISTRY_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, {true, false},
		{true, true}},
	    {REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS, {true, true},
		{true, true}},
	    {REGISTRY_EXCLUSIVE_ACCESS_ALL_REGISTRANTS, {true, true},
		{true, true}},
	};

	(void)unused;
	add("a", 1, 10, false);
	add("b", 1, 11, false);
	assert_true(registry_may_all(registry, -1));
	assert_false(registry_is_holder(registry, 0));
	for (unsigned i = 0; i < 6; i++) {
		hold(rows[i].type, 0);
		for (int who = 0; who < 2; who++) {
			assert_int_equal(registry_is_holder(registry, who),
			    rows[i].holds[who]);
			assert_int_equal(
			    registry_may_all(registry, who), rows[i].may[who]);
		}
		assert_false(registry_is_holder(registry, -1));
		assert_false(registry_may_all(registry, -1));
	}
}

static void
what_the_holder_holds_goes_with_it(void **unused)
{
	(void)unused;
	add("a", 1, 10, false);
	add("b", 1, 11, false);
	add("c", 1, 12, false);
	hold(REGISTRY_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, 1);
	registry_remove(registry, 0);
	assert_true(registry_is_holder(registry, 0));
	registry_remove(registry, 1);
	assert_true(registry_is_holder(registry, 0));
	registry_remove(registry, 0);
	assert_int_equal(registry->type, REGISTRY_NONE);
}

static void
what_all_hold_goes_with_the_last(void **unused)
{
	(void)unused;
	add("a", 1, 10, false);
	add("b", 1, 11, false);
	hold(REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS, 0);
	registry_remove(registry, 0);
	assert_true(registry_is_holder(registry, 0));
	registry_remove(registry, 0);
	assert_int_equal(registry->type, REGISTRY_NONE);
}

static void
a_copy_is_another_one(void **unused)
{
	struct registry *copy;

	(void)unused;
	copy = registry_copy(registry);
	assert_int_equal(copy->count, 0);
	registry_free(copy);
	add("a", 1, 10, false);
	hold(REGISTRY_WRITE_EXCLUSIVE, 0);
	copy = registry_copy(registry);
	registry_clear(registry);
	assert_int_equal(registry->type, REGISTRY_NONE);
	assert_int_equal(copy->count, 1);
	assert_true(registry_is_holder(copy, 0));
	assert_string_equal(copy->list[0].initiator, "a");
	registry_free(copy);
}

static void
six_types_are_known(void **unused)
{
	unsigned known = 0;

	(void)unused;
	for (unsigned type = 0; type < 32; type++)
		known += registry_type_is_known(type);
	assert_int_equal(known, 6);
	assert_string_equal(registry_type_text(REGISTRY_NONE), "");
}

#define T_(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T_(a_nexus_is_found_by_both_its_ports),
	    T_(registering_again_changes_the_key),
	    T_(one_for_all_ports_takes_in_those_of_single_ones),
	    T_(and_has_no_holder_of_its_own_where_all_hold),
	    T_(there_are_so_many_and_no_more),
	    T_(who_holds_and_who_may),
	    T_(what_the_holder_holds_goes_with_it),
	    T_(what_all_hold_goes_with_the_last),
	    T_(a_copy_is_another_one),
	    T_(six_types_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
