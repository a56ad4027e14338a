/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done with a PDU: one row per opcode, and the numbering of commands
 * that all of them share.
 */
#include "base/log.h"
#include "target/iscsi/login.h"
#include "target/iscsi/logout.h"
#include "target/iscsi/nop.h"
#include "target/iscsi/order.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include "target/iscsi/task.h"
#include "target/iscsi/text_request.h"
#include "target/iscsi/tmf.h"
#include <errno.h>

enum {
	NUMBERED = 1,  /* carries CmdSN */
	DISCOVERY = 2, /* legal in a discovery session, 4.3 */
};

struct handler {
	unsigned flags;
	/* The header is in.  0, or negative: the connection is closed. */
	int (*header)(struct iscsi_conn *conn, const uint8_t *ahs);
	/* All of it is in. */
	void (*body)(struct iscsi_conn *conn);
	/* Its data cannot be used.  May be NULL. */
	void (*bad_data)(struct iscsi_conn *conn);
	/* Does it wait for commands before it, though it is immediate?  May be
	 * NULL: no. */
	bool (*waits)(const struct iscsi_conn *conn);
};

static int
snack_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	(void)ahs;
	/* 11.16: only sessions that recover have it */
	iscsi_reject(conn, ISCSI_REJECT_SNACK);
	return 0;
}

static int
login_again_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	(void)ahs;
	/* 4.2.3: login requests end with the login phase */
	iscsi_reject(conn, ISCSI_REJECT_PROTOCOL);
	iscsi_conn_close_when_sent(conn, "login in full feature phase");
	return 0;
}

static void
nothing(struct iscsi_conn *conn)
{
	(void)conn;
}

/* clang-format off */
static const struct handler handlers[ISCSI_OPCODE_MASK + 1] = {
	[ISCSI_NOP_OUT] = {NUMBERED | DISCOVERY,
	    iscsi_nop_header, iscsi_nop_body, NULL, NULL},
	[ISCSI_SCSI_COMMAND] = {NUMBERED,
	    iscsi_command_header, iscsi_command_body, iscsi_command_bad_data,
	    NULL},
	[ISCSI_TASK_REQUEST] = {NUMBERED,
	    iscsi_tmf_header, iscsi_tmf_body, NULL, iscsi_tmf_waits},
	[ISCSI_LOGIN_REQUEST] = {DISCOVERY,
	    login_again_header, nothing, NULL, NULL},
	[ISCSI_TEXT_REQUEST] = {NUMBERED | DISCOVERY,
	    iscsi_text_header, iscsi_text_body, NULL, NULL},
	[ISCSI_DATA_OUT] = {0,
	    iscsi_data_out_header, iscsi_data_out_body,
	    iscsi_data_out_bad_data, NULL},
	[ISCSI_LOGOUT_REQUEST] = {NUMBERED | DISCOVERY,
	    iscsi_logout_header, iscsi_logout_body, NULL, NULL},
	[ISCSI_SNACK] = {0, snack_header, nothing, NULL, NULL},
};
/* clang-format on */

void
iscsi_reject(struct iscsi_conn *conn, enum iscsi_reject_reason reason)
{
	char peer[64];
	union {
		struct iscsi_bhs bhs;
		struct iscsi_reject reject;
	} u = {.reject = {
		   .opcode = ISCSI_REJECT,
		   .flags = ISCSI_FINAL,
		   .reason = (uint8_t)reason,
	       }};

	log_debug("iscsi %s: rejecting opcode %02xh: %s",
	    iscsi_address_format(&conn->peer, peer),
	    iscsi_opcode(&conn->rx.pdu.bhs), iscsi_reject_text(reason));
	iscsi_count(conn->server, rejects);
	conn->rx.pdu.rejected = true;
	be32_set(&u.reject.tag, ISCSI_TAG_NONE);
	/* 11.17: "the header of the rejected PDU" is the data */
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, &conn->rx.pdu.bhs,
	    sizeof(conn->rx.pdu.bhs));
}

static bool
takes_number(const struct iscsi_conn *conn, const struct handler *handler)
{
	return (handler->flags & NUMBERED) != 0 &&
	       !iscsi_is_immediate(&conn->rx.pdu.bhs);
}

/*
 * 4.2.2.1: a command outside the window is ignored without a word.  Inside it
 * but not the next: where a session may have several connections, what lies
 * between comes on another one, if only on one that is still to join; or ABORT
 * TASK fills the gap.  Where it may have one alone, that sends commands in
 * order, so it was lost or never sent, and at ErrorRecoveryLevel 0 nobody can
 * fill the gap.
 */
static int
check_number(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const uint32_t cmdsn = be32_get(&conn->rx.pdu.bhs.number[0]);
	uint32_t exp, max;

	iscsi_conn_window(conn, &exp, &max);
	if (iscsi_sn_before(cmdsn, exp) || iscsi_sn_before(max, cmdsn)) {
		log_debug("iscsi %s: CmdSN %u is outside %u..%u",
		    conn->session->initiator, cmdsn, exp, max);
		conn->rx.pdu.ignored = true;
		return 0;
	}
	if (cmdsn == exp)
		return 0;
	if (iscsi_conn_may_have_others(conn))
		return iscsi_order_hold(conn, ahs, ISCSI_HELD_NUMBERED);
	iscsi_conn_close(conn, "gap in CmdSN");
	return -EPROTO;
}

/* What it waits for can only be on another connection. */
static bool
immediate_waits(const struct iscsi_conn *conn, const struct handler *handler)
{
	return handler->waits != NULL &&
	       iscsi_is_immediate(&conn->rx.pdu.bhs) &&
	       iscsi_conn_may_have_others(conn) && handler->waits(conn);
}

int
iscsi_dispatch_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const enum iscsi_opcode opcode = iscsi_opcode(&conn->rx.pdu.bhs);
	const struct handler *handler = &handlers[opcode];

	if (conn->login != NULL)
		return iscsi_login_header(conn);
	if (handler->header == NULL) {
		iscsi_reject(conn, ISCSI_REJECT_NOT_SUPPORTED);
		return 0;
	}
	if (takes_number(conn, handler) && !conn->rx.pdu.replayed) {
		if (check_number(conn, ahs) < 0)
			return -EPROTO;
		if (conn->rx.pdu.ignored || conn->rx.pdu.held != NULL)
			return 0;
	}
	if (immediate_waits(conn, handler) && !conn->rx.pdu.replayed)
		return iscsi_order_hold(conn, ahs, ISCSI_HELD_IMMEDIATE);
	if (conn->session->discovery && !(handler->flags & DISCOVERY)) {
		iscsi_reject(conn, ISCSI_REJECT_PROTOCOL);
		return 0;
	}
	return handler->header(conn, ahs);
}

/* Its number is used up.  False: by another one in the meantime, on another
 * connection or by ABORT TASK, and this is a duplicate. */
static bool
take_number(struct iscsi_conn *conn, const struct handler *handler)
{
	struct iscsi_session *session = conn->session;

	if (!takes_number(conn, handler))
		return true;
	if (be32_get(&conn->rx.pdu.bhs.number[0]) != iscsi_exp_cmdsn(session)) {
		if (!conn->rx.pdu.rejected && handler->bad_data != NULL)
			handler->bad_data(conn);
		return false;
	}
	iscsi_order_advance(session);
	return true;
}

void
iscsi_dispatch_body(struct iscsi_conn *conn)
{
	const struct handler *handler =
	    &handlers[iscsi_opcode(&conn->rx.pdu.bhs)];

	if (conn->login != NULL) {
		iscsi_login_body(conn);
		return;
	}
	if (!take_number(conn, handler))
		return;
	if (!conn->rx.pdu.rejected)
		handler->body(conn);
	iscsi_order_run(conn->session);
}

/* 7.8: "the target MUST answer with a Reject PDU with a reason code of
 * Data-Digest-Error and discard the PDU": its number is not used up. */
void
iscsi_dispatch_bad_data(struct iscsi_conn *conn)
{
	const struct handler *handler =
	    &handlers[iscsi_opcode(&conn->rx.pdu.bhs)];
	const bool was_rejected = conn->rx.pdu.rejected;

	if (conn->rx.pdu.ignored)
		return;
	iscsi_reject(conn, ISCSI_REJECT_DATA_DIGEST);
	if (conn->rx.pdu.held != NULL)
		iscsi_order_discard(conn);
	else if (!was_rejected && handler->bad_data != NULL)
		handler->bad_data(conn);
}
