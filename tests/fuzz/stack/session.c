/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions and connections of the initiator, and what must hold of every PDU
 * that the server sends, whatever it was sent.
 */
#include "tests/fuzz/stack/session.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW 16 /* the server's limit, server.c */

uint32_t
session_number(struct session *session, enum turn turn)
{
	switch (turn) {
	case TURN_AHEAD:
		session->hole = session->cmdsn;
		session->cmdsn += 2;
		return session->cmdsn - 1;
	case TURN_HOLE: return session->hole;
	case TURN_AGAIN: return session->cmdsn - 1;
	default: return session->cmdsn++;
	}
}

/* ---- What comes ---- */

/* 4.2.2.2: does its StatSN count, and is it used up? */
static void
check_statsn(struct slot *slot, const struct iscsi_bhs *bhs)
{
	const uint8_t opcode = iscsi_opcode(bhs);
	const uint32_t statsn = be32_get(&bhs->number[0]);
	const bool ping =
	    opcode == ISCSI_NOP_IN && be32_get(&bhs->itt) == ISCSI_TAG_NONE;

	if (opcode == ISCSI_DATA_IN && (bhs->flags & ISCSI_DATA_IN_STATUS) == 0)
		return;
	assert(statsn == slot->statsn);
	if (opcode != ISCSI_R2T && !ping)
		slot->statsn++;
}

/* 4.2.2.1: the window neither shrinks nor grows beyond its size. */
static void
check_window(struct slot *slot, const struct iscsi_bhs *bhs)
{
	const uint32_t exp = be32_get(&bhs->number[1]);
	const uint32_t max = be32_get(&bhs->number[2]);

	assert(!iscsi_sn_before(exp, slot->exp_cmdsn));
	assert(max - exp + 1 <= WINDOW);
	slot->exp_cmdsn = exp;
}

static void
slot_take(struct slot *slot, const struct iscsi_bhs *bhs)
{
	check_statsn(slot, bhs);
	check_window(slot, bhs);
	if (iscsi_opcode(bhs) == ISCSI_R2T) {
		slot->itt = be32_get(&bhs->itt);
		slot->ttt = be32_get(&bhs->ttt);
		slot->r2t_offset = load_be32(&bhs->rest[4]);
		slot->r2t_length = load_be32(&bhs->rest[8]);
	} else if (iscsi_opcode(bhs) == ISCSI_NOP_IN &&
		   be32_get(&bhs->ttt) != ISCSI_TAG_NONE) {
		slot->ping = be32_get(&bhs->ttt);
	}
}

static size_t
pdu_length(const struct slot *slot, const struct iscsi_bhs *bhs)
{
	const uint32_t length = be24_get(&bhs->data_length);
	size_t whole = sizeof(*bhs) + length + iscsi_pad(length);

	if (slot->c.digests)
		whole += 4 + (length > 0 ? 4 : 0);
	return whole;
}

/* Of what is there, the first whole PDU; 0: there is none. */
static size_t
slot_pdu(const struct slot *slot, struct iscsi_bhs *bhs)
{
	size_t whole;

	if (slot->in_length < sizeof(*bhs))
		return 0;
	memcpy(bhs, slot->in, sizeof(*bhs));
	whole = pdu_length(slot, bhs);
	assert(whole <= sizeof(slot->in));
	return whole <= slot->in_length ? whole : 0;
}

static void
slot_eat(struct slot *slot, size_t length)
{
	slot->in_length -= length;
	memmove(slot->in, slot->in + length, slot->in_length);
}

enum fill { FILL_SOME, FILL_NONE, FILL_CLOSED };

/* More bytes, if there are some within the time. */
static enum fill
slot_fill(struct slot *slot, int timeout_ms)
{
	struct pollfd pfd = {.fd = slot->c.fd, .events = POLLIN};
	ssize_t n;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return FILL_NONE;
	n = recv(slot->c.fd, slot->in + slot->in_length,
	    sizeof(slot->in) - slot->in_length, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return FILL_SOME;
	if (n <= 0)
		return FILL_CLOSED;
	slot->in_length += (size_t)n;
	return FILL_SOME;
}

static void
slot_take_all(struct slot *slot)
{
	struct iscsi_bhs bhs;
	size_t length;

	while ((length = slot_pdu(slot, &bhs)) > 0) {
		slot_take(slot, &bhs);
		slot_eat(slot, length);
	}
}

/* False: the server has closed. */
static bool
slot_listen(struct slot *slot, int timeout_ms)
{
	enum fill fill;

	do {
		fill = slot_fill(slot, timeout_ms);
		slot_take_all(slot);
	} while (fill == FILL_SOME);
	return fill != FILL_CLOSED;
}

static bool
listen_run(struct initiator *c, int timeout_ms)
{
	return slot_listen(container_of(c, struct slot, c), timeout_ms);
}

void
slot_look(struct slot *slot)
{
	if (slot->open)
		slot_listen(slot, 0);
}

/* ---- Logging in, and leaving ---- */

static size_t
add_pair(char *text, size_t at, const char *key, const char *value)
{
	const int n = snprintf(text + at, 256, "%s=%s", key, value);

	assert(n > 0 && n < 256);
	return at + (size_t)n + 1;
}

static bool
text_has(const uint8_t *text, size_t length, const char *pair)
{
	return memmem(text, length, pair, strlen(pair)) != NULL;
}

/* Both digests, or none: more the initiator does not know. */
static bool
login_digests(struct slot *slot, const uint8_t *text, size_t length)
{
	const bool header = text_has(text, length, "HeaderDigest=CRC32C");

	slot->c.digests = header;
	return header == text_has(text, length, "DataDigest=CRC32C");
}

static bool
login_answered(struct slot *slot, struct iscsi_bhs *bhs)
{
	size_t length;
	bool known;

	while ((length = slot_pdu(slot, bhs)) == 0) {
		if (slot_fill(slot, 10000) != FILL_SOME)
			return false;
	}
	known = login_digests(slot, slot->in, length);
	slot_eat(slot, length);
	return known && iscsi_opcode(bhs) == ISCSI_LOGIN_RESPONSE &&
	       bhs->rest[0] == 0 && bhs->rest[1] == 0 &&
	       (bhs->flags & 0x83) == 0x83;
}

void
slot_login(struct slot *slot, struct session *session, uint16_t cid, bool join,
    const char *text, size_t length)
{
	const struct login login = {.isid = session->isid,
	    .tsih = join ? session->tsih : 0,
	    .cid = cid,
	    .cmdsn = session->cmdsn};
	struct iscsi_bhs bhs;
	char data[STACK_DATA_MAX];
	size_t n = 0;

	slot_close(slot);
	memset(slot, 0, sizeof(*slot));
	initiator_connect(&slot->c);
	slot->open = true;
	slot->session = session;
	slot->ping = ISCSI_TAG_NONE;
	n = add_pair(data, n, "InitiatorName", session->initiator);
	n = add_pair(data, n, "TargetName", STACK_TARGET);
	memcpy(data + n, text, length);
	initiator_login(&slot->c, &login, data, n + length);
	if (!login_answered(slot, &bhs)) {
		slot_close(slot);
		return;
	}
	slot->c.listen = listen_run;
	session->tsih = load_be16(&bhs.lun[6]);
	slot->statsn = be32_get(&bhs.number[0]) + 1;
	slot->exp_cmdsn = be32_get(&bhs.number[1]);
	/* one that is reinstated goes on where the server is */
	session->cmdsn = slot->exp_cmdsn;
}

void
slot_send(struct slot *slot, struct iscsi_bhs *bhs, const uint8_t *data,
    uint32_t length)
{
	if (slot->open)
		initiator_pdu(&slot->c, bhs, data, length);
}

void
slot_close(struct slot *slot)
{
	if (slot->open)
		initiator_finish(&slot->c);
	slot->open = false;
}
