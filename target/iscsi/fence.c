/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An initiator takes what comes on a connection in its order.  So the other
 * connections are pinged: who answers has had all that was sent or queued
 * before, and said so by ExpStatSN too.  That costs a round trip on those
 * connections, for functions that are rare; who does not answer is a silent
 * peer, and its connection ends by nop.c.
 */
#include "target/iscsi/fence.h"
#include "target/iscsi/nop.h"
#include "target/iscsi/tmf.h"

static_assert(ISCSI_TMF_SLOTS <= 16, "a bit each in conn->fences");

static unsigned
slot_of(const struct iscsi_tmf *tmf)
{
	return (unsigned)(tmf - tmf->conn->session->tmfs);
}

static void
fence_pass(struct iscsi_conn *conn, struct iscsi_tmf *tmf)
{
	conn->fences &= (uint16_t) ~(1u << slot_of(tmf));
	assert(tmf->fences > 0);
	if (--tmf->fences == 0)
		iscsi_tmf_finish(tmf);
}

bool
iscsi_fence_begin(struct iscsi_tmf *tmf)
{
	struct iscsi_session *session = tmf->conn->session;
	struct iscsi_conn *conn;

	tmf->fence_tag = ISCSI_FENCE_TAG |
			 (++session->fence_count & 0x3ffffffu) << 4 |
			 slot_of(tmf);
	list_for_each (conn, &session->conns, link) {
		if (conn == tmf->conn || !iscsi_conn_is_in_use(conn) ||
		    conn->close_when_sent)
			continue;
		conn->fences |= (uint16_t)(1u << slot_of(tmf));
		tmf->fences++;
		iscsi_nop_send(conn, tmf->fence_tag);
	}
	return tmf->fences == 0;
}

void
iscsi_fence_answered(struct iscsi_conn *conn, uint32_t tag)
{
	struct iscsi_tmf *tmf =
	    &conn->session->tmfs[tag & (ISCSI_TMF_SLOTS - 1)];

	if (tmf->conn != NULL && tmf->fence_tag == tag &&
	    (conn->fences & 1u << slot_of(tmf)) != 0)
		fence_pass(conn, tmf);
}

static void
fence_cancel(struct iscsi_session *session, struct iscsi_tmf *tmf)
{
	struct iscsi_conn *conn;

	list_for_each (conn, &session->conns, link)
		conn->fences &= (uint16_t) ~(1u << slot_of(tmf));
	tmf->fences = 0;
	iscsi_tmf_finish(tmf);
}

void
iscsi_fence_forget(struct iscsi_conn *conn)
{
	struct iscsi_session *session = conn->session;

	for (unsigned i = 0; session != NULL && i < ISCSI_TMF_SLOTS; i++) {
		struct iscsi_tmf *tmf = &session->tmfs[i];
		if (tmf->conn == NULL || tmf->fences == 0)
			continue;
		if (tmf->conn == conn)
			fence_cancel(session, tmf);
		else if ((conn->fences & 1u << i) != 0)
			fence_pass(conn, tmf);
	}
}
