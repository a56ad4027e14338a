/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream of one backup: as a source that holds it against its manifest
 * while it is read, and as a sink.
 */
#ifndef BACKUP_STREAM_H
#define BACKUP_STREAM_H

#include "backup/directory.h"
#include "backup/pack.h"

/* ---- reading ---- */

struct stream_source;

/* Opens point's file and reads its head.  directory and point outlive it.
 *   backup.unreadable, backup.damaged */
json_t *stream_open(const struct directory *directory,
    const struct backup_point *point, struct stream_source **ret_stream);
void stream_close(struct stream_source *stream); /* NULL is nothing */
/* Its end is a problem (backup.damaged) unless the file is, to the last bit,
 * what the manifest says. */
struct source *stream_source(struct stream_source *stream);
/* Reads what is left.  NULL: the whole file is what it has to be. */
json_t *stream_drain(struct stream_source *stream);

/* ---- writing ---- */

struct stream_sink {
	struct sink sink;
	struct pack *pack;   /* the caller's */
	uint64_t data, zero; /* bytes so far */
	uint64_t covers;     /* up to there the stream says all */
};

void stream_sink_init(struct stream_sink *stream, struct pack *pack);
json_t *stream_begin(
    struct stream_sink *stream, const struct rbd_diff_head *head);
/* Writes the end, and what the stream has come to into point: covers, data,
 * zero, file_bytes, stream_bytes, sha256. */
json_t *stream_end(struct stream_sink *stream, struct backup_point *point);
/* The same without an end: all so far is in the file. */
json_t *stream_stop(struct stream_sink *stream, struct backup_point *point);
/* The same in two steps, between which nobody waits: point has all of it when
 * stream_reached() has said so.  One at a time. */
json_t *stream_ask(struct stream_sink *stream, struct backup_point *point);
bool stream_reached(struct stream_sink *stream, struct backup_point *point);

#endif
