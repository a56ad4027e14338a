/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has happened, in the state: events, and the newest backups.  As state.h:
 * blocks, the control loop's, 0 or -errno.
 */
#ifndef TARGET_STATE_EVENT_H
#define TARGET_STATE_EVENT_H

#include "target/state.h"

#define STATE_EVENTS_KEPT 100000 /* the newest */

struct state_event {
	int64_t number; /* rises, and is never used again */
	int64_t at_unix;
	int level; /* LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO */
	/* those that state_events() returns are its own */
	const char *kind, *subject, *text;
	json_t *data; /* an object; NULL in state_event_add(): {} */
};
/* In the open transaction, or one of its own, which does not count as a change.
 * event->number is set. */
int state_event_add(struct state *state, struct state_event *event);

struct event_query {
	bool newest;         /* the last ones, else the first ones ... */
	int64_t after;       /* ... whose number is higher */
	const char *kind;    /* begins so; NULL: any */
	const char *subject; /* NULL: any */
	int level;           /* that grave, or more */
	unsigned limit;
};
/* In their order.  *ret_reached: the number up to which all was looked at. */
int state_events(struct state *state, const struct event_query *query,
    struct state_event **ret_events, unsigned *ret_count, int64_t *ret_reached);
void state_events_free(struct state_event *events, unsigned count);

/* ---- backups ---- */

struct state_backup {
	char pool[POOL_NAME_MAX + 1], lun[POOL_NAME_MAX + 1];
	char policy[POOL_NAME_MAX + 1]; /* which made it */
	int64_t stamp_unix;             /* what it is of */
	int64_t at_unix;                /* it was there */
	uint64_t bytes;                 /* it took */
};
/* In place of the one before; its own transaction when none is open.  -ENOENT:
 * there is no such pool. */
int state_backup_put(struct state *state, const struct state_backup *backup);
/* Of LUNs that may not be there any more, too; free them. */
int state_backups(struct state *state, struct state_backup **ret_backups,
    unsigned *ret_count);
/* A LUN is called after, now. */
int state_backups_renamed(struct state *state, int64_t pool_id,
    const char *before, const char *after);

#endif
