/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <stdarg.h>
#include <string.h>

json_t *
json_string_lossy(const char *text)
{
	json_t *json = json_string(text);
	_cleanup_(freep) char *copy = NULL;

	if (json != NULL)
		return json;
	copy = strdup(text);
	assert(copy != NULL);
	for (char *p = copy; *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	json = json_string(copy);
	assert(json != NULL);
	return json;
}

static json_t *
json_format(const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	int length = vasprintf(&text, format, args);

	assert(length >= 0);
	return json_string_lossy(text);
}

static json_t *
problem_vnew(int exit, const char *code, const char *what, va_list args)
{
	json_t *problem = json_object();

	assert(problem != NULL);
	assert(exit != VARVE_OK);
	json_object_set_new(problem, "code", json_string(code));
	json_object_set_new(problem, "what", json_format(what, args));
	json_object_set_new(problem, "why", json_string(""));
	json_object_set_new(problem, "fix", json_array());
	json_object_set_new(problem, "exit", json_integer(exit));
	return problem;
}

json_t *
problem_new(int exit, const char *code, const char *what, ...)
{
	json_t *problem;
	va_list args;

	va_start(args, what);
	problem = problem_vnew(exit, code, what, args);
	va_end(args);
	return problem;
}

json_t *
problem_of(const struct problem_code *code, const char *what, ...)
{
	json_t *problem;
	va_list args;

	va_start(args, what);
	problem = problem_vnew(code->exit, code->code, what, args);
	va_end(args);
	return problem;
}

json_t *
problem_why(json_t *problem, const char *why, ...)
{
	va_list args;

	va_start(args, why);
	json_object_set_new(problem, "why", json_format(why, args));
	va_end(args);
	return problem;
}

json_t *
problem_fix(json_t *problem, const char *fix, ...)
{
	va_list args;

	va_start(args, fix);
	json_array_append_new(
	    json_object_get(problem, "fix"), json_format(fix, args));
	va_end(args);
	return problem;
}

/* A JSON-RPC error without our data comes from the protocol's own layer (no
 * such method, invalid parameters). */
json_t *
problem_of_rpc(const json_t *error)
{
	const json_t *data = json_object_get(error, "data");
	const char *message =
	    json_string_value(json_object_get(error, "message"));

	if (json_is_string(json_object_get(data, "code")) &&
	    json_is_string(json_object_get(data, "what")))
		return json_deep_copy(data);
	return problem_new(VARVE_FAILED, "daemon.protocol",
	    "varved refused the request: %s", message ? message : "no reason");
}

/* ---- what a problem says ---- */

static const char *
member_text(const json_t *problem, const char *member)
{
	const char *text = json_string_value(json_object_get(problem, member));

	return text != NULL ? text : "";
}

const char *
varve_problem_code(const json_t *problem)
{
	return member_text(problem, "code");
}

const char *
varve_problem_what(const json_t *problem)
{
	return member_text(problem, "what");
}

const char *
varve_problem_why(const json_t *problem)
{
	return member_text(problem, "why");
}

enum varve_exit
varve_problem_exit(const json_t *problem)
{
	json_int_t value = json_integer_value(json_object_get(problem, "exit"));

	return value > VARVE_OK && value <= VARVE_RUNNING
		   ? (enum varve_exit)value
		   : VARVE_FAILED;
}
