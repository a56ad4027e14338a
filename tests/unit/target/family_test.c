/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots, clones, the trash, bookmarks, groups and jobs through the control
 * API, over a real pool in a file.  Does not cover: what is in them
 * (tests/integration/snapshots.sh), sessions.
 */
#include "tests/unit/target/support/talk.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const json_t *
row(size_t i)
{
	return json_array_get(result, i);
}

/* The members `member` of the rows, each followed by a blank. */
static const char *
rows(const char *method, const char *params, const char *member)
{
	static char all[1024];
	const json_t *item;
	size_t i;

	done(method, params);
	all[0] = '\0';
	json_array_foreach(result, i, item)
	{
		strcat(all, text_in(item, member));
		strcat(all, " ");
	}
	return all;
}

#define SNAP(name) done("snap.create", "{\"names\":[\"" name "\"]}")

/* ---- snapshots ---- */

static void
a_snapshot_lives_and_dies(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	assert_string_equal(text_in(row(0), "name"), "vms/a@one");
	assert_int_equal(
	    json_integer_value(json_object_get(row(0), "size")), 1048576);
	refused("snap.create", "{\"names\":[\"vms/a@one\"]}", "snap.exists");
	SNAP("vms/a@two");
	assert_string_equal(rows("snap.list", "{\"of\":\"vms/a\"}", "name"),
	    "vms/a@one vms/a@two ");
	assert_string_equal(
	    rows("snap.list", "{\"of\":\"vms/b\"}", "name"), "");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	assert_string_not_equal(text("uuid"), "(none)");
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("snaps"), 2);
	done("snap.rename", "{\"snap\":\"vms/a@one\",\"name\":\"@first\"}");
	assert_string_equal(text("name"), "vms/a@first");
	done("snap.delete", "{\"snap\":\"vms/a@first\"}");
	refused("snap.show", "{\"snap\":\"vms/a@first\"}", "snap.not-found");
	assert_string_equal(rows("snap.list", "{}", "name"), "vms/a@two ");
}

static void
names_that_are_not_there_or_taken_are_told_apart(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	SNAP("vms/a@two");
	refused("snap.show", "{\"snap\":\"wms/a@one\"}", "pool.not-found");
	refused("snap.show", "{\"snap\":\"vms/c@one\"}", "lun.not-found");
	refused("snap.show", "{\"snap\":\"vms/a@six\"}", "snap.not-found");
	refused("snap.list", "{\"of\":\"vms/c\"}", "lun.not-found");
	refused("snap.list", "{\"of\":\"wms\"}", "pool.not-found");
	refused("snap.rename", "{\"snap\":\"vms/a@one\",\"name\":\"@two\"}",
	    "snap.exists");
	refused("snap.rename", "{\"snap\":\"vms/a@six\",\"name\":\"@two\"}",
	    "snap.not-found");
	refused("snap.rename",
	    "{\"snap\":\"vms/a@one\",\"name\":\"vms/b@three\"}",
	    "request.argument");
	refused("snap.show", "{\"snap\":\"vms/a\"}", "request.argument");
	refused("lun.show", "{\"lun\":\"vms/a@one\"}", "request.argument");
}

static void
snapshots_of_several_are_of_one_pool_and_have_one_name(void **unused)
{
	(void)unused;
	pool("lab");
	LUN("lab/a", 1048576);
	done("snap.create",
	    "{\"names\":[\"vms/b\",\"vms/a\",\"vms/a\",\"@night\"]}");
	assert_int_equal(json_array_size(result), 2);
	refused("snap.create", "{\"names\":[\"vms/a@x\",\"vms/b@y\"]}",
	    "snap.names");
	refused(
	    "snap.create", "{\"names\":[\"vms/a\",\"vms/b\"]}", "snap.names");
	refused("snap.create", "{\"names\":[\"@x\"]}", "snap.names");
	refused("snap.create", "{\"names\":[\"vms/a\",\"lab/a@x\"]}",
	    "snap.other-pool");
	refused("snap.create", "{\"names\":[\"vms/a\",\"vms/c@x\"]}",
	    "lun.not-found");
	/* one has it: none gets it */
	SNAP("vms/a@x");
	refused("snap.create", "{\"names\":[\"vms/b\",\"vms/a@x\"]}",
	    "snap.exists");
	assert_string_equal(
	    rows("snap.list", "{\"of\":\"vms/b\"}", "name"), "vms/b@night ");
}

static void
what_is_held_is_not_deleted(void **unused)
{
	(void)unused;
	done("snap.create", "{\"names\":[\"vms/a@one\"],\"hold\":true}");
	refused("snap.delete", "{\"snap\":\"vms/a@one\"}", "snap.held");
	refused("lun.delete", "{\"lun\":\"vms/a\"}", "lun.held");
	refused("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}", "lun.held");
	done("snap.release", "{\"snap\":\"vms/a@one\"}");
	assert_true(json_is_false(json_object_get(result, "hold")));
	done("snap.hold", "{\"snap\":\"vms/a@one\"}");
	assert_true(json_is_true(json_object_get(result, "hold")));
	talk_restart(NULL);
	refused("snap.delete", "{\"snap\":\"vms/a@one\"}", "snap.held");
	done("snap.release", "{\"snap\":\"vms/a@one\"}");
	done("snap.delete", "{\"snap\":\"vms/a@one\"}");
}

static void
what_was_frozen_is_said(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	assert_string_equal(text("consistency"), "crash");
	done("snap.set", "{\"snap\":\"vms/a@one\",\"consistency\":\"fs\"}");
	assert_string_equal(text("consistency"), "fs");
	done("snap.create", "{\"names\":[\"vms/a\",\"vms/b@x\"],"
			    "\"consistency\":\"app\"}");
	assert_string_equal(
	    rows("snap.list", "{}", "consistency"), "fs app app ");
	refused("snap.set", "{\"snap\":\"vms/a@x\",\"consistency\":\"warm\"}",
	    "request.argument");
	refused("snap.set", "{\"snap\":\"vms/a@x\"}", "request.argument");
	refused("snap.set", "{\"snap\":\"vms/a@no\",\"consistency\":\"fs\"}",
	    "snap.not-found");
	done("snap.rename", "{\"snap\":\"vms/a@x\",\"name\":\"@y\"}");
	done("snap.hold", "{\"snap\":\"vms/a@y\"}");
	talk_restart(NULL);
	assert_string_equal(
	    rows("snap.list", "{\"of\":\"vms/a\"}", "consistency"), "fs app ");
	done("snap.set", "{\"snap\":\"vms/a@y\",\"consistency\":\"crash\"}");
	assert_string_equal(text("consistency"), "crash");
	assert_true(json_is_true(json_object_get(result, "hold")));
}

static void
a_dry_run_makes_none_of_it(void **unused)
{
	static const char *const calls[][2] = {
	    {"snap.create", "{\"names\":[\"vms/a@x\"],\"dry_run\":true}"},
	    {"snap.rename", "{\"snap\":\"vms/a@one\",\"name\":\"@x\","
			    "\"dry_run\":true}"},
	    {"snap.hold", "{\"snap\":\"vms/a@one\",\"dry_run\":true}"},
	    {"snap.set", "{\"snap\":\"vms/a@one\",\"consistency\":\"app\","
			 "\"dry_run\":true}"},
	    {"snap.delete", "{\"snap\":\"vms/a@one\",\"dry_run\":true}"},
	    {"lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\","
			  "\"dry_run\":true}"},
	    {"lun.rollback", "{\"snap\":\"vms/a@one\",\"dry_run\":true}"},
	    {"lun.rename", "{\"lun\":\"vms/a\",\"name\":\"vms/z\","
			   "\"dry_run\":true}"},
	    {"lun.delete", "{\"lun\":\"vms/a\",\"dry_run\":true}"},
	    {"bookmark.create", "{\"snap\":\"vms/a@one\",\"name\":\"m\","
				"\"dry_run\":true}"},
	    {"group.create", "{\"name\":\"g\",\"luns\":[\"vms/a\"],"
			     "\"dry_run\":true}"},
	};
	json_t *before;

	(void)unused;
	SNAP("vms/a@one");
	done("snap.list", "{}");
	before = json_incref(result);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		done(calls[i][0], calls[i][1]);
		done("snap.list", "{}");
		assert_true(json_equal(before, result));
	}
	json_decref(before);
	assert_string_equal(rows("lun.list", "{}", "name"), "vms/a vms/b ");
	assert_string_equal(rows("trash.list", "{}", "name"), "");
	assert_string_equal(rows("bookmark.list", "{}", "name"), "");
	assert_string_equal(rows("group.list", "{}", "name"), "");
}

/* ---- clones ---- */

static void
a_clone_says_what_it_was_made_of(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\"}");
	assert_string_equal(text("parent"), "vms/a@one");
	SNAP("vms/c@own");
	done("lun.show", "{\"lun\":\"vms/c\"}");
	assert_string_equal(text("parent"), "vms/a@one");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(result, "clones"), 0)),
	    "vms/c");
	refused("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\"}",
	    "lun.exists");
	refused("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"lab/c\"}",
	    "snap.other-pool");
	refused("lun.clone",
	    "{\"snap\":\"vms/a@one\",\"name\":\"vms/d\",\"size\":4096}",
	    "lun.size");
	done("lun.clone",
	    "{\"snap\":\"vms/a@one\",\"name\":\"vms/d\",\"size\":2097152}");
	assert_int_equal(number("size"), 2097152);
}

static void
a_rollback_keeps_what_it_replaces(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("lun.resize", "{\"lun\":\"vms/a\",\"size\":\"2097152\"}");
	done("lun.rollback", "{\"snap\":\"vms/a@one\",\"keep\":\"was\"}");
	assert_string_equal(text("name"), "vms/a");
	assert_string_equal(text("kept"), "vms/a@was");
	assert_int_equal(number("size"), 1048576);
	done("snap.show", "{\"snap\":\"vms/a@was\"}");
	assert_int_equal(number("size"), 2097152);
	refused("lun.rollback", "{\"snap\":\"vms/a@one\",\"keep\":\"was\"}",
	    "snap.exists");
	refused("lun.rollback", "{\"snap\":\"vms/a@no\"}", "snap.not-found");
	done("lun.rollback", "{\"snap\":\"vms/a@was\"}");
	assert_non_null(strstr(text("kept"), "vms/a@pre-rollback-2"));
}

static void
wait_for_end(const char *job)
{
	char params[128];

	snprintf(params, sizeof(params), "{\"job\":\"%s\"}", job);
	for (int i = 0; i < 500; i++) {
		done("job.show", params);
		if (strcmp(text("state"), "done") == 0)
			return;
		usleep(20000);
	}
	fail_msg("%s does not end", job);
}

static void
flattening_is_a_job_that_can_be_followed(void **unused)
{
	char job[64];

	(void)unused;
	refused("lun.flatten", "{\"lun\":\"vms/a\"}", "lun.not-clone");
	refused("job.show", "{\"job\":\"flatten-00000000\"}", "job.not-found");
	SNAP("vms/a@one");
	done("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\"}");
	done("lun.flatten", "{\"lun\":\"vms/c\"}");
	snprintf(job, sizeof(job), "%s", text("job"));
	assert_string_equal(text("name"), "vms/c");
	assert_string_equal(text("kind"), "flatten");
	wait_for_end(job);
	assert_non_null(strstr(rows("job.list", "{}", "job"), job));
	assert_string_equal(
	    rows("job.list", "{\"pool\":\"vms\"}", "name"), "vms/c ");
}

/* It is kept, hidden, for the two that stand on it. */
static void
a_clone_of_what_was_deleted_can_be_flattened(void **unused)
{
	char job[64];

	(void)unused;
	SNAP("vms/a@one");
	done("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\"}");
	done("snap.delete", "{\"snap\":\"vms/a@one\"}");
	done("lun.flatten", "{\"lun\":\"vms/c\"}");
	snprintf(job, sizeof(job), "%s", text("job"));
	wait_for_end(job);
	refused("lun.flatten", "{\"lun\":\"vms/c\"}", "lun.not-clone");
}

static void
checking_a_pool_is_a_job_with_a_report(void **unused)
{
	const json_t *report;
	char job[64];

	(void)unused;
	SNAP("vms/a@one");
	refused("pool.check", "{\"pool\":\"none\"}", "pool.not-found");
	done("pool.check", "{\"pool\":\"vms\",\"dry_run\":true}");
	assert_string_equal(rows("job.list", "{}", "job"), "");
	for (unsigned i = 0; i < 3; i++) {
		done("pool.check", "{\"pool\":\"vms\"}");
		snprintf(job, sizeof(job), "%s", text("job"));
		assert_string_equal(text("kind"), "check");
		assert_string_equal(text("name"), "vms");
		wait_for_end(job);
		report = json_object_get(result, "report");
		assert_int_equal(
		    json_array_size(json_object_get(report, "items")), 0);
		assert_int_equal(
		    json_integer_value(json_object_get(
			json_object_get(report, "item"), "snapshots")),
		    1);
	}
	/* the last one of each pool is kept, until varved stops */
	assert_string_equal(
	    rows("job.list", "{\"pool\":\"vms\"}", "kind"), "check ");
	talk_restart(NULL);
	assert_string_equal(rows("job.list", "{}", "kind"), "");
}

static void
a_check_does_not_hold_up_the_end_of_its_pool(void **unused)
{
	(void)unused;
	done("pool.check", "{\"pool\":\"vms\"}");
	talk_restart(NULL);
	done("pool.check", "{\"pool\":\"vms\"}");
	done("pool.remove", "{\"pool\":\"vms\"}");
	assert_string_equal(rows("job.list", "{}", "kind"), "");
}

/* ---- the trash ---- */

static void
a_deleted_lun_comes_back_with_its_snapshots(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	refused("lun.show", "{\"lun\":\"vms/a\"}", "lun.not-found");
	assert_string_equal(rows("trash.list", "{}", "name"), "vms/a ");
	assert_string_equal(rows("snap.list", "{}", "name"), "");
	talk_restart(NULL);
	assert_string_equal(rows("trash.list", "{}", "name"), "vms/a ");
	assert_string_not_equal(text_in(row(0), "expires"), "(none)");
	done("trash.restore", "{\"name\":\"vms/a\"}");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	assert_string_equal(rows("trash.list", "{}", "name"), "");
	refused("trash.restore", "{\"name\":\"vms/a\"}", "trash.not-found");
}

static void
names_in_the_trash_may_be_there_twice(void **unused)
{
	char params[128];

	(void)unused;
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	LUN("vms/a", 1048576);
	refused("trash.restore", "{\"name\":\"vms/a\"}", "trash.taken");
	done("trash.restore", "{\"name\":\"vms/a\",\"as\":\"old\"}");
	assert_string_equal(text("name"), "vms/old");
	done("lun.show", "{\"lun\":\"vms/old\"}");
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	LUN("vms/a", 1048576);
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	refused("trash.restore", "{\"name\":\"vms/a\"}", "trash.ambiguous");
	refused("trash.delete", "{\"name\":\"vms/a\"}", "trash.ambiguous");
	done("trash.list", "{}");
	snprintf(params, sizeof(params), "{\"name\":\"%s\"}",
	    text_in(row(0), "uuid"));
	done("trash.delete", params);
	done("trash.restore", "{\"name\":\"vms/a\"}");
	done("lun.show", "{\"lun\":\"vms/a\"}");
}

static void
a_snapshot_goes_to_the_trash_when_asked(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("snap.delete", "{\"snap\":\"vms/a@one\",\"trash\":true}");
	assert_string_equal(rows("trash.list", "{}", "name"), "vms/a@one ");
	assert_string_equal(text_in(row(0), "kind"), "snap");
	assert_string_equal(rows("snap.list", "{}", "name"), "");
	done("trash.restore", "{\"name\":\"vms/a@one\"}");
	assert_string_equal(rows("snap.list", "{}", "name"), "vms/a@one ");
}

static void
the_trash_is_emptied(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	SNAP("vms/a@two");
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	done("lun.delete", "{\"lun\":\"vms/b\"}");
	done("trash.empty", "{\"pool\":\"vms\",\"dry_run\":true}");
	assert_int_equal(json_array_size(result), 2);
	done("trash.empty", "{\"pool\":\"vms\"}");
	assert_int_equal(json_array_size(result), 2);
	assert_string_equal(rows("trash.list", "{}", "name"), "");
	done("pool.show", "{\"pool\":\"vms\"}");
	assert_int_equal(number("luns"), 0);
}

static void
now_means_for_good(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	SNAP("vms/a@two");
	done("lun.clone", "{\"snap\":\"vms/a@one\",\"name\":\"vms/c\"}");
	done("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}");
	refused("lun.show", "{\"lun\":\"vms/a\"}", "lun.not-found");
	assert_string_equal(rows("trash.list", "{}", "name"), "");
	assert_string_equal(rows("snap.list", "{}", "name"), "");
	done("lun.show", "{\"lun\":\"vms/c\"}");
	LUN("vms/a", 1048576);
}

static void
keep_for_a_second(struct config *config)
{
	config->trash_seconds = 1;
}

static void
keep_for_ever(struct config *config)
{
	config->trash_seconds = 0;
}

static void
what_is_too_long_in_the_trash_is_deleted_for_good(void **unused)
{
	(void)unused;
	SNAP("vms/a@one");
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	talk_restart(keep_for_a_second); /* it looks soon after its start */
	for (int i = 0; i < 500; i++) {
		done("trash.list", "{}");
		if (json_array_size(result) == 0)
			return;
		usleep(20000);
	}
	fail_msg("it is still there");
}

static void
what_is_kept_for_ever_does_not_expire(void **unused)
{
	(void)unused;
	talk_restart(keep_for_ever);
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	done("trash.list", "{}");
	assert_string_equal(text_in(row(0), "expires"), "(none)");
}

/* ---- bookmarks, groups ---- */

static void
a_bookmark_outlives_its_snapshot(void **unused)
{
	(void)unused;
	SNAP("vms/a@mon");
	done("bookmark.create", "{\"snap\":\"vms/a@mon\",\"name\":\"monday\"}");
	assert_string_equal(text("lun"), "vms/a");
	refused("bookmark.create",
	    "{\"snap\":\"vms/a@mon\",\"name\":\"monday\"}", "bookmark.exists");
	refused("bookmark.create",
	    "{\"snap\":\"vms/a@tue\",\"name\":\"tuesday\"}", "snap.not-found");
	SNAP("vms/a@tue");
	done("snap.delete", "{\"snap\":\"vms/a@mon\"}");
	assert_string_equal(
	    rows("bookmark.list", "{\"of\":\"vms/a\"}", "name"), "monday ");
	done("snap.diff",
	    "{\"from\":\"vms/a\",\"to\":\"@tue\",\"since\":\"monday\"}");
	done("bookmark.delete", "{\"lun\":\"vms/a\",\"name\":\"monday\"}");
	refused("bookmark.delete", "{\"lun\":\"vms/a\",\"name\":\"monday\"}",
	    "bookmark.not-found");
	refused("snap.diff",
	    "{\"from\":\"vms/a\",\"to\":\"@tue\",\"since\":\"monday\"}",
	    "bookmark.not-found");
}

static void
a_group_names_luns_of_one_pool(void **unused)
{
	(void)unused;
	pool("lab");
	LUN("lab/a", 1048576);
	refused("group.create",
	    "{\"name\":\"g\",\"luns\":[\"vms/a\","
	    "\"lab/a\"]}",
	    "group.other-pool");
	refused("group.create",
	    "{\"name\":\"g\",\"luns\":[\"vms/a\","
	    "\"vms/c\"]}",
	    "lun.not-found");
	done("group.create", "{\"name\":\"g\",\"luns\":[\"vms/a\"]}");
	assert_string_equal(text("pool"), "vms");
	refused("group.create", "{\"name\":\"g\",\"luns\":[\"vms/b\"]}",
	    "group.exists");
	refused("group.create", "{\"name\":\"h\",\"luns\":[\"vms/a\"]}",
	    "lun.in-group");
	done("group.add", "{\"group\":\"g\",\"luns\":[\"vms/b\"]}");
	assert_int_equal(json_array_size(json_object_get(result, "luns")), 2);
	done("lun.show", "{\"lun\":\"vms/b\"}");
	assert_string_equal(text("group"), "g");
	done("snap.create", "{\"names\":[\"@night\"],\"group\":\"vms/g\"}");
	assert_int_equal(json_array_size(result), 2);
	refused("snap.create", "{\"names\":[\"vms/a@x\"],\"group\":\"g\"}",
	    "snap.names");
	refused("snap.create", "{\"names\":[\"@x\"],\"group\":\"h\"}",
	    "group.not-found");
	done("group.remove", "{\"group\":\"g\",\"luns\":[\"vms/a\"]}");
	refused("group.remove", "{\"group\":\"g\",\"luns\":[\"vms/a\"]}",
	    "group.not-member");
	talk_restart(NULL);
	done("group.show", "{\"group\":\"g\"}");
	assert_int_equal(json_array_size(json_object_get(result, "luns")), 1);
	done("group.delete", "{\"group\":\"g\"}");
	refused("group.show", "{\"group\":\"g\"}", "group.not-found");
	done("lun.show", "{\"lun\":\"vms/b\"}");
}

static void
groups_are_configuration(void **unused)
{
	char *document, *params;

	(void)unused;
	done("group.create", "{\"name\":\"g\",\"luns\":[\"vms/a\",\"vms/b\"]}");
	done("config.export", "{}");
	document = json_dumps(json_object_get(result, "document"), 0);
	assert_true(asprintf(&params, "{\"document\":%s}", document) > 0);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	/* its members change: they are made what they were */
	done("group.remove", "{\"group\":\"g\",\"luns\":[\"vms/b\"]}");
	LUN("vms/c", 1048576);
	done("group.add", "{\"group\":\"g\",\"luns\":[\"vms/c\"]}");
	done("config.apply", params);
	done("group.show", "{\"group\":\"g\"}");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(result, "luns"), 1)),
	    "vms/b");
	/* it is gone: it is made again */
	done("group.delete", "{\"group\":\"g\"}");
	done("config.apply", params);
	done("group.show", "{\"group\":\"g\"}");
	assert_int_equal(json_array_size(json_object_get(result, "luns")), 2);
	free(params);
	free(document);
}

/* ---- differences ---- */

static void
a_difference_has_two_points_of_one_family(void **unused)
{
	json_t *answer;

	(void)unused;
	SNAP("vms/a@one");
	SNAP("vms/a@two");
	SNAP("vms/b@one");
	done("snap.diff", "{\"from\":\"vms/a@one\",\"to\":\"@two\"}");
	assert_int_equal(json_array_size(result), 0);
	done("snap.diff", "{\"from\":\"vms/a@one\"}");
	done("snap.diff", "{\"from\":\"vms/a\",\"to\":\"@two\"}");
	answer = client_call(
	    writer, "snap.diff", "{\"from\":\"vms/a\",\"to\":\"@two\"}");
	assert_true(json_is_null(
	    json_object_get(json_object_get(answer, "result"), "cursor")));
	json_decref(answer);
	refused("snap.diff", "{\"from\":\"vms/a@one\",\"to\":\"vms/b@one\"}",
	    "snap.other-family");
	refused("snap.diff", "{\"from\":\"vms/a@one\",\"to\":\"@three\"}",
	    "snap.not-found");
	refused("snap.diff", "{\"from\":\"vms/a@three\"}", "snap.not-found");
	refused("snap.diff", "{\"from\":\"vms/c\"}", "lun.not-found");
	refused("snap.diff", "{\"from\":\"vms/a\",\"since\":\"m\"}",
	    "bookmark.not-found");
	refused("snap.diff", "{\"from\":\"vms/a@one\",\"since\":\"m\"}",
	    "request.argument");
	refused("snap.diff", "{\"from\":\"vms/a\",\"limit\":65537}",
	    "request.argument");
}

/* ---- exports ---- */

static void
an_exported_snapshot_is_read_only_and_held(void **unused)
{
	(void)unused;
	HOST("h");
	SNAP("vms/a@one");
	done("export.add", "{\"name\":\"vms/a@one\",\"host\":\"h\"}");
	assert_true(json_is_true(json_object_get(result, "read_only")));
	assert_string_equal(text("state"), "served");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	assert_true(json_is_true(json_object_get(result, "held")));
	assert_true(json_is_false(json_object_get(result, "hold")));
	refused("snap.delete", "{\"snap\":\"vms/a@one\"}", "snap.exported");
	refused("lun.delete", "{\"lun\":\"vms/a\"}", "lun.exported");
	done("export.add", "{\"name\":\"vms/a\",\"host\":\"h\"}");
	assert_int_equal(number("lun"), 1);
	done("lun.rename", "{\"lun\":\"vms/a\",\"name\":\"vms/z\"}");
	talk_restart(NULL);
	assert_string_equal(
	    rows("export.list", "{}", "name"), "vms/z vms/z@one ");
	assert_string_equal(text_in(row(1), "state"), "served");
	done("export.remove", "{\"name\":\"vms/z@one\",\"host\":\"h\"}");
	done("snap.delete", "{\"snap\":\"vms/z@one\"}");
}

static void
an_export_with_a_time_limit_goes_away(void **unused)
{
	(void)unused;
	HOST("h");
	SNAP("vms/a@one");
	done("export.add", "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":1}");
	assert_string_not_equal(text("expires"), "(none)");
	done("config.export", "{}");
	assert_int_equal(json_array_size(json_object_get(
			     json_object_get(result, "document"), "exports")),
	    0);
	for (int i = 0; i < 500; i++) {
		done("export.list", "{}");
		if (json_array_size(result) == 0)
			break;
		usleep(20000);
	}
	done("snap.delete", "{\"snap\":\"vms/a@one\"}");
}

/* An end that is put off is not met: the export outlives its first time. */
static void
an_export_is_given_more_time(void **unused)
{
	const char *before;

	(void)unused;
	HOST("h");
	SNAP("vms/a@one");
	refused("export.set",
	    "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":9}",
	    "export.not-found");
	done(
	    "export.add", "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":60}");
	before = strdupa(text("expires"));
	done("export.set",
	    "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":7200,"
	    "\"dry_run\":true}");
	done("export.list", "{}");
	assert_string_equal(text_in(row(0), "expires"), before);
	done("export.set",
	    "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":7200}");
	done("export.list", "{}");
	assert_true(strcmp(text_in(row(0), "expires"), before) > 0);
	refused("snap.delete", "{\"snap\":\"vms/a@one\"}", "snap.exported");
	/* or less: it is over at once, also for who has it held by a session */
	done("export.set", "{\"name\":\"vms/a@one\",\"host\":\"h\",\"ttl\":1}");
	for (int i = 0; i < 500; i++) {
		done("export.list", "{}");
		if (json_array_size(result) == 0)
			break;
		usleep(20000);
	}
	done("snap.delete", "{\"snap\":\"vms/a@one\"}");
}

#define claim(test)                                                            \
	cmocka_unit_test_setup_teardown(test, talk_setup_luns, talk_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_snapshot_lives_and_dies),
	    claim(names_that_are_not_there_or_taken_are_told_apart),
	    claim(snapshots_of_several_are_of_one_pool_and_have_one_name),
	    claim(what_is_held_is_not_deleted),
	    claim(what_was_frozen_is_said),
	    claim(a_dry_run_makes_none_of_it),
	    claim(a_clone_says_what_it_was_made_of),
	    claim(a_rollback_keeps_what_it_replaces),
	    claim(flattening_is_a_job_that_can_be_followed),
	    claim(a_clone_of_what_was_deleted_can_be_flattened),
	    claim(checking_a_pool_is_a_job_with_a_report),
	    claim(a_check_does_not_hold_up_the_end_of_its_pool),
	    claim(a_deleted_lun_comes_back_with_its_snapshots),
	    claim(names_in_the_trash_may_be_there_twice),
	    claim(a_snapshot_goes_to_the_trash_when_asked),
	    claim(the_trash_is_emptied),
	    claim(now_means_for_good),
	    claim(what_is_too_long_in_the_trash_is_deleted_for_good),
	    claim(what_is_kept_for_ever_does_not_expire),
	    claim(a_bookmark_outlives_its_snapshot),
	    claim(a_group_names_luns_of_one_pool),
	    claim(groups_are_configuration),
	    claim(a_difference_has_two_points_of_one_family),
	    claim(an_exported_snapshot_is_read_only_and_held),
	    claim(an_export_with_a_time_limit_goes_away),
	    claim(an_export_is_given_more_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
