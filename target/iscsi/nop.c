/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pings both ways.  A peer that says nothing for nop_interval is asked; if he
 * stays silent for nop_timeout more, he is gone.  One timer per connection,
 * which looks at the time of the last receive: nothing is armed per PDU.
 */
#include "target/iscsi/nop.h"
#include "target/iscsi/fence.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdlib.h>

/* A peer who lives but does not send the data he was asked for. */
#define DATA_TIMEOUT_NS (60 * NSEC_PER_SEC)

/* ---- The initiator asks ---- */

static const struct iscsi_nop *
nop_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

int
iscsi_nop_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const uint32_t length = conn->rx.pdu.data_length;
	uint8_t *memory;

	(void)ahs;
	/* 11.18.1: without a tag it is an answer, which is immediate */
	if (be32_get(&nop_of(conn)->itt) == ISCSI_TAG_NONE) {
		if (!iscsi_is_immediate(&conn->rx.pdu.bhs))
			iscsi_reject(conn, ISCSI_REJECT_PROTOCOL);
		return 0;
	}
	if (length == 0)
		return 0;
	memory = malloc(length);
	if (memory == NULL) {
		iscsi_conn_close(conn, "no memory");
		return -ENOMEM;
	}
	iscsi_rx_into_memory(conn, memory, length, true);
	return 0;
}

/* 11.19: "a duplicate of the ping data", as much as he can receive. */
static void
nop_answer(struct iscsi_conn *conn)
{
	const struct iscsi_nop *nop = nop_of(conn);
	uint32_t length = conn->rx.pdu.data_length;
	union {
		struct iscsi_bhs bhs;
		struct iscsi_nop nop;
	} u = {.nop = {.opcode = ISCSI_NOP_IN, .flags = ISCSI_FINAL}};

	if (length > ISCSI_PARAM(&conn->params, MaxRecvDataSegmentLength))
		length = ISCSI_PARAM(&conn->params, MaxRecvDataSegmentLength);
	memcpy(u.nop.lun, nop->lun, sizeof(u.nop.lun));
	u.nop.itt = nop->itt;
	be32_set(&u.nop.ttt, ISCSI_TAG_NONE);
	iscsi_tx_control(
	    conn, &u.bhs, ISCSI_STATSN_USE, conn->rx.pdu.memory, length);
}

void
iscsi_nop_body(struct iscsi_conn *conn)
{
	const struct iscsi_nop *nop = nop_of(conn);

	/* an answer of his has done its work by being received, unless a
	 * fence waits for it */
	if (be32_get(&nop->itt) != ISCSI_TAG_NONE)
		nop_answer(conn);
	else
		iscsi_fence_answered(conn, be32_get(&nop->ttt));
}

/* ---- We ask ---- */

void
iscsi_nop_send(struct iscsi_conn *conn, uint32_t tag)
{
	union {
		struct iscsi_bhs bhs;
		struct iscsi_nop nop;
	} u = {.nop = {.opcode = ISCSI_NOP_IN, .flags = ISCSI_FINAL}};

	be32_set(&u.nop.itt, ISCSI_TAG_NONE);
	be32_set(&u.nop.ttt, tag);
	/* 11.19.3: StatSN is the next one and not used up */
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_SHOW, NULL, 0);
}

static void
nop_ask(struct iscsi_conn *conn)
{
	if (++conn->ping_tag == ISCSI_FENCE_TAG)
		conn->ping_tag = 0;
	conn->ping_ns = loop_now(conn->loop);
	/* 4.3: a discovery session is not pinged; it just has that long */
	if (conn->session->discovery)
		return;
	iscsi_nop_send(conn, conn->ping_tag);
}

/* When did the peer last give a sign of life?  While it is us who do not
 * receive, what counts is whether he takes what we send. */
static uint64_t
last_sign(const struct iscsi_conn *conn)
{
	if (conn->rx.io.in_flight)
		return conn->rx.last_ns;
	return conn->tx.io.in_flight ? conn->tx.last_ns : loop_now(conn->loop);
}

static void
watch_timeout(struct iscsi_conn *conn, const char *why)
{
	iscsi_count(conn->server, timeouts);
	iscsi_conn_close(conn, why);
}

static uint64_t
interval_ns(const struct iscsi_conn *conn)
{
	return conn->server->limits.nop_interval_ms * NSEC_PER_MSEC;
}

static uint64_t
timeout_ns(const struct iscsi_conn *conn)
{
	return conn->server->limits.nop_timeout_ms * NSEC_PER_MSEC;
}

static uint64_t
shorter(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns the time until the next look, or 0: closed. */
static uint64_t
watch(struct iscsi_conn *conn)
{
	const uint64_t now = loop_now(conn->loop), sign = last_sign(conn);
	const uint64_t interval = interval_ns(conn);
	const uint64_t timeout = timeout_ns(conn);

	if (conn->awaiting > 0 && now - conn->data_last_ns > DATA_TIMEOUT_NS) {
		watch_timeout(conn, "Data-Out timeout");
		return 0;
	}
	if (sign > conn->ping_ns)
		conn->ping_ns = 0;
	if (now - sign < interval)
		return interval - (now - sign);
	if (conn->ping_ns == 0) {
		nop_ask(conn);
		return shorter(interval, timeout);
	}
	if (now - conn->ping_ns >= timeout) {
		watch_timeout(conn, "silent peer");
		return 0;
	}
	return shorter(interval, timeout - (now - conn->ping_ns));
}

static void
watch_expired(struct loop_timer *timer)
{
	struct iscsi_conn *conn = container_of(timer, struct iscsi_conn, timer);
	const uint64_t next = watch(conn);

	if (next > 0 && iscsi_conn_is_open(conn))
		loop_timer_arm(conn->loop, timer, next);
}

void
iscsi_nop_start(struct iscsi_conn *conn)
{
	conn->timer.expire = watch_expired;
	conn->ping_ns = 0;
	loop_timer_arm(conn->loop, &conn->timer, interval_ns(conn));
}
