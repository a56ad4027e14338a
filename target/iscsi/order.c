/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PDUs that came before their turn, by number; behind a held command its
 * unsolicited data.  Those with a number are in the window, of others a
 * connection may hold UNNUMBERED_MAX, and of the data of all as much as of
 * buffers.  A command beyond either will be answered TASK SET FULL.
 *
 * A number whose PDU will not be executed, because its connection has been
 * logged out or it was aborted, stays in the list without a connection: it
 * counts, and nothing else.
 */
#include "target/iscsi/order.h"
#include "base/log.h"
#include "target/iscsi/reactor.h"
#include <errno.h>
#include <stdlib.h>

/* On one connection; FirstBurstLength in the smallest pieces is half of it. */
#define UNNUMBERED_MAX 1024

struct iscsi_held {
	struct list link;
	struct iscsi_conn *conn; /* NULL: only the number counts */
	enum iscsi_held_kind kind;
	uint32_t cmdsn;
	bool refused; /* its data was too much */
	struct iscsi_bhs bhs;
	uint32_t ahs_length, length;
	uint8_t bytes[]; /* additional headers, then data */
};

static uint32_t
held_itt(const struct iscsi_held *held)
{
	return be32_get(&held->bhs.itt);
}

static bool
is_held_command(const struct iscsi_held *held)
{
	return held->conn != NULL && held->kind == ISCSI_HELD_NUMBERED &&
	       iscsi_opcode(&held->bhs) == ISCSI_SCSI_COMMAND;
}

static struct iscsi_held *
held_find(const struct iscsi_session *session, uint32_t itt)
{
	struct iscsi_held *held;

	list_for_each (held, &session->held, link) {
		if (is_held_command(held) && held_itt(held) == itt)
			return held;
	}
	return NULL;
}

static void
held_leave_conn(struct iscsi_held *held)
{
	if (held->conn == NULL)
		return;
	assert(held->conn->held_bytes >= held->length);
	held->conn->held_bytes -= held->length;
	if (held->kind != ISCSI_HELD_NUMBERED) {
		assert(held->conn->held_pdus > 0);
		held->conn->held_pdus--;
	}
	held->conn = NULL;
}

static void
held_free(struct iscsi_held *held)
{
	held_leave_conn(held);
	list_del(&held->link);
	free(held);
}

/* Gives back the memory behind the header and so much of it. */
static struct iscsi_held *
held_shrink(struct iscsi_held *held, uint32_t ahs_length)
{
	struct list *next = held->link.next;
	struct iscsi_held *smaller;

	list_del(&held->link);
	held->ahs_length = ahs_length;
	held->length = 0;
	smaller = realloc(held, sizeof(*held) + ahs_length);
	if (smaller != NULL)
		held = smaller;
	list_init(&held->link);
	list_insert_before(next, &held->link);
	return held;
}

/* Only the number stays. */
static void
held_give_up(struct iscsi_held *held)
{
	held_leave_conn(held);
	held_shrink(held, 0);
}

/* A command that is held and will never have its data. */
static void
command_drop_data(struct iscsi_session *session, struct iscsi_held *command)
{
	struct iscsi_held *held, *next;

	list_for_each_safe (held, next, &session->held, link) {
		if (held->kind == ISCSI_HELD_DATA &&
		    held->cmdsn == command->cmdsn)
			held_free(held);
	}
}

static void
command_refuse(struct iscsi_session *session, struct iscsi_held *command)
{
	if (command->refused)
		return;
	command_drop_data(session, command);
	command->refused = true;
	assert(command->conn->held_bytes >= command->length);
	command->conn->held_bytes -= command->length;
	held_shrink(command, command->ahs_length);
}

/* Ascending.  An immediate request goes before the command that has its number,
 * everything else behind its equals. */
static bool
held_goes_before(const struct iscsi_held *held, const struct iscsi_held *at)
{
	if (held->cmdsn != at->cmdsn)
		return iscsi_sn_before(held->cmdsn, at->cmdsn);
	return held->kind == ISCSI_HELD_IMMEDIATE && at->kind != held->kind;
}

/* From the tail, as they come nearly in order.  False: its number is there. */
static bool
held_insert(struct iscsi_session *session, struct iscsi_held *held)
{
	struct list *const list = &session->held;
	struct list *place = list, *at;

	for (at = list->prev; at != list; at = at->prev) {
		const struct iscsi_held *other =
		    list_entry(at, struct iscsi_held, link);
		if (held_goes_before(held, other))
			place = at;
		else if (held->cmdsn != other->cmdsn ||
			 held->kind != ISCSI_HELD_NUMBERED)
			break;
		else if (other->kind == held->kind)
			return false;
	}
	list_insert_before(place, &held->link);
	return true;
}

/* ---- In ---- */

bool
iscsi_order_awaits(const struct iscsi_conn *conn, uint32_t itt)
{
	const struct iscsi_held *held = held_find(conn->session, itt);

	return held != NULL && held->conn == conn;
}

/* Of rx.pdu, which iscsi_order_awaits() has found. */
static struct iscsi_held *
data_command(const struct iscsi_conn *conn)
{
	return held_find(conn->session, be32_get(&conn->rx.pdu.bhs.itt));
}

static bool
is_too_much(const struct iscsi_conn *conn, enum iscsi_held_kind kind)
{
	const uint32_t length = conn->rx.pdu.data_length;

	if (kind == ISCSI_HELD_DATA && data_command(conn)->refused)
		return true;
	if (kind != ISCSI_HELD_NUMBERED && conn->held_pdus == UNNUMBERED_MAX)
		return true;
	return length > 0 &&
	       conn->held_bytes + length > conn->server->limits.data_bytes;
}

/* Only a command can wait without its data: it will be told.  Of others nobody
 * would learn.  0, or negative: the connection is closed. */
static int
hold_too_much(struct iscsi_conn *conn, enum iscsi_held_kind kind)
{
	switch (kind) {
	case ISCSI_HELD_DATA:
		command_refuse(conn->session, data_command(conn));
		return 0;
	case ISCSI_HELD_IMMEDIATE:
		iscsi_reject(conn, ISCSI_REJECT_TOO_MANY_IMMEDIATE);
		return 0;
	default:
		iscsi_conn_close(conn, "too much data before its turn");
		return -ENOBUFS;
	}
}

static struct iscsi_held *
held_new(struct iscsi_conn *conn, enum iscsi_held_kind kind, uint32_t ahs,
    uint32_t length)
{
	struct iscsi_held *held = malloc(sizeof(*held) + ahs + length);

	if (held == NULL)
		return NULL;
	*held = (struct iscsi_held){
	    .conn = conn, .kind = kind, .ahs_length = ahs, .length = length};
	list_init(&held->link);
	held->bhs = conn->rx.pdu.bhs;
	/* data goes with its command */
	held->cmdsn = kind == ISCSI_HELD_DATA ? data_command(conn)->cmdsn
					      : be32_get(&held->bhs.number[0]);
	conn->held_bytes += length;
	conn->held_pdus += kind != ISCSI_HELD_NUMBERED;
	return held;
}

int
iscsi_order_hold(
    struct iscsi_conn *conn, const uint8_t *ahs, enum iscsi_held_kind kind)
{
	struct iscsi_rx_pdu *pdu = &conn->rx.pdu;
	const uint32_t ahs_length = pdu->bhs.ahs_words * 4u;
	const bool refused = is_too_much(conn, kind);
	struct iscsi_held *held;

	if (refused && (kind != ISCSI_HELD_NUMBERED ||
			   iscsi_opcode(&pdu->bhs) != ISCSI_SCSI_COMMAND))
		return hold_too_much(conn, kind);
	held = held_new(conn, kind, ahs_length, refused ? 0 : pdu->data_length);
	if (held == NULL) {
		iscsi_conn_close(conn, "no memory");
		return -ENOMEM;
	}
	held->refused = refused;
	if (ahs_length > 0)
		memcpy(held->bytes, ahs, ahs_length);
	pdu->held = held;
	if (held->length > 0)
		iscsi_rx_into_memory(
		    conn, held->bytes + ahs_length, held->length, false);
	return 0;
}

void
iscsi_order_discard(struct iscsi_conn *conn)
{
	if (conn->rx.pdu.held != NULL)
		held_free(conn->rx.pdu.held);
	conn->rx.pdu.held = NULL;
}

void
iscsi_order_keep(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;
	struct iscsi_held *held = conn->rx.pdu.held;

	conn->rx.pdu.held = NULL;
	/* 4.2.2.1: "The target MUST silently ignore any non-immediate command
	 * outside of this range or non-immediate duplicates within the range."
	 * Data whose command has been delivered by now is so at once too. */
	if ((held->kind == ISCSI_HELD_NUMBERED &&
		iscsi_sn_before(held->cmdsn, iscsi_exp_cmdsn(session))) ||
	    !held_insert(session, held))
		held_free(held);
	iscsi_order_run(session);
}

/* ---- Out ---- */

void
iscsi_order_advance(struct iscsi_session *session)
{
	iscsi_exp_cmdsn_set(session, iscsi_exp_cmdsn(session) + 1);
}

static void
held_deliver(struct iscsi_session *session, struct iscsi_held *held)
{
	struct iscsi_conn *conn = held->conn;

	if (conn != NULL && !iscsi_conn_is_ending(conn))
		iscsi_rx_replay(conn, &held->bhs, held->bytes,
		    held->bytes + held->ahs_length, held->refused);
	/* it has had its turn, whatever became of it */
	if (held->kind == ISCSI_HELD_NUMBERED &&
	    iscsi_exp_cmdsn(session) == held->cmdsn)
		iscsi_order_advance(session);
}

void
iscsi_order_run(struct iscsi_session *session)
{
	struct iscsi_held *held;

	if (session->ordering)
		return;
	session->ordering = true;
	while ((held = list_first(&session->held, struct iscsi_held, link)) !=
		   NULL &&
	       !iscsi_sn_before(iscsi_exp_cmdsn(session), held->cmdsn)) {
		list_del(&held->link);
		held_deliver(session, held);
		held_free(held);
	}
	session->ordering = false;
}

/* ---- Given up ---- */

/* A number that is not there yet and never will be. */
static bool
plug_number(struct iscsi_session *session, uint32_t cmdsn)
{
	struct iscsi_held *held;

	held = calloc(1, sizeof(*held));
	if (held == NULL)
		return false;
	list_init(&held->link);
	held->kind = ISCSI_HELD_NUMBERED;
	held->cmdsn = cmdsn;
	if (held_insert(session, held))
		return true;
	free(held);
	return false;
}

/*
 * 11.6.1: a tag that is not known, with a RefCmdSN in the window and before
 * the request's own CmdSN: the target must "consider the CmdSN received".
 */
bool
iscsi_order_abort(
    struct iscsi_session *session, const struct iscsi_task_request *request)
{
	const uint32_t ref = be32_get(&request->ref_cmdsn);
	const uint32_t cmdsn = be32_get(&request->cmdsn);
	struct iscsi_held *held =
	    held_find(session, be32_get(&request->referenced_itt));

	if (held != NULL) {
		command_drop_data(session, held);
		held_give_up(held);
		return true;
	}
	return !iscsi_sn_before(ref, iscsi_exp_cmdsn(session)) &&
	       iscsi_sn_before(ref, cmdsn) &&
	       cmdsn - iscsi_exp_cmdsn(session) <=
		   session->window - session->open &&
	       plug_number(session, ref);
}

/* 4.2.3.3 allows it for functions that concern the target: what has not come on
 * the session that asks counts as received. */
void
iscsi_order_plug(struct iscsi_session *session, uint32_t next)
{
	struct iscsi_held *held, *tmp;

	if (next - iscsi_exp_cmdsn(session) > session->window - session->open)
		return;
	list_for_each_safe (held, tmp, &session->held, link) {
		if (held->kind != ISCSI_HELD_IMMEDIATE &&
		    iscsi_sn_before(held->cmdsn, next))
			held_free(held);
	}
	while (iscsi_exp_cmdsn(session) != next)
		iscsi_order_advance(session);
}

void
iscsi_order_forget(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;
	struct iscsi_held *held, *next;

	iscsi_order_discard(conn);
	if (session == NULL)
		return;
	list_for_each_safe (held, next, &session->held, link) {
		if (held->conn != conn)
			continue;
		if (held->kind == ISCSI_HELD_NUMBERED)
			held_give_up(held);
		else
			held_free(held);
	}
}

void
iscsi_order_free(struct iscsi_session *session)
{
	struct iscsi_held *held, *next;

	list_for_each_safe (held, next, &session->held, link)
		held_free(held);
}
