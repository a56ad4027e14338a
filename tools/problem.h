/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A problem: what went wrong, why, how to mend it, and a stable code.  It is
 * held as the JSON object that the API's errors carry as "data", so a problem
 * of the daemon and one of the command line itself are shown alike:
 *
 *   {"code":"lun.in-use","what":...,"why":...,"fix":[LINE,...],"exit":5}
 *
 * Functions that can fail for a reason a person must read return a problem:
 * NULL means done, anything else is the caller's to print or to json_decref.
 */
#ifndef TOOLS_PROBLEM_H
#define TOOLS_PROBLEM_H

#include "target/api.h"
#include <jansson.h>
#include <stdio.h>

/* Never NULL: no memory ends the program.  what: a phrase without a full
 * stop, "cannot ...". */
json_t *problem_new(enum api_exit exit, const char *code, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* Both return problem.  Each call of problem_fix adds a line. */
json_t *problem_why(json_t *problem, const char *why, ...)
    __attribute__((format(printf, 2, 3)));
json_t *problem_fix(json_t *problem, const char *fix, ...)
    __attribute__((format(printf, 2, 3)));

/* The "error" of a JSON-RPC answer, whatever is in it.  A new reference. */
json_t *problem_of_rpc(const json_t *error);

enum api_exit problem_exit(const json_t *problem);
const char *problem_code(const json_t *problem);

/* For people:
 *   error: WHAT   [CODE]
 *     why: ...
 *     fix: ...
 *     see: man varve-errors, CODE */
void problem_print(const json_t *problem, bool color, FILE *file);
/* For programs: {"varve":1,"kind":"error","error":{...}}. */
void problem_print_json(const json_t *problem, FILE *file);

/* The codes that the command line makes by itself, for the manual; ends with
 * code NULL. */
extern const struct api_error problem_codes[];

/* text without what would move a terminal's cursor or forge a line: other
 * people's names reach it.  Writes '?' instead. */
void print_safely(const char *text, FILE *file);

/* A JSON string also of bytes that are no UTF-8 (a name in argv, on a disk):
 * each byte of those beyond ASCII becomes '?'.  Never NULL. */
json_t *json_string_lossy(const char *text);

/* Scope-bound: _cleanup_(json_decrefpp) json_t *x = NULL; */
static inline void
json_decrefpp(json_t **json)
{
	json_decref(*json);
}

#endif
