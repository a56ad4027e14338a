/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of the person at the terminal: confirmations and secrets.
 */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include "tools/parse.h"

/* Destroying something: the person types object's name.  Without a terminal
 * nobody can, and the problem says so (exit 10). */
json_t *confirm(const struct api_command *command, const char *object);

/* Fills the parameters whose values come from files or the terminal. */
json_t *secrets_read(struct invocation *invocation);

/* The first line of a file, without its newline: 1 to 255 bytes of printable
 * UTF-8.  To be wiped and freed. */
json_t *secret_read_file(const char *path, char **ret_secret);

/* Wipes and frees; NULL is nothing. */
void secret_free(char *secret);

#endif
