/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making problems (client/varve.h says what one is).  For the client and for
 * programs that are built with it; the shared library keeps these to itself.
 */
#ifndef CLIENT_PROBLEM_H
#define CLIENT_PROBLEM_H

#include "client/varve.h"

/* Never NULL: no memory ends the program.  exit: not VARVE_OK.  what: a phrase
 * without a full stop, "cannot ...". */
json_t *problem_new(int exit, const char *code, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* The same by a row of a table of codes. */
struct problem_code {
	const char *code;
	int exit;
};
json_t *problem_of(const struct problem_code *code, const char *what, ...)
    __attribute__((format(printf, 2, 3)));
/* Both return problem.  Each call of problem_fix adds a line. */
json_t *problem_why(json_t *problem, const char *why, ...)
    __attribute__((format(printf, 2, 3)));
json_t *problem_fix(json_t *problem, const char *fix, ...)
    __attribute__((format(printf, 2, 3)));

/* The "error" of a JSON-RPC answer, whatever is in it.  A new reference. */
json_t *problem_of_rpc(const json_t *error);

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
