/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rows of the one table (target/api.h), from a .def file per group of
 * nouns; here is how they are found, and the codes of errors.
 */
#include "target/api.h"
#include "base/assert.h"
#include "base/consistency.h"
#include <string.h>

#include "target/api_columns.def"

/* At file scope a compound literal lives as long as the program. */
#define ARGS(...)                                                              \
	(const struct api_arg[])                                               \
	{                                                                      \
		__VA_ARGS__ __VA_OPT__(, )                                     \
		{                                                              \
			.name = NULL                                           \
		}                                                              \
	}

/* clang-format off */
const struct api_command api_commands[] = {
#include "target/api_pool.def"
#include "target/api_device.def"
#include "target/api_lun.def"
#include "target/api_snap.def"
#include "target/api_keep.def"
#include "target/api_access.def"
#include "target/api_backup.def"
#include "target/api_policy.def"
#include "target/api_misc.def"
	{ .noun = NULL },
};

const struct api_error api_errors[] = {
#define E(code, exit, meaning) { code, exit, meaning },
#include "target/api_errors.def"
#undef E
	{ NULL, API_OK, NULL },
};
/* clang-format on */

const struct api_command *
api_find(const char *noun, const char *verb)
{
	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (strcmp(c->noun, noun) == 0 && strcmp(c->verb, verb) == 0)
			return c;
	}
	return NULL;
}

const struct api_command *
api_find_method(const char *method)
{
	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (c->method != NULL && strcmp(c->method, method) == 0)
			return c;
	}
	return NULL;
}
