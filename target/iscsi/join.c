/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connections of a session.  One more may join by a login with the TSIH of
 * the session and a CID of its own; with the CID of one that is there it takes
 * its place (RFC 7143 6.3.4), as soon as the tasks of that have ended.
 *
 * At ErrorRecoveryLevel 0 the session is what recovers (7.1.5): a connection
 * that breaks takes the session with it (7.1.4.4: "the closing of all TCP
 * connections, internally aborting all executing and queued tasks for the given
 * initiator at the target").  What was sent on it and has not come would leave
 * gaps in the numbers that nobody can fill.  Only one that was logged out, by a
 * request or by another with its CID, leaves the session to the others.
 */
#include "base/log.h"
#include "target/iscsi/fence.h"
#include "target/iscsi/login.h"
#include "target/iscsi/logout.h"
#include "target/iscsi/nop.h"
#include "target/iscsi/order.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>

/* ---- Coming ---- */

static int
conn_open(struct iscsi_conn *conn)
{
	const struct iscsi_params *params = &conn->params;
	int ret = iscsi_conn_grow(conn);

	if (ret < 0)
		return ret;
	conn->params = conn->login->keys.result;
	iscsi_params_join(&conn->params, &conn->session->params);
	conn->rx.segment_max = conn->server->limits.max_recv_segment;
	conn->rx.header_digest = ISCSI_PARAM(params, HeaderDigest);
	conn->rx.data_digest = ISCSI_PARAM(params, DataDigest);
	conn->tx.header_digest = conn->rx.header_digest;
	conn->tx.data_digest = conn->rx.data_digest;
	return 0;
}

/* The connection is the session's now, to the end. */
static void
conn_add(struct iscsi_session *session, struct iscsi_conn *conn)
{
	conn->state = ISCSI_CONN_FULL;
	list_add_tail(&session->conns, &conn->link);
}

static void
conn_begin(struct iscsi_conn *conn)
{
	if (conn_open(conn) < 0) {
		iscsi_login_fail(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
		return;
	}
	iscsi_login_succeed(conn);
	iscsi_nop_start(conn);
	iscsi_rx_resume(conn);
}

void
iscsi_session_lead(struct iscsi_session *session, struct iscsi_conn *conn)
{
	int ret;

	conn->cid = conn->login->cid;
	conn_add(session, conn);
	ret = iscsi_session_open(session);
	if (ret < 0) {
		log_debug("iscsi %s: session: %s", session->initiator,
		    strerror(-ret));
		iscsi_login_fail(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
		return;
	}
	iscsi_count(session->server, sessions);
	session->counted = true;
	conn_begin(conn);
}

static struct iscsi_conn *
list_find_cid(const struct list *list, uint16_t cid)
{
	struct iscsi_conn *conn;

	list_for_each (conn, list, link) {
		if (conn->cid == cid)
			return conn;
	}
	return NULL;
}

struct iscsi_conn *
iscsi_session_find_conn(const struct iscsi_session *session, uint16_t cid)
{
	return list_find_cid(&session->conns, cid);
}

static unsigned
session_conn_count(const struct iscsi_session *session)
{
	const struct iscsi_conn *conn;
	unsigned count = 0;

	list_for_each (conn, &session->conns, link)
		count += iscsi_conn_is_in_use(conn);
	list_for_each (conn, &session->successors, link)
		count++;
	return count;
}

/* Does one that is counted have the CID?  Not one that is on its way out, or
 * was refused. */
static bool
session_counts_cid(const struct iscsi_session *session, uint16_t cid)
{
	const struct iscsi_conn *old = iscsi_session_find_conn(session, cid);

	return (old != NULL && iscsi_conn_is_in_use(old)) ||
	       list_find_cid(&session->successors, cid) != NULL;
}

static bool
session_has_place(const struct iscsi_session *session, uint16_t cid)
{
	return session_counts_cid(session, cid) ||
	       session_conn_count(session) <
		   ISCSI_PARAM(&session->params, MaxConnections);
}

/* 6.3.4: the old connection is logged out as if by its initiator, its tasks are
 * terminated; numbering and nexus go on. */
static void
session_reinstate(struct iscsi_session *session, struct iscsi_conn *old,
    struct iscsi_conn *conn)
{
	struct iscsi_conn *before =
	    list_find_cid(&session->successors, conn->cid);

	if (before != NULL) {
		list_del(&before->link);
		conn_add(session, before);
	}
	list_add_tail(&session->successors, &conn->link);
	if (before != NULL)
		iscsi_conn_close(before, "reinstated");
	old->leaving = true;
	iscsi_conn_close(old, "reinstated");
}

void
iscsi_session_join(struct iscsi_session *session, struct iscsi_conn *conn)
{
	struct iscsi_conn *old;

	conn->cid = conn->login->cid;
	old = iscsi_session_find_conn(session, conn->cid);
	/* not counted: its leading login has failed, it will close */
	if (session->state != ISCSI_SESSION_ACTIVE || !session->counted) {
		conn_add(session, conn);
		iscsi_conn_close(conn, "session is closing");
	} else if (!session_has_place(session, conn->cid)) {
		conn_add(session, conn);
		iscsi_login_fail(conn, ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
	} else if (old != NULL) {
		session_reinstate(session, old, conn);
	} else {
		conn_add(session, conn);
		conn_begin(conn);
	}
}

void
iscsi_session_take_successors(struct iscsi_session *session)
{
	struct iscsi_conn *conn, *next;

	list_for_each_safe (conn, next, &session->successors, link) {
		list_del(&conn->link);
		conn_add(session, conn);
	}
}

/* ---- Going ---- */

bool
iscsi_session_has_other(const struct iscsi_conn *conn)
{
	const struct iscsi_session *session = conn->session;
	const struct iscsi_conn *other;

	list_for_each (other, &session->conns, link) {
		if (other != conn && iscsi_conn_is_in_use(other))
			return true;
	}
	return !list_empty(&session->successors);
}

static bool
conn_goes_alone(
    const struct iscsi_session *session, const struct iscsi_conn *conn)
{
	return session->state == ISCSI_SESSION_ACTIVE &&
	       (conn->leaving || conn->login != NULL) &&
	       iscsi_session_has_other(conn);
}

void
iscsi_session_conn_lost(struct iscsi_session *session, struct iscsi_conn *conn)
{
	assert(conn->torn_down);
	iscsi_fence_forget(conn);
	iscsi_order_forget(conn);
	if (conn_goes_alone(session, conn))
		iscsi_tasks_abort(conn);
	else
		iscsi_session_close(session, "connection lost");
	iscsi_session_check(session);
}

void
iscsi_session_conn_gone(struct iscsi_session *session, struct iscsi_conn *conn)
{
	struct iscsi_conn *next = NULL;

	list_del(&conn->link);
	conn->session = NULL;
	if (iscsi_session_find_conn(session, conn->cid) == NULL) {
		iscsi_logout_gone(session, conn->cid);
		next = list_find_cid(&session->successors, conn->cid);
	}
	if (next != NULL) {
		list_del(&next->link);
		conn_add(session, next);
		conn_begin(next);
	}
	iscsi_session_check(session);
}
