/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control connection and the methods behind it, over a real pool in a file.
 * Does not cover: sessions (tests/integration), SO_PEERCRED of other users.
 */
#include "base/log.h"
#include "target/rpc.h"
#include "tests/unit/target/support/talk.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reader;

#define EXPORT(lun, host)                                                      \
	done("export.add", "{\"name\":\"" lun "\",\"host\":\"" host "\"}")

static int
setup(void **unused)
{
	(void)unused;
	if (!talk_start())
		return -1;
	reader = served_client(&served, ROLE_READ);
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	close(reader);
	talk_stop();
	return 0;
}

static void
restart(void)
{
	close(reader);
	talk_restart(NULL);
	reader = served_client(&served, ROLE_READ);
}

/* ---- the connection ---- */

static void
requests_are_answered_in_their_order(void **unused)
{
	(void)unused;
	client_write(writer,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"health\"}\n"
	    "nonsense");
	json_t *a = client_read(writer), *b = client_read(writer);
	json_t *c = client_read(writer);
	assert_int_equal(json_integer_value(json_object_get(a, "id")), 1);
	assert_string_equal(json_string_value(json_object_get(b, "id")), "b");
	assert_non_null(json_object_get(c, "error"));
	json_decref(a);
	json_decref(b);
	json_decref(c);
	done("version", "{}"); /* and the client is still one */
}

static void
a_line_that_is_too_long_ends_the_client(void **unused)
{
	char *line = malloc(RPC_LINE_MAX + 2);
	json_t *answer;

	(void)unused;
	assert_non_null(line);
	memset(line, ' ', RPC_LINE_MAX + 1);
	line[RPC_LINE_MAX + 1] = '\0';
	client_write(reader, line);
	free(line);
	answer = client_read(reader);
	assert_non_null(json_object_get(answer, "error"));
	json_decref(answer);
	assert_null(client_read(reader));
	done("version", "{}"); /* others are served */
}

static void
a_client_may_leave_while_its_request_runs(void **unused)
{
	(void)unused;
	client_write(
	    reader, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"lun.list\"}");
	close(reader);
	reader = served_client(&served, ROLE_READ);
	done("version", "{}");
}

static void
more_clients_than_there_may_be_are_turned_away(void **unused)
{
	int fds[CONTROL_CLIENTS_MAX - 2];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = served_client(&served, ROLE_READ);
	int late = served_client(&served, ROLE_WRITE);
	assert_null(client_read(late));
	close(late);
	done("version", "{}");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void
a_reader_reads_and_does_not_change(void **unused)
{
	int none = served_client(&served, ROLE_NONE);
	json_t *found;

	(void)unused;
	found = client_result(reader, "host.list", "{}", code);
	assert_string_equal(code, "");
	json_decref(found);
	client_result(reader, "host.add",
	    "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\",\"no_chap\":true,"
	    "\"dry_run\":true}",
	    code);
	assert_string_equal(code, "request.not-allowed");
	client_result(none, "host.list", "{}", code);
	assert_string_equal(code, "request.not-allowed");
	close(none);
}

/* ---- every change ---- */

static void
a_repeated_request_gets_the_first_answer(void **unused)
{
	static const char params[] =
	    "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\","
	    "\"chap_generate\":true,\"request_id\":\"once\"}";
	char secret[32];

	(void)unused;
	done("host.add", params);
	snprintf(secret, sizeof(secret), "%s", text("secret"));
	assert_int_equal(strlen(secret), 16);
	restart();
	done("host.add", params);
	assert_string_equal(text("secret"), secret);
	refused("host.remove", "{\"host\":\"a\",\"request_id\":\"once\"}",
	    "request.id-reused");
}

static void
a_change_can_be_bound_to_a_generation(void **unused)
{
	json_t *answer = client_call(writer, "host.list", "{}");
	json_int_t generation = json_integer_value(
	    json_object_get(json_object_get(answer, "result"), "generation"));
	char params[160];

	(void)unused;
	json_decref(answer);
	snprintf(params, sizeof(params),
	    "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\",\"no_chap\":true,"
	    "\"if_generation\":%lld}",
	    (long long)generation);
	done("host.add", params);
	memcpy(params, "{\"name\":\"b\"", 11);
	refused("host.add", params, "request.generation");
}

static void
a_dry_run_changes_nothing(void **unused)
{
	json_t *before = client_call(writer, "config.export", "{}"), *after;
	char params[256];

	(void)unused;
	snprintf(params, sizeof(params),
	    "{\"name\":\"p\",\"devices\":[\"%s/p\"],\"size\":134217728,"
	    "\"dry_run\":true}",
	    served.directory);
	done("pool.create", params);
	done("host.add",
	    "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\",\"dry_run\":true,"
	    "\"chap_generate\":true}");
	assert_string_equal(text("secret"), "(none)");
	done("portal.add", "{\"address\":\"127.0.0.1:0\",\"dry_run\":true}");
	after = client_call(writer, "config.export", "{}");
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	snprintf(params, sizeof(params), "%s/p", served.directory);
	assert_int_equal(access(params, F_OK), -1);
}

/* ---- the nouns ---- */

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
	restart();
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
	restart();
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
restart_with(void (*change)(struct config *config))
{
	close(reader);
	talk_restart(change);
	reader = served_client(&served, ROLE_READ);
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
	restart_with(put_reserved);

	items = done("lun.reservations", "{\"lun\":\"vms/a\"}");
	assert_int_equal(json_array_size(items), 2);
	assert_string_equal(text_in(json_array_get(items, 0), "host"), "h1");
	assert_string_equal(
	    text_in(json_array_get(items, 0), "holds"), "exclusive-access");
	done("host.set", "{\"host\":\"h1\",\"iqn\":\"iqn.2026-01.x:new\"}");
	items = done("lun.reservations", "{\"lun\":\"vms/a\"}");
	assert_int_equal(json_array_size(items), 1);
	assert_string_equal(text_in(json_array_get(items, 0), "host"), "h2");
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	restart_with(get_reserved);
	assert_int_equal(reserved->count, 1);
	registry_free(reserved);
	reserved = NULL;
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h2\"}");
	restart_with(get_reserved);
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
	restart();
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
portals_keep_the_port_they_got(void **unused)
{
	char address[64], params[128];

	(void)unused;
	refused("portal.add", "{\"address\":\"nowhere\"}", "portal.address");
	refused(
	    "portal.add", "{\"address\":\"192.0.2.1:3260\"}", "portal.failed");
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
	snprintf(params, sizeof(params), "{\"address\":\"%s\"}", address);
	refused("portal.add", params, "portal.exists");
	restart();
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(
	    json_string_value(json_object_get(row, "address")), address);
	assert_string_equal(
	    json_string_value(json_object_get(row, "state")), "listening");
	done("portal.remove", params);
	refused("portal.remove", params, "portal.not-found");
}

static void
a_portal_sends_hosts_where_it_is_told_also_after_a_restart(void **unused)
{
	char address[64], params[160];

	(void)unused;
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
#define REDIRECT(more)                                                         \
	(snprintf(                                                             \
	     params, sizeof(params), "{\"address\":\"%s\"" more "}", address), \
	    params)
	refused("portal.redirect", REDIRECT(""), "portal.redirect");
	refused(
	    "portal.redirect", REDIRECT(",\"to\":\"here\""), "portal.redirect");
	refused(
	    "portal.redirect", REDIRECT(",\"to\":\"[::]\""), "portal.redirect");
	refused("portal.redirect", REDIRECT(",\"off\":true,\"permanent\":true"),
	    "portal.redirect");
	refused("portal.redirect", "{\"address\":\"127.0.0.1:1\",\"off\":true}",
	    "portal.not-found");
	done("portal.redirect",
	    REDIRECT(",\"to\":\"192.0.2.9\",\"dry_run\":true"));
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
	done("portal.redirect",
	    REDIRECT(",\"to\":\"192.0.2.9\",\"permanent\":true"));
	assert_string_equal(text("redirect"), "192.0.2.9:3260");
	restart();
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(row, "redirect")),
	    "192.0.2.9:3260");
	assert_true(json_is_true(json_object_get(row, "permanent")));
	done("portal.redirect", REDIRECT(",\"off\":true"));
#undef REDIRECT
	restart();
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
}

static bool
finding(const char *expected)
{
	const json_t *row;
	size_t i;

	done("health", "{}");
	json_array_foreach(result, i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "code")),
			expected) == 0)
			return true;
	}
	return false;
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
	assert_false(finding("lun.quota-reached"));
	done("lun.set", "{\"lun\":\"vms/a\",\"quota\":4096}");
	restart();
	done("lun.show", "{\"lun\":\"vms/a\"}");
	assert_int_equal(number("quota"), 4096);
	assert_true(finding("lun.quota-reached")); /* not even a chunk */
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
	restart();
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
	assert_true(finding("portal.none"));
	HOST("h1");
	assert_true(finding("host.no-chap"));
	pool("vms");
	assert_false(finding("pool.not-open"));
	close(writer);
	close(reader);
	snprintf(path, sizeof(path), "%s/vms.pool", served.directory);
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	log_set_level(LOG_CRIT);
	restart();
	log_set_level(LOG_ERR);
	assert_true(finding("pool.not-open"));
	refused("lun.create", "{\"name\":\"vms/a\",\"size\":4096}",
	    "pool.not-open");
	assert_int_equal(rename(away, path), 0);
	done("pool.open", "{\"pool\":\"vms\"}");
	assert_false(finding("pool.not-open"));
	LUN("vms/a", 4096);
}

static void
a_document_is_applied_and_is_then_what_is(void **unused)
{
	char *document, *params;
	json_t *exported;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	EXPORT("vms/a", "h1");
	done("config.export", "{}");
	exported = json_deep_copy(json_object_get(result, "document"));
	document = json_dumps(exported, 0);
	assert_true(asprintf(&params, "{\"document\":%s,\"prune\":true}",
			document) > 0);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	/* away with it all, and something that is not in the document */
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	done("host.remove", "{\"host\":\"h1\"}");
	done("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}");
	HOST("h2");
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 4);
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 4);
	done("config.export", "{}");
	assert_true(json_equal(exported, json_object_get(result, "document")));
	free(params);
	free(document);
	json_decref(exported);
}

static void
a_document_says_where_portals_send_hosts(void **unused)
{
	char *document, *params, address[64], redirect[160];

	(void)unused;
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
	snprintf(redirect, sizeof(redirect),
	    "{\"address\":\"%s\",\"to\":\"192.0.2.9\",\"permanent\":true}",
	    address);
	done("portal.redirect", redirect);
	done("config.export", "{}");
	document = json_dumps(json_object_get(result, "document"), 0);
	assert_true(asprintf(&params, "{\"document\":%s}", document) > 0);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	snprintf(redirect, sizeof(redirect),
	    "{\"address\":\"%s\",\"off\":true}", address);
	done("portal.redirect", redirect);
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 1);
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(row, "redirect")),
	    "192.0.2.9:3260");
	assert_true(json_is_true(json_object_get(row, "permanent")));
	/* what it does not name ends with prune alone */
	snprintf(redirect, sizeof(redirect),
	    "{\"document\":{\"varve\":1,\"portals\":[\"%s\"]}}", address);
	done("config.diff", redirect);
	assert_int_equal(json_array_size(result), 0);
	snprintf(redirect, sizeof(redirect),
	    "{\"document\":{\"varve\":1,\"portals\":[\"%s\"]},"
	    "\"prune\":true}",
	    address);
	done("config.apply", redirect);
	assert_int_equal(json_array_size(result), 1);
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
	free(params);
	free(document);
}

static void
a_document_that_is_not_understood_changes_nothing(void **unused)
{
	static const char *const documents[] = {
	    "{}",
	    "{\"varve\":2}",
	    "{\"varve\":1,\"surprise\":[]}",
	    "{\"varve\":1,\"hosts\":{}}",
	    "{\"varve\":1,\"hosts\":[1]}",
	    "{\"varve\":1,\"hosts\":[{\"name\":\"a\",\"auth\":\"none\"}]}",
	    "{\"varve\":1,\"hosts\":[{\"name\":\"a\",\"iqn\":"
	    "\"iqn.2026-01.x:1\",\"auth\":\"maybe\"}]}",
	    "{\"varve\":1,\"portals\":[\"nowhere\"]}",
	    "{\"varve\":1,\"exports\":[{\"name\":\"a/b\"}]}",
	};
	char params[256];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		snprintf(
		    params, sizeof(params), "{\"document\":%s}", documents[i]);
		refused("config.apply", params, "config.invalid");
	}
	done("host.list", "{}");
	assert_int_equal(json_array_size(result), 0);
}

static void
an_apply_stops_at_the_first_step_that_fails(void **unused)
{
	(void)unused;
	pool("vms");
	refused("config.apply",
	    "{\"document\":{\"varve\":1,"
	    "\"hosts\":[{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\","
	    "\"auth\":\"none\"}],"
	    "\"luns\":[{\"name\":\"vms/x\",\"size\":4097}],"
	    "\"exports\":[{\"name\":\"vms/x\",\"host\":\"a\"}]}}",
	    "config.partial");
	done("host.show", "{\"host\":\"a\"}");
	done("lun.list", "{}");
	assert_int_equal(json_array_size(result), 0);
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
	client_result(reader, "host.connect", params, code);
	assert_string_equal(code, "request.not-allowed");
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

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(requests_are_answered_in_their_order),
	    claim(a_line_that_is_too_long_ends_the_client),
	    claim(a_client_may_leave_while_its_request_runs),
	    claim(more_clients_than_there_may_be_are_turned_away),
	    claim(a_reader_reads_and_does_not_change),
	    claim(a_repeated_request_gets_the_first_answer),
	    claim(a_change_can_be_bound_to_a_generation),
	    claim(a_dry_run_changes_nothing),
	    claim(a_pool_is_made_removed_and_imported),
	    claim(a_pool_that_cannot_be_is_refused_with_its_reason),
	    claim(a_pool_grows_by_its_file_and_by_another),
	    claim(a_pool_warns_where_it_is_told_to),
	    claim(a_lun_has_a_quota),
	    claim(a_lun_has_a_reservation),
	    claim(a_lun_lives_and_dies),
	    claim(hosts_prove_themselves_one_way),
	    claim(lun_numbers_are_the_lowest_free_and_the_same_for_all),
	    claim(an_own_target_comes_and_goes_with_its_exports),
	    claim(what_is_exported_is_not_taken_away),
	    claim(a_lun_without_reservations_has_none_to_list_or_break),
	    claim(what_was_reserved_is_kept_until_its_host_or_lun_is_gone),
	    claim(all_is_served_again_after_a_restart),
	    claim(portals_keep_the_port_they_got),
	    claim(hosts_are_told_the_address_that_a_portal_moved_to),
	    claim(a_portal_sends_hosts_where_it_is_told_also_after_a_restart),
	    claim(health_tells_what_is_wrong),
	    claim(a_document_is_applied_and_is_then_what_is),
	    claim(a_document_says_where_portals_send_hosts),
	    claim(a_document_that_is_not_understood_changes_nothing),
	    claim(an_apply_stops_at_the_first_step_that_fails),
	    claim(connect_lines_hold_no_secret_unless_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
