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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
