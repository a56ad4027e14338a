/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One value of an answer as text.
 */
#ifndef TOOLS_SHOW_H
#define TOOLS_SHOW_H

#include "target/api.h"
#include <jansson.h>
#include <stdbool.h>

enum show_style {
	SHOW_PEOPLE, /* 1.5 GiB, 2026-03-01 14:00:00 +0100, - when missing */
	SHOW_BYTES,  /* the same, sizes in bytes */
	SHOW_PLAIN,  /* as in JSON, nothing when missing */
};

/* To be freed.  value may be NULL, null or of an unexpected type: that is
 * shown as it is, never refused. */
char *show_value(
    enum api_kind kind, const json_t *value, enum show_style style);

/* Are values of this kind numbers, aligned at the right? */
bool show_is_number(enum api_kind kind);

#endif
