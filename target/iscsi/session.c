/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session on its target's loop: its nexus, logout on request, and the end,
 * which waits until scsi has let go of the last task.
 */
#include "target/iscsi/session.h"
#include "base/log.h"
#include "target/iscsi/login.h"
#include "target/iscsi/order.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
	session->used_lun = ISCSI_USED_NONE;
	session->linger.expire = linger_expired;
	session->gone.run = gone_run;
	list_init(&session->directory);
	list_init(&session->link);
	list_init(&session->conns);
	list_init(&session->successors);
	list_init(&session->held);
	list_init(&session->mappings);
	return session;
}

void
iscsi_session_free(struct iscsi_session *session)
{
	assert(list_empty(&session->conns));
	assert(list_empty(&session->mappings));
	assert(session->nexus == NULL);
	iscsi_order_free(session);
	free(session->tasks);
	session->magic = 0;
	free(session);
}

/*
 * While a connection logs in to a session that there is, the door does not
 * know its window: what it last saw of ExpCmdSN, and a window that is closed,
 * claim nothing that is not so, and an initiator that knows more ignores them
 * (4.2.2.1).
 */
static uint32_t
login_exp_cmdsn(const struct iscsi_conn *conn)
{
	const struct iscsi_login *login = conn->login;
	const struct iscsi_session *session = NULL;

	if (login->tsih != 0 && login->identified)
		session = iscsi_login_session(conn);
	return session == NULL ? login->cmdsn : iscsi_exp_cmdsn(session);
}

void
iscsi_conn_window(const struct iscsi_conn *conn, uint32_t *ret_exp_cmdsn,
    uint32_t *ret_max_cmdsn)
{
	const struct iscsi_session *session = conn->session;

	if (session == NULL) {
		*ret_exp_cmdsn = login_exp_cmdsn(conn);
		*ret_max_cmdsn =
		    *ret_exp_cmdsn - (conn->login->tsih != 0 ? 1 : 0);
		return;
	}
	/* it never goes back: what opens a command moves ExpCmdSN with it */
	assert(session->open <= session->window);
	*ret_exp_cmdsn = iscsi_exp_cmdsn(session);
	*ret_max_cmdsn = *ret_exp_cmdsn + session->window - session->open - 1;
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

int
iscsi_session_open(struct iscsi_session *session)
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

void
iscsi_session_arrive(struct iscsi_session *session, struct iscsi_conn *conn)
{
	ASSERT_MAGIC(session, ISCSI_SESSION_MAGIC);
	atomic_fetch_sub(&session->arriving, 1);
	if (list_empty(&session->link))
		list_add_tail(&session->reactor->sessions, &session->link);
	if (session->state == ISCSI_SESSION_NEW) {
		session->state = ISCSI_SESSION_ACTIVE;
		iscsi_session_lead(session, conn);
	} else {
		iscsi_session_join(session, conn);
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

/* 11.9.1: it "MUST be sent on the same connection as the one requesting to be
 * logged out": on all. */
static bool
conn_ask_logout(struct iscsi_conn *conn, unsigned grace_ms)
{
	union {
		struct iscsi_bhs bhs;
		struct iscsi_async async;
	} u = {.async = {
		   .opcode = ISCSI_ASYNC,
		   .flags = ISCSI_FINAL,
		   .event = ISCSI_ASYNC_LOGOUT,
	       }};

	if (!iscsi_conn_is_in_use(conn) || iscsi_conn_is_ending(conn))
		return false;
	be32_set(&u.async.tag, ISCSI_TAG_NONE);
	/* 11.9.1: Parameter3 is the time in seconds to do it in */
	be16_set(&u.async.parameter[2], (uint16_t)((grace_ms + 999) / 1000));
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, NULL, 0);
	return true;
}

void
iscsi_session_ask_logout(struct iscsi_session *session, unsigned grace_ms)
{
	struct iscsi_conn *conn, *next;
	bool asked = false;

	if (session->state == ISCSI_SESSION_CLOSING ||
	    loop_timer_armed(&session->linger))
		return;
	list_for_each_safe (conn, next, &session->conns, link) {
		if (!session->discovery && conn_ask_logout(conn, grace_ms))
			asked = true;
	}
	if (!asked) {
		iscsi_session_close(session, "not wanted any more");
		return;
	}
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
	iscsi_session_take_successors(session);
	list_for_each_safe (conn, next, &session->conns, link)
		iscsi_conn_close(conn, why);
	iscsi_session_check(session);
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

static void
nexus_gone(void *arg)
{
	struct iscsi_session *session = arg;

	ASSERT_MAGIC(session, ISCSI_SESSION_MAGIC);
	session->nexus = NULL;
	iscsi_session_check(session);
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

void
iscsi_session_check(struct iscsi_session *session)
{
	if (session->state != ISCSI_SESSION_CLOSING || session_is_busy(session))
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
	iscsi_session_check(session);
}
