/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The login phase of a connection, RFC 7143 section 6.3.  login.c speaks with
 * the initiator; admit.c decides who it is and where the connection goes.
 */
#ifndef TARGET_ISCSI_LOGIN_H
#define TARGET_ISCSI_LOGIN_H

#include "target/iscsi/chap.h"
#include "target/iscsi/conn.h"

/* class << 8 | detail; login_status.def has the wording */
enum iscsi_login_status {
#define LOGIN_STATUS(name, code, text) ISCSI_LOGIN_##name = (code),
#include "target/iscsi/login_status.def"
#undef LOGIN_STATUS
};

/* An honest initiator's keys are answered in about 1 KiB. */
#define ISCSI_ANSWER_MAX 4096

enum iscsi_auth_method {
	ISCSI_AUTH_OPEN, /* not spoken of */
	ISCSI_AUTH_NONE,
	ISCSI_AUTH_CHAP,
};

struct iscsi_login {
	/* who, found by admit.c in the access it holds */
	struct iscsi_access *access;
	const struct iscsi_host *host;
	const struct iscsi_target *target; /* NULL: discovery */
	bool authentication_required;

	/* of the portal, as it was when the connection came */
	char redirect[ISCSI_REDIRECT_MAX];
	bool redirect_permanent;

	/* the header of the first request */
	bool started;
	uint8_t isid[6];
	uint16_t tsih, cid;
	uint32_t itt, cmdsn;

	/* negotiation */
	enum iscsi_stage stage;
	unsigned rounds;
	bool identified, declared;
	enum iscsi_auth_method auth;
	const char *auth_offer; /* of the request at hand */
	struct chap chap;
	struct iscsi_negotiation keys;

	/* text that came with C set, and the answer not sent yet */
	uint32_t in_length;
	uint32_t out_sent;
	struct iscsi_text out;
	char in[ISCSI_TEXT_MAX];
	char out_data[ISCSI_ANSWER_MAX];
};

struct iscsi_login *iscsi_login_new(struct iscsi_server *server);
void iscsi_login_free(struct iscsi_login *login);

/* The door: a connection begins, and leaves the list of those logging in. */
void iscsi_login_start(struct iscsi_conn *conn);
void iscsi_login_left(struct iscsi_conn *conn);

int iscsi_login_header(struct iscsi_conn *conn);
void iscsi_login_body(struct iscsi_conn *conn);

/* Answers with a status and closes. */
void iscsi_login_fail(struct iscsi_conn *conn, enum iscsi_login_status status);
/* On the session's loop: the response that begins full feature phase.  The
 * login is freed. */
void iscsi_login_succeed(struct iscsi_conn *conn);

/* ---- login_auth.c ---- */

/* The keys of a request in the security stage are in. */
enum iscsi_login_status iscsi_login_security(struct iscsi_conn *conn);
/* Has he proved himself, as far as he has to? */
bool iscsi_login_is_authenticated(const struct iscsi_login *login);

/* ---- admit.c ---- */

/* The session it wants to join; NULL: there is none. */
struct iscsi_session *iscsi_login_session(const struct iscsi_conn *conn);

/* The first keys are in: who is it, what does he want, may he? */
enum iscsi_login_status iscsi_admit_identify(struct iscsi_conn *conn);
/* Login is through: a session, if need be once an older one is gone. */
void iscsi_admit(struct iscsi_conn *conn);
/* What an admission waited for has maybe come: an older session is gone. */
void iscsi_admit_waiting(struct iscsi_server *server);
/* All that was queued on the connection has been sent. */
void iscsi_conn_tx_idle(struct iscsi_conn *conn);

#endif
