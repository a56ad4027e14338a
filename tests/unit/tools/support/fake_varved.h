/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A varved that answers as a test tells it to, on a socket of its own, and the
 * command line run against it with its output caught.
 */
#ifndef TESTS_UNIT_TOOLS_FAKE_VARVED_H
#define TESTS_UNIT_TOOLS_FAKE_VARVED_H

#include <jansson.h>

struct fake_answer {
	const char *method; /* "lun.delete dry_run": when dry_run is given;
			       "job.show ID": when it is asked for ID */
	const char *answer; /* a member of the JSON-RPC answer, without braces:
			       "\"result\":{...}"; NULL: hangs up */
};

/* answers ends with method NULL; methods that are not in it hang up. */
void fake_varved_start(const struct fake_answer *answers);
/* Also forgets the requests. */
void fake_varved_stop(void);
/* The requests so far, an array; only when nothing is under way. */
json_t *fake_varved_requests(void);

/* One run of the command line: `varve ARGUMENT...`, ends with NULL. */
extern char cli_out[65536], cli_err[65536];
int cli(const char *argument, ...) __attribute__((sentinel));

#endif
