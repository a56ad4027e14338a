/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <stdarg.h>
#include <string.h>

/* clang-format off */
const struct api_error problem_codes[] = {
	{ "usage.command", API_USAGE,
	    "there is no such command; the nearest ones are named" },
	{ "usage.option", API_USAGE,
	    "an option is unknown, lacks its value, or is given twice" },
	{ "usage.argument", API_USAGE,
	    "an argument is missing, one too many, or not what it must be" },
	{ "usage.size", API_USAGE,
	    "a size is not a number with a unit; a bare number is refused, "
	    "because some take it for bytes and some for gigabytes" },
	{ "usage.column", API_USAGE,
	    "-o or --sort names a column that the command does not have" },
	{ "usage.document", API_USAGE,
	    "a file that must hold a JSON object cannot be read as one" },
	{ "confirm.needed", API_CONFIRM,
	    "the command destroys something, there is no terminal to ask on, "
	    "and --yes was not given; nothing was done" },
	{ "confirm.refused", API_CONFIRM,
	    "the name typed as confirmation was another; nothing was done" },
	{ "secret.unreadable", API_FAILED,
	    "a file with a secret cannot be read, is empty, or is too long" },
	{ "daemon.not-running", API_UNREACHABLE,
	    "nothing listens on the control socket" },
	{ "daemon.not-allowed", API_NOT_ALLOWED,
	    "the control socket may not be opened by this user" },
	{ "daemon.timeout", API_UNREACHABLE,
	    "varved did not answer in time; a change may still be made: look "
	    "before repeating it" },
	{ "daemon.lost", API_UNREACHABLE,
	    "varved closed the connection before it had answered; a change "
	    "may have been made: look before repeating it" },
	{ "daemon.protocol", API_FAILED,
	    "what answered on the control socket does not speak varve's API" },
	{ "rescue.in-use", API_CONFLICT,
	    "the device is in use; a pool is checked while varved is off" },
	{ "rescue.unreadable", API_FAILED,
	    "a device or file of the pool cannot be opened or read" },
	{ "rescue.no-pool", API_NOT_FOUND,
	    "there is no pool on the devices given" },
	{ "rescue.device-missing", API_FAILED,
	    "the pool has further devices; they must all be given" },
	{ "rescue.newer-format", API_FAILED,
	    "the pool was written by a newer varve than this one" },
	{ "rescue.damaged", API_FINDINGS,
	    "no copy of the pool's superblock can be read" },
	{ "rescue.no-lun", API_NOT_FOUND,
	    "the pool on the devices given has no such LUN or snapshot" },
	{ "rescue.file-exists", API_CONFLICT,
	    "the file to be written is there already; it is left alone" },
	{ "rescue.unwritable", API_FAILED,
	    "the file or device to be written cannot be written" },
	{ "rescue.beyond-repair", API_FINDINGS,
	    "the pool cannot be repaired: there is nothing to build on, or no "
	    "room; rescue extract may still find data" },
	{ "rescue.undo-file", API_FAILED,
	    "the undo file cannot be read, is not whole, or is of other "
	    "devices" },
	{ "job.running", API_RUNNING,
	    "the time of --timeout is over, and the job goes on" },
	{ "job.failed", API_FAILED,
	    "a job that was followed has failed; what was done before stays" },
	{ "internal.io-uring", API_FAILED,
	    "the kernel offers no io_uring to this user" },
	{ NULL, API_OK, NULL },
};
/* clang-format on */

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

json_t *
problem_new(enum api_exit exit, const char *code, const char *what, ...)
{
	json_t *problem = json_object();
	va_list args;

	assert(problem != NULL);
	assert(exit != API_OK);
	json_object_set_new(problem, "code", json_string(code));
	va_start(args, what);
	json_object_set_new(problem, "what", json_format(what, args));
	va_end(args);
	json_object_set_new(problem, "why", json_string(""));
	json_object_set_new(problem, "fix", json_array());
	json_object_set_new(problem, "exit", json_integer(exit));
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
	return problem_new(API_FAILED, "daemon.protocol",
	    "varved refused the request: %s", message ? message : "no reason");
}

enum api_exit
problem_exit(const json_t *problem)
{
	json_int_t value = json_integer_value(json_object_get(problem, "exit"));

	return value > API_OK && value <= API_RUNNING ? (enum api_exit)value
						      : API_FAILED;
}

const char *
problem_code(const json_t *problem)
{
	return json_string_value(json_object_get(problem, "code"));
}

void
print_safely(const char *text, FILE *file)
{
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		/* C1 controls are 0xc2 0x80..0x9f in UTF-8 */
		bool c1 = c == 0xc2 && ((unsigned char)p[1] & 0xe0) == 0x80;
		fputc(c < 0x20 || c == 0x7f || c1 ? '?' : c, file);
		if (c1)
			p++;
	}
}

/* "  why: text", further lines of the same label under the text. */
static void
print_labelled(const char *label, const char *text, bool color, FILE *file)
{
	if (text == NULL || text[0] == '\0')
		return;
	fprintf(file, "%s  %4s %s", color ? "\033[1m" : "", label,
	    color ? "\033[0m" : "");
	print_safely(text, file);
	fputc('\n', file);
}

void
problem_print(const json_t *problem, bool color, FILE *file)
{
	const char *what = json_string_value(json_object_get(problem, "what"));
	const char *code = problem_code(problem);
	const char *label = "fix:";
	const json_t *fix = json_object_get(problem, "fix");
	const json_t *line;
	size_t i;

	fputs(color ? "\033[1;31merror:\033[0m " : "error: ", file);
	print_safely(what, file);
	fprintf(file, "   [%s]\n", code);
	print_labelled("why:",
	    json_string_value(json_object_get(problem, "why")), color, file);
	json_array_foreach(fix, i, line)
	{
		print_labelled(label, json_string_value(line), color, file);
		label = "";
	}
	fprintf(file, "%s  see: %sman varve-errors, %s\n",
	    color ? "\033[1m" : "", color ? "\033[0m" : "", code);
}

void
problem_print_json(const json_t *problem, FILE *file)
{
	json_t *answer = json_object();

	json_object_set_new(answer, "varve", json_integer(1));
	json_object_set_new(answer, "kind", json_string("error"));
	json_object_set_new(answer, "error", json_deep_copy(problem));
	json_dumpf(answer, file, JSON_COMPACT);
	fputc('\n', file);
	json_decref(answer);
}
