/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A LUN or snapshot of a varved, reached for as long as it is wanted: a host of
 * its own with a secret of its own, an export with a short time that is said
 * anew while it lasts, and a session.  All of it is taken away at the end. What
 * a process that was killed leaves is taken away by the next with the same tag;
 * without, varved takes it away when its time is over.
 */
#ifndef BACKUP_ATTACHMENT_H
#define BACKUP_ATTACHMENT_H

#include "backup/initiator.h"
#include "client/varve.h"

#define ATTACHMENT_TTL_SECONDS 900

struct attachment;

struct attachment_params {
	struct varve *varve;
	const char *name; /* POOL/LUN, or POOL/LUN@SNAP, which is read-only */
	/* NULL: what varved says; one that listens on all addresses is taken as
	 * this machine's */
	const char *portal;
	/* what nobody else on this machine does now; NULL: anybody may */
	const char *tag;
	bool log_in_later; /* by attachment_log_in */
};

/* varve and name outlive it. */
json_t *attachment_new(
    const struct attachment_params *params, struct attachment **ret_attachment);
/* Takes away what one with that tag has left, and no more. */
void attachment_clear(struct varve *varve, const char *tag);
/* NULL is nothing. */
void attachment_free(struct attachment *attachment);

/* Once; also in a process that was forked, which logs out by attachment_log_out
 * and leaves the rest to its parent. */
json_t *attachment_log_in(struct attachment *attachment);
void attachment_log_out(struct attachment *attachment);

/* Somebody has taken it away: its time was over, or another with its tag has
 * begun.  Asks varved; one that does not answer says nothing. */
bool attachment_is_lost(struct attachment *attachment);

/* After a flush: is all there that was written since it came?  A session
 * outlives a varved that is killed, which loses nothing, and one whose machine
 * lost its power, which loses what was not flushed before.
 *   backup.lun-io   its machine was started anew */
json_t *attachment_check(struct attachment *attachment);

/* Logged in. */
struct initiator *attachment_initiator(struct attachment *attachment);

/* To be called often, while it is used: cheap but once in some minutes. */
json_t *attachment_renew(struct attachment *attachment);

/* ---- what varved is asked beside that ---- */

/* {first: value}, or {first: value, second: value2}. */
json_t *varve_item(struct varve *varve, const char *method, const char *first,
    const char *value, json_t **ret_item);
json_t *varve_items(struct varve *varve, const char *method, const char *first,
    const char *value, json_t **ret_items);
/* A text of an item; "" when it has none. */
const char *item_text(const json_t *item, const char *member);
uint64_t item_number(const json_t *item, const char *member);

#endif
