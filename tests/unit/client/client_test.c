/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvarve against a server that answers, or does not, as a test tells it to.
 * What varved really answers is not covered here; the stories in
 * tests/integration ask it.
 */
#include "base/assert.h"
#include "client/problem.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/client/support/fake_server.h"
#include <string.h>

#define ANSWER(id, members)                                                    \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{" members "}}\n"

#define LONG_MS 20000

static struct varve *varve;
static json_t *result;
static char code[64];

static void
start(const struct turn *turns)
{
	fake_start(turns, 0);
	assert_null(varve_open(fake_url, &varve));
	varve_set_timeout(varve, LONG_MS);
}

static void
stop(void)
{
	varve_close(varve);
	varve = NULL;
	fake_stop();
}

/* "" and the result, or the problem's code. */
static const char *
called(json_t *(*call)(struct varve *, const char *, const json_t *, json_t **))
{
	json_t *params = json_pack("{s:s}", "name", "vms/web01");
	json_t *problem;

	json_decref(result);
	result = NULL;
	problem = call(varve, "lun.show", params, &result);
	if (problem != NULL)
		assert_null(result);
	/* the caller's are as they were */
	assert_int_equal(json_object_size(params), 1);
	snprintf(code, sizeof(code), "%s",
	    problem != NULL ? varve_problem_code(problem) : "");
	json_decref(problem);
	json_decref(params);
	return code;
}

/* One call of a server that has one turn, and its problem. */
static const char *
one_call(struct turn turn, unsigned timeout_ms)
{
	const struct turn turns[] = {turn, {.flood = false}};

	start(turns);
	varve_set_timeout(varve, timeout_ms);
	called(varve_ask);
	stop();
	return code;
}

static json_int_t
member(const char *name)
{
	return json_integer_value(json_object_get(result, name));
}

static json_t *
request(unsigned number)
{
	json_t *object = json_loads(fake_requests[number], 0, NULL);

	assert_true(number < fake_request_count);
	assert_non_null(object);
	return object;
}

static void
request_id_of(unsigned number, char id[64])
{
	json_t *object = request(number);
	const char *text = json_string_value(
	    json_object_get(json_object_get(object, "params"), "request_id"));

	snprintf(id, 64, "%s", text != NULL ? text : "");
	json_decref(object);
}

/* ---- an answer ---- */

static void
a_call_is_one_line_of_json_rpc(void **state)
{
	const char *name;
	json_t *asked;

	(void)state;
	assert_string_equal(
	    one_call((struct turn){.pieces = {ANSWER(1, "\"a\":7")}}, LONG_MS),
	    "");
	assert_int_equal(member("a"), 7);
	asked = request(0);
	assert_string_equal(
	    json_string_value(json_object_get(asked, "jsonrpc")), "2.0");
	assert_string_equal(
	    json_string_value(json_object_get(asked, "method")), "lun.show");
	name = json_string_value(
	    json_object_get(json_object_get(asked, "params"), "name"));
	assert_string_equal(name, "vms/web01");
	json_decref(asked);
}

static void
an_answer_may_come_in_pieces(void **state)
{
	const struct turn turn = {.pieces = {"{\"jsonrpc\":\"2.0\",",
				      "\"id\":1,\"res", "ult\":{}", "}", "\n"}};

	(void)state;
	assert_string_equal(one_call(turn, LONG_MS), "");
}

static void
notifications_and_answers_to_others_are_passed_over(void **state)
{
	const struct turn turn = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"method\":\"event\"}\n" ANSWER(
		99, "") ANSWER(1, "\"mine\":1")}};

	(void)state;
	assert_string_equal(one_call(turn, LONG_MS), "");
	assert_int_equal(member("mine"), 1);
}

static void
an_error_is_handed_on_as_varved_says_it(void **state)
{
	const struct turn turn = {
	    .pieces = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,"
		"\"message\":\"m\",\"data\":{\"code\":\"lun.in-use\","
		"\"what\":\"w\",\"exit\":5}}}\n"}};

	(void)state;
	assert_string_equal(one_call(turn, LONG_MS), "lun.in-use");
}

static void
an_error_without_our_data_is_a_problem_too(void **state)
{
	const struct turn turn = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{"
		       "\"code\":-32601,\"message\":\"no method\"}}\n"}};

	(void)state;
	assert_string_equal(one_call(turn, LONG_MS), "daemon.protocol");
}

static void
what_a_problem_lacks_is_empty(void **state)
{
	json_t *bare = json_object();

	(void)state;
	assert_string_equal(varve_problem_code(bare), "");
	assert_string_equal(varve_problem_what(bare), "");
	assert_string_equal(varve_problem_why(bare), "");
	assert_int_equal(varve_problem_exit(bare), VARVE_FAILED);
	json_object_set_new(bare, "exit", json_integer(4711));
	assert_int_equal(varve_problem_exit(bare), VARVE_FAILED);
	json_object_set_new(bare, "exit", json_integer(VARVE_CONFLICT));
	assert_int_equal(varve_problem_exit(bare), VARVE_CONFLICT);
	json_decref(bare);
}

/* ---- what is none ---- */

static void
what_is_not_json_is_not_varved(void **state)
{
	static const char *const garbage[] = {
	    "HTTP/1.1 400 Bad Request\r\n\r\n",
	    "[1,2]\n",
	    "\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"x\"}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1}\n",
	    "\xff\xfe{}\n",
	    "{\"id\":1,\"result\":{}\n",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
		const struct turn turn = {.pieces = {garbage[i]}};
		assert_string_equal(one_call(turn, LONG_MS), "daemon.protocol");
	}
}

static void
an_answer_without_end_is_not_varved(void **state)
{
	const struct turn turn = {.pieces = {"{\"id\":1,"}, .flood = true};

	(void)state;
	assert_string_equal(one_call(turn, LONG_MS), "daemon.protocol");
}

static void
after_garbage_the_next_call_connects_anew(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {"nonsense\n"}, .hang_up = true},
	    {.pieces = {ANSWER(2, "\"a\":2")}},
	    {.flood = false},
	};

	(void)state;
	start(turns);
	assert_string_equal(called(varve_ask), "daemon.protocol");
	assert_string_equal(called(varve_ask), "");
	assert_int_equal(member("a"), 2);
	stop();
}

static void
a_hang_up_before_the_answer_is_said(void **state)
{
	const struct turn at_once = {.hang_up = true};
	const struct turn half = {
	    .pieces = {"{\"jsonrpc\":\"2.0\",\"id\":1,"}, .hang_up = true};

	(void)state;
	assert_string_equal(one_call(at_once, LONG_MS), "daemon.lost");
	assert_string_equal(one_call(half, LONG_MS), "daemon.lost");
}

static void
silence_ends_with_the_time(void **state)
{
	const struct turn silent = {.hang_up = false};
	const struct turn half = {.pieces = {"{\"jsonrpc\":"}};

	(void)state;
	assert_string_equal(one_call(silent, 50), "daemon.timeout");
	assert_string_equal(one_call(half, 50), "daemon.timeout");
}

/* A patient call is not asked twice of one that hangs. */
static void
what_was_not_answered_in_time_is_not_repeated(void **state)
{
	const struct turn silent[] = {{.hang_up = false}};

	(void)state;
	start(silent);
	varve_set_timeout(varve, 100);
	varve_set_patience(varve, LONG_MS);
	assert_string_equal(called(varve_change), "daemon.timeout");
	stop();
	assert_int_equal(fake_request_count, 1);
}

/* ---- a server that goes and comes ---- */

static void
a_connection_is_kept(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "\"a\":1")}},
	    {.pieces = {ANSWER(2, "\"a\":2")}, .hang_up = true},
	};

	(void)state;
	start(turns);
	assert_string_equal(called(varve_ask), "");
	assert_string_equal(called(varve_ask), "");
	assert_int_equal(member("a"), 2);
	stop();
}

static void
a_server_that_was_restarted_meanwhile_is_asked_anew(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "\"a\":1")}, .hang_up = true},
	    {.pieces = {ANSWER(3, "\"a\":3")}},
	    {.flood = false},
	};

	(void)state;
	start(turns);
	assert_string_equal(called(varve_ask), "");
	assert_string_equal(called(varve_ask), "");
	assert_int_equal(member("a"), 3);
	stop();
	assert_int_equal(fake_request_count, 2);
}

static void
a_repeated_change_is_known_by_its_id(void **state)
{
	const struct turn turns[] = {
	    {.hang_up = true},
	    {.pieces = {"{\"jsonrpc\":\"2.0\",\"id\":2,"}, .hang_up = true},
	    {.pieces = {ANSWER(3, "\"a\":3")}},
	    {.pieces = {ANSWER(4, "\"a\":4")}, .hang_up = true},
	};
	char first[64], second[64], third[64], other[64];

	(void)state;
	start(turns);
	varve_set_patience(varve, LONG_MS);
	assert_string_equal(called(varve_change), "");
	assert_int_equal(member("a"), 3);
	assert_string_equal(called(varve_change), "");
	stop();
	request_id_of(0, first);
	request_id_of(1, second);
	request_id_of(2, third);
	request_id_of(3, other);
	assert_int_equal(strlen(first), 36);
	assert_string_equal(first, second);
	assert_string_equal(first, third);
	assert_string_not_equal(first, other);
}

static void
an_id_of_the_caller_s_stays(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "")}, .hang_up = true}};
	json_t *params = json_pack("{s:s}", "request_id", "mine"), *answer;
	char id[64];

	(void)state;
	start(turns);
	assert_null(varve_change(varve, "lun.delete", params, &answer));
	json_decref(answer);
	json_decref(params);
	stop();
	request_id_of(0, id);
	assert_string_equal(id, "mine");
}

static void
asking_needs_no_id(void **state)
{
	char id[64];

	(void)state;
	assert_string_equal(
	    one_call((struct turn){.pieces = {ANSWER(1, "")}}, LONG_MS), "");
	request_id_of(0, id);
	assert_string_equal(id, "");
}

static void
a_patient_call_waits_for_a_server_that_starts(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "\"a\":1")}}, {.flood = false}};

	(void)state;
	fake_start(turns, 100);
	assert_null(varve_open(fake_url, &varve));
	varve_set_patience(varve, LONG_MS);
	assert_string_equal(called(varve_ask), "");
	stop();
}

static void
patience_ends(void **state)
{
	json_t *problem = varve_open("unix:///nowhere/varve.sock", &varve);

	(void)state;
	assert_null(problem);
	varve_set_patience(varve, 60);
	assert_string_equal(called(varve_ask), "daemon.not-running");
	varve_close(varve);
}

/* ---- a socket that is forwarded ---- */

static void
a_slow_forwarder_only_takes_time(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "\"a\":1")}},
	    {.pieces = {ANSWER(2, "\"a\":2")}},
	    {.flood = false},
	};

	(void)state;
	fake_start(turns, 0);
	fake_forward(7, 1, 0, 0);
	assert_null(varve_open(fake_url, &varve));
	assert_string_equal(called(varve_ask), "");
	assert_string_equal(called(varve_change), "");
	assert_int_equal(member("a"), 2);
	stop();
}

static void
a_forwarder_that_breaks_is_outlived(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "\"a\":1")}},
	    {.pieces = {ANSWER(2, "\"a\":2")}},
	    {.pieces = {ANSWER(3, "\"a\":3")}},
	    {.flood = false},
	};
	char first[64], last[64];

	(void)state;
	fake_start(turns, 0);
	fake_forward(64, 1, 2, 20);
	assert_null(varve_open(fake_url, &varve));
	varve_set_timeout(varve, LONG_MS);
	varve_set_patience(varve, LONG_MS);
	assert_string_equal(called(varve_change), "");
	assert_int_equal(member("a"), 3);
	stop();
	assert_int_equal(fake_request_count, 3);
	request_id_of(0, first);
	request_id_of(2, last);
	assert_string_equal(first, last);
}

/* ssh -L takes a connection although there is nobody at the other end. */
static void
a_forwarder_to_nobody_is_a_lost_connection(void **state)
{
	const struct turn turns[] = {{.flood = false}};

	(void)state;
	fake_start(turns, 0);
	fake_forward(64, 0, 0, 0);
	fake_leave();
	assert_null(varve_open(fake_url, &varve));
	assert_string_equal(called(varve_ask), "daemon.lost");
	stop();
}

/* ---- addresses ---- */

static void
nobody_listening_is_not_running(void **state)
{
	json_t *answer, *problem;
	const json_t *fix;

	(void)state;
	assert_null(varve_open("unix:/nowhere/varve.sock", &varve));
	problem = varve_ask(varve, "lun.list", NULL, &answer);
	assert_string_equal(varve_problem_code(problem), "daemon.not-running");
	assert_int_equal(varve_problem_exit(problem), VARVE_UNREACHABLE);
	fix = json_object_get(problem, "fix");
	assert_string_equal(
	    json_string_value(json_array_get(fix, 0)), "varved --dir /nowhere");
	json_decref(problem);
	varve_close(varve);
}

static void
an_address_that_is_none_is_refused(void **state)
{
	static const char *const wrong[] = {"/run/x", "unix:", "unix://",
	    "unix://nas1/run/varve.sock", "https://nas:8443", "tcp:nas", ""};
	char longer[200] = "unix:";
	struct varve *none = NULL;
	json_t *problem;

	(void)state;
	memset(longer + 5, 'x', sizeof(longer) - 6);
	for (unsigned i = 0; i <= ARRAY_SIZE(wrong); i++) {
		problem = varve_open(
		    i < ARRAY_SIZE(wrong) ? wrong[i] : longer, &none);
		assert_non_null(problem);
		assert_null(none);
		assert_string_equal(
		    varve_problem_code(problem), "daemon.address");
		assert_int_equal(varve_problem_exit(problem), VARVE_USAGE);
		assert_string_not_equal(varve_problem_why(problem), "");
		json_decref(problem);
	}
}

static void
both_forms_of_a_unix_address_connect(void **state)
{
	const struct turn turns[] = {
	    {.pieces = {ANSWER(1, "")}, .hang_up = true},
	    {.pieces = {ANSWER(1, "")}, .hang_up = true},
	};
	char text[200];

	(void)state;
	start(turns);
	assert_string_equal(varve_url(varve), fake_url);
	assert_string_equal(called(varve_ask), "");
	varve_close(varve);
	snprintf(text, sizeof(text), "unix:%s", fake_url + strlen("unix://"));
	assert_null(varve_open(text, &varve));
	assert_string_equal(called(varve_ask), "");
	stop();
}

static void
without_an_address_it_is_this_machine_s(void **state)
{
	(void)state;
	assert_null(varve_open(NULL, &varve));
	assert_string_equal(varve_url(varve), "unix:///run/varve/varve.sock");
	varve_close(varve);
	varve_close(NULL);
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
	    cmocka_unit_test(what_a_problem_lacks_is_empty),
	    cmocka_unit_test(what_is_not_json_is_not_varved),
	    cmocka_unit_test(an_answer_without_end_is_not_varved),
	    cmocka_unit_test(after_garbage_the_next_call_connects_anew),
	    cmocka_unit_test(a_hang_up_before_the_answer_is_said),
	    cmocka_unit_test(silence_ends_with_the_time),
	    cmocka_unit_test(what_was_not_answered_in_time_is_not_repeated),
	    cmocka_unit_test(a_connection_is_kept),
	    cmocka_unit_test(
		a_server_that_was_restarted_meanwhile_is_asked_anew),
	    cmocka_unit_test(a_repeated_change_is_known_by_its_id),
	    cmocka_unit_test(an_id_of_the_caller_s_stays),
	    cmocka_unit_test(asking_needs_no_id),
	    cmocka_unit_test(a_patient_call_waits_for_a_server_that_starts),
	    cmocka_unit_test(patience_ends),
	    cmocka_unit_test(a_slow_forwarder_only_takes_time),
	    cmocka_unit_test(a_forwarder_that_breaks_is_outlived),
	    cmocka_unit_test(a_forwarder_to_nobody_is_a_lost_connection),
	    cmocka_unit_test(nobody_listening_is_not_running),
	    cmocka_unit_test(an_address_that_is_none_is_refused),
	    cmocka_unit_test(both_forms_of_a_unix_address_connect),
	    cmocka_unit_test(without_an_address_it_is_this_machine_s),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	json_decref(result);
	return failed;
}
