/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server: made, asked and stopped from its home loop.
 */
#include "target/iscsi/conn.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct iscsi_limits limits_default = {
    .connections = 1024,
    .unauthenticated = 256,
    .sessions_per_host = 256,
    .session_connections = 4,
    .login_timeout_ms = 15000,
    .nop_interval_ms = 10000,
    .nop_timeout_ms = 10000,
    .commands = 128,
    .data_bytes = 16u << 20,
    .max_recv_segment = 256u << 10,
    .max_burst = 1u << 20,
    .first_burst = 256u << 10,
};

#define LIMIT(name)                                                            \
	ret->name = limits->name != 0 ? limits->name : limits_default.name

static void
limits_fill(const struct iscsi_limits *limits, struct iscsi_limits *ret)
{
	LIMIT(connections);
	LIMIT(unauthenticated);
	LIMIT(sessions_per_host);
	LIMIT(session_connections);
	LIMIT(login_timeout_ms);
	LIMIT(nop_interval_ms);
	LIMIT(nop_timeout_ms);
	LIMIT(commands);
	LIMIT(data_bytes);
	LIMIT(max_recv_segment);
	LIMIT(max_burst);
	LIMIT(first_burst);
}

#undef LIMIT

/* Slots of tasks are numbered by 16 bits, and there is a window of them for
 * each connection (task.c). */
static unsigned
session_connections_most(const struct iscsi_limits *limits)
{
	const unsigned slots =
	    (UINT16_MAX - 1 - ISCSI_IMMEDIATE_SLOTS) / limits->commands - 1;

	return slots < ISCSI_CONNS_MAX ? slots : ISCSI_CONNS_MAX;
}

/* RFC 7143 13.12 to 13.14, and what our own tables can hold. */
static bool
limits_are_legal(const struct iscsi_limits *limits)
{
	return limits->commands <= ISCSI_COMMANDS_MAX &&
	       limits->max_recv_segment >= 512 &&
	       limits->max_recv_segment <= SCSI_TRANSFER_MAX &&
	       limits->max_burst >= 512 && limits->max_burst <= 0xffffff &&
	       limits->first_burst >= 512 &&
	       limits->first_burst <= limits->max_burst;
}

int
iscsi_server_new(struct loop *home, struct loop **loops, unsigned count,
    const struct iscsi_limits *limits, struct iscsi_server **ret_server)
{
	static const struct iscsi_limits none;
	struct iscsi_server *server = calloc(1, sizeof(*server));

	assert(count > 0);
	if (server == NULL)
		return -ENOMEM;
	limits_fill(limits != NULL ? limits : &none, &server->limits);
	server->reactors = calloc(count, sizeof(*server->reactors));
	if (server->reactors == NULL || !limits_are_legal(&server->limits)) {
		const int ret = server->reactors == NULL ? -ENOMEM : -EINVAL;
		free(server->reactors);
		free(server);
		return ret;
	}
	if (server->limits.session_connections >
	    session_connections_most(&server->limits))
		server->limits.session_connections =
		    session_connections_most(&server->limits);
	server->home = home;
	server->reactor_count = count;
	for (unsigned i = 0; i < count; i++)
		iscsi_reactor_init(&server->reactors[i], server, loops[i]);
	list_init(&server->portals);
	list_init(&server->door_portals);
	list_init(&server->logging_in);
	list_init(&server->directory);
	list_init(&server->drop_requests);
	*ret_server = server;
	return 0;
}

struct iscsi_reactor *
iscsi_reactor_of(struct iscsi_server *server, const struct loop *loop)
{
	for (unsigned i = 0; i < server->reactor_count; i++) {
		if (server->reactors[i].loop == loop)
			return &server->reactors[i];
	}
	return NULL;
}

/* ---- Stop ---- */

static void
stopped_run(struct loop_task *task)
{
	struct iscsi_server *server =
	    container_of(task, struct iscsi_server, stopped_task);

	server->stop_done(server->stop_arg);
}

void
iscsi_server_check_stopped(struct iscsi_server *server)
{
	if (!server->stopping || server->stopped || server->conn_count > 0 ||
	    server->portal_count > 0 || !list_empty(&server->directory))
		return;
	server->stopped = true;
	loop_timer_disarm(iscsi_door(server)->loop, &server->stop_timer);
	server->stopped_task.run = stopped_run;
	loop_post(server->home, &server->stopped_task);
}

static void
stop_expired(struct loop_timer *timer)
{
	struct iscsi_server *server =
	    container_of(timer, struct iscsi_server, stop_timer);
	struct iscsi_session *session;

	list_for_each (session, &server->directory, directory)
		iscsi_directory_drop(session);
}

static void
stop_run(struct loop_task *task)
{
	struct iscsi_server *server =
	    container_of(task, struct iscsi_server, stop_task);
	struct iscsi_conn *conn, *next;
	struct iscsi_session *session;

	server->stopping = true;
	list_for_each_safe (conn, next, &server->logging_in, link)
		iscsi_conn_close(conn, "server stops");
	list_for_each (session, &server->directory, directory)
		iscsi_directory_ask(session, server->stop_grace_ms);
	server->stop_timer.expire = stop_expired;
	loop_timer_arm(iscsi_door(server)->loop, &server->stop_timer,
	    server->stop_grace_ms * NSEC_PER_MSEC);
	iscsi_server_check_stopped(server);
}

void
iscsi_server_stop(struct iscsi_server *server, unsigned grace_ms,
    void (*done)(void *arg), void *arg)
{
	server->stop_done = done;
	server->stop_arg = arg;
	server->stop_grace_ms = grace_ms;
	server->stop_task.run = stop_run;
	iscsi_portals_close(server);
	loop_post(iscsi_door(server)->loop, &server->stop_task);
}

void
iscsi_server_free(struct iscsi_server *server)
{
	if (server == NULL)
		return;
	assert(list_empty(&server->portals));
	assert(server->conn_count == 0);
	assert(list_empty(&server->directory));
	for (unsigned i = 0; i < server->reactor_count; i++) {
		assert(list_empty(&server->reactors[i].sessions));
		iscsi_access_unref(server->reactors[i].access);
	}
	iscsi_access_unref(server->access);
	free(server->reactors);
	free(server);
}

/* ---- Counters ---- */

void
iscsi_server_stat_get(
    struct iscsi_server *server, struct iscsi_server_stat *ret_stat)
{
	const struct iscsi_counters *c = &server->counters;

	*ret_stat = (struct iscsi_server_stat){
	    .connections = atomic_load(&c->connections),
	    .sessions = atomic_load(&c->sessions),
	    .unauthenticated = atomic_load(&c->unauthenticated),
	    .logins = atomic_load(&c->logins),
	    .login_failures = atomic_load(&c->login_failures),
	    .chap_failures = atomic_load(&c->chap_failures),
	    .rejects = atomic_load(&c->rejects),
	    .digest_errors = atomic_load(&c->digest_errors),
	    .timeouts = atomic_load(&c->timeouts),
	    .refused = atomic_load(&c->refused),
	};
}

/* ---- A visit to every session, on its own loop, and home again ---- */

struct visit {
	struct loop_task task;
	struct iscsi_server *server;
	unsigned next; /* reactor */
	void (*see)(struct visit *visit, const struct iscsi_session *session);
	void (*done)(struct visit *visit); /* frees what it is part of */
};

static void
visit_done_run(struct loop_task *task)
{
	struct visit *visit = container_of(task, struct visit, task);

	visit->done(visit);
}

static void
visit_run(struct loop_task *task)
{
	struct visit *visit = container_of(task, struct visit, task);
	struct iscsi_server *server = visit->server;
	const struct iscsi_session *session;

	list_for_each (session, &server->reactors[visit->next].sessions, link)
		visit->see(visit, session);
	if (++visit->next < server->reactor_count) {
		loop_post(server->reactors[visit->next].loop, task);
		return;
	}
	task->run = visit_done_run;
	loop_post(server->home, task);
}

static void
visit_start(struct visit *visit)
{
	visit->task.run = visit_run;
	loop_post(visit->server->reactors[0].loop, &visit->task);
}

/* ---- The list of sessions ---- */

struct list_request {
	struct visit visit;
	struct iscsi_session_info *infos;
	unsigned count, capacity;
	void (*done)(
	    void *arg, const struct iscsi_session_info *infos, unsigned count);
	void *arg;
};

static void
digest_text(char *buf, size_t size, uint32_t digest)
{
	snprintf(buf, size, "%s", digest ? "CRC32C" : "None");
}

static void
info_connection(struct iscsi_conn_info *info, const struct iscsi_conn *conn)
{
	info->cid = conn->cid;
	info->commands = conn->task_count;
	iscsi_address_format(&conn->peer, info->peer);
	iscsi_address_format(&conn->local, info->portal);
	digest_text(info->header_digest, sizeof(info->header_digest),
	    ISCSI_PARAM(&conn->params, HeaderDigest));
	digest_text(info->data_digest, sizeof(info->data_digest),
	    ISCSI_PARAM(&conn->params, DataDigest));
}

static void
info_connections(
    struct iscsi_session_info *info, const struct iscsi_session *session)
{
	const struct iscsi_conn *conn;

	list_for_each (conn, &session->conns, link) {
		info->commands += conn->task_count;
		if (iscsi_conn_is_in_use(conn) &&
		    info->connections < ISCSI_CONNS_MAX)
			info_connection(
			    &info->conns[info->connections++], conn);
	}
}

static void
info_fill(struct iscsi_session_info *info, const struct iscsi_session *session)
{
	memset(info, 0, sizeof(*info));
	info->tsih = session->tsih;
	info->discovery = session->discovery;
	memcpy(info->initiator, session->initiator, sizeof(info->initiator));
	memcpy(info->host, session->host, sizeof(info->host));
	memcpy(info->target, session->target, sizeof(info->target));
	memcpy(info->isid, session->isid, sizeof(info->isid));
	memcpy(info->auth, session->auth, sizeof(info->auth));
	info->since_unix = session->since_unix;
	info->used_lun = session->used_lun;
	info->reads = session->reads;
	info->writes = session->writes;
	info->read_bytes = session->read_bytes;
	info->write_bytes = session->write_bytes;
	if (session->nexus != NULL)
		latency_figures_get(scsi_nexus_latency(session->nexus),
		    LATENCY_ALL, &info->latency);
	info_connections(info, session);
}

/* Without memory the list is shorter than it should be. */
static bool
list_grow(struct list_request *request)
{
	const unsigned capacity = request->capacity * 2 + 16;
	struct iscsi_session_info *infos;

	if (request->count < request->capacity)
		return true;
	infos = realloc(request->infos, capacity * sizeof(*infos));
	if (infos == NULL)
		return false;
	request->infos = infos;
	request->capacity = capacity;
	return true;
}

static void
list_see(struct visit *visit, const struct iscsi_session *session)
{
	struct list_request *request =
	    container_of(visit, struct list_request, visit);

	if (list_grow(request))
		info_fill(&request->infos[request->count++], session);
}

static void
list_done(struct visit *visit)
{
	struct list_request *request =
	    container_of(visit, struct list_request, visit);

	request->done(request->arg, request->infos, request->count);
	free(request->infos);
	free(request);
}

void
iscsi_sessions_list(struct iscsi_server *server,
    void (*done)(
	void *arg, const struct iscsi_session_info *infos, unsigned count),
    void *arg)
{
	struct list_request *request = calloc(1, sizeof(*request));

	if (request == NULL) {
		done(arg, NULL, 0);
		return;
	}
	*request = (struct list_request){
	    .visit = {.server = server, .see = list_see, .done = list_done},
	    .done = done,
	    .arg = arg};
	visit_start(&request->visit);
}

/* ---- The latency of one session ---- */

struct latency_request {
	struct visit visit;
	uint16_t tsih;
	struct latency *latency;
	int result;
	void (*done)(void *arg, int result);
	void *arg;
};

static void
latency_see(struct visit *visit, const struct iscsi_session *session)
{
	struct latency_request *request =
	    container_of(visit, struct latency_request, visit);

	if (session->tsih != request->tsih)
		return;
	request->result = 0;
	if (session->nexus != NULL)
		*request->latency = *scsi_nexus_latency(session->nexus);
}

static void
latency_done(struct visit *visit)
{
	struct latency_request *request =
	    container_of(visit, struct latency_request, visit);

	request->done(request->arg, request->result);
	free(request);
}

void
iscsi_session_latency(struct iscsi_server *server, uint16_t tsih,
    struct latency *latency, void (*done)(void *arg, int result), void *arg)
{
	struct latency_request *request = calloc(1, sizeof(*request));

	if (request == NULL) {
		done(arg, -ENOMEM);
		return;
	}
	*request = (struct latency_request){.visit = {.server = server,
						.see = latency_see,
						.done = latency_done},
	    .tsih = tsih,
	    .latency = latency,
	    .result = -ENOENT,
	    .done = done,
	    .arg = arg};
	visit_start(&request->visit);
}
