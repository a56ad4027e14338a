/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares against a server that answers as a test tells it to: what is asked of
 * varved, in which order, and what is taken back when something fails.  That
 * varved understands it is covered by tests/integration/libvirt.py.
 */
#include "base/assert.h"
#include "pool-plugin/share.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/client/support/fake_server.h"
#include <string.h>

#define LINE(id, rest) "{\"jsonrpc\":\"2.0\",\"id\":" #id "," rest "}\n"
#define DONE(id)                                                               \
	{                                                                      \
		.pieces = { LINE(id, "\"result\":{\"item\":{}}") }             \
	}
#define ITEMS(id, rows)                                                        \
	{                                                                      \
		.pieces = { LINE(id, "\"result\":{\"items\":[" rows "]}") }    \
	}
#define REFUSED(id, code)                                                      \
	{                                                                      \
		.pieces = {                                                    \
			LINE(id, "\"error\":{\"data\":{\"code\":\"" code       \
				 "\",\"what\":\"w\",\"exit\":5}}")             \
		}                                                              \
	}
#define END                                                                    \
	{                                                                      \
		.flood = false                                                 \
	}

#define POOLS                                                                  \
	"{\"name\":\"a\",\"iqn\":\"iqn.x:a\"},{\"name\":\"vms\","              \
	"\"iqn\":\"iqn.x:vms\",\"size\":1000,\"allocated\":300,\"free\":600}"
#define HOSTS                                                                  \
	"{\"name\":\"kvm0\",\"iqn\":\"iqn.h:0\"},"                             \
	"{\"name\":\"kvm1\",\"iqn\":\"iqn.h:1\"}"

static struct talk talk;
static struct share share;

static void
start(const struct turn *turns)
{
	fake_start(turns, 0);
	assert_null(talk_open(&talk, fake_url, TALK_LONG_MS));
	share = (struct share){.iqn = "iqn.x:vms",
	    .initiator = "iqn.h:1",
	    .pool = "vms",
	    .host = "kvm1"};
}

static void
stop(void)
{
	talk_close(&talk);
	fake_stop();
}

static const char *
code_of(json_t *problem)
{
	static char code[64];

	snprintf(code, sizeof(code), "%s",
	    problem != NULL ? varve_problem_code(problem) : "");
	json_decref(problem);
	return code;
}

/* "METHOD METHOD ..." */
static const char *
asked(void)
{
	static char methods[512];

	methods[0] = '\0';
	for (unsigned i = 0; i < fake_request_count; i++) {
		json_t *request = json_loads(fake_requests[i], 0, NULL);
		size_t used = strlen(methods);
		snprintf(methods + used, sizeof(methods) - used, "%s%s",
		    i > 0 ? " " : "",
		    json_string_value(json_object_get(request, "method")));
		json_decref(request);
	}
	return methods;
}

static void
wants(unsigned number, const char *needle)
{
	if (strstr(fake_requests[number], needle) == NULL)
		fail_msg("%s: no %s", fake_requests[number], needle);
}

/* ---- looking ---- */

static void
a_view_has_what_the_host_sees_of_the_target(void **state)
{
	const struct turn turns[] = {
	    ITEMS(1, POOLS),
	    ITEMS(2, HOSTS),
	    ITEMS(3,
		"{\"name\":\"vms/b\",\"iqn\":\"iqn.x:vms\",\"lun\":5},"
		"{\"name\":\"vms/other\",\"iqn\":\"iqn.x:vms:tcmu\",\"lun\":0},"
		"{\"name\":\"vms/a@mon\",\"iqn\":\"iqn.x:vms\",\"lun\":3},"
		"{\"name\":\"vms/a\",\"iqn\":\"iqn.x:vms\",\"lun\":0,"
		"\"read_only\":true}"),
	    ITEMS(4, "{\"name\":\"vms/a\",\"size\":4096,\"live\":0},"
		     "{\"name\":\"vms/b\",\"size\":8192,\"live\":4096,"
		     "\"parent\":\"vms/a@mon\"},"
		     "{\"name\":\"vms/c\",\"size\":1,\"live\":1}"),
	    ITEMS(5, "{\"name\":\"vms/a@mon\",\"size\":12288,\"live\":5}"),
	    END,
	};
	struct share_view view;

	(void)state;
	start(turns);
	share.pool[0] = share.host[0] = '\0';
	assert_null(share_look(&talk, &share, &view));
	stop();
	assert_string_equal(
	    asked(), "pool.list host.list export.list lun.list snap.list");
	assert_string_equal(share.pool, "vms");
	assert_string_equal(share.host, "kvm1");
	assert_int_equal(view.space.size, 1000);
	assert_int_equal(view.space.allocated, 300);
	assert_int_equal(view.space.free, 600);
	assert_int_equal(view.count, 3);
	assert_string_equal(view.volumes[0].name, "a");
	assert_true(view.volumes[0].read_only);
	assert_string_equal(view.volumes[1].name, "a@mon");
	assert_int_equal(view.volumes[1].size, 12288);
	assert_true(view.volumes[1].read_only);
	assert_string_equal(view.volumes[2].name, "b");
	assert_int_equal(view.volumes[2].live, 4096);
	assert_string_equal(view.volumes[2].parent, "a@mon");
	assert_false(view.volumes[2].read_only);
	share_view_done(&view);
}

static void
nonsense_in_an_answer_is_passed_over(void **state)
{
	const struct turn turns[] = {
	    ITEMS(1, "7,null,{}," POOLS),
	    ITEMS(2, "[]," HOSTS),
	    ITEMS(3, "{\"name\":7,\"iqn\":\"iqn.x:vms\",\"lun\":5},"
		     "{\"name\":\"vms/b\",\"iqn\":\"iqn.x:vms\",\"lun\":-1},"
		     "{\"name\":\"vms/b\",\"iqn\":\"iqn.x:vms\",\"lun\":16384},"
		     "{\"name\":\"vms/b\",\"iqn\":\"iqn.x:vms\",\"lun\":\"1\"},"
		     "{\"name\":\"vms/\",\"iqn\":\"iqn.x:vms\",\"lun\":1},"
		     "{\"name\":\"vms\",\"iqn\":\"iqn.x:vms\",\"lun\":1}"),
	    END,
	};
	struct share_view view;

	(void)state;
	start(turns);
	assert_null(share_look(&talk, &share, &view));
	stop();
	assert_int_equal(view.count, 0);
	share_view_done(&view);
}

static void
a_pool_or_host_that_is_not_there_is_said(void **state)
{
	const struct turn no_pool[] = {ITEMS(1, ""), END};
	const struct turn no_host[] = {ITEMS(1, POOLS), ITEMS(2, ""), END};
	struct share_view view;

	(void)state;
	start(no_pool);
	assert_string_equal(
	    code_of(share_look(&talk, &share, &view)), "plugin.pool");
	stop();
	start(no_host);
	assert_string_equal(
	    code_of(share_look(&talk, &share, &view)), "plugin.host");
	stop();
}

static void
numbers_of_all_hosts_are_taken(void **state)
{
	const struct turn turns[] = {
	    ITEMS(1,
		"{\"name\":\"vms/a\",\"iqn\":\"iqn.x:vms\",\"lun\":0},"
		"{\"name\":\"vms/a\",\"iqn\":\"iqn.x:other\",\"lun\":1},"
		"{\"name\":\"vms/b\",\"iqn\":\"iqn.x:vms\",\"lun\":16383}"),
	    END,
	};
	bool taken[SHARE_NUMBER_MAX + 1];

	(void)state;
	start(turns);
	assert_null(share_numbers(&talk, &share, taken));
	stop();
	assert_true(taken[0]);
	assert_false(taken[1]);
	assert_true(taken[16383]);
	assert_null(strstr(fake_requests[0], "kvm1"));
}

/* ---- making ---- */

static void
a_new_lun_is_exported_by_its_number(void **state)
{
	const struct turn turns[] = {DONE(1), DONE(2), END};

	(void)state;
	start(turns);
	assert_null(share_create(&talk, &share, "a", 7, 4096, false));
	stop();
	assert_string_equal(asked(), "lun.create export.add");
	wants(0, "\"vms/a\"");
	wants(0, "\"size\":4096");
	assert_null(strstr(fake_requests[0], "reserve"));
	wants(1, "\"lun\":7");
	wants(1, "\"kvm1\"");
}

static void
one_that_cannot_be_exported_is_given_back(void **state)
{
	const struct turn turns[] = {
	    DONE(1), REFUSED(2, "export.number-taken"), DONE(3), END};

	(void)state;
	start(turns);
	assert_string_equal(
	    code_of(share_create(&talk, &share, "a", 7, 4096, true)),
	    "export.number-taken");
	stop();
	assert_string_equal(asked(), "lun.create export.add lun.delete");
	wants(0, "\"reserve\":1152921504606846976");
	wants(2, "\"now\":true");
}

static void
one_that_was_not_made_is_not_deleted(void **state)
{
	const struct turn turns[] = {REFUSED(1, "lun.exists"), END};

	(void)state;
	start(turns);
	assert_string_equal(
	    code_of(share_create(&talk, &share, "a", 7, 4096, false)),
	    "lun.exists");
	stop();
	assert_string_equal(asked(), "lun.create");
}

static void
a_clone_of_a_lun_is_of_a_snapshot_for_it(void **state)
{
	const struct turn turns[] = {DONE(1), DONE(2), DONE(3), END};

	(void)state;
	start(turns);
	assert_null(share_clone(&talk, &share, "a", "b", 1, 8192));
	stop();
	assert_string_equal(asked(), "snap.create lun.clone export.add");
	wants(0, "[\"vms/a@for-b\"]");
	wants(1, "\"vms/a@for-b\"");
	wants(1, "\"size\":8192");
}

static void
which_goes_when_there_is_no_clone(void **state)
{
	const struct turn no_clone[] = {
	    DONE(1), REFUSED(2, "lun.exists"), DONE(3), END};
	const struct turn no_export[] = {DONE(1), DONE(2),
	    REFUSED(3, "export.exists"), DONE(4), DONE(5), END};

	(void)state;
	start(no_clone);
	assert_string_equal(
	    code_of(share_clone(&talk, &share, "a", "b", 1, 8192)),
	    "lun.exists");
	stop();
	assert_string_equal(asked(), "snap.create lun.clone snap.delete");
	start(no_export);
	assert_string_equal(
	    code_of(share_clone(&talk, &share, "a", "b", 1, 8192)),
	    "export.exists");
	stop();
	assert_string_equal(
	    asked(), "snap.create lun.clone export.add lun.delete snap.delete");
}

static void
a_clone_of_a_snapshot_needs_no_other(void **state)
{
	const struct turn turns[] = {
	    DONE(1), REFUSED(2, "export.exists"), DONE(3), END};

	(void)state;
	start(turns);
	assert_string_equal(
	    code_of(share_clone(&talk, &share, "a@mon", "b", 1, 8192)),
	    "export.exists");
	stop();
	assert_string_equal(asked(), "lun.clone export.add lun.delete");
	wants(0, "\"vms/a@mon\"");
}

static void
shrinking_and_reserving_are_asked_for(void **state)
{
	const struct turn grow[] = {DONE(1), END};
	const struct turn both[] = {DONE(1), DONE(2), END};

	(void)state;
	start(grow);
	assert_null(share_resize(&talk, &share, "a", 8192, false, false));
	stop();
	assert_string_equal(asked(), "lun.resize");
	wants(0, "\"size\":\"8192\"");
	assert_null(strstr(fake_requests[0], "shrink"));
	start(both);
	assert_null(share_resize(&talk, &share, "a", 4096, true, true));
	stop();
	assert_string_equal(asked(), "lun.resize lun.set");
	wants(0, "\"shrink\":true");
}

/* ---- deleting ---- */

#define SHOWN(id, members)                                                     \
	{                                                                      \
		.pieces = { LINE(id, "\"result\":{\"item\":{" members "}}") }  \
	}

static void
deleting_takes_the_export_away_first(void **state)
{
	const struct turn turns[] = {
	    SHOWN(1, "\"snaps\":0,\"hosts\":[\"kvm1\"]"), DONE(2), DONE(3),
	    END};

	(void)state;
	start(turns);
	assert_null(share_delete(&talk, &share, "a", 7, false));
	stop();
	assert_string_equal(asked(), "lun.show export.remove lun.delete");
	assert_null(strstr(fake_requests[1], "force"));
	wants(1, "\"unused\":true");
	assert_null(strstr(fake_requests[2], "now"));
}

static void
what_is_not_deleted_is_exported_again(void **state)
{
	const struct turn turns[] = {SHOWN(1, "\"hosts\":[\"kvm1\"]"), DONE(2),
	    REFUSED(3, "lun.held"), DONE(4), END};

	(void)state;
	start(turns);
	assert_string_equal(
	    code_of(share_delete(&talk, &share, "a", 7, true)), "lun.held");
	stop();
	assert_string_equal(
	    asked(), "lun.show export.remove lun.delete export.add");
	wants(3, "\"lun\":7");
}

static void
the_snapshot_for_a_clone_goes_with_it_and_no_other(void **state)
{
	const struct turn own[] = {
	    SHOWN(1, "\"hosts\":[],\"parent\":\"vms/a@for-b\""), DONE(2),
	    DONE(3), DONE(4), END};
	const struct turn other[] = {
	    SHOWN(1, "\"hosts\":[],\"parent\":\"vms/a@for-bb\""), DONE(2),
	    DONE(3), END};

	(void)state;
	start(own);
	assert_null(share_delete(&talk, &share, "b", 1, false));
	stop();
	assert_string_equal(
	    asked(), "lun.show export.remove lun.delete snap.delete");
	wants(3, "\"vms/a@for-b\"");
	start(other);
	assert_null(share_delete(&talk, &share, "b", 1, false));
	stop();
	assert_string_equal(asked(), "lun.show export.remove lun.delete");
}

static void
what_others_would_lose_is_not_deleted(void **state)
{
	const struct turn snaps[] = {SHOWN(1, "\"snaps\":2,\"hosts\":[]"), END};
	const struct turn hosts[] = {
	    SHOWN(1, "\"hosts\":[\"kvm1\",\"kvm2\"]"), END};
	const struct turn nothing[] = {END};

	(void)state;
	start(snaps);
	assert_string_equal(code_of(share_delete(&talk, &share, "a", 7, false)),
	    "plugin.snapshots");
	stop();
	start(hosts);
	assert_string_equal(code_of(share_delete(&talk, &share, "a", 7, true)),
	    "plugin.other-hosts");
	stop();
	start(nothing);
	assert_string_equal(
	    code_of(share_delete(&talk, &share, "a@mon", 7, true)),
	    "plugin.snapshot");
	stop();
	assert_int_equal(fake_request_count, 0);
}

/* ---- silence ---- */

static void
one_that_is_silent_is_asked_hastily_for_a_while(void **state)
{
	const struct turn silent[] = {
	    {.hang_up = false}, {.hang_up = false}, END};
	const struct turn answers[] = {ITEMS(1, ""), END};
	bool taken[SHARE_NUMBER_MAX + 1];
	struct talk next;

	(void)state;
	fake_start(silent, 0);
	assert_null(talk_open(&talk, fake_url, 50));
	assert_false(talk.hasty);
	assert_string_equal(
	    code_of(share_numbers(&talk, &share, taken)), "daemon.timeout");
	assert_null(talk_open(&next, fake_url, TALK_SHORT_MS));
	assert_true(next.hasty);
	talk_close(&next);
	/* who may wait longer does */
	assert_null(talk_open(&next, fake_url, TALK_LONG_MS));
	assert_false(next.hasty);
	talk_close(&next);
	assert_null(talk_open(&next, "unix:///other", TALK_SHORT_MS));
	assert_false(next.hasty);
	talk_close(&next);
	stop();

	start(answers);
	assert_null(share_numbers(&talk, &share, taken));
	assert_null(talk_open(&next, fake_url, TALK_SHORT_MS));
	assert_false(next.hasty);
	talk_close(&next);
	stop();
}

/* ---- names ---- */

static void
a_name_has_its_number_or_none(void **state)
{
	static const char *const wrong[] = {"", ":0:0:1", "a:0:0:", "a:0:0:x",
	    "a:0:0:16384", "a:0:1:0", "a:1", "a b", "a/b", "a:0:0:1x",
	    "a:0:0:99999999999999999999", "a:0:0:-1"};
	const struct share_volume volume = {.name = "web01@mon", .number = 9};
	char name[SHARE_VOLUME_MAX], text[SHARE_LONG_NAME_MAX], longer[200];
	int number;

	(void)state;
	share_long_name(&volume, text);
	assert_string_equal(text, "web01@mon:0:0:9");
	assert_true(share_parse_name(text, name, &number));
	assert_string_equal(name, "web01@mon");
	assert_int_equal(number, 9);
	assert_true(share_parse_name("web-0.1_", name, &number));
	assert_int_equal(number, -1);
	assert_true(share_parse_name("a:0:0:16383", name, &number));
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(share_parse_name(wrong[i], name, &number));
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_false(share_parse_name(longer, name, &number));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_view_has_what_the_host_sees_of_the_target),
	    cmocka_unit_test(nonsense_in_an_answer_is_passed_over),
	    cmocka_unit_test(a_pool_or_host_that_is_not_there_is_said),
	    cmocka_unit_test(numbers_of_all_hosts_are_taken),
	    cmocka_unit_test(a_new_lun_is_exported_by_its_number),
	    cmocka_unit_test(one_that_cannot_be_exported_is_given_back),
	    cmocka_unit_test(one_that_was_not_made_is_not_deleted),
	    cmocka_unit_test(a_clone_of_a_lun_is_of_a_snapshot_for_it),
	    cmocka_unit_test(which_goes_when_there_is_no_clone),
	    cmocka_unit_test(a_clone_of_a_snapshot_needs_no_other),
	    cmocka_unit_test(shrinking_and_reserving_are_asked_for),
	    cmocka_unit_test(deleting_takes_the_export_away_first),
	    cmocka_unit_test(what_is_not_deleted_is_exported_again),
	    cmocka_unit_test(
		the_snapshot_for_a_clone_goes_with_it_and_no_other),
	    cmocka_unit_test(what_others_would_lose_is_not_deleted),
	    cmocka_unit_test(one_that_is_silent_is_asked_hastily_for_a_while),
	    cmocka_unit_test(a_name_has_its_number_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
