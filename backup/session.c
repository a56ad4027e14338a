/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/session.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/connect.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS        200
#define LOGOUT_MS      2000u
#define PAUSE_FIRST_MS 20u
#define PAUSE_MAX_MS   1000u
#define ERROR_MAX      192

/* tcp(7): who does not answer is lost after so long. */
#define TCP_SILENT_MS    20000
#define TCP_IDLE_SECONDS 5
#define TCP_PROBES       3
#define TCP_SYNS         3

struct session {
	struct iscsi_context *iscsi; /* NULL: down */
	char *portal, *target, *name, *user, *secret, *what;
	int lun;
	uint64_t patience_ms, heard_ms;
	unsigned pause_ms; /* before the next try */
	bool lost;         /* its connection is; it goes down */
	bool ended;        /* a login or logout has */
	int status;        /* ... with that */
	char error[ERROR_MAX];
};

json_t *
session_problem(const struct session *session, const char *doing)
{
	return problem_why(
	    backup_problem(BACKUP_LUN_IO, "cannot %s %s", doing, session->what),
	    "by the portal %s: %s", session->portal,
	    session->iscsi != NULL ? iscsi_get_error(session->iscsi)
				   : session->error);
}

struct iscsi_context *
session_up(const struct session *session)
{
	return session->iscsi;
}

int
session_lun(const struct session *session)
{
	return session->lun;
}

void
session_heard(struct session *session)
{
	session->heard_ms = now_ms();
	session->error[0] = '\0';
}

void
session_lost(struct session *session)
{
	session->lost = true;
}

static json_t *
check_patience(const struct session *session)
{
	uint64_t silent_ms = now_ms() - session->heard_ms;
	const char *error = session->error;

	if (silent_ms <= session->patience_ms)
		return NULL;
	return problem_why(backup_problem(BACKUP_LUN_IO,
			       "cannot read or write %s", session->what),
	    "the portal %s has answered nothing for %g s%s%s", session->portal,
	    (double)(silent_ms / 100) / 10, error[0] != '\0' ? ": " : "",
	    error);
}

/* ---- down ---- */

static void
go_down(struct session *session)
{
	struct iscsi_context *iscsi = session->iscsi;
	const char *error = iscsi_get_error(iscsi);

	snprintf(session->error, sizeof(session->error), "%s",
	    error[0] != '\0' ? error : "it does not answer");
	/* what is cancelled by that looks whether it is up */
	session->iscsi = NULL;
	session->lost = false;
	iscsi_destroy_context(iscsi);
}

void
session_drop(struct session *session)
{
	if (session->iscsi != NULL)
		go_down(session);
}

/* False: the connection is lost. */
static bool
service(struct session *session, int wait_ms)
{
	struct iscsi_context *iscsi = session->iscsi;
	struct pollfd pollfd = {.fd = iscsi_get_fd(iscsi),
	    .events = (short)iscsi_which_events(iscsi)};
	int ret = poll(&pollfd, 1, wait_ms);

	if (ret < 0 && errno != EINTR)
		return false;
	return iscsi_service(iscsi, ret > 0 ? pollfd.revents : 0) >= 0 &&
	       !session->lost;
}

/* ---- in ---- */

static void
in_or_out(struct iscsi_context *iscsi, int status, void *data, void *arg)
{
	struct session *session = arg;

	(void)iscsi;
	(void)data;
	session->ended = true;
	session->status = status;
}

static struct iscsi_context *
context_new(const struct session *session)
{
	struct iscsi_context *iscsi = iscsi_create_context(session->name);

	assert(iscsi != NULL);
	iscsi_set_targetname(iscsi, session->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_tcp_keepidle(iscsi, TCP_IDLE_SECONDS);
	iscsi_set_tcp_keepintvl(iscsi, TCP_IDLE_SECONDS);
	iscsi_set_tcp_keepcnt(iscsi, TCP_PROBES);
	iscsi_set_tcp_user_timeout(iscsi, TCP_SILENT_MS);
	iscsi_set_tcp_syncnt(iscsi, TCP_SYNS);
	if (session->user != NULL)
		iscsi_set_initiator_username_pwd(
		    iscsi, session->user, session->secret);
	return iscsi;
}

/* Until there is an answer, or the time is up.  False: it is down. */
static bool
log_in(struct session *session)
{
	uint64_t end = session->heard_ms + session->patience_ms;
	bool up;

	session->iscsi = context_new(session);
	session->ended = session->lost = false;
	up = iscsi_full_connect_async(session->iscsi, session->portal,
		 session->lun, in_or_out, session) == 0;
	while (up && !session->ended && now_ms() < end)
		up = service(session, LOOK_MS);
	if (up && session->ended && session->status == SCSI_STATUS_GOOD)
		return true;
	go_down(session);
	return false;
}

static json_t *
come_up(struct session *session)
{
	usleep(session->pause_ms * 1000);
	if (session->pause_ms < PAUSE_MAX_MS)
		session->pause_ms *= 2;
	if (log_in(session)) {
		session->pause_ms = PAUSE_FIRST_MS;
		return NULL;
	}
	return check_patience(session);
}

json_t *
session_turn(struct session *session, int wait_ms)
{
	if (session->iscsi == NULL)
		return come_up(session);
	if (!service(session, wait_ms))
		go_down(session);
	return check_patience(session);
}

/* ---- life ---- */

static char *
copy(const char *text)
{
	char *new = text != NULL ? strdup(text) : NULL;

	assert((new == NULL) == (text == NULL));
	return new;
}

json_t *
session_new(const struct session_params *params, struct session **ret_session)
{
	struct session *session = calloc(1, sizeof(*session));
	json_t *problem = NULL;

	assert(session != NULL);
	session->portal = copy(params->portal);
	session->target = copy(params->target);
	session->name = copy(params->name);
	session->user = copy(params->user);
	session->secret = copy(params->secret);
	session->what = copy(params->what);
	session->lun = params->lun;
	session->patience_ms = params->patience_ms;
	session->pause_ms = PAUSE_FIRST_MS;
	session_heard(session);
	if (!log_in(session))
		problem = session_problem(session, "log in for");
	if (problem == NULL)
		*ret_session = session;
	else
		session_free(session);
	return problem;
}

static void
log_out(struct session *session)
{
	uint64_t end = now_ms() + LOGOUT_MS;
	bool up;

	session->ended = false;
	up = iscsi_logout_async(session->iscsi, in_or_out, session) == 0;
	while (up && !session->ended && now_ms() < end)
		up = service(session, LOOK_MS);
}

void
session_free(struct session *session)
{
	if (session == NULL)
		return;
	if (session->iscsi != NULL && !session->lost)
		log_out(session);
	session_drop(session);
	free(session->portal);
	free(session->target);
	free(session->name);
	free(session->user);
	if (session->secret != NULL)
		explicit_bzero(session->secret, strlen(session->secret));
	free(session->secret);
	free(session->what);
	free(session);
}
