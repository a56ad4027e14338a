/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Response fence, RFC 7143 4.2.2.3: an answer that says that tasks have ended
 * must not overtake, over its connection, what the other connections have to
 * say of those tasks.
 *
 * That is the half of a fence that keeps an initiator from hearing of a task
 * that it believes gone.  The other half, that later answers on other
 * connections wait until this one is acknowledged, is not kept: they are of
 * commands that were sent after it was asked for, and a connection that is slow
 * to acknowledge would stop them all.
 */
#ifndef TARGET_ISCSI_FENCE_H
#define TARGET_ISCSI_FENCE_H

#include "target/iscsi/session.h"

/* Target transfer tags of these pings, which no other has. */
#define ISCSI_FENCE_TAG 0x80000000u

/* Asks the other connections; passed(arg) follows, from the loop, when all have
 * answered or one of the two sides is torn down.  False: there is no other, or
 * the session has too many fences; passed is not called. */
bool iscsi_fence_begin(
    struct iscsi_conn *conn, void (*passed)(void *arg), void *arg);
/* An answer with a fence's tag. */
void iscsi_fence_answered(struct iscsi_conn *conn, uint32_t tag);
/* The connection is logged out: nobody waits for it. */
void iscsi_fence_leave(struct iscsi_conn *conn);
/* The connection is torn down: nobody waits for it, and it for nobody. */
void iscsi_fence_forget(struct iscsi_conn *conn);

#endif
