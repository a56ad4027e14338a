/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shell completion.  The scripts are small: they hand the words of the line to
 * `varve completion words -- WORD...`, which knows the table and asks varved
 * for names, so a script never falls behind the program.
 */
#ifndef TOOLS_COMPLETION_H
#define TOOLS_COMPLETION_H

#include "target/api.h"
#include "tools/parse.h"
#include <stdbool.h>
#include <stdio.h>

/* The script for "bash", "zsh" or "fish"; NULL: another shell. */
const char *completion_script(const char *shell);

/* Where names come from: calls offer(offer_arg, name) for each pool, LUN, host
 * or session there is (noun); silently none when varved is away. */
typedef void (*completion_names)(void *arg, const char *noun,
    void (*offer)(void *offer_arg, const char *name), void *offer_arg);

struct completion {
	FILE *file;
	completion_names names;
	void *names_arg;
	const char *connect; /* --connect on the line; set before names() */
};

/* words: what stands after "varve"; the last is the one to complete, possibly
 * "".  Prints a candidate per line, "CANDIDATE<tab>DESCRIPTION"; a candidate
 * that ends with '/' or ':' is only a beginning; the line ":files" says that
 * file names fit too. */
void completion_words(
    struct completion *completion, char **words, unsigned count);

#endif
