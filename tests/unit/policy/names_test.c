/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/names.h"
#include "policy/run_prune_plan.h"
#include "tests/unit/base/support/cmocka.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

static void
a_snapshot_is_a_policys_by_its_name_alone(void **unused)
{
	char stamp[POLICY_STAMP_MAX];

	(void)unused;
	policy_stamp(1795658400, stamp);
	assert_string_equal(stamp, "20261126T020000Z");
	policy_stamp(INT64_MAX, stamp);
	assert_true(policy_stamp_is(stamp));
	assert_true(policy_snap_is_of("often", "often-20261126T020000Z"));
	assert_true(policy_snap_is_of("a-b", "a-b-20261126T020000Z"));
	assert_false(policy_snap_is_of("a", "a-b-20261126T020000Z"));
	assert_false(policy_snap_is_of("often", "often-20261126T020000Z2"));
	assert_false(policy_snap_is_of("often", "often-2026112xT020000Z"));
	assert_false(policy_snap_is_of("often", "often2-20261126T020000Z"));
	assert_false(policy_snap_is_of("often", "often"));
	assert_false(policy_snap_is_of("often", "often-"));
}

static void
directory_is(const char *form, const char *expected, size_t fixed)
{
	char path[PATH_MAX], small[8];

	assert_true(policy_directory(form, "vms/web01", path, sizeof(path)));
	assert_string_equal(path, expected);
	assert_int_equal(policy_directory_fixed(form), fixed);
	assert_true(strlen(expected) < sizeof(small) ||
		    !policy_directory(form, "vms/web01", small, sizeof(small)));
}

static void
a_directory_has_the_names_where_its_fields_are(void **unused)
{
	(void)unused;
	directory_is("/backup/{lun}", "/backup/web01", strlen("/backup/"));
	directory_is("/b/{pool}/x-{lun}/", "/b/vms/x-web01/", strlen("/b/"));
	directory_is(
	    "/b/a{pool}{pool}/{lun}", "/b/avmsvms/web01", strlen("/b/"));
	directory_is("/backup/web", "/backup/web", strlen("/backup/"));
	directory_is("/backup//", "/backup//", strlen("/"));
	directory_is("/{lun}", "/web01", strlen("/"));
	directory_is("/", "/", 1);
}

/* ---- what goes ---- */

static json_t *
snap(const char *name, const char *created, const char *consistency, bool held)
{
	return json_pack("{s:s, s:s, s:s, s:b}", "name", name, "created",
	    created, "consistency", consistency, "held", held);
}

/* Takes snaps. */
static void
goes(json_t *snaps, const char *rule_text, const char *expected)
{
	struct keep_rule rule;
	json_t *gone;
	char *text;

	assert_true(keep_parse(rule_text, &rule));
	gone = prune_plan("p", &rule, snaps);
	text = json_dumps(gone, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
	json_decref(gone);
	json_decref(snaps);
}

#define P(n) "v/l@p-2026112" #n "T020000Z"
#define T(n) "2026-11-2" #n "T02:00:00Z"

static void
what_is_not_the_policys_never_goes(void **unused)
{
	(void)unused;
	goes(json_array(), "last=1", "[]");
	goes(json_pack("[o,o,o,o]", snap("v/l@mine", T(1), "crash", false),
		 snap(P(1), T(1), "crash", false),
		 snap("v/l@q-20261121T020000Z", T(1), "crash", false),
		 snap(P(2), T(2), "crash", false)),
	    "last=1", "[\"" P(1) "\"]");
}

static void
what_is_held_stays_and_has_its_place(void **unused)
{
	(void)unused;
	goes(json_pack("[o,o,o]", snap(P(1), T(1), "crash", true),
		 snap(P(2), T(2), "crash", false),
		 snap(P(3), T(3), "crash", false)),
	    "daily=1", "[\"" P(2) "\"]");
}

/* A guest whose agent has died must not cost the last snapshot that was taken
 * of it frozen. */
static void
the_newest_that_was_frozen_stays(void **unused)
{
	(void)unused;
	goes(json_pack("[o,o,o,o]", snap(P(1), T(1), "fs", false),
		 snap(P(2), T(2), "app", false),
		 snap(P(3), T(3), "crash", false),
		 snap(P(4), T(4), "crash", false)),
	    "last=1", "[\"" P(1) "\",\"" P(3) "\"]");
	goes(json_pack("[o,o]", snap(P(1), T(1), "fs", false),
		 snap(P(2), T(2), "fs", false)),
	    "last=1", "[\"" P(1) "\"]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_snapshot_is_a_policys_by_its_name_alone),
	    cmocka_unit_test(a_directory_has_the_names_where_its_fields_are),
	    cmocka_unit_test(what_is_not_the_policys_never_goes),
	    cmocka_unit_test(what_is_held_stays_and_has_its_place),
	    cmocka_unit_test(the_newest_that_was_frozen_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
