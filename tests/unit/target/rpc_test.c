/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of the control socket, and the parameters in it. */
#include "base/assert.h"
#include "target/params.h"
#include "target/rpc.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

static void
a_request_is_read(void **unused)
{
	static const char line[] =
	    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"lun.show\","
	    "\"params\":{\"lun\":\"a/b\"}}";
	struct rpc_call call;

	(void)unused;
	assert_null(rpc_parse(line, strlen(line), &call));
	assert_int_equal(json_integer_value(call.id), 7);
	assert_string_equal(call.method, "lun.show");
	assert_string_equal(param_text(call.params, "lun"), "a/b");
	rpc_call_done(&call);
}

static void
what_is_no_request_is_refused(void **unused)
{
	static const struct {
		const char *line, *code, *id; /* id: as JSON */
	} cases[] = {
	    {"", "request.malformed", "null"},
	    {"x", "request.malformed", "null"},
	    {"[]", "request.malformed", "null"},
	    {"{}", "request.malformed", "null"},
	    {"{\"id\":1", "request.malformed", "null"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"health\"}", "request.malformed",
		"null"},
	    {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"health\"}",
		"request.malformed", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1}", "request.malformed", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":3}", "request.malformed",
		"1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"x\",\"y\":1}",
		"request.malformed", "\"a\""},
	    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"health\"}",
		"request.malformed", "null"},
	    {"{\"id\":1,\"id\":2}", "request.malformed", "null"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
		"request.malformed", "null"},
	    {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "request.too-large",
		"null"},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rpc_call call;
		json_t *fault =
		    rpc_parse(cases[i].line, strlen(cases[i].line), &call);
		char *id = json_dumps(call.id, JSON_ENCODE_ANY);
		assert_non_null(fault);
		assert_string_equal(fault_code(fault), cases[i].code);
		assert_string_equal(id, cases[i].id);
		free(id);
		json_decref(fault);
		rpc_call_done(&call);
	}
}

static void
depth_is_counted_outside_of_strings(void **unused)
{
	(void)unused;
	assert_false(rpc_too_deep("[[1]]", 5, 2));
	assert_true(rpc_too_deep("[[[1]]]", 7, 2));
	assert_false(rpc_too_deep("[\"[[[[\"]", 8, 2));
	assert_false(rpc_too_deep("[\"\\\"[[[[\"]", 10, 2));
	assert_false(rpc_too_deep("[1],[2],[3]", 11, 1));
	assert_false(rpc_too_deep("]]]][", 5, 1));
}

static void
an_answer_is_one_line(void **unused)
{
	json_t *id = json_string("x\ny");
	json_t *result = json_pack("{s:s}", "name", "a\nb");
	size_t length;
	char *line = rpc_answer(id, result, NULL, &length);

	(void)unused;
	assert_int_equal(strlen(line), length);
	assert_ptr_equal(strchr(line, '\n'), line + length - 1);
	free(line);
	json_decref(result);
	json_t *fault =
	    fault_fix(fault_new("lun.in-use", "cannot %s", "x"), "do y");
	line = rpc_answer(id, NULL, fault, &length);
	json_t *answer = json_loads(line, 0, NULL);
	const json_t *error = json_object_get(answer, "error");
	assert_int_equal(
	    json_integer_value(json_object_get(error, "code")), -32000);
	assert_true(json_equal(json_object_get(error, "data"), fault));
	assert_int_equal(
	    json_integer_value(json_object_get(fault, "exit")), API_CONFLICT);
	json_decref(answer);
	json_decref(fault);
	json_decref(id);
	free(line);
}

static void
text_that_is_no_utf8_is_shown_all_the_same(void **unused)
{
	static const struct {
		const char *bytes, *shown;
	} cases[] = {
	    {"plain", "plain"}, {"\xc3\xa4", "\xc3\xa4"}, {"a\xff\x62", "a?b"},
	    {"\xc3", "?"}, {"\xe2\x82", "??"},
	    {"\xed\xa0\x80x", "???x"}, /* a surrogate */
	    {"\xc0\xafx", "??x"},      /* an overlong form */
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *text = json_text(cases[i].bytes);
		assert_string_equal(json_string_value(text), cases[i].shown);
		json_decref(text);
	}
}

/* ---- parameters ---- */

static void
check(const char *method, const char *params, bool good)
{
	const struct api_command *command = api_find_method(method);
	json_t *object = json_loads(params, 0, NULL);
	json_t *fault;

	assert_non_null(command);
	assert_non_null(object);
	fault = params_check(command, object);
	if (good != (fault == NULL))
		print_error("%s %s: %s\n", method, params,
		    fault != NULL ? fault_what(fault) : "was taken");
	assert_int_equal(good, fault == NULL);
	if (fault != NULL)
		assert_string_equal(fault_code(fault), "request.argument");
	json_decref(fault);
	json_decref(object);
}

static void
parameters_are_held_against_the_table(void **unused)
{
	(void)unused;
	check("lun.create", "{\"name\":\"a/b\",\"size\":4096}", true);
	check("lun.create",
	    "{\"name\":\"a/b\",\"size\":4096,\"dry_run\":true,"
	    "\"request_id\":\"r\",\"if_generation\":0}",
	    true);
	check("lun.create", "{\"name\":\"a/b\"}", false);
	check("lun.create", "{\"size\":4096}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":\"4096\"}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":0}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":-4096}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":4096.5}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":null}", false);
	check("lun.create", "{\"name\":\"a/b\",\"size\":4096,\"x\":1}", false);
	check("lun.create", "{\"name\":\"a\",\"size\":4096}", false);
	check("lun.create", "{\"name\":\"a/b/c\",\"size\":4096}", false);
	check("lun.create", "{\"name\":\"/b\",\"size\":4096}", false);
	check("lun.create", "{\"name\":\"a/../b\",\"size\":4096}", false);
	check("lun.create", "{\"name\":[\"a/b\"],\"size\":4096}", false);
	check("lun.show", "{\"lun\":\"a/b\",\"dry_run\":true}", false);
	check("lun.resize", "{\"lun\":\"a/b\",\"size\":\"+4096\"}", true);
	check("lun.resize", "{\"lun\":\"a/b\",\"size\":\"-4096\"}", false);
	check("lun.resize", "{\"lun\":\"a/b\",\"size\":\"+\"}", false);
	check("lun.resize", "{\"lun\":\"a/b\",\"size\":4096}", false);
	check("lun.resize",
	    "{\"lun\":\"a/b\",\"size\":\"99999999999999999999\"}", false);
	check("pool.import", "{\"devices\":[\"/a\",\"/b\"]}", true);
	check("pool.import", "{\"devices\":\"/a\"}", false);
	check("pool.import", "{\"devices\":[]}", false);
	check("pool.import", "{\"devices\":[\"a\"]}", false);
	check("pool.create",
	    "{\"name\":\"a\",\"devices\":[\"/a\"],\"warn_at\":101}", false);
	check("host.connect", "{\"host\":\"a\",\"for\":\"qemu\"}", true);
	check("host.connect", "{\"host\":\"a\",\"for\":\"qem\"}", false);
	check("host.connect", "{\"host\":\"a\",\"for\":\"\"}", false);
	check("host.connect", "{\"host\":\"a\",\"for\":\"qemu|open-iscsi\"}",
	    false);
	check("host.add", "{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\"}", true);
	check("host.add", "{\"name\":\"a\",\"iqn\":\"x\"}", false);
	check("config.diff", "{\"document\":{}}", true);
	check("config.diff", "{\"document\":[]}", false);
}

static void
secrets_are_not_shown(void **unused)
{
	json_t *params = json_pack("{s:s, s:s, s:s}", "name", "a", "chap",
	    "a-secret-of-16-b", "mutual_chap", "another-secret-1");
	json_t *shown = params_public(api_find_method("host.add"), params);
	char *text = json_dumps(shown, 0);

	(void)unused;
	assert_null(strstr(text, "a-secret"));
	assert_null(strstr(text, "another-secret"));
	assert_non_null(strstr(text, "(secret)"));
	assert_string_equal(param_text(params, "chap"), "a-secret-of-16-b");
	free(text);
	json_decref(shown);
	json_decref(params);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_read),
	    cmocka_unit_test(what_is_no_request_is_refused),
	    cmocka_unit_test(depth_is_counted_outside_of_strings),
	    cmocka_unit_test(an_answer_is_one_line),
	    cmocka_unit_test(text_that_is_no_utf8_is_shown_all_the_same),
	    cmocka_unit_test(parameters_are_held_against_the_table),
	    cmocka_unit_test(secrets_are_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
