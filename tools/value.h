/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One argument of a command: text as typed to JSON as the API takes it.  The
 * daemon checks everything again; what is checked here is what only the
 * client can know (units, the working directory) or what is friendlier said
 * before the connection.
 */
#ifndef TOOLS_VALUE_H
#define TOOLS_VALUE_H

#include "target/api.h"
#include <jansson.h>

/* Not for API_FLAG and API_SECRET, which have no text in argv. */
json_t *value_parse(
    const struct api_arg *arg, const char *text, json_t **ret_value);

/* What stands for the value in a synopsis: "SIZE", "POOL/LUN". */
const char *value_placeholder(
    const struct api_arg *arg, char *buf, size_t size);

/* The option's name: '_' becomes '-'; "chap" of type API_SECRET is
 * "chap-file".  Without the leading dashes; returns buf. */
#define OPTION_NAME_MAX 64
char *value_option(const struct api_arg *arg, char buf[OPTION_NAME_MAX]);

/* "90", "90s", "2m", "1h" to milliseconds; -EINVAL, -ERANGE over a day. */
int duration_parse(const char *text, unsigned *ret_ms);

#endif
