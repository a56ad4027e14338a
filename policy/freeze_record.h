/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is frozen, by what, on the disk: three files in one directory.
 *
 *	ID.json    {"varve_quiesce": 1, "hook": PATH, "about": {...},
 *	           "thaw_ms": N}: there is something to thaw.  Its lock (flock)
 *	           is had by who works on it.
 *	.ID.group  the session of the hook that was begun last, and how to know
 *	           it again: killed before another one is begun
 *	.ID.state  the hook's: what it has to remember from freeze to thaw
 */
#ifndef POLICY_FREEZE_RECORD_H
#define POLICY_FREEZE_RECORD_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define FREEZE_ID_MAX 37 /* a uuid, with its 0 */

struct freeze_record {
	char directory[PATH_MAX], id[FREEZE_ID_MAX];
	int fd;       /* locked */
	json_t *json; /* of ID.json */
};

/* Makes it, durably and locked.  json: a new reference.  NULL, or why it cannot
 * be. */
json_t *freeze_record_new(struct freeze_record *ret_record,
    const char *directory, const char *id, json_t *json);

/* Locks one that is there, waiting for who has it.  0; -ENOENT: it is not
 * there (any more); -EAGAIN: somebody has it (waits false); -EBADMSG: it cannot
 * be read, and the lock is not held. */
int freeze_record_take(struct freeze_record *ret_record, const char *directory,
    const char *id, bool waits);

/* Remembers the session of a hook that is about to begin. */
void freeze_record_group(const struct freeze_record *record, pid_t session);
/* Ends what is left of the one remembered. */
void freeze_record_group_end(const struct freeze_record *record);

char *freeze_record_state(const struct freeze_record *record); /* to be freed */

/* It is thawed: all three files go. */
void freeze_record_remove(const struct freeze_record *record);
/* Gives up the lock. */
void freeze_record_done(struct freeze_record *record);

#endif
