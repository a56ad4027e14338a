/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the state database keeps of what has happened, and which backups are the
 * newest.  That events are told at all is tests/integration/events.py's claim.
 */
#include "target/event.h"
#include "target/state_sql.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/support/db.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static struct house house;

static int64_t
tell(int level, const char *kind, const char *subject)
{
	struct state_event event = {
	    .level = level, .kind = kind, .subject = subject, .text = "words"};

	house.state = state;
	assert_int_equal(event_keep(&house, &event), 0);
	assert_true(event.number > 0);
	return event.number;
}

/* The kinds that a query finds, with a space behind each. */
static char *
found(const struct event_query *query, char text[512], int64_t *ret_reached)
{
	struct state_event *events;
	int64_t before = -1;
	unsigned count;

	assert_int_equal(
	    state_events(state, query, &events, &count, ret_reached), 0);
	text[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		assert_true(events[i].number > before);
		before = events[i].number;
		snprintf(text + strlen(text), 512 - strlen(text), "%s ",
		    events[i].kind);
	}
	state_events_free(events, count);
	return text;
}

static void
some_happen(void)
{
	tell(LOG_NOTICE, "lun.create", "vms/web01");
	tell(LOG_INFO, "policy.run-begun", "nightly");
	tell(LOG_ERR, "policy.run-failed", "nightly");
	tell(LOG_WARNING, "pool.level", "vms");
	tell(LOG_NOTICE, "lun.resize", "vms/web01");
}

#define ANY .level = LOG_INFO, .limit = 100

static void
events_are_kept_in_their_order(void **unused)
{
	struct event_query query = {ANY};
	char text[512];
	int64_t reached;

	(void)unused;
	assert_string_equal(found(&query, text, &reached), "");
	assert_int_equal(reached, 0);
	some_happen();
	db_reopen();
	assert_string_equal(found(&query, text, &reached),
	    "lun.create policy.run-begun policy.run-failed pool.level "
	    "lun.resize ");
	assert_int_equal(reached, 5);
}

static void
the_newest_come_without_the_older_ones(void **unused)
{
	struct event_query query = {
	    .newest = true, .level = LOG_INFO, .limit = 2};
	char text[512];
	int64_t reached;

	(void)unused;
	some_happen();
	assert_string_equal(
	    found(&query, text, &reached), "pool.level lun.resize ");
	assert_int_equal(reached, 5);
}

static void
a_page_goes_on_where_the_one_before_ended(void **unused)
{
	struct event_query query = {.level = LOG_INFO, .limit = 2};
	char text[512];

	(void)unused;
	some_happen();
	assert_string_equal(
	    found(&query, text, &query.after), "lun.create policy.run-begun ");
	assert_string_equal(
	    found(&query, text, &query.after), "policy.run-failed pool.level ");
	assert_string_equal(found(&query, text, &query.after), "lun.resize ");
	assert_string_equal(found(&query, text, &query.after), "");
	tell(LOG_NOTICE, "lun.delete", "vms/web01");
	assert_string_equal(found(&query, text, &query.after), "lun.delete ");
}

/* Who waits for what seldom comes does not have all that is behind him looked
 * through each time. */
static void
what_was_passed_over_is_behind_the_reader(void **unused)
{
	struct event_query query = {.kind = "none.such", ANY};
	char text[512];

	(void)unused;
	some_happen();
	assert_string_equal(found(&query, text, &query.after), "");
	assert_int_equal(query.after, 5);
	/* a number that is not there yet is not gone back from */
	query.after = 77;
	assert_string_equal(found(&query, text, &query.after), "");
	assert_int_equal(query.after, 77);
}

static void
kind_subject_and_severity_choose(void **unused)
{
	static const struct {
		struct event_query query;
		const char *expected;
	} rows[] = {
	    {{.kind = "policy", ANY}, "policy.run-begun policy.run-failed "},
	    {{.kind = "policy.run-f", ANY}, "policy.run-failed "},
	    {{.kind = "olicy", ANY}, ""},
	    {{.kind = "p%", ANY}, ""},
	    {{.subject = "vms/web01", ANY}, "lun.create lun.resize "},
	    {{.subject = "vms/web", ANY}, ""},
	    {{.level = LOG_WARNING, .limit = 9},
		"policy.run-failed pool.level "},
	    {{.level = LOG_ERR, .limit = 9}, "policy.run-failed "},
	    {{.kind = "lun", .subject = "vms/web01", .after = 1, ANY},
		"lun.resize "},
	    {{.newest = true, .kind = "lun", .level = LOG_INFO, .limit = 1},
		"lun.resize "},
	};
	char text[512];
	int64_t reached;

	(void)unused;
	some_happen();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(
		    found(&rows[i].query, text, &reached), rows[i].expected);
}

static void
only_so_many_are_kept_and_no_number_comes_again(void **unused)
{
	struct event_query query = {ANY};
	char text[512];
	int64_t reached;

	(void)unused;
	some_happen();
	/* as if many had happened since */
	db_execute("UPDATE sqlite_sequence SET seq = 100002 "
		   "WHERE name = 'events'");
	assert_int_equal(tell(LOG_NOTICE, "late", "x"), 100003);
	assert_string_equal(
	    found(&query, text, &reached), "pool.level lun.resize late ");
	db_execute("DELETE FROM events");
	assert_int_equal(tell(LOG_NOTICE, "later", "x"), 100004);
}

/* It happened with the change, or not at all. */
static void
an_event_of_a_change_goes_with_it(void **unused)
{
	struct event_query query = {ANY};
	int64_t generation = state_generation(state), reached;
	char text[512];

	(void)unused;
	assert_int_equal(state_begin(state), 0);
	tell(LOG_NOTICE, "undone", "x");
	state_rollback(state);
	assert_int_equal(state_begin(state), 0);
	tell(LOG_NOTICE, "done", "x");
	assert_int_equal(state_commit(state), 0);
	tell(LOG_NOTICE, "alone", "x");
	assert_string_equal(found(&query, text, &reached), "done alone ");
	assert_int_equal(state_generation(state), generation + 1);
}

static void
data_come_back_and_none_are_an_empty_object(void **unused)
{
	struct event_query query = {ANY};
	struct state_event *events,
	    event = {
		.level = LOG_INFO, .kind = "k", .subject = "s", .text = "t"};
	int64_t reached;
	unsigned count;

	(void)unused;
	house.state = state;
	assert_int_equal(event_keep(&house, &event), 0);
	event.data = json_pack("{s:s, s:i}", "lun", "vms/web01", "run", 17);
	assert_int_equal(event_keep(&house, &event), 0);
	assert_int_equal(
	    state_events(state, &query, &events, &count, &reached), 0);
	assert_int_equal(count, 2);
	assert_int_equal(json_object_size(events[0].data), 0);
	assert_true(json_equal(events[1].data, event.data));
	assert_string_equal(events[1].text, "t");
	json_decref(event.data);
	state_events_free(events, count);
}

static void
severities_are_words_and_back(void **unused)
{
	(void)unused;
	for (int level = LOG_ERR; level <= LOG_INFO; level++)
		assert_int_equal(event_level(event_severity(level)), level);
	assert_string_equal(event_severity(LOG_CRIT), "error");
	assert_string_equal(event_severity(LOG_DEBUG), "info");
	assert_int_equal(event_level("grave"), -1);
}

/* ---- backups ---- */

static void
backed_up(const char *pool, const char *lun, int64_t at, int expected)
{
	struct state_backup backup = {
	    .policy = "nightly", .stamp_unix = at - 60, .at_unix = at};

	snprintf(backup.pool, sizeof(backup.pool), "%s", pool);
	snprintf(backup.lun, sizeof(backup.lun), "%s", lun);
	backup.bytes = (uint64_t)at * 10;
	assert_int_equal(state_backup_put(state, &backup), expected);
}

static void
the_newest_backup_of_a_lun_is_known(void **unused)
{
	struct state_backup *backups;
	char device[] = "/a";
	int64_t target, pool;
	unsigned count;

	(void)unused;
	pool = db_add_pool("vms", UUID_1, device, &target);
	backed_up("vms", "web01", 100, 0);
	backed_up("vms", "db01", 150, 0);
	backed_up("vms", "web01", 200, 0);
	backed_up("other", "web01", 200, -ENOENT);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(
	    state_lun_snaps_renamed(state, pool, "web01", "www"), 0);
	assert_int_equal(state_commit(state), 0);
	db_reopen();
	assert_int_equal(state_backups(state, &backups, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(backups[0].lun, "db01");
	assert_string_equal(backups[1].lun, "www");
	assert_string_equal(backups[1].policy, "nightly");
	assert_int_equal(backups[1].at_unix, 200);
	assert_int_equal(backups[1].stamp_unix, 140);
	assert_int_equal(backups[1].bytes, 2000);
	free(backups);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_pool_remove(state, pool), 0);
	assert_int_equal(state_commit(state), 0);
	assert_int_equal(state_backups(state, &backups, &count), 0);
	assert_int_equal(count, 0);
	free(backups);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, db_setup, db_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(events_are_kept_in_their_order),
	    claim(the_newest_come_without_the_older_ones),
	    claim(a_page_goes_on_where_the_one_before_ended),
	    claim(what_was_passed_over_is_behind_the_reader),
	    claim(kind_subject_and_severity_choose),
	    claim(only_so_many_are_kept_and_no_number_comes_again),
	    claim(an_event_of_a_change_goes_with_it),
	    claim(data_come_back_and_none_are_an_empty_object),
	    claim(severities_are_words_and_back),
	    claim(the_newest_backup_of_a_lun_is_known),
	};

	return cmocka_run_group_tests(
	    tests, db_make_directory, db_remove_directory);
}
