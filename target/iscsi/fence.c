/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An initiator takes what comes on a connection in its order.  So the other
 * connections are pinged: who answers has had all that was sent or queued
 * before, and said so by ExpStatSN too.  That costs a round trip on those
 * connections, for answers that are rare; a silent peer's connection ends by
 * nop.c.  Who goes on talking but leaves the ping unanswered (11.18: he "MUST
 * respond with a NOP-Out") keeps the answer waiting as long.  It is his own
 * session, and nobody else waits for it; and a bound would end connections that
 * are slow because much was sent on them before the ping.
 */
#include "target/iscsi/fence.h"
#include "target/iscsi/nop.h"

static_assert(ISCSI_FENCES <= 16, "a bit each in conn->fences");

static struct iscsi_fence *
fence_free_one(struct iscsi_session *session)
{
	for (unsigned i = 0; i < ISCSI_FENCES; i++) {
		if (session->fences[i].conn == NULL)
			return &session->fences[i];
	}
	return NULL;
}

static uint16_t
fence_bit(const struct iscsi_fence *fence)
{
	const struct iscsi_session *session = fence->conn->session;

	return (uint16_t)(1u << (fence - session->fences));
}

static void
fence_end(struct iscsi_fence *fence)
{
	fence->conn = NULL;
	fence->passed(fence->arg);
}

static void
fence_ask(struct iscsi_fence *fence, struct iscsi_conn *conn)
{
	conn->fences |= fence_bit(fence);
	fence->waiting++;
	iscsi_nop_send(conn, fence->tag);
}

bool
iscsi_fence_begin(struct iscsi_conn *conn, void (*passed)(void *arg), void *arg)
{
	struct iscsi_session *session = conn->session;
	struct iscsi_fence *fence = fence_free_one(session);
	struct iscsi_conn *other;

	if (fence == NULL)
		return false;
	*fence =
	    (struct iscsi_fence){.conn = conn, .passed = passed, .arg = arg};
	fence->tag = ISCSI_FENCE_TAG |
		     (++session->fence_count & 0x3ffffffu) << 4 |
		     (uint32_t)(fence - session->fences);
	list_for_each (other, &session->conns, link) {
		if (other != conn && iscsi_conn_is_in_use(other) &&
		    !iscsi_conn_is_ending(other))
			fence_ask(fence, other);
	}
	if (fence->waiting == 0)
		fence->conn = NULL;
	return fence->waiting > 0;
}

static void
fence_pass(struct iscsi_fence *fence, struct iscsi_conn *conn)
{
	conn->fences ^= fence_bit(fence);
	assert(fence->waiting > 0);
	if (--fence->waiting == 0)
		fence_end(fence);
}

void
iscsi_fence_answered(struct iscsi_conn *conn, uint32_t tag)
{
	struct iscsi_fence *fence =
	    &conn->session->fences[tag & (ISCSI_FENCES - 1)];

	if (fence->conn != NULL && fence->tag == tag &&
	    (conn->fences & fence_bit(fence)) != 0)
		fence_pass(fence, conn);
}

static void
fence_cancel(struct iscsi_fence *fence)
{
	struct iscsi_conn *conn;

	list_for_each (conn, &fence->conn->session->conns, link)
		conn->fences &= (uint16_t)(0xffffu ^ fence_bit(fence));
	fence_end(fence);
}

void
iscsi_fence_leave(struct iscsi_conn *conn)
{
	for (unsigned i = 0; i < ISCSI_FENCES; i++) {
		if ((conn->fences & 1u << i) != 0)
			fence_pass(&conn->session->fences[i], conn);
	}
}

void
iscsi_fence_forget(struct iscsi_conn *conn)
{
	iscsi_fence_leave(conn);
	for (unsigned i = 0; i < ISCSI_FENCES; i++) {
		if (conn->session->fences[i].conn == conn)
			fence_cancel(&conn->session->fences[i]);
	}
}
