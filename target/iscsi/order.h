/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands are delivered in the order of their numbers, over whichever
 * connection of the session they come (RFC 7143 4.2.2.1).  What comes before
 * its turn is held here, data and all, and is put at hand again when its turn
 * has come: so no connection ever waits for another one.
 */
#ifndef TARGET_ISCSI_ORDER_H
#define TARGET_ISCSI_ORDER_H

#include "target/iscsi/session.h"

struct iscsi_held;

enum iscsi_held_kind {
	ISCSI_HELD_NUMBERED,  /* its turn is its number's */
	ISCSI_HELD_IMMEDIATE, /* ... comes when all before its number have */
	ISCSI_HELD_DATA,      /* unsolicited data of one that is held */
};

/* The header of rx.pdu is in, and it has to wait.  0, or -ENOMEM or -ENOBUFS:
 * the connection is closed. */
int iscsi_order_hold(
    struct iscsi_conn *conn, const uint8_t *ahs, enum iscsi_held_kind kind);
/* All of it is in: maybe its turn has come by now. */
void iscsi_order_keep(struct iscsi_conn *conn);
/* It cannot be used. */
void iscsi_order_discard(struct iscsi_conn *conn);

/* Is rx.pdu unsolicited data for a command that is held? */
bool iscsi_order_awaits(const struct iscsi_conn *conn, uint32_t itt);

/* The next number is used up. */
void iscsi_order_advance(struct iscsi_session *session);
/* ... and those that waited for it have their turn. */
void iscsi_order_run(struct iscsi_session *session);

/* ABORT TASK of one that was not delivered: held, or not come yet.  True: it
 * never will be. */
bool iscsi_order_abort(
    struct iscsi_session *session, const struct iscsi_task_request *request);
/* All numbers before next count as received, and nothing is done. */
void iscsi_order_plug(struct iscsi_session *session, uint32_t next);

/* The connection is torn down; the session ends. */
void iscsi_order_forget(struct iscsi_conn *conn);
void iscsi_order_free(struct iscsi_session *session);

#endif
