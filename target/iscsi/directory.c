/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's list of all sessions, wherever they live: TSIHs, reinstatement,
 * limits, and orders to sessions of other loops.
 */
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A dropped session's initiator has this long to log out first. */
#define ASK_GRACE_MS 2000

struct drop_request {
	struct list link;
	struct loop_task task;
	struct iscsi_server *server;
	uint16_t tsih;
	int result;
	void (*done)(void *arg, int result);
	void *arg;
};

static struct iscsi_session *
directory_tsih(struct iscsi_server *server, uint16_t tsih)
{
	struct iscsi_session *session;

	list_for_each (session, &server->directory, directory) {
		if (session->tsih == tsih)
			return session;
	}
	return NULL;
}

static unsigned
directory_count(struct iscsi_server *server, const char *initiator)
{
	struct iscsi_session *session;
	unsigned count = 0;

	list_for_each (session, &server->directory, directory)
		count += strcasecmp(session->initiator, initiator) == 0;
	return count;
}

static void
ask_run(struct loop_task *task)
{
	struct iscsi_session *session =
	    container_of(task, struct iscsi_session, ask);

	iscsi_session_ask_logout(session, session->ask_grace_ms);
}

static void
drop_run(struct loop_task *task)
{
	iscsi_session_close(
	    container_of(task, struct iscsi_session, drop), "dropped");
}

int
iscsi_directory_add(struct iscsi_session *session)
{
	struct iscsi_server *server = session->server;
	unsigned tries = 0;

	if (directory_count(server, session->initiator) >=
	    server->limits.sessions_per_host)
		return -EDQUOT;
	/* 11.12.6: 0 is reserved */
	do {
		if (++server->tsih_last == 0)
			server->tsih_last = 1;
		if (++tries > UINT16_MAX)
			return -ENFILE;
	} while (directory_tsih(server, server->tsih_last) != NULL);
	session->tsih = server->tsih_last;
	session->ask.run = ask_run;
	session->drop.run = drop_run;
	list_add_tail(&server->directory, &session->directory);
	return 0;
}

struct iscsi_session *
iscsi_directory_find(struct iscsi_server *server, const char *initiator,
    const char *target, uint16_t tag, const uint8_t isid[6], uint16_t tsih)
{
	struct iscsi_session *session;

	list_for_each (session, &server->directory, directory) {
		if ((tsih == 0 ? session->tag == tag : session->tsih == tsih) &&
		    memcmp(session->isid, isid, 6) == 0 &&
		    strcasecmp(session->initiator, initiator) == 0 &&
		    strcasecmp(session->target, target) == 0)
			return session;
	}
	return NULL;
}

void
iscsi_directory_ask(struct iscsi_session *session, unsigned grace_ms)
{
	if (session->ask_posted || session->drop_posted)
		return;
	session->ask_posted = true;
	session->ask_grace_ms = grace_ms;
	loop_post(session->reactor->loop, &session->ask);
}

void
iscsi_directory_drop(struct iscsi_session *session)
{
	if (session->drop_posted)
		return;
	session->drop_posted = true;
	loop_post(session->reactor->loop, &session->drop);
}

/* ---- iscsi_session_drop ---- */

static void
drop_answer_run(struct loop_task *task)
{
	struct drop_request *request =
	    container_of(task, struct drop_request, task);

	request->done(request->arg, request->result);
	free(request);
}

static void
drop_answer(struct drop_request *request, int result)
{
	request->result = result;
	request->task.run = drop_answer_run;
	loop_post(request->server->home, &request->task);
}

static void
drop_request_run(struct loop_task *task)
{
	struct drop_request *request =
	    container_of(task, struct drop_request, task);
	struct iscsi_session *session =
	    directory_tsih(request->server, request->tsih);

	if (session == NULL) {
		drop_answer(request, -ENOENT);
		return;
	}
	list_add_tail(&request->server->drop_requests, &request->link);
	iscsi_directory_ask(session, ASK_GRACE_MS);
}

void
iscsi_session_drop(struct iscsi_server *server, uint16_t tsih,
    void (*done)(void *arg, int result), void *arg)
{
	struct drop_request *request = calloc(1, sizeof(*request));

	if (request == NULL) {
		done(arg, -ENOMEM);
		return;
	}
	request->server = server;
	request->tsih = tsih;
	request->done = done;
	request->arg = arg;
	request->task.run = drop_request_run;
	loop_post(iscsi_door(server)->loop, &request->task);
}

/* ---- The end of a session ---- */

static void
directory_answer_drops(struct iscsi_server *server, uint16_t tsih)
{
	struct drop_request *request, *next;

	list_for_each_safe (request, next, &server->drop_requests, link) {
		if (request->tsih != tsih)
			continue;
		list_del(&request->link);
		drop_answer(request, 0);
	}
}

/* Orders may still be on their way to its loop: it is freed when they have
 * come back. */
static void
last_run(struct loop_task *task)
{
	struct iscsi_session *session =
	    container_of(task, struct iscsi_session, gone);
	struct iscsi_server *server = session->server;
	const uint16_t tsih = session->tsih;

	list_del(&session->directory);
	iscsi_session_free(session);
	directory_answer_drops(server, tsih);
	iscsi_admit_waiting(server);
	iscsi_server_check_stopped(server);
}

static void
gone_again_run(struct loop_task *task)
{
	iscsi_directory_gone(container_of(task, struct iscsi_session, gone));
}

/* A connection that the door sent after it comes too late, and is closed. */
static void
round_trip_run(struct loop_task *task)
{
	struct iscsi_session *session =
	    container_of(task, struct iscsi_session, gone);

	if (iscsi_session_is_awaited(session)) {
		session->gone.run = gone_again_run;
		session->state = ISCSI_SESSION_CLOSING;
		return;
	}
	session->gone.run = last_run;
	loop_post(iscsi_door(session->server)->loop, &session->gone);
}

void
iscsi_directory_gone(struct iscsi_session *session)
{
	assert(session->state == ISCSI_SESSION_GONE);
	session->ask_posted = session->drop_posted = true; /* no more orders */
	session->gone.run = round_trip_run;
	loop_post(session->reactor->loop, &session->gone);
}
