/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of LUNs: as values, then through the control API over a real pool.
 * Does not cover: what hosts see of them (scsi/lun_set_test.c), sessions that
 * are in the way (tests/integration/settings.py).
 */
#include "target/fault.h"
#include "target/settings.h"
#include "target/state_sql.h"
#include "tests/unit/target/support/talk.h"
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static json_t *
settings_of(const char *text)
{
	json_t *params = json_loads(text, 0, NULL), *after;

	assert_non_null(params);
	json_t *fault = settings_change(NULL, params, &after);
	json_decref(params);
	if (fault == NULL)
		return after;
	assert_null(after);
	json_decref(fault);
	return NULL;
}

static void
takes(const char *text, const char *expected)
{
	json_t *got = settings_of(text), *want = json_loads(expected, 0, NULL);

	if (!json_equal(got, want))
		print_error("%s\n", text);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

static void
refuses(const char *text)
{
	json_t *got = settings_of(text);

	if (got != NULL)
		print_error("%s\n", text);
	assert_null(got);
}

static void
what_fits_its_field_is_taken_and_nothing_else(void **unused)
{
	(void)unused;
	takes(
	    "{\"vendor\":\"ACME\",\"lun\":\"vms/a\"}", "{\"vendor\":\"ACME\"}");
	takes("{\"vendor\":\"12345678\"}", "{\"vendor\":\"12345678\"}");
	refuses("{\"vendor\":\"123456789\"}");
	refuses("{\"vendor\":\"\"}");
	refuses("{\"vendor\":\" A\"}");
	refuses("{\"vendor\":\"A \"}");
	refuses("{\"vendor\":\"\xc3\xa4\"}");
	refuses("{\"product\":\"12345678901234567\"}");
	refuses("{\"revision\":\"12345\"}");
	refuses("{\"serial\":\"1234567890123456789012345678901234567\"}");
	takes("{\"product\":\"A b ~\"}", "{\"product\":\"A b ~\"}");
	takes("{\"rotation\":1}", "{\"rotation\":1}");
	takes("{\"rotation\":0}", "{}");
	refuses("{\"rotation\":2}");
	refuses("{\"rotation\":1024}");
	takes("{\"rotation\":1025}", "{\"rotation\":1025}");
	refuses("{\"rotation\":65535}");
	refuses("{\"write_cache\":\"maybe\"}");
	refuses("{\"iops\":\"500\"}");
	refuses("{\"iops\":-1}");
}

static void
a_burst_has_a_limit_and_at_most_an_hour_of_it(void **unused)
{
	(void)unused;
	refuses("{\"iops_burst\":5}");
	takes("{\"iops\":10,\"iops_burst\":36000}",
	    "{\"iops\":10,\"iops_burst\":36000}");
	refuses("{\"iops\":10,\"iops_burst\":36001}");
	refuses("{\"bps\":4095}");
	takes(
	    "{\"bps\":4096,\"bps_burst\":1}", "{\"bps\":4096,\"bps_burst\":1}");
	refuses("{\"bps\":4096,\"bps_burst\":9223372036854775807}");
	takes("{\"bps\":1152921504606846976,"
	      "\"bps_burst\":9223372036854775807}",
	    "{\"bps\":1152921504606846976,"
	    "\"bps_burst\":9223372036854775807}");
}

static void
a_limit_too_low_for_its_burst_says_which_and_what_to_do(void **unused)
{
	json_t *before = settings_of("{\"iops\":1000,\"iops_burst\":100000}");
	json_t *params = json_pack("{s:i}", "iops", 10), *after, *fault;

	(void)unused;
	fault = settings_change(before, params, &after);
	assert_non_null(fault);
	assert_string_equal(
	    fault_what(fault), "iops_burst cannot be 100000, with iops 10");
	assert_non_null(strstr(
	    json_string_value(json_array_get(json_object_get(fault, "fix"), 0)),
	    "--iops-burst"));
	json_decref(fault);
	json_decref(params);
	json_decref(before);
}

static void
a_limit_that_goes_takes_its_burst_along(void **unused)
{
	json_t *before = settings_of("{\"iops\":10,\"iops_burst\":20,"
				     "\"vendor\":\"ACME\"}");
	json_t *none = json_pack("{s:i}", "iops", 0), *after;

	(void)unused;
	assert_null(settings_change(before, none, &after));
	assert_int_equal(json_object_size(after), 1);
	json_decref(after);
	json_object_set_new(none, "iops_burst", json_integer(5));
	json_t *fault = settings_change(before, none, &after);
	assert_non_null(fault);
	json_decref(fault);
	/* before is as it was */
	assert_int_equal(json_object_size(before), 3);
	json_decref(none);
	json_decref(before);
}

static void
a_unit_gets_what_is_set_and_else_what_is_usual(void **unused)
{
	json_t *settings = settings_of(
	    "{\"serial\":\"S1\",\"rotation\":7200,\"write_cache\":\"off\","
	    "\"read_only\":\"on\",\"iops\":5,\"bps\":8192,\"bps_burst\":9}");
	struct lun_params params = {.serial = "uuid"};

	(void)unused;
	settings_params(settings, &params);
	assert_string_equal(params.serial, "S1");
	assert_null(params.vendor);
	assert_int_equal(params.rotation, 7200);
	assert_false(params.write_cache);
	assert_true(params.read_only);
	assert_int_equal(params.limits.iops, 5);
	assert_int_equal(params.limits.bps, 8192);
	assert_int_equal(params.limits.bps_burst, 9);
	params.serial = "uuid";
	settings_params(NULL, &params);
	assert_string_equal(params.serial, "uuid");
	assert_true(params.write_cache);
	assert_false(params.read_only);
	assert_int_equal(params.limits.iops, 0);
	json_decref(settings);
}

/* ---- through the API ---- */

#define SET(lun, members) done("lun.set", "{\"lun\":\"" lun "\"," members "}")
#define SHOW(name)        done("lun.show", "{\"lun\":\"" name "\"}")

static void
what_was_set_is_shown_and_outlives_a_restart(void **unused)
{
	char naa[64];

	(void)unused;
	SHOW("vms/a");
	assert_string_equal(text("vendor"), "VARVE");
	assert_string_equal(text("write_cache"), "on");
	assert_string_equal(text("serial"), text("uuid"));
	assert_true(json_is_null(json_object_get(result, "iops")));
	strcpy(naa, text("naa"));
	SET("vms/a", "\"vendor\":\"ACME\",\"serial\":\"S1\",\"iops\":500,"
		     "\"write_cache\":\"off\",\"quota\":1048576");
	assert_string_equal(text("serial"), "S1");
	talk_restart(NULL);
	SHOW("vms/a");
	assert_string_equal(text("vendor"), "ACME");
	assert_string_equal(text("serial"), "S1");
	assert_string_equal(text("naa"), naa);
	assert_string_equal(text("write_cache"), "off");
	assert_int_equal(number("iops"), 500);
	assert_int_equal(number("quota"), 1048576);
	done("lun.rename", "{\"lun\":\"vms/a\",\"name\":\"vms/z\"}");
	assert_string_equal(text("serial"), "S1");
	SHOW("vms/b");
	assert_string_equal(text("vendor"), "VARVE");
}

static void
a_served_unit_takes_it_up(void **unused)
{
	(void)unused;
	HOST("h");
	done("export.add", "{\"name\":\"vms/a\",\"host\":\"h\"}");
	SET("vms/a", "\"iops\":500,\"write_cache\":\"off\",\"vendor\":\"X\"");
	assert_int_equal(number("iops"), 500);
	SET("vms/a", "\"iops\":0,\"unset\":[\"vendor\"]");
	assert_true(json_is_null(json_object_get(result, "iops")));
	assert_string_equal(text("vendor"), "VARVE");
	assert_string_equal(text("write_cache"), "off");
}

static void
a_serial_number_is_one_luns_alone(void **unused)
{
	char params[128];

	(void)unused;
	SET("vms/a", "\"serial\":\"S1\"");
	SET("vms/a", "\"serial\":\"S1\"");
	refused(
	    "lun.set", "{\"lun\":\"vms/b\",\"serial\":\"S1\"}", "lun.serial");
	refused("lun.create",
	    "{\"name\":\"vms/c\",\"size\":4096,\"serial\":\"S1\"}",
	    "lun.serial");
	refused("lun.show", "{\"lun\":\"vms/c\"}", "lun.not-found");
	/* a dry run is refused what the run would be */
	refused("lun.set",
	    "{\"lun\":\"vms/b\",\"serial\":\"S1\",\"dry_run\":true}",
	    "lun.serial");
	refused("lun.create",
	    "{\"name\":\"vms/c\",\"size\":4096,\"serial\":\"S1\","
	    "\"dry_run\":true}",
	    "lun.serial");
	/* the usual one of another is taken too */
	SHOW("vms/b");
	snprintf(params, sizeof(params),
	    "{\"lun\":\"vms/a\",\"serial\":\"%s\"}", text("uuid"));
	refused("lun.set", params, "lun.serial");
	/* in the trash it is kept, then it is free */
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	refused(
	    "lun.set", "{\"lun\":\"vms/b\",\"serial\":\"S1\"}", "lun.serial");
	done("trash.restore", "{\"name\":\"vms/a\"}");
	SHOW("vms/a");
	assert_string_equal(text("serial"), "S1");
	done("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}");
	SET("vms/b", "\"serial\":\"S1\"");
}

static void
a_lun_is_made_with_settings_or_not_at_all(void **unused)
{
	(void)unused;
	done("lun.create",
	    "{\"name\":\"vms/c\",\"size\":4096,"
	    "\"block_size\":4096,\"product\":\"P\",\"bps\":8192}");
	assert_string_equal(text("product"), "P");
	assert_int_equal(number("bps"), 8192);
	assert_int_equal(number("block_size"), 4096);
	refused("lun.create",
	    "{\"name\":\"vms/d\",\"size\":4096,\"vendor\":\"too long a one\"}",
	    "lun.setting");
	refused("lun.show", "{\"lun\":\"vms/d\"}", "lun.not-found");
	refused("lun.set", "{\"lun\":\"vms/c\"}", "request.argument");
	refused("lun.set", "{\"lun\":\"vms/c\",\"bps_burst\":4095,\"bps\":1}",
	    "lun.setting");
}

static void
a_dry_run_sets_nothing(void **unused)
{
	(void)unused;
	SET("vms/a", "\"vendor\":\"ACME\",\"dry_run\":true");
	assert_string_equal(text("vendor"), "ACME");
	SHOW("vms/a");
	assert_string_equal(text("vendor"), "VARVE");
}

/* A second look at the database: the first one is the house's alone. */
static struct state *
state_look(struct state_pool **ret_pools)
{
	char path[128], problem[STATE_PROBLEM_MAX];
	struct state *state;
	unsigned count;

	snprintf(path, sizeof(path), "%s/varve.db", served.directory);
	assert_int_equal(state_open(path, &state, problem), 0);
	assert_int_equal(state_pools(state, ret_pools, &count), 0);
	assert_int_equal(count, 1);
	return state;
}

/* As a host does, of what the answer is about. */
static void
save(char uuid[STATE_UUID_TEXT], const char *name, int64_t value)
{
	struct state_pool *pools;
	struct state *state = state_look(&pools);
	struct lun_saved saved = {.count = 0};

	snprintf(uuid, STATE_UUID_TEXT, "%s", text("uuid"));
	lun_saved_add(&saved, name, value);
	assert_int_equal(state_saved_put(state, pools[0].id, uuid, &saved), 0);
	state_pools_free(pools, 1);
	state_close(state);
}

static unsigned
saved_count(const char *uuid)
{
	struct state_pool *pools;
	struct state *state = state_look(&pools);
	struct lun_saved saved;

	assert_int_equal(state_saved_get(state, pools[0].id, uuid, &saved), 0);
	state_pools_free(pools, 1);
	state_close(state);
	return saved.count;
}

static size_t
settings_count(void)
{
	struct state_pool *pools;
	struct state *state = state_look(&pools);
	json_t *all;

	assert_int_equal(state_settings(state, pools[0].id, &all), 0);
	size_t count = json_object_size(all);
	json_decref(all);
	state_pools_free(pools, 1);
	state_close(state);
	return count;
}

static void
the_trash_forgets_what_it_deletes(void **unused)
{
	char a[STATE_UUID_TEXT], snap[STATE_UUID_TEXT];

	(void)unused;
	SET("vms/a", "\"serial\":\"S1\"");
	SHOW("vms/a");
	save(a, "wce", 0);
	SET("vms/b", "\"serial\":\"S2\"");
	done("snap.create", "{\"names\":[\"vms/a@one\"]}");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	save(snap, "swp", 1);
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	assert_int_equal(saved_count(a), 1);
	assert_int_equal(saved_count(snap), 1);
	done("trash.empty", "{\"pool\":\"vms\"}");
	assert_int_equal(settings_count(), 1);
	assert_int_equal(saved_count(a), 0);
	assert_int_equal(saved_count(snap), 0);
}

static void
what_hosts_saved_goes_with_its_snapshot_or_lun(void **unused)
{
	char a[STATE_UUID_TEXT], one[STATE_UUID_TEXT], two[STATE_UUID_TEXT];

	(void)unused;
	SHOW("vms/a");
	save(a, "wce", 0);
	done("snap.create", "{\"names\":[\"vms/a@one\"]}");
	done("snap.show", "{\"snap\":\"vms/a@one\"}");
	save(one, "swp", 1);
	done("snap.create", "{\"names\":[\"vms/a@two\"]}");
	done("snap.show", "{\"snap\":\"vms/a@two\"}");
	save(two, "swp", 1);
	done("snap.delete", "{\"snap\":\"vms/a@one\"}");
	assert_int_equal(saved_count(one), 0);
	assert_int_equal(saved_count(two), 1);
	done("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}");
	assert_int_equal(saved_count(two), 0);
	assert_int_equal(saved_count(a), 0);
}

static void
a_row_that_cannot_be_read_is_that_luns_matter_alone(void **unused)
{
	struct state_pool *pools;
	struct state *state = state_look(&pools);

	(void)unused;
	SET("vms/b", "\"vendor\":\"ACME\"");
	HOST("kvm1");
	EXPORT("vms/a", "kvm1");
	SHOW("vms/a");
	assert_int_equal(
	    sql_run(state,
		"INSERT INTO lun_settings (pool, lun_uuid, settings) "
		"VALUES (?, ?, '{')",
		NULL, NULL, "is", pools[0].id, text("uuid")),
	    0);
	state_pools_free(pools, 1);
	state_close(state);
	done("lun.list", "{}");
	done("health", "{}");
	SHOW("vms/b");
	assert_string_equal(text("vendor"), "ACME");
	SHOW("vms/a");
	assert_string_equal(text("vendor"), "VARVE");
	/* and it is not written over */
	refused("lun.set", "{\"lun\":\"vms/a\",\"vendor\":\"NEW\"}",
	    "lun.settings");
	assert_int_equal(settings_count(), 2);
	/* nor served as what it may not be */
	HOST("kvm2");
	refused("export.add", "{\"name\":\"vms/a\",\"host\":\"kvm2\"}",
	    "lun.settings");
	assert_false(has_finding("lun.settings"));
	talk_restart(NULL);
	assert_true(has_finding("lun.settings"));
}

static void
health_tells_of_a_path_that_a_host_set_if_there_is_one(void **unused)
{
	char uuid[STATE_UUID_TEXT];

	(void)unused;
	SHOW("vms/a");
	save(uuid, "access.1", ACCESS_STANDBY);
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	assert_false(has_finding("lun.path"));
	HOST("h");
	HOST("i");
	EXPORT("vms/a", "h");
	EXPORT("vms/a", "i");
	assert_true(has_finding("lun.path"));
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h\"}");
	assert_true(has_finding("lun.path"));
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"i\"}");
	assert_false(has_finding("lun.path"));
}

static void
health_tells_of_what_hosts_saved_until_it_is_taken_back(void **unused)
{
	char uuid[STATE_UUID_TEXT];

	(void)unused;
	HOST("h");
	EXPORT("vms/a", "h");
	SHOW("vms/a");
	save(uuid, "wce", 1);
	assert_false(has_finding("lun.write-cache"));
	SHOW("vms/a");
	save(uuid, "wce", 0);
	assert_true(has_finding("lun.write-cache"));
	SET("vms/a", "\"write_cache\":\"on\"");
	assert_false(has_finding("lun.write-cache"));
	SHOW("vms/a");
	save(uuid, "swp", 1);
	assert_true(has_finding("lun.write-protected"));
	SET("vms/a", "\"read_only\":\"off\"");
	assert_false(has_finding("lun.write-protected"));
}

static char *
params_of(json_t *document)
{
	json_t *params = json_pack("{s:O}", "document", document);
	char *dumped = json_dumps(params, JSON_COMPACT);

	json_decref(params);
	return dumped;
}

static void
the_configuration_has_them(void **unused)
{
	char *params;
	json_t *document, *lun;

	(void)unused;
	SET("vms/a", "\"vendor\":\"ACME\",\"iops\":500");
	done("config.export", "{}");
	document = json_incref(json_object_get(result, "document"));
	params = params_of(document);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	SET("vms/a", "\"vendor\":\"OTHER\",\"iops\":0,\"rotation\":1");
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 1);
	SHOW("vms/a");
	assert_string_equal(text("vendor"), "ACME");
	assert_int_equal(number("iops"), 500);
	/* the document says nothing of it */
	assert_int_equal(number("rotation"), 1);
	free(params);
	lun = json_array_get(json_object_get(document, "luns"), 0);
	json_object_set_new(lun, "iops", json_string("many"));
	params = params_of(document);
	refused("config.apply", params, "config.invalid");
	free(params);
	/* a LUN that is not there is made with them */
	json_object_set_new(lun, "iops", json_integer(7));
	json_object_set_new(lun, "name", json_string("vms/new"));
	params = params_of(document);
	done("config.apply", params);
	SHOW("vms/new");
	assert_string_equal(text("vendor"), "ACME");
	assert_int_equal(number("iops"), 7);
	free(params);
	json_decref(document);
}

static void
a_lun_nobody_is_served_has_statistics_of_zero(void **unused)
{
	(void)unused;
	done("lun.stats", "{\"lun\":\"vms/a\"}");
	assert_int_equal(json_array_size(result), 6);
	assert_string_equal(
	    text_in(json_array_get(result, 0), "operation"), "read");
	assert_string_equal(
	    text_in(json_array_get(result, 5), "operation"), "all");
	refused("lun.stats", "{\"lun\":\"vms/x\"}", "lun.not-found");
	refused("session.stats", "{\"session\":7}", "session.not-found");
	refused("session.stats", "{\"session\":70000}", "session.not-found");
}

#define api_test(f)                                                            \
	cmocka_unit_test_setup_teardown(f, talk_setup_luns, talk_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fits_its_field_is_taken_and_nothing_else),
	    cmocka_unit_test(a_burst_has_a_limit_and_at_most_an_hour_of_it),
	    cmocka_unit_test(
		a_limit_too_low_for_its_burst_says_which_and_what_to_do),
	    cmocka_unit_test(a_limit_that_goes_takes_its_burst_along),
	    cmocka_unit_test(a_unit_gets_what_is_set_and_else_what_is_usual),
	    api_test(what_was_set_is_shown_and_outlives_a_restart),
	    api_test(a_served_unit_takes_it_up),
	    api_test(a_serial_number_is_one_luns_alone),
	    api_test(a_lun_is_made_with_settings_or_not_at_all),
	    api_test(a_dry_run_sets_nothing),
	    api_test(the_trash_forgets_what_it_deletes),
	    api_test(what_hosts_saved_goes_with_its_snapshot_or_lun),
	    api_test(a_row_that_cannot_be_read_is_that_luns_matter_alone),
	    api_test(health_tells_of_a_path_that_a_host_set_if_there_is_one),
	    api_test(health_tells_of_what_hosts_saved_until_it_is_taken_back),
	    api_test(the_configuration_has_them),
	    api_test(a_lun_nobody_is_served_has_statistics_of_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
