/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logout, RFC 7143 11.14: of the session, of the connection it comes on, or of
 * another one.
 */
#include "target/iscsi/logout.h"
#include "target/iscsi/fence.h"
#include "target/iscsi/task.h"

static const struct iscsi_logout_request *
logout_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

int
iscsi_logout_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const unsigned reason = logout_of(conn)->reason & 0x7f;

	(void)ahs;
	if (reason > ISCSI_LOGOUT_RECOVERY ||
	    (conn->session->discovery && reason != ISCSI_LOGOUT_SESSION))
		iscsi_reject(conn, ISCSI_REJECT_INVALID_FIELD);
	return 0;
}

static void
logout_respond(
    struct iscsi_conn *conn, uint32_t itt, enum iscsi_logout_result result)
{
	const struct iscsi_params *params = &conn->params;
	union {
		struct iscsi_bhs bhs;
		struct iscsi_logout_response response;
	} u = {.response = {
		   .opcode = ISCSI_LOGOUT_RESPONSE,
		   .flags = ISCSI_FINAL,
		   .response = (uint8_t)result,
	       }};

	be32_set(&u.response.itt, itt);
	be16_set(&u.response.time2wait,
	    (uint16_t)ISCSI_PARAM(params, DefaultTime2Wait));
	be16_set(&u.response.time2retain,
	    (uint16_t)ISCSI_PARAM(params, DefaultTime2Retain));
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, NULL, 0);
}

/* All that is left is to say so. */
static void
logout_own(struct iscsi_conn *conn, uint32_t itt)
{
	logout_respond(conn, itt, ISCSI_LOGOUT_CLOSED);
	iscsi_conn_close_when_sent(conn, "logged out");
}

/*
 * The session goes on without conn: what was sent on it may come again on
 * another, so the answer waits until nothing of it can happen any more.  What
 * has come to its end by itself meanwhile is answered as ever.
 */
static void
logout_alone(struct iscsi_conn *conn, uint32_t itt)
{
	conn->logout.own = true;
	conn->logout.itt = itt;
	iscsi_rx_pause(conn);
	iscsi_fence_leave(conn);
	iscsi_conn_closing_step(conn);
}

void
iscsi_logout_step(struct iscsi_conn *conn)
{
	if (!conn->logout.own)
		return;
	iscsi_tasks_abandon(conn);
	iscsi_tasks_abort(conn);
	if (conn->task_count > 0 || conn->tmf_count > 0)
		return;
	conn->logout.own = false;
	logout_own(conn, conn->logout.itt);
}

/* 11.14: "A Logout for a CID may be performed on a different transport
 * connection".  The answer says that all of it has ended, so it waits. */
static void
logout_other(struct iscsi_conn *conn, struct iscsi_conn *other, uint32_t itt)
{
	conn->logout.waiting = true;
	conn->logout.cid = other->cid;
	conn->logout.itt = itt;
	iscsi_conn_close(other, "logged out");
}

static void
logout_connection(struct iscsi_conn *conn, uint16_t cid, uint32_t itt)
{
	struct iscsi_conn *other = iscsi_session_find_conn(conn->session, cid);

	if (other == NULL || conn->logout.waiting) {
		logout_respond(conn, itt,
		    other == NULL ? ISCSI_LOGOUT_CID_NOT_FOUND
				  : ISCSI_LOGOUT_CLEANUP_FAILED);
		return;
	}
	other->leaving = true;
	if (other != conn)
		logout_other(conn, other, itt);
	else if (iscsi_session_has_other(conn))
		logout_alone(conn, itt);
	else
		logout_own(conn, itt);
}

void
iscsi_logout_gone(struct iscsi_session *session, uint16_t cid)
{
	struct iscsi_conn *conn;

	list_for_each (conn, &session->conns, link) {
		if (!conn->logout.waiting || conn->logout.cid != cid)
			continue;
		conn->logout.waiting = false;
		if (iscsi_conn_is_open(conn))
			logout_respond(
			    conn, conn->logout.itt, ISCSI_LOGOUT_CLOSED);
	}
}

void
iscsi_logout_body(struct iscsi_conn *conn)
{
	const struct iscsi_logout_request *r = logout_of(conn);
	const uint32_t itt = be32_get(&r->itt);

	switch (r->reason & 0x7f) {
	case ISCSI_LOGOUT_RECOVERY:
		/* 11.15.1: not at this ErrorRecoveryLevel */
		logout_respond(conn, itt, ISCSI_LOGOUT_NO_RECOVERY);
		break;
	case ISCSI_LOGOUT_CONNECTION:
		logout_connection(conn, be16_get(&r->cid), itt);
		break;
	default:
		/* all others go with it: join.c */
		conn->leaving = false;
		logout_own(conn, itt);
		break;
	}
}
