/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve rescue check: the offline check of a pool, read-only, without varved.
 */
#ifndef TOOLS_RESCUE_H
#define TOOLS_RESCUE_H

#include <jansson.h>
#include <stdbool.h>

/* paths: a JSON array of strings.  On success *ret_result is an answer like
 * the API's: {"varve":1,"kind":"rescue.check","item":{...},"items":[...]};
 * item: what was counted; items: the findings.  progress: on stderr. */
json_t *rescue_check(const json_t *paths, bool progress, json_t **ret_result);

#endif
