/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text requests.  What one PDU cannot hold is continued, in both directions: a
 * request with C set is answered by an empty response with a target transfer
 * tag, a long answer is fetched piece by piece with that tag.
 */
#include "target/iscsi/text_request.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdlib.h>

/* The tag of the one exchange a connection can have open. */
#define TEXT_TTT 1

struct iscsi_text_state {
	uint32_t itt;
	uint32_t in_length, out_sent;
	bool open;             /* our tag is out */
	struct iscsi_text out; /* malloc'ed */
	char in[ISCSI_TEXT_MAX];
};

void
iscsi_text_state_free(struct iscsi_text_state *state)
{
	if (state == NULL)
		return;
	free(state->out.data);
	free(state);
}

static const struct iscsi_text_pdu *
request_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

/* 11.10.4: the reserved tag begins a new exchange and forgets any other. */
static void
text_reset(struct iscsi_text_state *state, uint32_t itt)
{
	state->itt = itt;
	state->in_length = state->out_sent = 0;
	state->out.length = 0;
	state->out.overflow = false;
	state->open = false;
}

static bool
text_is_legal(const struct iscsi_conn *conn)
{
	const struct iscsi_text_pdu *r = request_of(conn);
	const struct iscsi_text_state *state = conn->text;
	const bool final = r->flags & ISCSI_FINAL;
	const bool more = r->flags & ISCSI_TEXT_CONTINUE;

	if (be32_get(&r->itt) == ISCSI_TAG_NONE || (final && more))
		return false;
	if (be32_get(&r->ttt) == ISCSI_TAG_NONE)
		return true;
	return state->open && be32_get(&r->ttt) == TEXT_TTT &&
	       be32_get(&r->itt) == state->itt;
}

int
iscsi_text_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const struct iscsi_text_pdu *r = request_of(conn);
	const uint32_t length = conn->rx.pdu.data_length;
	struct iscsi_text_state *state = conn->text;

	(void)ahs;
	if (state == NULL)
		state = conn->text = calloc(1, sizeof(*state));
	if (state == NULL) {
		iscsi_conn_close(conn, "no memory");
		return -ENOMEM;
	}
	if (!text_is_legal(conn)) {
		iscsi_reject(conn, ISCSI_REJECT_PROTOCOL);
		return 0;
	}
	if (be32_get(&r->ttt) == ISCSI_TAG_NONE)
		text_reset(state, be32_get(&r->itt));
	if (length > sizeof(state->in) - state->in_length) {
		text_reset(state, ISCSI_TAG_NONE);
		iscsi_reject(conn, ISCSI_REJECT_NEGOTIATION_RESET);
		return 0;
	}
	iscsi_rx_into_memory(
	    conn, (uint8_t *)state->in + state->in_length, length, false);
	return 0;
}

static void
text_respond(struct iscsi_conn *conn, uint8_t flags, uint32_t ttt,
    const char *text, uint32_t length)
{
	union {
		struct iscsi_bhs bhs;
		struct iscsi_text_pdu text;
	} u = {.text = {.opcode = ISCSI_TEXT_RESPONSE, .flags = flags}};

	u.text.itt = request_of(conn)->itt;
	memcpy(u.text.lun, request_of(conn)->lun, sizeof(u.text.lun));
	be32_set(&u.text.ttt, ttt);
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, text, length);
}

/* The next piece of the answer; with the last one the exchange is over if the
 * initiator said so too. */
static void
text_answer(struct iscsi_conn *conn)
{
	struct iscsi_text_state *state = conn->text;
	const char *at = state->out.data + state->out_sent;
	uint32_t length = (uint32_t)state->out.length - state->out_sent;
	const uint32_t most =
	    ISCSI_PARAM(&conn->params, MaxRecvDataSegmentLength);
	const bool final = request_of(conn)->flags & ISCSI_FINAL;

	state->open = length > most || !final;
	if (length > most)
		length = most;
	state->out_sent += length;
	if (state->out_sent < state->out.length)
		text_respond(conn, ISCSI_TEXT_CONTINUE, TEXT_TTT, at, length);
	else if (state->open)
		text_respond(conn, 0, TEXT_TTT, at, length);
	else
		text_respond(conn, ISCSI_FINAL, ISCSI_TAG_NONE, at, length);
}

static int
text_pair(struct iscsi_conn *conn, struct iscsi_negotiation *negotiation,
    const char *key, const char *value)
{
	struct iscsi_text_state *state = conn->text;
	enum iscsi_key which;
	int ret;

	ret = iscsi_negotiate(negotiation, ISCSI_WHEN_FULL_FEATURE, key, value,
	    &state->out, &which);
	if (ret == 0 && which == ISCSI_KEY_SendTargets)
		ret = iscsi_send_targets(conn, value, &state->out);
	return ret;
}

static int
text_pairs(struct iscsi_conn *conn)
{
	struct iscsi_text_state *state = conn->text;
	struct iscsi_negotiation negotiation = {
	    .ours = conn->params,
	    .result = conn->params,
	    .discovery = conn->session->discovery,
	};
	char *at = state->in, *end = state->in + state->in_length;
	const char *key, *value;
	int ret;

	state->in_length = 0;
	while ((ret = iscsi_text_next(&at, end, &key, &value)) > 0) {
		ret = text_pair(conn, &negotiation, key, value);
		if (ret < 0)
			return ret;
	}
	if (ret == 0 && state->out.overflow)
		ret = -EPROTO;
	if (ret == 0)
		conn->params = negotiation.result;
	return ret;
}

static int
text_request(struct iscsi_conn *conn)
{
	struct iscsi_text_state *state = conn->text;

	if (state->out.data == NULL) {
		state->out.data = malloc(ISCSI_TEXT_MAX);
		if (state->out.data == NULL)
			return -ENOMEM;
		state->out.size = ISCSI_TEXT_MAX;
	}
	state->out.length = state->out_sent = 0;
	return text_pairs(conn);
}

void
iscsi_text_body(struct iscsi_conn *conn)
{
	struct iscsi_text_state *state = conn->text;
	int ret = 0;

	/* where its header put it: one that was held may have been delivered in
	 * between, and have begun another exchange */
	state->in_length =
	    (uint32_t)(conn->rx.pdu.memory - (uint8_t *)state->in) +
	    conn->rx.pdu.data_length;
	if ((request_of(conn)->flags & ISCSI_TEXT_CONTINUE) != 0) {
		state->open = true;
		text_respond(conn, 0, TEXT_TTT, NULL, 0);
		return;
	}
	/* 11.10.4: the initiator fetches the rest with empty requests */
	if (state->out_sent < state->out.length) {
		if (state->in_length > 0)
			ret = -EPROTO;
	} else {
		ret = text_request(conn);
	}
	if (ret == -ENOMEM) {
		iscsi_conn_close(conn, "no memory");
	} else if (ret < 0) {
		text_reset(state, ISCSI_TAG_NONE);
		iscsi_reject(conn, ISCSI_REJECT_PROTOCOL);
	} else {
		text_answer(conn);
	}
}
