/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The security stage of a login, RFC 7143 section 12: which method, and its
 * steps.
 */
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include <errno.h>

static enum iscsi_login_status
auth_choose(struct iscsi_login *login)
{
	const char *offer = login->auth_offer;
	bool can_chap, can_none;

	can_chap = login->host != NULL && login->host->chap.user[0] != '\0' &&
		   iscsi_text_list_has(offer, "CHAP");
	can_none = !login->authentication_required &&
		   iscsi_text_list_has(offer, "None");
	if (!can_chap && !can_none)
		return ISCSI_LOGIN_AUTHENTICATION;
	login->auth = can_none ? ISCSI_AUTH_NONE : ISCSI_AUTH_CHAP;
	iscsi_text_add(&login->out, "AuthMethod", can_none ? "None" : "CHAP");
	return ISCSI_LOGIN_SUCCESS;
}

bool
iscsi_login_is_authenticated(const struct iscsi_login *login)
{
	if (login->auth == ISCSI_AUTH_CHAP)
		return login->chap.step == CHAP_DONE;
	return !login->authentication_required;
}

static enum iscsi_login_status
chap_request(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	int ret = chap_step(&login->chap, login->host, &login->out);

	if (ret == 0)
		return ISCSI_LOGIN_SUCCESS;
	iscsi_count(conn->server, chap_failures);
	if (ret == -EIO)
		return ISCSI_LOGIN_TARGET_ERROR;
	return ret == -EPROTO ? ISCSI_LOGIN_INITIATOR_ERROR
			      : ISCSI_LOGIN_AUTHENTICATION;
}

enum iscsi_login_status
iscsi_login_security(struct iscsi_conn *conn)
{
	struct iscsi_login *login = conn->login;
	enum iscsi_login_status status = ISCSI_LOGIN_SUCCESS;

	if (login->auth_offer != NULL && login->auth == ISCSI_AUTH_OPEN)
		status = auth_choose(login);
	if (status == ISCSI_LOGIN_SUCCESS && login->auth == ISCSI_AUTH_CHAP)
		status = chap_request(conn);
	return status;
}
