/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * argv to a command of the table and its JSON parameters.
 *
 *	varve [global] NOUN [VERB] [ARGUMENT ...] [--option VALUE ...]
 *
 * Options may stand anywhere after the command, global ones anywhere;
 * --option=VALUE works too, and -- ends them.
 */
#ifndef TOOLS_PARSE_H
#define TOOLS_PARSE_H

#include "target/api.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SECRETS_MAX 4

struct globals {
	bool json, plain, bytes, dry_run, yes, quiet, verbose, no_wait, help;
	const char *columns, *sort, *color, *connect, *timeout;
	unsigned timeout_ms; /* of timeout; 0: not given */
};

struct global_option {
	const char *name;
	char letter;       /* 0: none */
	const char *value; /* its placeholder; NULL: a flag */
	size_t offset;     /* in struct globals: bool or const char * */
	const char *choices;
	const char *help;
};
extern const struct global_option global_options[]; /* ends with name NULL */

/* Where a secret comes from: its value must not be in argv. */
struct secret_source {
	const struct api_arg *arg;
	const char *path; /* NULL: ask on the terminal */
};

struct invocation {
	struct globals globals;
	const char *noun;                  /* NULL: none given */
	const struct api_command *command; /* NULL: help of noun, or of all */
	const char *object;                /* its first argument, or NULL */
	bool scdoc;                        /* varve help --scdoc */
	const char *scdoc_part;
	json_t *params;
	struct secret_source secrets[SECRETS_MAX];
	unsigned secret_count;
};

/* argv outlives ret_invocation.  Also after a problem the globals seen so far
 * are there (a problem is shown as --json asks) and params is to be freed by
 * invocation_done. */
json_t *invocation_parse(
    int argc, char **argv, struct invocation *ret_invocation);
void invocation_done(struct invocation *invocation);

/* Is there a command with this noun? */
bool noun_known(const char *noun);

#endif
