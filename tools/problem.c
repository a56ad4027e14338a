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
#define P(name, code, exit, meaning) { code, (enum api_exit)(exit), meaning },
#include "client/problems.def"
#include "backup/problems.def"
#include "policy/problems.def"
#undef P
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
	const char *code = varve_problem_code(problem);
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
