/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life and death of a connection.
 */
#include "target/iscsi/conn.h"
#include "base/log.h"
#include "target/iscsi/login.h"
#include "target/iscsi/logout.h"
#include "target/iscsi/nop.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include "target/iscsi/task.h"
#include "target/iscsi/text_request.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * During login a connection has little: no additional headers, one small
 * response at a time.  In full feature phase one receive brings up to 64 KiB
 * of commands, and a batch goes out in at most 256 pieces.
 */
#define LOGIN_STAGING 512
#define LOGIN_ARENA   256
#define LOGIN_IOV     8
#define FULL_STAGING  (64u << 10)
#define FULL_ARENA    (16u << 10)
#define FULL_IOV      256

struct login_memory {
	struct iovec iov[LOGIN_IOV];
	uint8_t staging[LOGIN_STAGING];
	uint8_t arena[LOGIN_ARENA];
};

struct full_memory {
	struct iovec iov[FULL_IOV];
	uint8_t staging[FULL_STAGING];
	uint8_t arena[FULL_ARENA];
};

static void closing_run(struct loop_task *task);

char *
iscsi_address_format(const struct sockaddr_storage *address, char *buf)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	char text[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(
		    AF_INET, &in6->sin6_addr.s6_addr[12], text, sizeof(text));
		snprintf(buf, 64, "%s:%u", text, ntohs(in6->sin6_port));
	} else if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(buf, 64, "[%s]:%u", text, ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(buf, 64, "%s:%u", text, ntohs(in->sin_port));
	}
	return buf;
}

static void
conn_addresses(struct iscsi_conn *conn)
{
	socklen_t length = sizeof(conn->peer);

	if (getpeername(conn->fd, (struct sockaddr *)&conn->peer, &length) < 0)
		conn->peer.ss_family = AF_UNSPEC;
	length = sizeof(conn->local);
	if (getsockname(conn->fd, (struct sockaddr *)&conn->local, &length) < 0)
		conn->local.ss_family = AF_UNSPEC;
}

static void
conn_init(struct iscsi_conn *conn)
{
	struct login_memory *memory = (struct login_memory *)(void *)(conn + 1);

	conn->magic = ISCSI_CONN_MAGIC;
	conn->slot = -1;
	conn->closing.run = closing_run;
	list_init(&conn->link);
	list_init(&conn->tasks);
	list_init(&conn->tx.queue);
	list_init(&conn->tx.sending);
	iscsi_buffers_init(conn);
	iscsi_rx_init(conn, memory->staging, sizeof(memory->staging));
	iscsi_tx_init(
	    conn, memory->iov, LOGIN_IOV, memory->arena, sizeof(memory->arena));
}

struct iscsi_conn *
iscsi_conn_new(struct iscsi_server *server, int fd, uint16_t tag)
{
	struct iscsi_conn *conn =
	    calloc(1, sizeof(*conn) + sizeof(struct login_memory));

	if (conn == NULL)
		return NULL;
	conn->server = server;
	conn->fd = fd;
	conn->tag = tag;
	conn_init(conn);
	conn->login = iscsi_login_new(server);
	if (conn->login == NULL) {
		free(conn);
		return NULL;
	}
	conn->rx.segment_max = ISCSI_TEXT_MAX;
	conn_addresses(conn);
	iscsi_count(server, connections);
	return conn;
}

static bool
conn_is_grown(const struct iscsi_conn *conn)
{
	return conn->tx.iov_max == FULL_IOV;
}

static struct full_memory *
conn_full_memory(const struct iscsi_conn *conn)
{
	return container_of(conn->rx.staging, struct full_memory, staging[0]);
}

int
iscsi_conn_grow(struct iscsi_conn *conn)
{
	struct full_memory *memory;

	assert(!conn_is_grown(conn));
	if (posix_memalign((void **)&memory, 4096, sizeof(*memory)) != 0)
		return -ENOMEM;
	iscsi_rx_init(conn, memory->staging, sizeof(memory->staging));
	iscsi_tx_init(
	    conn, memory->iov, FULL_IOV, memory->arena, sizeof(memory->arena));
	return 0;
}

void
iscsi_conn_attach(struct iscsi_conn *conn, struct iscsi_reactor *reactor)
{
	conn->reactor = reactor;
	conn->loop = reactor->loop;
	conn->slot = loop_file_register(conn->loop, conn->fd);
	conn->rx.last_ns = conn->tx.last_ns = loop_now(conn->loop);
}

void
iscsi_conn_detach(struct iscsi_conn *conn)
{
	assert(!conn->rx.io.in_flight && !conn->tx.io.in_flight);
	assert(!conn->rx.resume.queued && !conn->tx.kick.queued);
	loop_timer_disarm(conn->loop, &conn->timer);
	if (conn->slot >= 0)
		loop_file_unregister(conn->loop, conn->slot);
	conn->slot = -1;
}

/* ---- The end ---- */

void
iscsi_conn_close(struct iscsi_conn *conn, const char *why)
{
	char text[64];

	if (!iscsi_conn_is_open(conn))
		return;
	log_debug("iscsi %s: closing: %s",
	    iscsi_address_format(&conn->peer, text), why);
	conn->close_reason = why;
	if (conn->state != ISCSI_CONN_FULL)
		iscsi_login_left(conn);
	conn->state = ISCSI_CONN_CLOSING;
	loop_timer_disarm(conn->loop, &conn->timer);
	shutdown(conn->fd, SHUT_RDWR);
	if (conn->rx.io.in_flight)
		loop_cancel(conn->loop, &conn->rx.io);
	if (conn->tx.io.in_flight)
		loop_cancel(conn->loop, &conn->tx.io);
	iscsi_conn_closing_step(conn);
}

void
iscsi_conn_close_when_sent(struct iscsi_conn *conn, const char *why)
{
	conn->close_when_sent = true;
	conn->close_reason = why;
	iscsi_rx_pause(conn);
	if (list_empty(&conn->tx.queue) && list_empty(&conn->tx.sending))
		iscsi_conn_close(conn, why);
}

void
iscsi_conn_closing_step(struct iscsi_conn *conn)
{
	assert(conn->state == ISCSI_CONN_CLOSING || conn->logout.own);
	if (!conn->closing.queued)
		loop_defer(conn->loop, &conn->closing);
}

static void
conn_tear_down(struct iscsi_conn *conn)
{
	conn->torn_down = true;
	if (conn->rx.pdu.memory_owned)
		free(conn->rx.pdu.memory);
	conn->rx.pdu.memory = NULL;
	iscsi_tx_drain(conn);
	iscsi_tasks_abandon(conn);
	iscsi_buffers_forget(conn);
	if (conn->session != NULL)
		iscsi_session_conn_lost(conn->session, conn);
}

static void
funeral_run(struct loop_task *task)
{
	iscsi_conn_free(container_of(task, struct iscsi_conn, move));
}

static void
closing_run(struct loop_task *task)
{
	struct iscsi_conn *conn =
	    container_of(task, struct iscsi_conn, closing);
	struct iscsi_session *session = conn->session;

	ASSERT_MAGIC(conn, ISCSI_CONN_MAGIC);
	if (iscsi_conn_is_open(conn)) {
		iscsi_logout_step(conn);
		return;
	}
	assert(conn->state == ISCSI_CONN_CLOSING);
	if (conn->rx.io.in_flight || conn->tx.io.in_flight)
		return;
	/* deferred calls made before it was closing come first; this one may
	 * have been asked for earlier still, by a logout */
	if (conn->rx.resume.queued || conn->tx.kick.queued) {
		iscsi_conn_closing_step(conn);
		return;
	}
	if (!conn->torn_down)
		conn_tear_down(conn);
	/* abandoned tasks have called for another step */
	if (conn->task_count > 0 || conn->tmf_count > 0 || conn->serve.queued ||
	    conn->closing.queued)
		return;
	conn->state = ISCSI_CONN_GONE;
	iscsi_conn_detach(conn);
	conn->move.run = funeral_run;
	if (session != NULL)
		iscsi_session_conn_gone(session, conn);
	loop_post(iscsi_door(conn->server)->loop, &conn->move);
}

void
iscsi_conn_free(struct iscsi_conn *conn)
{
	struct iscsi_server *server = conn->server;

	assert(conn->state == ISCSI_CONN_GONE);
	assert(list_empty(&conn->tasks));
	iscsi_login_free(conn->login);
	iscsi_text_state_free(conn->text);
	if (conn_is_grown(conn))
		free(conn_full_memory(conn));
	close(conn->fd);
	conn->magic = 0;
	free(conn);
	assert(server->conn_count > 0);
	server->conn_count--;
	iscsi_uncount(server, connections);
	iscsi_server_check_stopped(server);
}
