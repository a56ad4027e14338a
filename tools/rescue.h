/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve rescue: what can be done with a pool while varved is off.  Nothing but
 * rescue_repair() with undo, and rescue_undo(), writes to the pool's devices.
 *
 * Answers are like the API's: {"varve":1,"kind":"rescue.check","item":{...},
 * "items":[...]}, where the items are findings.  paths: a JSON array of
 * strings, the pool's devices.  progress: shown on stderr.
 */
#ifndef TOOLS_RESCUE_H
#define TOOLS_RESCUE_H

#include <jansson.h>
#include <stdbool.h>

/* item: what was counted. */
json_t *rescue_check(const json_t *paths, bool progress, json_t **ret_result);

struct rescue_repair_params {
	const json_t *paths;
	const char *undo; /* write in place, and there what was overwritten */
	const char *to;   /* write a copy: of several devices PATH.0, PATH.1 */
	bool scan;        /* for pages that are damaged in all copies */
	bool progress;
};
/* Neither undo nor to: what would come of it.  item: what was done; items: what
 * a scan has put in and what is lost, and the findings that are left. */
json_t *rescue_repair(
    const struct rescue_repair_params *params, json_t **ret_result);
/* Writes back what a repair has overwritten.  item.blocks: how many. */
json_t *rescue_undo(const json_t *paths, const char *from, json_t **ret_result);

struct rescue_extract_params {
	const json_t *paths;
	const char *name; /* POOL/LUN or POOL/LUN@SNAP */
	const char *to;   /* a file that is not there yet */
	bool no_log;      /* what the checkpoint has */
	bool progress;
};
/* item: sizes. */
json_t *rescue_extract(
    const struct rescue_extract_params *params, json_t **ret_result);

/* item.document: what is on disk, and what is wrong with it.  version: an id;
 * 0: no map. */
json_t *rescue_dump(
    const json_t *paths, json_int_t version, json_t **ret_result);

#endif
