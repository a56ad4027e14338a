/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest of one backup: a JSON object, one member a line.
 *
 * A backup is of one snapshot.  It is full, or it is an increment on another
 * backup of the same directory, its base, which it names by the uuid of the
 * snapshot that that one is of.
 *
 * The member "sum" is the SHA-256 of the file without the line it stands in, so
 * that a flipped bit in a manifest is found as one in a stream is:
 *
 *	grep -v '^  "sum": ' 000002-tue.json | sha256sum
 *
 * Members that this version does not know are kept by nobody and harm nobody.
 * Docs: docs/backup-format.md.
 */
#ifndef BACKUP_MANIFEST_H
#define BACKUP_MANIFEST_H

#include "backup/sha256.h"
#include "base/consistency.h"
#include <stddef.h>
#include <stdint.h>

#define POINT_NAME_MAX 64  /* with its 0 */
#define POINT_TEXT_MAX 200 /* with its 0 */
#define POINT_UUID_MAX 37
#define POINT_FILE_MAX 128
#define MANIFEST_MAX   (64u << 10) /* a file longer than that is none */

struct backup_point {
	uint64_t number;           /* in its directory; its base's is lower */
	char set[POINT_UUID_MAX];  /* all backups of a directory have one */
	char name[POINT_NAME_MAX]; /* the snapshot's */
	char lun[POINT_TEXT_MAX];  /* POOL/LUN then */
	char lun_uuid[POINT_UUID_MAX];
	char uuid[POINT_UUID_MAX]; /* the snapshot's */
	uint64_t created;          /* the snapshot: seconds since 1970 */
	uint64_t epoch; /* of its pool, that the snapshot ended; 0: not known */
	char consistency[CONSISTENCY_TEXT_MAX]; /* the snapshot's */
	char base[POINT_NAME_MAX];              /* its name; "": full */
	char base_uuid[POINT_UUID_MAX];
	uint64_t base_epoch;
	char bookmark[POINT_NAME_MAX]; /* left on the LUN; "": none */
	char bookmark_uuid[POINT_UUID_MAX];
	uint64_t block_size; /* the LUN's logical block: what partition tables
			      * count in */
	uint64_t size;       /* of the image */
	uint64_t covers;     /* the stream is complete up to there: size, or
			      * one was cut short */
	uint64_t data, zero; /* bytes that the stream says */
	char file[POINT_FILE_MAX]; /* the stream, compressed */
	uint64_t file_bytes, stream_bytes;
	char sha256[SHA256_TEXT]; /* of the file */
	uint64_t finished;        /* seconds since 1970 */
	char full_because[POINT_TEXT_MAX];
};

/* The manifest's text; to be freed. */
char *manifest_write(const struct backup_point *point);

/* NULL, or what is wrong with it: a phrase. */
const char *manifest_read(
    const char *text, size_t length, struct backup_point *ret_point);

#endif
