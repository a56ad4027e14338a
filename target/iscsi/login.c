/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login phase, RFC 7143 section 6.3, the target's side: requests come one
 * at a time, each is answered by one response.  Text that does not fit a PDU is
 * continued in both directions (the C bit).  Memory is bounded: a connection
 * that has not logged in holds less than 24 KiB.
 */
#include "target/iscsi/login.h"
#include "base/log.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdlib.h>

/* What a peer can make us hold before it says who it is: this, a copy of the
 * answer on its way, and 1 KiB of buffers (conn.c). */
static_assert(
    sizeof(struct iscsi_login) + sizeof(struct iscsi_conn) + ISCSI_ANSWER_MAX <
	(22u << 10),
    "less than 24 KiB in all");

/* Requests in one login: the longest sensible one needs about six, a text of
 * 8 KiB in small pieces some more. */
#define ROUNDS_MAX 64

static const struct {
	enum iscsi_login_status status;
	const char *text;
} status_texts[] = {
#define LOGIN_STATUS(name, code, wording) {(code), (wording)},
#include "target/iscsi/login_status.def"
#undef LOGIN_STATUS
};

struct iscsi_login *
iscsi_login_new(struct iscsi_server *server)
{
	struct iscsi_login *login = calloc(1, sizeof(*login));

	if (login == NULL)
		return NULL;
	iscsi_negotiation_init(&login->keys, &server->limits);
	login->out.data = login->out_data;
	login->out.size = sizeof(login->out_data);
	return login;
}

void
iscsi_login_free(struct iscsi_login *login)
{
	if (login == NULL)
		return;
	iscsi_access_unref(login->access);
	free(login);
}

static void
login_timeout(struct loop_timer *timer)
{
	struct iscsi_conn *conn = container_of(timer, struct iscsi_conn, timer);

	iscsi_count(conn->server, timeouts);
	iscsi_conn_close(conn, "login timeout");
}

void
iscsi_login_start(struct iscsi_conn *conn)
{
	struct iscsi_server *server = conn->server;

	conn->state = ISCSI_CONN_LOGIN;
	list_add_tail(&server->logging_in, &conn->link);
	server->logging_in_count++;
	iscsi_count(server, unauthenticated);
	iscsi_conn_attach(conn, iscsi_door(server));
	conn->timer.expire = login_timeout;
	loop_timer_arm(conn->loop, &conn->timer,
	    server->limits.login_timeout_ms * NSEC_PER_MSEC);
	iscsi_rx_resume(conn);
}

void
iscsi_login_left(struct iscsi_conn *conn)
{
	struct iscsi_server *server = conn->server;

	if (list_empty(&conn->link))
		return;
	list_del(&conn->link);
	assert(server->logging_in_count > 0);
	server->logging_in_count--;
	iscsi_uncount(server, unauthenticated);
}

/* ---- Responses ---- */

static const char *
status_text(enum iscsi_login_status status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_texts); i++) {
		if (status_texts[i].status == status)
			return status_texts[i].text;
	}
	return "?";
}

static uint8_t
stage_flags(const struct iscsi_login *login)
{
	return (uint8_t)(login->stage << 2);
}

static void
login_respond(struct iscsi_conn *conn, uint8_t flags,
    enum iscsi_login_status status, const char *text, uint32_t length)
{
	const struct iscsi_login *login = conn->login;
	union {
		struct iscsi_bhs bhs;
		struct iscsi_login_response response;
	} u = {.response = {
		   .opcode = ISCSI_LOGIN_RESPONSE,
		   .flags = flags,
		   .status_class = (uint8_t)(status >> 8),
		   .status_detail = (uint8_t)status,
	       }};

	memcpy(u.response.isid, login->isid, sizeof(u.response.isid));
	be16_set(&u.response.tsih,
	    conn->session != NULL ? conn->session->tsih : login->tsih);
	be32_set(&u.response.itt, login->itt);
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, text, length);
}

void
iscsi_login_fail(struct iscsi_conn *conn, enum iscsi_login_status status)
{
	char peer[64];

	log_debug("iscsi %s: login of %s: %s",
	    iscsi_address_format(&conn->peer, peer),
	    conn->login->keys.initiator_name, status_text(status));
	iscsi_count(conn->server, login_failures);
	/* 11.13.5: on failure the other fields mean nothing */
	login_respond(conn, 0, status, NULL, 0);
	iscsi_conn_close_when_sent(conn, "login failed");
}

static bool
is_redirection(enum iscsi_login_status status)
{
	return status >> 8 == 1;
}

/* 11.13.5: a redirection "MUST return one or more text key parameters of the
 * type TargetAddress", 13.8: without a portal group tag.  login->out is it. */
static void
login_redirect(struct iscsi_conn *conn, enum iscsi_login_status status)
{
	const struct iscsi_login *login = conn->login;
	char peer[64];

	log_debug("iscsi %s: login of %s: %s to %s",
	    iscsi_address_format(&conn->peer, peer), login->keys.initiator_name,
	    status_text(status), login->redirect);
	login_respond(conn, stage_flags(login), status, login->out.data,
	    (uint32_t)login->out.length);
	iscsi_conn_close_when_sent(conn, "redirected");
}

/* The next piece of the answer: as much as the initiator can receive. */
static const char *
login_piece(struct iscsi_login *login, uint32_t *ret_length)
{
	const char *at = login->out.data + login->out_sent;
	uint32_t length = (uint32_t)login->out.length - login->out_sent;
	const uint32_t most =
	    ISCSI_PARAM(&login->keys.result, MaxRecvDataSegmentLength);

	if (length > most)
		length = most;
	login->out_sent += length;
	*ret_length = length;
	return at;
}

static bool
login_answered(const struct iscsi_login *login)
{
	return login->out_sent == login->out.length;
}

/* Answers with the next piece, C set while there is more. */
static void
login_continue(struct iscsi_conn *conn, uint8_t flags)
{
	struct iscsi_login *login = conn->login;
	uint32_t length;
	const char *text = login_piece(login, &length);

	if (!login_answered(login))
		flags |= ISCSI_LOGIN_CONTINUE;
	login_respond(conn, flags, ISCSI_LOGIN_SUCCESS, text, length);
}

static uint32_t
login_left(const struct iscsi_login *login)
{
	return (uint32_t)login->out.length - login->out_sent;
}

void
iscsi_login_succeed(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	assert(conn->session != NULL);
	login_continue(conn, ISCSI_LOGIN_TRANSIT | stage_flags(login) |
				 ISCSI_STAGE_FULL_FEATURE);
	iscsi_count(conn->server, logins);
	conn->login = NULL;
	iscsi_login_free(login);
}

/* ---- Stages ---- */

static enum iscsi_login_status
operational_request(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	/* 6.3.1: an initiator may leave the security stage out, the target may
	 * insist on it */
	if (!iscsi_login_is_authenticated(login))
		return ISCSI_LOGIN_AUTHENTICATION;
	if (login->declared)
		return ISCSI_LOGIN_SUCCESS;
	login->declared = true;
	iscsi_text_addf(&login->out, "MaxRecvDataSegmentLength", "%u",
	    conn->server->limits.max_recv_segment);
	return ISCSI_LOGIN_SUCCESS;
}

/* ---- Requests ---- */

static const struct iscsi_login_request *
request_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

static void
request_first(struct iscsi_login *login, const struct iscsi_login_request *r)
{
	login->started = true;
	memcpy(login->isid, r->isid, sizeof(login->isid));
	login->tsih = be16_get(&r->tsih);
	login->keys.joining = login->tsih != 0;
	login->cid = be16_get(&r->cid);
	login->itt = be32_get(&r->itt);
	login->cmdsn = be32_get(&r->cmdsn);
	login->stage = iscsi_login_csg(r->flags);
}

/* 11.12.1 ff.: what must hold of every request. */
static enum iscsi_login_status
request_check(struct iscsi_login *login, const struct iscsi_login_request *r)
{
	const unsigned csg = iscsi_login_csg(r->flags);
	const unsigned nsg = iscsi_login_nsg(r->flags);
	const bool transit = r->flags & ISCSI_LOGIN_TRANSIT;

	if (r->version_min > 0)
		return ISCSI_LOGIN_VERSION;
	if (csg > ISCSI_STAGE_OPERATIONAL || csg != login->stage)
		return ISCSI_LOGIN_INITIATOR_ERROR;
	if (transit && (nsg <= csg || nsg == 2))
		return ISCSI_LOGIN_INITIATOR_ERROR;
	if (transit && (r->flags & ISCSI_LOGIN_CONTINUE) != 0)
		return ISCSI_LOGIN_INITIATOR_ERROR;
	if (memcmp(r->isid, login->isid, sizeof(login->isid)) != 0 ||
	    be16_get(&r->tsih) != login->tsih ||
	    be16_get(&r->cid) != login->cid || be32_get(&r->itt) != login->itt)
		return ISCSI_LOGIN_INITIATOR_ERROR;
	if (++login->rounds > ROUNDS_MAX)
		return ISCSI_LOGIN_INITIATOR_ERROR;
	return ISCSI_LOGIN_SUCCESS;
}

static void
request_take_security(
    struct iscsi_login *login, enum iscsi_key key, const char *value)
{
	if (key == ISCSI_KEY_AuthMethod)
		login->auth_offer = value;
	else if (key != ISCSI_KEY_COUNT)
		chap_take(&login->chap, key, value);
}

/* Answers go straight into login->out. */
static int
request_keys(struct iscsi_login *login)
{
	const enum iscsi_key_when when = login->stage == ISCSI_STAGE_SECURITY
					     ? ISCSI_WHEN_SECURITY
					     : ISCSI_WHEN_OPERATIONAL;
	char *at = login->in, *end = login->in + login->in_length;
	const char *key, *value;
	enum iscsi_key which;
	int ret;

	login->in_length = 0;
	login->auth_offer = NULL;
	while ((ret = iscsi_text_next(&at, end, &key, &value)) > 0) {
		ret = iscsi_negotiate(
		    &login->keys, when, key, value, &login->out, &which);
		if (ret < 0)
			return ret;
		request_take_security(login, which, value);
	}
	return ret;
}

/* 13.9: "the target SHALL return this key in the first response" of a login
 * that names a target. */
static void
request_first_answer(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	login->identified = true;
	if (login->target == NULL)
		return;
	iscsi_text_addf(&login->out, "TargetPortalGroupTag", "%u", conn->tag);
	if (login->target->alias[0] != '\0')
		iscsi_text_add(
		    &login->out, "TargetAlias", login->target->alias);
}

/*
 * The portal sends hosts that have something on the target elsewhere.  11.13.5:
 * a redirection "MAY be issued by a target prior to or after completing a
 * security negotiation": before, so that nothing is asked of the host that the
 * other address will ask again.  It learns what a host of that name may know.
 * Who joins a session that is here is not sent away from it.
 */
static enum iscsi_login_status
request_redirect(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;

	if (login->redirect[0] == '\0' || login->target == NULL ||
	    login->tsih != 0)
		return ISCSI_LOGIN_SUCCESS;
	login->out.length = 0;
	iscsi_text_add(&login->out, "TargetAddress", login->redirect);
	return login->redirect_permanent ? ISCSI_LOGIN_MOVED_PERMANENTLY
					 : ISCSI_LOGIN_MOVED_TEMPORARILY;
}

/* A whole text, maybe of several requests, is in. */
static enum iscsi_login_status
request_text(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;

	login->out.length = login->out_sent = 0;
	if (request_keys(login) < 0)
		return ISCSI_LOGIN_INITIATOR_ERROR;
	if (!login->identified) {
		status = iscsi_admit_identify(conn);
		if (status == ISCSI_LOGIN_SUCCESS)
			status = request_redirect(conn);
		if (status == ISCSI_LOGIN_SUCCESS)
			request_first_answer(conn);
	}
	if (status == ISCSI_LOGIN_SUCCESS)
		status = login->stage == ISCSI_STAGE_SECURITY
			     ? iscsi_login_security(conn)
			     : operational_request(conn);
	if (status == ISCSI_LOGIN_SUCCESS && login->out.overflow)
		status = ISCSI_LOGIN_INITIATOR_ERROR;
	return status;
}

/* The request is understood: answer it, and go to the next stage if both sides
 * are ready and all of the answer fits this response. */
static void
request_answer(struct iscsi_conn *conn, uint8_t request_flags)
{
	struct iscsi_login *login = conn->login;
	const enum iscsi_stage next = iscsi_login_nsg(request_flags);
	const bool transit =
	    (request_flags & ISCSI_LOGIN_TRANSIT) != 0 &&
	    iscsi_login_is_authenticated(login) &&
	    login_left(login) <=
		ISCSI_PARAM(&login->keys.result, MaxRecvDataSegmentLength);

	if (!transit) {
		login_continue(conn, stage_flags(login));
	} else if (next == ISCSI_STAGE_FULL_FEATURE) {
		conn->state = ISCSI_CONN_WAITING;
		iscsi_rx_pause(conn);
		iscsi_admit(conn);
	} else {
		login_continue(conn,
		    (uint8_t)(ISCSI_LOGIN_TRANSIT | stage_flags(login) | next));
		login->stage = next;
	}
}

int
iscsi_login_header(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	const uint32_t length = conn->rx.pdu.data_length;

	if (iscsi_opcode(&conn->rx.pdu.bhs) != ISCSI_LOGIN_REQUEST) {
		/* 6.3: anything but a Login Request on a new connection */
		if (login->started)
			iscsi_login_fail(conn, ISCSI_LOGIN_INVALID_REQUEST);
		else
			iscsi_conn_close(conn, "first PDU is not a login");
		return -EPROTO;
	}
	if (length > sizeof(login->in) - login->in_length) {
		if (!login->started)
			request_first(login, request_of(conn));
		iscsi_login_fail(conn, ISCSI_LOGIN_INITIATOR_ERROR);
		return -EPROTO;
	}
	iscsi_rx_into_memory(
	    conn, (uint8_t *)login->in + login->in_length, length, false);
	return 0;
}

void
iscsi_login_body(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	const struct iscsi_login_request *request = request_of(conn);
	enum iscsi_login_status status;

	if (!login->started)
		request_first(login, request);
	status = request_check(login, request);
	login->in_length += conn->rx.pdu.data_length;
	if (status != ISCSI_LOGIN_SUCCESS) {
		iscsi_login_fail(conn, status);
		return;
	}
	if ((request->flags & ISCSI_LOGIN_CONTINUE) != 0) {
		login_respond(
		    conn, stage_flags(login), ISCSI_LOGIN_SUCCESS, NULL, 0);
		return;
	}
	/* 6.2: while our answer is continued the initiator sends nothing */
	if (!login_answered(login))
		status = login->in_length == 0 ? ISCSI_LOGIN_SUCCESS
					       : ISCSI_LOGIN_INITIATOR_ERROR;
	else
		status = request_text(conn);
	if (status == ISCSI_LOGIN_SUCCESS)
		request_answer(conn, request->flags);
	else if (is_redirection(status))
		login_redirect(conn, status);
	else
		iscsi_login_fail(conn, status);
}
