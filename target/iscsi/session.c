/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session on its target's loop: the beginning of full feature phase,
 * reinstatement of its connection, logout on request, and the end, which waits
 * until scsi has let go of the last task.
 */
#include "target/iscsi/session.h"
#include "base/log.h"
#include "target/iscsi/login.h"
#include "target/iscsi/nop.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void session_check(struct iscsi_session *session);
static void linger_expired(struct loop_timer *timer);
static void gone_run(struct loop_task *task);

struct iscsi_session *
iscsi_session_new(struct iscsi_server *server)
{
	struct iscsi_session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	session->magic = ISCSI_SESSION_MAGIC;
	session->server = server;
	session->window = server->limits.commands;
	session->linger.expire = linger_expired;
	session->gone.run = gone_run;
	list_init(&session->directory);
	list_init(&session->link);
	list_init(&session->conns);
	list_init(&session->mappings);
	return session;
}

void
iscsi_session_free(struct iscsi_session *session)
{
	assert(list_empty(&session->conns));
	assert(list_empty(&session->mappings));
	assert(session->nexus == NULL);
	free(session->tasks);
	session->magic = 0;
	free(session);
}

void
iscsi_conn_window(const struct iscsi_conn *conn, uint32_t *ret_exp_cmdsn,
    uint32_t *ret_max_cmdsn)
{
	const struct iscsi_session *session = conn->session;

	if (session == NULL) {
		*ret_exp_cmdsn = *ret_max_cmdsn = conn->login->cmdsn;
		return;
	}
	/* it never goes back: what opens a command moves ExpCmdSN with it */
	assert(session->open <= session->window);
	*ret_exp_cmdsn = session->exp_cmdsn;
	*ret_max_cmdsn =
	    session->exp_cmdsn + session->window - session->open - 1;
}

/* ---- The beginning ---- */

/* SAM-5 annex on iSCSI, RFC 7143 4.2.7: names of the two ports */
static int
session_nexus(struct iscsi_session *session)
{
	char initiator[ISCSI_NAME_MAX + 32], target[ISCSI_NAME_MAX + 32];
	const uint8_t *id = session->isid;
	const struct scsi_nexus_params params = {
	    .loop = session->reactor->loop,
	    .initiator_port = initiator,
	    .target_port = target,
	    .relative_port = session->tag,
	    .target_name = session->target,
	};

	snprintf(initiator, sizeof(initiator),
	    "%s,i,0x%02x%02x%02x%02x%02x%02x", session->initiator, id[0], id[1],
	    id[2], id[3], id[4], id[5]);
	snprintf(target, sizeof(target), "%s,t,0x%04x", session->target,
	    session->tag);
	return scsi_nexus_new(&params, &session->nexus);
}

static int
session_open(struct iscsi_session *session)
{
	int ret;

	if (session->discovery)
		return 0;
	ret = session_nexus(session);
	if (ret == 0)
		ret = iscsi_session_map(session);
	if (ret == 0)
		ret = iscsi_tasks_init(session);
	return ret;
}

static int
conn_open(struct iscsi_conn *conn)
{
	const struct iscsi_params *params = &conn->login->keys.result;
	int ret = iscsi_conn_grow(conn);

	if (ret < 0)
		return ret;
	conn->cid = conn->login->cid;
	conn->params = *params;
	conn->rx.segment_max = conn->server->limits.max_recv_segment;
	conn->rx.header_digest = ISCSI_PARAM(params, HeaderDigest);
	conn->rx.data_digest = ISCSI_PARAM(params, DataDigest);
	conn->tx.header_digest = conn->rx.header_digest;
	conn->tx.data_digest = conn->rx.data_digest;
	return 0;
}

/* The connection is the session's now, to the end. */
static void
session_join(struct iscsi_session *session, struct iscsi_conn *conn)
{
	conn->state = ISCSI_CONN_FULL;
	list_add_tail(&session->conns, &conn->link);
}

static void
conn_begin(struct iscsi_conn *conn)
{
	iscsi_login_succeed(conn);
	iscsi_nop_start(conn);
	iscsi_rx_resume(conn);
}

static void
session_start(struct iscsi_session *session, struct iscsi_conn *conn)
{
	int ret;

	session->state = ISCSI_SESSION_ACTIVE;
	session_join(session, conn);
	ret = session_open(session);
	if (ret == 0)
		ret = conn_open(conn);
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

/* 6.3.4: the old connection is logged out as if by its initiator, its tasks are
 * terminated; numbering and nexus go on. */
static void
session_reinstate(struct iscsi_session *session, struct iscsi_conn *conn)
{
	struct iscsi_conn *old = iscsi_session_conn(session);
	struct iscsi_conn *before = session->successor;

	session->successor = conn;
	if (before != NULL) {
		session_join(session, before);
		iscsi_conn_close(before, "reinstated");
	}
	if (old != NULL)
		iscsi_conn_close(old, "reinstated");
	session_check(session);
}

static void
session_succeed(struct iscsi_session *session)
{
	struct iscsi_conn *conn = session->successor;

	session->successor = NULL;
	session_join(session, conn);
	if (conn_open(conn) < 0)
		iscsi_login_fail(conn, ISCSI_LOGIN_OUT_OF_RESOURCES);
	else
		conn_begin(conn);
}

void
iscsi_session_arrive(struct iscsi_session *session, struct iscsi_conn *conn)
{
	ASSERT_MAGIC(session, ISCSI_SESSION_MAGIC);
	atomic_fetch_sub(&session->arriving, 1);
	if (list_empty(&session->link))
		list_add_tail(&session->reactor->sessions, &session->link);
	if (session->state == ISCSI_SESSION_NEW) {
		session_start(session, conn);
	} else if (session->state == ISCSI_SESSION_ACTIVE) {
		session_reinstate(session, conn);
	} else {
		session_join(session, conn);
		iscsi_conn_close(conn, "session is closing");
	}
}

/* ---- The end ---- */

static void
linger_expired(struct loop_timer *timer)
{
	struct iscsi_session *session =
	    container_of(timer, struct iscsi_session, linger);

	iscsi_session_close(session, "no logout when asked for");
}

void
iscsi_session_ask_logout(struct iscsi_session *session, unsigned grace_ms)
{
	struct iscsi_conn *conn = iscsi_session_conn(session);
	union {
		struct iscsi_bhs bhs;
		struct iscsi_async async;
	} u = {.async = {
		   .opcode = ISCSI_ASYNC,
		   .flags = ISCSI_FINAL,
		   .event = ISCSI_ASYNC_LOGOUT,
	       }};

	if (session->state == ISCSI_SESSION_CLOSING ||
	    loop_timer_armed(&session->linger))
		return;
	if (conn == NULL || session->discovery) {
		iscsi_session_close(session, "not wanted any more");
		return;
	}
	be32_set(&u.async.tag, ISCSI_TAG_NONE);
	/* 11.9.1: Parameter3 is the time in seconds to do it in */
	be16_set(&u.async.parameter[2], (uint16_t)((grace_ms + 999) / 1000));
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, NULL, 0);
	loop_timer_arm(
	    session->reactor->loop, &session->linger, grace_ms * NSEC_PER_MSEC);
}

void
iscsi_session_close(struct iscsi_session *session, const char *why)
{
	struct iscsi_conn *conn, *next;

	ASSERT_MAGIC(session, ISCSI_SESSION_MAGIC);
	if (session->state >= ISCSI_SESSION_CLOSING)
		return;
	log_debug("iscsi %s: session %u: closing: %s", session->initiator,
	    session->tsih, why);
	session->state = ISCSI_SESSION_CLOSING;
	loop_timer_disarm(session->reactor->loop, &session->linger);
	if (session->successor != NULL)
		session_join(session, session->successor);
	session->successor = NULL;
	list_for_each_safe (conn, next, &session->conns, link)
		iscsi_conn_close(conn, why);
	session_check(session);
}

/* Its tasks are to end, but the nexus stays. */
static void
reset_done(struct scsi_tmf_request *request)
{
	struct iscsi_session *session =
	    container_of(request, struct iscsi_session, reset);

	session->resetting = false;
	session_check(session);
}

static void
session_reset(struct iscsi_session *session)
{
	struct scsi_tmf_request *reset = &session->reset;

	if (session->resetting || session->nexus == NULL)
		return;
	session->resetting = true;
	memset(reset, 0, sizeof(*reset));
	reset->nexus = session->nexus;
	reset->function = SCSI_I_T_NEXUS_RESET;
	reset->done = reset_done;
	scsi_tmf(reset);
}

/* Is there a connection whose I/O may still touch a task? */
static bool
session_is_busy(const struct iscsi_session *session)
{
	struct iscsi_conn *conn;

	list_for_each (conn, &session->conns, link) {
		if (!conn->torn_down)
			return true;
	}
	return false;
}

void
iscsi_session_conn_lost(struct iscsi_session *session, struct iscsi_conn *conn)
{
	assert(conn->torn_down);
	if (session->state == ISCSI_SESSION_ACTIVE &&
	    session->successor != NULL)
		session_reset(session);
	else
		/* ErrorRecoveryLevel 0: it was the last, so the session ends */
		iscsi_session_close(session, "connection lost");
	session_check(session);
}

void
iscsi_session_conn_gone(struct iscsi_session *session, struct iscsi_conn *conn)
{
	list_del(&conn->link);
	conn->session = NULL;
	session_check(session);
}

static void
nexus_gone(void *arg)
{
	struct iscsi_session *session = arg;

	ASSERT_MAGIC(session, ISCSI_SESSION_MAGIC);
	session->nexus = NULL;
	session_check(session);
}

static void
gone_run(struct loop_task *task)
{
	iscsi_directory_gone(container_of(task, struct iscsi_session, gone));
}

/* The LUNs went with the nexus; those being unmapped have their own end. */
static void
session_forget_mappings(struct iscsi_session *session)
{
	struct iscsi_mapping *mapping, *next;

	list_for_each_safe (mapping, next, &session->mappings, link) {
		list_del(&mapping->link);
		free(mapping);
	}
}

static void
session_bury(struct iscsi_session *session)
{
	session_forget_mappings(session);
	session->state = ISCSI_SESSION_GONE;
	list_del(&session->link);
	if (session->counted)
		iscsi_uncount(session->server, sessions);
	session->counted = false;
	if (session->publishing)
		iscsi_reactor_publish_step(session->reactor);
	session->publishing = false;
	loop_post(iscsi_door(session->server)->loop, &session->gone);
}

/* What the session waits for may have come. */
static void
session_check(struct iscsi_session *session)
{
	if (session->state == ISCSI_SESSION_ACTIVE) {
		if (session->successor != NULL && !session->resetting &&
		    list_empty(&session->conns))
			session_succeed(session);
		return;
	}
	if (session->state != ISCSI_SESSION_CLOSING ||
	    session_is_busy(session) || session->resetting)
		return;
	if (session->nexus != NULL && !session->nexus_closing) {
		session->nexus_closing = true;
		scsi_nexus_free(session->nexus, nexus_gone, session);
	}
	if (session->nexus == NULL && session->unmapping == 0 &&
	    !iscsi_session_is_awaited(session))
		session_bury(session);
}

bool
iscsi_session_is_awaited(const struct iscsi_session *session)
{
	return !list_empty(&session->conns) ||
	       atomic_load(&session->arriving) > 0;
}

void
iscsi_session_unmapped(struct iscsi_session *session)
{
	assert(session->unmapping > 0);
	session->unmapping--;
	session_check(session);
}
