/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of pools and LUNs, and what health says of them, over a real pool
 * in a file.  Not here: settings and limits (settings_test.c), snapshots and
 * clones (family_test.c), devices (tests/integration/evacuate.sh).
 */
#include "base/log.h"
#include "tests/unit/target/support/talk.h"
#include <unistd.h>

static void
a_pool_is_made_removed_and_imported(void **unused)
{
	char params[256], uuid[64];

	(void)unused;
	pool("vms");
	assert_string_equal(text("state"), "online");
	snprintf(uuid, sizeof(uuid), "%s", text("uuid"));
	LUN("vms/a", 8192);
	snprintf(params, sizeof(params),
	    "{\"name\":\"b\",\"devices\":[\"%s/vms.pool\"]}", served.directory);
	refused("pool.create", params, "pool.device-busy");
	done("pool.remove", "{\"pool\":\"vms\"}");
	refused("pool.show", "{\"pool\":\"vms\"}", "pool.not-found");
	refused("pool.create", params, "pool.device-holds-pool");
	snprintf(params, sizeof(params), "{\"devices\":[\"%s/vms.pool\"]}",
	    served.directory);
	done("pool.import", params);
	assert_string_equal(text("uuid"), uuid);
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("size"), 8192);
}

static void
a_pool_that_cannot_be_is_refused_with_its_reason(void **unused)
{
	char params[256];

	(void)unused;
	refused("pool.create",
	    "{\"name\":\"p\",\"devices\":[\"/nonexistent\"]}",
	    "pool.device-not-found");
	refused("pool.import", "{\"devices\":[\"/dev/null\"]}", "pool.device");
	snprintf(params, sizeof(params),
	    "{\"name\":\"p\",\"devices\":[\"%s/p\"],\"size\":1048576}",
	    served.directory);
	refused("pool.create", params, "pool.too-small");
	snprintf(params, sizeof(params), "%s/p", served.directory);
	assert_int_equal(access(params, F_OK), -1); /* taken away again */
	snprintf(params, sizeof(params),
	    "{\"name\":\"p\",\"devices\":[\"%s/p\"],\"size\":134217728,"
	    "\"warn_at\":96}",
	    served.directory);
	refused("pool.create", params, "request.argument");
}

static void
a_pool_grows_by_its_file_and_by_another(void **unused)
{
	json_int_t before, middle;
	char params[256];

	(void)unused;
	pool("vms");
	before = number("size");
	done("pool.grow", "{\"pool\":\"vms\",\"size\":268435456}");
	middle = number("size");
	assert_true(middle > before);
	snprintf(params, sizeof(params), "%s/vms.pool", served.directory);
	assert_int_equal(truncate(params, 402653184), 0);
	done("pool.grow", "{\"pool\":\"vms\"}");
	assert_true(number("size") > middle);
	middle = number("size");
	refused("pool.grow", "{\"pool\":\"vms\",\"size\":134217728}",
	    "request.argument");
	snprintf(params, sizeof(params),
	    "{\"pool\":\"vms\",\"devices\":[\"%s/more\"],"
	    "\"size\":134217728}",
	    served.directory);
	done("pool.grow", params);
	assert_true(number("size") > middle);
	talk_restart(NULL);
	done("pool.show", "{\"pool\":\"vms\"}");
	assert_string_equal(text("state"), "online");
	assert_int_equal(
	    json_array_size(json_object_get(result, "devices")), 2);
}

static void
a_pool_warns_where_it_is_told_to(void **unused)
{
	(void)unused;
	pool("vms");
	done("pool.set", "{\"pool\":\"vms\",\"warn_at\":70}");
	assert_int_equal(number("warn_at"), 70);
	assert_int_equal(number("stop_at"), 95);
	refused("pool.set", "{\"pool\":\"vms\"}", "request.argument");
	refused(
	    "pool.set", "{\"pool\":\"vms\",\"warn_at\":0}", "request.argument");
	refused("pool.set", "{\"pool\":\"vms\",\"stop_at\":101}",
	    "request.argument");
	refused("pool.set", "{\"pool\":\"vms\",\"stop_at\":69}",
	    "request.argument");
	refused(
	    "pool.set", "{\"pool\":\"x\",\"stop_at\":69}", "pool.not-found");
	done("pool.set", "{\"pool\":\"vms\",\"stop_at\":90,\"dry_run\":true}");
	assert_int_equal(number("stop_at"), 90);
	talk_restart(NULL);
	done("pool.show", "{\"pool\":\"vms\"}");
	assert_int_equal(number("warn_at"), 70);
	assert_int_equal(number("stop_at"), 95);
}

static void
a_lun_lives_and_dies(void **unused)
{
	(void)unused;
	pool("vms");
	LUN("vms/a", 1048576);
	refused(
	    "lun.create", "{\"name\":\"vms/a\",\"size\":4096}", "lun.exists");
	refused("lun.create", "{\"name\":\"vms/b\",\"size\":4097}", "lun.size");
	refused("lun.create", "{\"name\":\"vms/b\",\"size\":255086697648128}",
	    "lun.size");
	refused("lun.create",
	    "{\"name\":\"vms/b\",\"size\":4096,\"block_size\":1024}",
	    "request.argument");
	done("lun.resize", "{\"lun\":\"vms/a\",\"size\":\"+4096\"}");
	assert_int_equal(number("size"), 1048576 + 4096);
	refused("lun.resize", "{\"lun\":\"vms/a\",\"size\":\"4096\"}",
	    "lun.shrink");
	done("lun.resize",
	    "{\"lun\":\"vms/a\",\"size\":\"4096\",\"shrink\":true}");
	assert_int_equal(number("size"), 4096);
	done("lun.rename", "{\"lun\":\"vms/a\",\"name\":\"vms/b\"}");
	assert_string_equal(text("name"), "vms/b");
	refused("lun.rename", "{\"lun\":\"vms/b\",\"name\":\"other/b\"}",
	    "lun.other-pool");
	done("lun.delete", "{\"lun\":\"vms/b\",\"now\":true}");
	refused("lun.show", "{\"lun\":\"vms/b\"}", "lun.not-found");
}

static void
a_lun_has_a_quota(void **unused)
{
	(void)unused;
	pool("vms");
	done("lun.create",
	    "{\"name\":\"vms/a\",\"size\":1048576,\"quota\":524288}");
	assert_int_equal(number("quota"), 524288);
	assert_int_equal(number("quota_left"), 524288);
	refused("lun.create",
	    "{\"name\":\"vms/b\",\"size\":1048576,\"quota\":1000}",
	    "lun.quota");
	refused("lun.set", "{\"lun\":\"vms/a\",\"quota\":1000}", "lun.quota");
	refused("lun.set", "{\"lun\":\"vms/a\"}", "request.argument");
	refused("lun.set", "{\"lun\":\"vms/b\",\"quota\":0}", "lun.not-found");
	done("lun.set", "{\"lun\":\"vms/a\",\"quota\":4096,\"dry_run\":true}");
	assert_int_equal(number("quota"), 4096);
	assert_false(has_finding("lun.quota-reached"));
	done("lun.set", "{\"lun\":\"vms/a\",\"quota\":4096}");
	talk_restart(NULL);
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("quota"), 4096);
	assert_true(has_finding("lun.quota-reached")); /* not even a chunk */
	done("config.apply",
	    "{\"document\":{\"varve\":1,\"luns\":[{\"name\":\"vms/a\","
	    "\"size\":1048576,\"quota\":8192},{\"name\":\"vms/b\","
	    "\"size\":1048576,\"quota\":4096}]}}");
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("quota"), 8192);
	done("lun.show", "{\"lun\":\"vms/b\"}");
	assert_int_equal(number("quota"), 4096);
	done("lun.set", "{\"lun\":\"vms/a\",\"quota\":0}");
	assert_true(json_is_null(json_object_get(result, "quota")));
}

static void
a_lun_has_a_reservation(void **unused)
{
	(void)unused;
	pool("vms");
	LUN("vms/b", 1073741824);
	done("lun.create", "{\"name\":\"vms/a\",\"size\":16777216,"
			   "\"reserve\":1152921504606846976}");
	assert_int_equal(number("reserve"), 16777216);
	assert_int_equal(number("set_aside"), 16777216);
	refused(
	    "lun.set", "{\"lun\":\"vms/a\",\"reserve\":1000}", "lun.reserve");
	refused("lun.set", "{\"lun\":\"vms/a\",\"quota\":4096}", "lun.reserve");
	refused("lun.set", "{\"lun\":\"vms/b\",\"reserve\":1073741824}",
	    "pool.no-space");
	refused("lun.create",
	    "{\"name\":\"vms/c\",\"size\":1073741824,"
	    "\"reserve\":1073741824}",
	    "pool.no-space");
	done(
	    "lun.set", "{\"lun\":\"vms/a\",\"reserve\":4096,\"dry_run\":true}");
	assert_int_equal(number("reserve"), 4096);
	done("pool.show", "{\"pool\":\"vms\"}");
	assert_true(number("set_aside") >= 16777216);
	/* what is not named stays */
	done("lun.set", "{\"lun\":\"vms/a\",\"quota\":33554432}");
	assert_int_equal(number("reserve"), 16777216);
	done("lun.set", "{\"lun\":\"vms/a\",\"reserve\":8388608}");
	assert_int_equal(number("quota"), 33554432);
	talk_restart(NULL);
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("reserve"), 8388608);
	done("config.apply",
	    "{\"document\":{\"varve\":1,\"luns\":[{\"name\":\"vms/a\","
	    "\"size\":16777216,\"reserve\":1152921504606846976}]}}");
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("reserve"), 16777216);
	done("lun.set", "{\"lun\":\"vms/a\",\"reserve\":0}");
	assert_true(json_is_null(json_object_get(result, "reserve")));
}

static void
health_tells_what_is_wrong(void **unused)
{
	char path[128], away[136];

	(void)unused;
	assert_true(has_finding("portal.none"));
	HOST("h1");
	assert_true(has_finding("host.no-chap"));
	pool("vms");
	assert_false(has_finding("pool.not-open"));
	snprintf(path, sizeof(path), "%s/vms.pool", served.directory);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	log_set_level(LOG_CRIT);
	talk_restart(NULL);
	log_set_level(LOG_ERR);
	assert_true(has_finding("pool.not-open"));
	refused("lun.create", "{\"name\":\"vms/a\",\"size\":4096}",
	    "pool.not-open");
	assert_int_equal(rename(away, path), 0);
	done("pool.open", "{\"pool\":\"vms\"}");
	assert_false(has_finding("pool.not-open"));
	LUN("vms/a", 4096);
}

#define claim(test)                                                            \
	cmocka_unit_test_setup_teardown(test, talk_setup, talk_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_pool_is_made_removed_and_imported),
	    claim(a_pool_that_cannot_be_is_refused_with_its_reason),
	    claim(a_pool_grows_by_its_file_and_by_another),
	    claim(a_pool_warns_where_it_is_told_to),
	    claim(a_lun_lives_and_dies),
	    claim(a_lun_has_a_quota),
	    claim(a_lun_has_a_reservation),
	    claim(health_tells_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
