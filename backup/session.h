/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session with one LUN, by libiscsi, that outlives its connections.
 *
 *	up     logged in: commands go out and come back
 *	down   the connection broke, or its other end was silent: what was in
 *	       flight has ended with SCSI_STATUS_CANCELLED, and each turn tries
 *	       to log in again
 *
 * libiscsi would make a connection anew by itself, but it gives up when there
 * is no route, and waits for ever for a login that nobody answers.
 *
 * What a session is waited for is its patience: when that has passed and
 *nothing has come, a turn is a problem.  A peer that has gone without a word
 *(its power failed, a firewall forgot the connection) is noticed by TCP, in
 *some 20 s.
 */
#ifndef BACKUP_SESSION_H
#define BACKUP_SESSION_H

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct session_params {
	const char *portal, *target; /* ADDR:PORT, its name */
	int lun;
	const char *name;          /* the initiator's */
	const char *user, *secret; /* CHAP; NULL: none */
	const char *what;          /* for problems: "vms/web01@tue" */
	unsigned patience_ms;
};

struct session;

/* Logs in.  What is refused is said at once, silence after the patience.
 * params' texts are copied. */
json_t *session_new(
    const struct session_params *params, struct session **ret_session);
/* Logs out, if that is heard soon; what is in flight is cancelled.  NULL is
 * nothing. */
void session_free(struct session *session);

/* NULL: it is down.  Not kept over a turn. */
struct iscsi_context *session_up(const struct session *session);
int session_lun(const struct session *session);

/* The patience begins anew: something is asked for, or was answered. */
void session_heard(struct session *session);
/* Its connection is of no more use: the next turn makes another, and a session
 * that is freed does not log out. */
void session_lost(struct session *session);

/* It is down from now on, whatever was in flight. */
void session_drop(struct session *session);

/* Once round: commands go out, answers come in, for wait_ms at most while it is
 * up.  Problems: the patience is at its end. */
json_t *session_turn(struct session *session, int wait_ms);

/* "cannot DOING vms/web01@tue", and by which portal. */
json_t *session_problem(const struct session *session, const char *doing);

#endif
