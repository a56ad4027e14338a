/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An answer of the API for people (aligned columns, or lines of one item) or
 * as tab-separated values.
 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include "target/api.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct table_options {
	const char *columns; /* -o: titles with commas; NULL: the usual ones */
	const char *sort;    /* a title, '-' before it reverses; NULL */
	bool plain, bytes;
	bool bold; /* the header */
};

/* Do -o and --sort name columns of the command?  Asked before the daemon is,
 * so that a change is not made whose answer cannot be shown. */
json_t *table_check(
    const struct api_command *command, const struct table_options *options);

/* After table_check.  result has items[] or item. */
void table_print(const struct api_command *command, const json_t *result,
    const struct table_options *options, FILE *file);

/* The name of a column for -o; returns buf. */
#define COLUMN_NAME_MAX 32
char *column_name(const struct api_column *column, char buf[COLUMN_NAME_MAX]);

#endif
