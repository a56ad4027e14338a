/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run of one command line: parse, ask varved (or do it here), show.
 */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include "client/varve.h"
#include "tools/parse.h"
#include "tools/table.h"
#include <stdbool.h>

struct cli {
	struct invocation invocation;
	struct varve *varve;       /* NULL: not asked yet */
	struct table_options show; /* of the globals */
	bool color;                /* on standard error */
};

/* Everything but exit(); the exit code.  argv[argc] is NULL. */
int cli_main(int argc, char **argv);

/* For commands of tools/local.c: */

/* cli->varve, for who calls by himself. */
json_t *cli_open(struct cli *cli);
/* Connects if need be, and calls. */
json_t *cli_call(struct cli *cli, const char *method, const json_t *params,
    json_t **ret_result);
/* Prints an answer as the globals ask. */
void cli_show(struct cli *cli, const json_t *result);
/* ... as it would be the answer to command. */
void cli_show_as(
    struct cli *cli, const struct api_command *command, const json_t *result);
/* Where varved listens, by --connect, VARVE_CONNECT, or the default. */
const char *cli_address(const struct globals *globals);

/* A command that is done here, or whose answer is shown in its own way:
 * prints its result; a problem is the caller's.  *ret_exit is API_OK before. */
struct local_command {
	const char *noun, *verb;
	json_t *(*run)(struct cli *cli, enum api_exit *ret_exit);
};
extern const struct local_command local_commands[]; /* ends with noun NULL */
const struct local_command *local_find(const struct api_command *command);

#endif
