/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client of the control API against a fake varved: a thread at the other
 * end of a socketpair that answers as a test tells it to.  What varved really
 * answers is not covered here; the stories in tests/integration ask it.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/client.h"
#include "tools/problem.h"
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fake {
	int fd;
	const char *pieces[8]; /* sent one by one once a request has come */
	bool hang_up;          /* then */
	char request[4096];
	pthread_t thread;
};

/* A request is one line. */
static void
fake_read(struct fake *fake)
{
	size_t used = 0;

	while (memchr(fake->request, '\n', used) == NULL) {
		ssize_t got = read(fake->fd, fake->request + used,
		    sizeof(fake->request) - 1 - used);
		if (got <= 0)
			return;
		used += (size_t)got;
	}
}

static void *
fake_main(void *arg)
{
	struct fake *fake = arg;

	fake_read(fake);
	for (unsigned i = 0; fake->pieces[i] != NULL; i++) {
		size_t length = strlen(fake->pieces[i]);
		if (write(fake->fd, fake->pieces[i], length) < 0)
			break;
		usleep(2000);
	}
	if (fake->hang_up)
		shutdown(fake->fd, SHUT_RDWR);
	return NULL;
}

static struct client *
fake_start(struct fake *fake)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fake->fd = fds[1];
	assert_int_equal(
	    pthread_create(&fake->thread, NULL, fake_main, fake), 0);
	return client_new(fds[0], "unix:fake");
}

static void
fake_stop(struct fake *fake)
{
	pthread_join(fake->thread, NULL);
	close(fake->fd);
}

/* One call; its problem's code, or "" and the result. */
static char code[64];
static json_t *result;

static void
call(struct fake *fake, unsigned timeout_ms)
{
	struct client *client = fake_start(fake);
	json_t *params = json_pack("{s:s}", "name", "vms/web01");
	json_t *problem;

	result = NULL;
	problem = client_call(client, "lun.show", params, timeout_ms, &result);
	snprintf(code, sizeof(code), "%s",
	    problem != NULL ? problem_code(problem) : "");
	if (problem != NULL)
		assert_null(result);
	json_decref(problem);
	json_decref(params);
	client_free(client);
	fake_stop(fake);
}

static void
a_call_is_one_line_of_json_rpc(void **state)
{
	struct fake fake = {
	    .pieces = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":7}}\n"}};
	json_t *request;

	(void)state;
	call(&fake, 5000);
	assert_string_equal(code, "");
	assert_int_equal(json_integer_value(json_object_get(result, "a")), 7);
	json_decref(result);
	request = json_loads(fake.request, 0, NULL);
	assert_string_equal(
	    json_string_value(json_object_get(request, "jsonrpc")), "2.0");
	assert_string_equal(
	    json_string_value(json_object_get(request, "method")), "lun.show");
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(request, "params"), "name")),
	    "vms/web01");
	json_decref(request);
}

static void
an_answer_may_come_in_pieces(void **state)
{
	struct fake fake = {.pieces = {"{\"jsonrpc\":\"2.0\",",
				"\"id\":1,\"res", "ult\":{}", "}", "\n"}};

	(void)state;
	call(&fake, 5000);
	assert_string_equal(code, "");
	json_decref(result);
}

static void
notifications_and_answers_to_others_are_passed_over(void **state)
{
	struct fake fake = {
	    .pieces = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"event\"}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"mine\":1}}\n"}};

	(void)state;
	call(&fake, 5000);
	assert_string_equal(code, "");
	assert_non_null(json_object_get(result, "mine"));
	json_decref(result);
}

static void
an_error_is_handed_on_as_varved_says_it(void **state)
{
	struct fake fake = {
	    .pieces = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,"
		"\"message\":\"m\",\"data\":{\"code\":\"lun.in-use\","
		"\"what\":\"w\",\"exit\":5}}}\n"}};

	(void)state;
	call(&fake, 5000);
	assert_string_equal(code, "lun.in-use");
}

static void
an_error_without_our_data_is_a_problem_too(void **state)
{
	struct fake fake = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{"
		       "\"code\":-32601,\"message\":\"no method\"}}\n"}};

	(void)state;
	call(&fake, 5000);
	assert_string_equal(code, "daemon.protocol");
}

static void
what_is_not_json_is_not_varved(void **state)
{
	struct fake http = {.pieces = {"HTTP/1.1 400 Bad Request\r\n\r\n"}};
	struct fake list = {.pieces = {"[1,2]\n"}};
	struct fake text = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"x\"}\n"}};

	(void)state;
	call(&http, 5000);
	assert_string_equal(code, "daemon.protocol");
	call(&list, 5000);
	assert_string_equal(code, "daemon.protocol");
	call(&text, 5000);
	assert_string_equal(code, "daemon.protocol");
}

static void
a_hang_up_before_the_answer_is_said(void **state)
{
	struct fake at_once = {.hang_up = true};
	struct fake half = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"id\":1,"}, .hang_up = true};

	(void)state;
	call(&at_once, 5000);
	assert_string_equal(code, "daemon.lost");
	call(&half, 5000);
	assert_string_equal(code, "daemon.lost");
}

static void
silence_ends_with_the_time(void **state)
{
	struct fake silent = {.pieces = {NULL}};
	struct fake half = {.pieces = {"{\"jsonrpc\":"}};

	(void)state;
	call(&silent, 50);
	assert_string_equal(code, "daemon.timeout");
	call(&half, 50);
	assert_string_equal(code, "daemon.timeout");
}

/* ---- connecting ---- */

static const char *
connect_code(const char *address)
{
	struct client *client = NULL;
	json_t *problem = client_connect(address, 1000, &client);

	assert_non_null(problem);
	assert_null(client);
	snprintf(code, sizeof(code), "%s", problem_code(problem));
	json_decref(problem);
	return code;
}

static void
nobody_listening_is_not_running(void **state)
{
	(void)state;
	assert_string_equal(
	    connect_code("unix:/nowhere/varve.sock"), "daemon.not-running");
}

static void
the_command_that_starts_it_is_named(void **state)
{
	struct client *client;
	json_t *problem =
	    client_connect("unix:/nowhere/varve.sock", 1000, &client);
	const json_t *fix = json_object_get(problem, "fix");

	(void)state;
	assert_string_equal(
	    json_string_value(json_array_get(fix, 0)), "varved --dir /nowhere");
	assert_int_equal(problem_exit(problem), API_UNREACHABLE);
	json_decref(problem);
}

static void
an_address_that_is_none_is_a_usage_problem(void **state)
{
	char longer[200] = "unix:";

	(void)state;
	memset(longer + 5, 'x', sizeof(longer) - 6);
	assert_string_equal(connect_code("/run/x"), "usage.option");
	assert_string_equal(connect_code("unix:"), "usage.option");
	assert_string_equal(connect_code("https://nas:8443"), "usage.option");
	assert_string_equal(connect_code(longer), "usage.option");
}

static void
both_forms_of_a_unix_address_connect(void **state)
{
	char directory[] = "/tmp/varve-client-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[200];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	for (int i = 0; i < 2; i++) {
		struct client *client = NULL;
		snprintf(text, sizeof(text), "unix:%s%s", i ? "//" : "",
		    address.sun_path);
		assert_null(client_connect(text, 1000, &client));
		client_free(client);
	}
	close(fd);
	unlink(address.sun_path);
	rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_is_one_line_of_json_rpc),
	    cmocka_unit_test(an_answer_may_come_in_pieces),
	    cmocka_unit_test(
		notifications_and_answers_to_others_are_passed_over),
	    cmocka_unit_test(an_error_is_handed_on_as_varved_says_it),
	    cmocka_unit_test(an_error_without_our_data_is_a_problem_too),
	    cmocka_unit_test(what_is_not_json_is_not_varved),
	    cmocka_unit_test(a_hang_up_before_the_answer_is_said),
	    cmocka_unit_test(silence_ends_with_the_time),
	    cmocka_unit_test(nobody_listening_is_not_running),
	    cmocka_unit_test(the_command_that_starts_it_is_named),
	    cmocka_unit_test(an_address_that_is_none_is_a_usage_problem),
	    cmocka_unit_test(both_forms_of_a_unix_address_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
