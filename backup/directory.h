/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory that has the backups of one LUN:
 *
 *	000001-mon.full.rbd-diff.zst              a stream
 *	000001-mon.json                           its manifest
 *	000002-tue.since-000001.rbd-diff.zst
 *	000002-tue.json
 *	partial.rbd-diff.zst, partial.json        one that was cut short
 *	.lock
 *
 * A backup is there when its manifest is: the stream is written and made
 *durable first, and a manifest appears whole or not at all.  Nothing is changed
 *in place; what is to go loses its manifest first.
 *
 * Who adds, merges or removes backups has the directory for himself among his
 * like; who reads backups keeps them from being removed, and no more.
 */
#ifndef BACKUP_DIRECTORY_H
#define BACKUP_DIRECTORY_H

#include "backup/chain.h"
#include "backup/pack.h"
#include <jansson.h>

#define PARTIAL_STREAM   "partial.rbd-diff.zst"
#define PARTIAL_MANIFEST "partial.json"

enum directory_use {
	DIRECTORY_LOOK,   /* no lock: what is seen may go away */
	DIRECTORY_READ,   /* nothing is removed meanwhile */
	DIRECTORY_ADD,    /* ... and nobody else adds */
	DIRECTORY_REMOVE, /* nobody else is there */
};

struct directory {
	const char *path;
	int fd, lock_fd;
	struct backup_points points; /* those whose manifests are sound */
	json_t *findings; /* [{severity, code, what}]: manifests that are not,
			   * files that no manifest names */
};

/* path outlives it.  create: makes the directory (not those above) if it is not
 * there.
 *   backup.directory, backup.busy */
json_t *directory_open(const char *path, enum directory_use use, bool create,
    struct directory **ret_directory);
void directory_close(struct directory *directory); /* NULL is nothing */

/* Reads the manifests anew. */
json_t *directory_scan(struct directory *directory);

/* Appears whole, durably, in the place of what had that name. */
json_t *directory_write(
    struct directory *directory, const char *name, const char *text);
/* The file's text, 0-terminated; NULL: there is none, or it is no file of less
 * than MANIFEST_MAX. */
char *directory_read(
    const struct directory *directory, const char *name, size_t *ret_length);
/* Whether it was there does not matter. */
void directory_unlink(struct directory *directory, const char *name);

/* "000002-tue.json", and the stream's name: what it stands on is in it. */
void directory_manifest_name(
    const struct backup_point *point, char ret_name[POINT_FILE_MAX]);
void directory_stream_name(const struct backup_point *point,
    uint64_t base_number, char ret_name[POINT_FILE_MAX]);

/* Makes a stream that was written as from a backup: it is durable, gets its
 * name, then its manifest.  point->file is where it will be. */
json_t *directory_commit(struct directory *directory, int fd, const char *from,
    const struct backup_point *point);
/* Scans, and removes streams that no manifest names: they were left by one that
 * was killed.  Only when no manifest is damaged. */
json_t *directory_sweep(struct directory *directory);
/* Manifest first. */
void directory_remove(
    struct directory *directory, const struct backup_point *point);

/* Appends {severity, code, what}. */
void finding_add(json_t *findings, const char *severity, const char *code,
    const char *what, ...) __attribute__((format(printf, 4, 5)));

#endif
