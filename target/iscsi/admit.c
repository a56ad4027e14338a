/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Admission: who logs in, to what, may he, and what becomes of an older session
 * of the same name (RFC 7143 6.3.5 session reinstatement, 6.3.4 connection
 * reinstatement).  All on the door's thread.
 */
#include "base/log.h"
#include "target/iscsi/access.h"
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

/* ---- Who ---- */

static enum iscsi_login_status
resolve_discovery(struct iscsi_login *login)
{
	const struct iscsi_access *access = login->access;

	login->target = NULL;
	if (access->discovery_chap && login->host == NULL)
		return ISCSI_LOGIN_AUTHORIZATION;
	login->authentication_required =
	    access->discovery_chap && login->host->chap.user[0] != '\0';
	return ISCSI_LOGIN_SUCCESS;
}

static enum iscsi_login_status
resolve_normal(struct iscsi_login *login)
{
	login->target =
	    iscsi_access_target(login->access, login->keys.target_name);
	if (login->target == NULL)
		return ISCSI_LOGIN_NOT_FOUND;
	if (login->host == NULL ||
	    !iscsi_access_sees(login->access, login->host, login->target))
		return ISCSI_LOGIN_AUTHORIZATION;
	login->authentication_required = login->host->chap.user[0] != '\0';
	return ISCSI_LOGIN_SUCCESS;
}

/* By the access that holds now. */
static enum iscsi_login_status
resolve(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	if (conn->server->access == NULL || conn->server->stopping)
		return ISCSI_LOGIN_UNAVAILABLE;
	iscsi_access_unref(login->access);
	login->access = iscsi_access_ref(conn->server->access);
	login->host =
	    iscsi_access_host(login->access, login->keys.initiator_name);
	return login->keys.discovery ? resolve_discovery(login)
				     : resolve_normal(login);
}

enum iscsi_login_status
iscsi_admit_identify(struct iscsi_conn *conn)
{
	const struct iscsi_negotiation *keys = &conn->login->keys;

	/* 6.3.1, 13.21: names and type of the session come with the first */
	if (keys->initiator_name[0] == '\0')
		return ISCSI_LOGIN_MISSING_PARAMETER;
	if (keys->session_type[0] != '\0' && !keys->discovery &&
	    strcmp(keys->session_type, "Normal") != 0)
		return ISCSI_LOGIN_SESSION_TYPE;
	if (!keys->discovery && keys->target_name[0] == '\0')
		return ISCSI_LOGIN_MISSING_PARAMETER;
	return resolve(conn);
}

/* The access may have been replaced while the login was on its way. */
static enum iscsi_login_status
resolve_again(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	struct iscsi_access *before = login->access;
	const struct iscsi_host *host = login->host;
	enum iscsi_login_status status;

	if (before == conn->server->access && !conn->server->stopping)
		return ISCSI_LOGIN_SUCCESS;
	iscsi_access_ref(before);
	status = resolve(conn);
	/* it was there when the login began */
	if (status == ISCSI_LOGIN_NOT_FOUND)
		status = ISCSI_LOGIN_TARGET_REMOVED;
	if (status == ISCSI_LOGIN_SUCCESS && login->authentication_required &&
	    (login->auth != ISCSI_AUTH_CHAP || host == NULL ||
		!iscsi_credentials_equal(&host->chap, &login->host->chap)))
		status = ISCSI_LOGIN_AUTHENTICATION;
	iscsi_access_unref(before);
	return status;
}

/* ---- To its session ---- */

static void
arrive_run(struct loop_task *task)
{
	struct iscsi_conn *conn = container_of(task, struct iscsi_conn, move);
	struct iscsi_session *session = conn->session;

	iscsi_conn_attach(conn, session->reactor);
	iscsi_session_arrive(session, conn);
}

static void
depart_run(struct loop_task *task)
{
	struct iscsi_conn *conn = container_of(task, struct iscsi_conn, move);

	conn->move.run = arrive_run;
	loop_post(conn->session->reactor->loop, &conn->move);
}

/* Not posted at once: the caller's callers are at work on the connection. */
static void
move_to(struct iscsi_conn *conn, struct iscsi_session *session)
{
	iscsi_login_left(conn);
	iscsi_conn_detach(conn);
	conn->state = ISCSI_CONN_MOVING;
	conn->session = session;
	atomic_fetch_add(&session->arriving, 1);
	conn->move.run = depart_run;
	loop_defer(conn->loop, &conn->move);
}

static void
auth_text(const struct iscsi_login *login, char *buf, size_t size)
{
	const struct chap *chap = &login->chap;

	if (login->auth == ISCSI_AUTH_CHAP)
		snprintf(buf, size, "CHAP %s", chap->algorithm->name);
	else
		snprintf(buf, size, "None");
}

static void
session_fill(struct iscsi_session *session, const struct iscsi_conn *conn)
{
	const struct iscsi_login *login = conn->login;

	memcpy(session->isid, login->isid, sizeof(session->isid));
	session->tag = conn->tag;
	session->discovery = login->keys.discovery;
	session->params = login->keys.result;
	iscsi_exp_cmdsn_set(session, login->cmdsn);
	session->since_unix = (uint64_t)time(NULL);
	snprintf(session->initiator, sizeof(session->initiator), "%s",
	    login->keys.initiator_name);
	if (login->host != NULL)
		snprintf(session->host, sizeof(session->host), "%s",
		    login->host->name);
	if (login->target != NULL)
		snprintf(session->target, sizeof(session->target), "%s",
		    login->target->iqn);
	auth_text(login, session->auth, sizeof(session->auth));
}

static enum iscsi_login_status
admit_new(struct iscsi_conn *conn)
{
	struct iscsi_server *server = conn->server;
	const struct iscsi_target *target = conn->login->target;
	struct iscsi_reactor *reactor = iscsi_door(server);
	struct iscsi_session *session;

	if (target != NULL)
		reactor = iscsi_reactor_of(server, target->loop);
	if (reactor == NULL)
		return ISCSI_LOGIN_TARGET_ERROR;
	session = iscsi_session_new(server);
	if (session == NULL)
		return ISCSI_LOGIN_OUT_OF_RESOURCES;
	session->reactor = reactor;
	session_fill(session, conn);
	if (iscsi_directory_add(session) < 0) {
		iscsi_session_free(session);
		return ISCSI_LOGIN_OUT_OF_RESOURCES;
	}
	move_to(conn, session);
	return ISCSI_LOGIN_SUCCESS;
}

/* TSIH not 0: he wants to join a session, as the same initiator at the same
 * target, by the same authentication as anyone.  What its CID means, and
 * whether there is room, is known to the session's loop (join.c). */
static enum iscsi_login_status
admit_to(struct iscsi_conn *conn, struct iscsi_session *session)
{
	if (session == NULL || session->drop_posted)
		return ISCSI_LOGIN_NO_SESSION;
	if (session->discovery)
		return ISCSI_LOGIN_TOO_MANY_CONNECTIONS;
	/* 4.4.1: a session is within one portal group */
	if (session->tag != conn->tag)
		return ISCSI_LOGIN_CANNOT_INCLUDE;
	move_to(conn, session);
	return ISCSI_LOGIN_SUCCESS;
}

struct iscsi_session *
iscsi_login_session(const struct iscsi_conn *conn)
{
	const struct iscsi_login *login = conn->login;

	return iscsi_directory_find(conn->server, login->keys.initiator_name,
	    login->target != NULL ? login->target->iqn : "", conn->tag,
	    login->isid, login->tsih);
}

static enum iscsi_login_status
admit(struct iscsi_conn *conn)
{
	const struct iscsi_login *login = conn->login;
	enum iscsi_login_status status = resolve_again(conn);
	struct iscsi_session *old;

	if (status != ISCSI_LOGIN_SUCCESS)
		return status;
	old = iscsi_login_session(conn);
	if (login->tsih != 0)
		return admit_to(conn, old);
	if (old == NULL)
		return admit_new(conn);
	/* 6.3.5: the old session ends first; iscsi_admit_waiting() follows */
	iscsi_directory_drop(old);
	return ISCSI_LOGIN_SUCCESS;
}

void
iscsi_admit(struct iscsi_conn *conn)
{
	enum iscsi_login_status status;

	assert(conn->state == ISCSI_CONN_WAITING);
	/* our last response may not be wholly acknowledged by the ring; a
	 * connection moves with nothing in flight */
	if (conn->tx.io.in_flight || !list_empty(&conn->tx.queue))
		return;
	status = admit(conn);
	if (status == ISCSI_LOGIN_SUCCESS)
		return;
	conn->state = ISCSI_CONN_LOGIN;
	iscsi_login_fail(conn, status);
}

void
iscsi_admit_waiting(struct iscsi_server *server)
{
	struct iscsi_conn *conn, *next;

	list_for_each_safe (conn, next, &server->logging_in, link) {
		if (conn->state == ISCSI_CONN_WAITING)
			iscsi_admit(conn);
	}
}

void
iscsi_conn_tx_idle(struct iscsi_conn *conn)
{
	if (conn->close_when_sent)
		iscsi_conn_close(conn, conn->close_reason);
	else if (conn->state == ISCSI_CONN_WAITING)
		iscsi_admit(conn);
}
