/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Problems as people and programs are shown them; client/varve.h says what one
 * is.  Functions that can fail for a reason a person must read return one: NULL
 * means done, anything else is the caller's to print or to json_decref.
 */
#ifndef TOOLS_PROBLEM_H
#define TOOLS_PROBLEM_H

#include "client/problem.h"
#include "target/api.h"
#include <stdio.h>

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

#endif
