/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the table says about itself: --help, and the sections of the manual
 * that list commands, options and codes (in scdoc's markup).
 */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include "target/api.h"
#include <stdbool.h>
#include <stdio.h>

void help_overview(FILE *file);
void help_noun(const char *noun, FILE *file);
void help_command(const struct api_command *command, FILE *file);

/* "varve lun create POOL/LUN --size SIZE [--block-size N]" */
enum synopsis_style { SYNOPSIS_TEXT, SYNOPSIS_SCDOC };
void synopsis_print(
    const struct api_command *command, enum synopsis_style style, FILE *file);

/* part: "synopsis", "options", "commands", "exits" for varve(1), "errors" for
 * varve-errors(7).  False: there is no such part. */
bool scdoc_print(const char *part, FILE *file);
extern const char *const scdoc_parts[]; /* ends with NULL */

/* What every exit code says; ends with meaning NULL. */
struct exit_meaning {
	enum api_exit code;
	const char *meaning;
};
extern const struct exit_meaning exit_meanings[];

/* text in lines of at most 80 columns, each behind indent spaces. */
void print_wrapped(const char *text, int indent, FILE *file);

#endif
