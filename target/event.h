/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has happened and somebody may want to know: changes that were asked for,
 * runs of policies, pools that fill up.  An event is a row of the state, which
 * `varve events` shows, and a line of the log; in the journal with fields:
 *
 *	VARVE_EVENT    its number
 *	VARVE_KIND     "policy.run-failed"; of a change: its method
 *	VARVE_SUBJECT  what it is about: "vms/web01", "nightly"
 *	VARVE_LUN, VARVE_POOL, VARVE_POLICY, ...  each member of its data that
 *	               is a text or a whole number
 *
 * Kinds are stable, once released.  On the control loop.
 */
#ifndef TARGET_EVENT_H
#define TARGET_EVENT_H

#include "target/house.h"
#include "target/state_event.h"

/* error, warning, notice, info: the word of a level, and back (-1: none). */
const char *event_severity(int level);
int event_level(const char *severity);

/* Keeps it and logs it.  Takes data, an object, or NULL.  What cannot be kept
 * is logged all the same. */
void event_tell(struct house *house, int level, const char *kind,
    const char *subject, json_t *data, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* The same in two steps, for who keeps it in the transaction of the change that
 * it tells of: it is logged once that is durable. */
int event_keep(struct house *house, struct state_event *event);
void event_log(const struct state_event *event);
/* In one, of one that is made already. */
void event_keep_and_log(struct house *house, struct state_event *event);

#endif
