/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sender says of the snapshot that it wants to send, and what the
 * receiver of it answers: the base that both have, and how far one that was cut
 * short got.
 *
 * As JSON they go through a pipe (docs/backup-format.md); what comes out of one
 * is checked here, text by text, and never believed.
 */
#ifndef BACKUP_OFFER_H
#define BACKUP_OFFER_H

#include "backup/manifest.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Of more only the newest can be bases. */
#define OFFER_SNAPS_MAX 4096u

struct offer_snap {
	char name[POINT_NAME_MAX], uuid[POINT_UUID_MAX];
};

struct offer {
	char lun[POINT_TEXT_MAX]; /* for people */
	struct offer_snap snap;
	enum consistency consistency; /* of the snapshot */
	uint64_t size, block_size;    /* bytes: of the snapshot; of its LUN */
	/* what the LUN has, from the oldest to the newest; malloc */
	struct offer_snap *snaps;
	size_t count;
	/* Nothing is answered: since is the base, "": nothing. */
	bool one_way;
	char since[POINT_UUID_MAX];
	bool dry_run;
};

void offer_done(struct offer *offer);
const struct offer_snap *offer_find(
    const struct offer *offer, const char *uuid);

json_t *offer_write(const struct offer *offer);
/* NULL, or what is wrong with it: a phrase.  offer_done() either way. */
const char *offer_read(const json_t *json, struct offer *ret_offer);

struct agreed {
	bool there;   /* it was received before: nothing is to be sent */
	bool resumed; /* another was cut short at offset */
	struct offer_snap base; /* "": everything is sent */
	uint64_t offset;        /* in the image: what lies before it is there */
};

json_t *agreed_write(const struct agreed *agreed);
/* The base is one of offer's snapshots, and the offset within. */
const char *agreed_read(
    const json_t *json, const struct offer *offer, struct agreed *ret_agreed);

/* What both ends have to say of it when it is done. */
json_t *offer_item(
    const struct offer *offer, const struct agreed *agreed, const char *to);

#endif
