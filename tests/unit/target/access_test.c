/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is served what: the methods of hosts, exports and reservations, the lines
 * to paste, and all of it again after a restart.  Not here: sessions
 * (tests/integration), portals (portal_test.c).
 */
#include "target/rpc.h"
#include "tests/unit/target/support/talk.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
hosts_prove_themselves_one_way(void **unused)
{
#define A "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\""

	(void)unused;
	refused("host.add", A "}", "host.auth");
	refused("host.add", A ",\"no_chap\":true,\"chap_generate\":true}",
	    "host.auth");
	refused("host.add", A ",\"chap\":\"short\"}", "host.secret");
	refused(
	    "host.add", A ",\"no_chap\":true,\"mutual\":true}", "host.auth");
	refused("host.add",
	    A ",\"chap\":\"the-same-secret\","
	      "\"mutual_chap\":\"the-same-secret\"}",
	    "host.secret");
	refused("host.add", A ",\"chap_generate\":true,\"chap_user\":\"a,b\"}",
	    "request.argument");
	done("host.add", A ",\"chap_generate\":true,\"mutual\":true}");
	assert_string_equal(text("auth"), "mutual");
	assert_string_not_equal(text("secret"), text("mutual_secret"));
	refused("host.add", A ",\"no_chap\":true}", "host.exists");
	refused("host.add",
	    "{\"name\":\"b\",\"iqn\":\"IQN.2026-01.X:1\",\"no_chap\":true}",
	    "host.iqn-taken");
	done("host.show", "{\"host\":\"a\"}");
	assert_string_equal(text("secret"), "(none)");
	refused("host.set", "{\"host\":\"a\"}", "request.argument");
	done("host.set", "{\"host\":\"a\",\"no_mutual\":true}");
	assert_string_equal(text("auth"), "chap");
	done("host.set", "{\"host\":\"a\",\"no_chap\":true}");
	assert_string_equal(text("auth"), "none");
	done("host.remove", "{\"host\":\"a\"}");
	refused("host.remove", "{\"host\":\"a\"}", "host.not-found");
#undef A
}

static void
lun_numbers_are_the_lowest_free_and_the_same_for_all(void **unused)
{
	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	LUN("vms/b", 4096);
	HOST("h1");
	HOST("h2");
	EXPORT("vms/a", "h1");
	assert_int_equal(number("lun"), 0);
	EXPORT("vms/b", "h1");
	assert_int_equal(number("lun"), 1);
	EXPORT("vms/b", "h2"); /* as h1 has it */
	assert_int_equal(number("lun"), 1);
	refused("export.add", "{\"name\":\"vms/b\",\"host\":\"h2\"}",
	    "export.exists");
	refused("export.add", "{\"name\":\"vms/a\",\"host\":\"h2\",\"lun\":1}",
	    "export.number-taken");
	refused("export.add",
	    "{\"name\":\"vms/a\",\"host\":\"h2\",\"lun\":16384}",
	    "export.number");
	done(
	    "export.add", "{\"name\":\"vms/a\",\"host\":\"h2\",\"lun\":16383}");
	assert_string_equal(text("state"), "served");
}

static void
an_own_target_comes_and_goes_with_its_exports(void **unused)
{
	char iqn[256];

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	HOST("h2");
	done("export.add",
	    "{\"name\":\"vms/a\",\"host\":\"h1\",\"own_target\":true}");
	snprintf(iqn, sizeof(iqn), "%s", text("iqn"));
	assert_non_null(strstr(iqn, ":vms:a"));
	done("export.add",
	    "{\"name\":\"vms/a\",\"host\":\"h2\",\"own_target\":true}");
	assert_string_equal(text("iqn"), iqn);
	assert_int_equal(number("lun"), 0);
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h2\"}");
	EXPORT("vms/a", "h1");
	assert_string_not_equal(text("iqn"), iqn);
}

static void
what_is_exported_is_not_taken_away(void **unused)
{
	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	EXPORT("vms/a", "h1");
	refused("lun.delete", "{\"lun\":\"vms/a\"}", "lun.exported");
	refused("host.remove", "{\"host\":\"h1\"}", "host.in-use");
	refused("pool.remove", "{\"pool\":\"vms\"}", "pool.in-use");
	refused("export.remove", "{\"name\":\"vms/b\",\"host\":\"h1\"}",
	    "export.not-found");
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	done("lun.delete", "{\"lun\":\"vms/a\"}");
	done("host.remove", "{\"host\":\"h1\"}");
	done("pool.remove", "{\"pool\":\"vms\"}");
}

/* What initiators reserve: tests/integration/reservations.py. */
static void
a_lun_without_reservations_has_none_to_list_or_break(void **unused)
{
	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	for (unsigned exported = 0; exported < 2; exported++) {
		assert_int_equal(json_array_size(done("lun.reservations",
				     "{\"lun\":\"vms/a\"}")),
		    0);
		done("lun.release", "{\"lun\":\"vms/a\",\"dry_run\":true}");
		assert_int_equal(number("registrations"), 0);
		done("lun.release", "{\"lun\":\"vms/a\",\"host\":\"h1\"}");
		assert_string_equal(text("name"), "vms/a");
		assert_true(json_is_null(json_object_get(result, "released")));
		if (exported == 0)
			EXPORT("vms/a", "h1");
	}
	refused("lun.reservations", "{\"lun\":\"vms/b\"}", "lun.not-found");
	refused("lun.release", "{\"lun\":\"vms/b\"}", "lun.not-found");
	refused("lun.release", "{\"lun\":\"vms/a\",\"host\":\"h2\"}",
	    "host.not-found");
}

/* ---- what initiators reserve, put into the state as if one had ---- */

static struct registry *reserved;
static char reserved_uuid[64];

static struct state *
state_at_rest(const struct config *config)
{
	char path[128], problem[STATE_PROBLEM_MAX];
	struct state *state;

	(void)config;
	snprintf(path, sizeof(path), "%s/varve.db", served.directory);
	assert_int_equal(state_open(path, &state, problem), 0);
	return state;
}

static void
put_reserved(struct config *config)
{
	struct state *state = state_at_rest(config);

	assert_int_equal(
	    state_registry_put(state, 1, reserved_uuid, reserved), 0);
	state_close(state);
	registry_free(reserved);
	reserved = NULL;
}

static void
get_reserved(struct config *config)
{
	struct state *state = state_at_rest(config);

	(void)state_registry_get(state, 1, reserved_uuid, &reserved);
	state_close(state);
}

static void
make_reserved(void)
{
	struct registration r = {.key = 10, .port = 1, .target = "iqn.x"};

	reserved = registry_new();
	strcpy(r.initiator, "iqn.2026-01.x:h1,i,0x000000000001");
	assert_int_equal(registry_register(reserved, &r), 0);
	strcpy(r.initiator, "iqn.2026-01.x:h2,i,0x000000000001");
	assert_int_equal(registry_register(reserved, &r), 1);
	reserved->aptpl = true;
	reserved->type = REGISTRY_EXCLUSIVE_ACCESS;
}

static void
what_was_reserved_is_kept_until_its_host_or_lun_is_gone(void **unused)
{
	const json_t *items;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	snprintf(reserved_uuid, sizeof(reserved_uuid), "%s", text("uuid"));
	HOST("h1");
	HOST("h2");
	EXPORT("vms/a", "h1");
	EXPORT("vms/a", "h2");
	make_reserved();
	talk_restart(put_reserved);

	items = done("lun.reservations", "{\"lun\":\"vms/a\"}");
	assert_int_equal(json_array_size(items), 2);
	assert_string_equal(text_in(json_array_get(items, 0), "host"), "h1");
	assert_string_equal(
	    text_in(json_array_get(items, 0), "holds"), "exclusive-access");
	done("host.set", "{\"host\":\"h1\",\"iqn\":\"iqn.2026-01.x:new\"}");
	assert_int_equal(number("luns"), 1);
	items = done("lun.reservations", "{\"lun\":\"vms/a\"}");
	assert_int_equal(json_array_size(items), 1);
	assert_string_equal(text_in(json_array_get(items, 0), "host"), "h2");
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	talk_restart(get_reserved);
	assert_int_equal(reserved->count, 1);
	registry_free(reserved);
	reserved = NULL;
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h2\"}");
	talk_restart(get_reserved);
	assert_null(reserved);
}

static void
all_is_served_again_after_a_restart(void **unused)
{
	json_t *before, *after;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	EXPORT("vms/a", "h1");
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	done("lun.rename", "{\"lun\":\"vms/a\",\"name\":\"vms/c\"}");
	before = client_call(writer, "config.export", "{}");
	talk_restart(NULL);
	after = client_call(writer, "config.export", "{}");
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	done("export.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(
	    json_string_value(json_object_get(row, "state")), "served");
	assert_string_equal(
	    json_string_value(json_object_get(row, "name")), "vms/c");
}

static void
connect_lines_hold_no_secret_unless_asked(void **unused)
{
	static const char *const programs[] = {"qemu", "open-iscsi", "libvirt"};
	char params[128], *lines;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	done("host.add", "{\"name\":\"h1\",\"iqn\":\"iqn.2026-01.x:1\","
			 "\"chap\":\"wonder'ful-one\"}");
	refused("host.connect", "{\"host\":\"h1\",\"for\":\"qemu\"}",
	    "host.no-exports");
	EXPORT("vms/a", "h1");
	refused("host.connect", "{\"host\":\"h1\",\"for\":\"qemu\"}",
	    "portal.none");
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		for (int show = 0; show < 2; show++) {
			snprintf(params, sizeof(params),
			    "{\"host\":\"h1\",\"for\":\"%s\","
			    "\"show_secret\":%s}",
			    programs[i], show ? "true" : "false");
			done("host.connect", params);
			lines = json_dumps(result, 0);
			assert_int_equal(strstr(lines, "wonder") != NULL, show);
			free(lines);
		}
	}
	int reader = served_client(&served, ROLE_READ);
	client_result(reader, "host.connect", params, code);
	assert_string_equal(code, "request.not-allowed");
	close(reader);
}

static void
hosts_are_told_the_address_that_a_portal_moved_to(void **unused)
{
	char address[64], redirect[160], *lines;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	EXPORT("vms/a", "h1");
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
	for (int permanent = 0; permanent < 2; permanent++) {
		snprintf(redirect, sizeof(redirect),
		    "{\"address\":\"%s\",\"to\":\"192.0.2.9\","
		    "\"permanent\":%s}",
		    address, permanent ? "true" : "false");
		done("portal.redirect", redirect);
		done("host.connect", "{\"host\":\"h1\",\"for\":\"qemu\"}");
		lines = json_dumps(result, 0);
		assert_int_equal(strstr(lines, "192.0.2.9") != NULL, permanent);
		assert_int_equal(strstr(lines, address) != NULL, !permanent);
		free(lines);
		done("export.list", "{}");
		lines = json_dumps(result, 0);
		assert_int_equal(strstr(lines, "192.0.2.9") != NULL, permanent);
		free(lines);
	}
}

#define claim(test)                                                            \
	cmocka_unit_test_setup_teardown(test, talk_setup, talk_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(hosts_prove_themselves_one_way),
	    claim(lun_numbers_are_the_lowest_free_and_the_same_for_all),
	    claim(an_own_target_comes_and_goes_with_its_exports),
	    claim(what_is_exported_is_not_taken_away),
	    claim(a_lun_without_reservations_has_none_to_list_or_break),
	    claim(what_was_reserved_is_kept_until_its_host_or_lun_is_gone),
	    claim(all_is_served_again_after_a_restart),
	    claim(connect_lines_hold_no_secret_unless_asked),
	    claim(hosts_are_told_the_address_that_a_portal_moved_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
