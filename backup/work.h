/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the verbs share.
 */
#ifndef BACKUP_WORK_H
#define BACKUP_WORK_H

#include "backup/backup.h"
#include "backup/directory.h"
#include "backup/merge.h"
#include "backup/piece.h"
#include "backup/stream.h"

/* From source to sink, until its end.  What is done is counted from `done` by
 * bytes of data, of `total`. */
struct pump {
	struct source *source;
	struct sink *sink;
	uint64_t done, total;
	struct backup_watch *watch;
};
json_t *pump_run(struct pump *pump);

/* The streams of a chain, open, and laid over one another. */
struct layers {
	struct stream_source **streams;
	struct merge *merge;
	unsigned count;
	uint64_t data; /* that their manifests say */
};
json_t *layers_open(const struct directory *directory,
    const struct backup_chain *chain, bool whole, struct layers *ret_layers);
/* Reads what nobody has asked for: all of it is what was written. */
json_t *layers_drain(struct layers *layers);
void layers_close(struct layers *layers);

/* By name or uuid; at NULL: the newest.
 *   backup.empty, backup.not-found */
json_t *point_find(const struct directory *directory, const char *at,
    const struct backup_point **ret_point);
/* ... and what it stands on; free ret_chain->list.
 *   backup.chain */
json_t *chain_find(const struct directory *directory,
    const struct backup_point *point, struct backup_chain *ret_chain);

/* As lists and answers have it. */
json_t *point_item(
    const struct directory *directory, const struct backup_point *point);

/* "2026-03-01T13:00:00Z" */
json_t *json_seconds(uint64_t unix_seconds);
/* 0: it is no such text. */
uint64_t seconds_of(const char *text);
/* Of a snapshot, as snap.show has it; that of an older varved is crash. */
const char *consistency_of(const json_t *snap);

#endif
