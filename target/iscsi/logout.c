/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logout: of the session, or of the connection, which with one connection per
 * session comes to the same.
 */
#include "target/iscsi/logout.h"
#include "target/iscsi/session.h"

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

static enum iscsi_logout_result
logout_result(const struct iscsi_conn *conn)
{
	const struct iscsi_logout_request *r = logout_of(conn);

	switch (r->reason & 0x7f) {
	case ISCSI_LOGOUT_RECOVERY: return ISCSI_LOGOUT_NO_RECOVERY;
	case ISCSI_LOGOUT_CONNECTION:
		return be16_get(&r->cid) == conn->cid
			   ? ISCSI_LOGOUT_CLOSED
			   : ISCSI_LOGOUT_CID_NOT_FOUND;
	default: return ISCSI_LOGOUT_CLOSED;
	}
}

void
iscsi_logout_body(struct iscsi_conn *conn)
{
	const enum iscsi_logout_result result = logout_result(conn);
	const struct iscsi_params *params = &conn->params;
	union {
		struct iscsi_bhs bhs;
		struct iscsi_logout_response response;
	} u = {.response = {
		   .opcode = ISCSI_LOGOUT_RESPONSE,
		   .flags = ISCSI_FINAL,
		   .response = (uint8_t)result,
	       }};

	u.response.itt = logout_of(conn)->itt;
	be16_set(&u.response.time2wait,
	    (uint16_t)ISCSI_PARAM(params, DefaultTime2Wait));
	be16_set(&u.response.time2retain,
	    (uint16_t)ISCSI_PARAM(params, DefaultTime2Retain));
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, NULL, 0);
	if (result == ISCSI_LOGOUT_CLOSED)
		iscsi_conn_close_when_sent(conn, "logged out");
}
