/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Portals: listening and accepting, and the limits a flood of connections runs
 * into.  IPv4, IPv6, and "[::]" for both.
 */
#include "target/iscsi/portal.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "target/iscsi/conn.h"
#include "target/iscsi/login.h"
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKLOG 1024

/* Out of descriptors or memory: so long until the next try. */
#define RETRY_NS (100 * NSEC_PER_MSEC)

static void accept_done(struct loop_io *io, int result, uint32_t flags);

/* ---- Addresses ---- */

static int
parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end != '\0' || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

/* "ADDR:PORT" or "[ADDR6]:PORT" */
static int
parse_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint16_t port;
	size_t length;

	memset(ret, 0, sizeof(*ret));
	if (colon == NULL || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1
			   ? 0
			   : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

/* Accepted sockets inherit TCP_NODELAY.  only6 matters for "[::]" alone: with
 * it off IPv4 comes in there too. */
static int
listen_on(const struct sockaddr_storage *address, int only6, int *ret_fd)
{
	_cleanup_(closep) int fd = -1;
	const int one = 1;

	fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return -errno;
	if (address->ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)) <
		0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)address,
		address->ss_family == AF_INET6
		    ? sizeof(struct sockaddr_in6)
		    : sizeof(struct sockaddr_in)) < 0)
		return -errno;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* ---- Accepting, on the door ---- */

static void
accept_arm(struct iscsi_portal *portal)
{
	struct loop *loop = iscsi_door(portal->server)->loop;

	io_uring_prep_accept(loop_sqe(loop, &portal->accept), portal->fd, NULL,
	    NULL, SOCK_CLOEXEC);
}

static void
retry_expired(struct loop_timer *timer)
{
	accept_arm(container_of(timer, struct iscsi_portal, retry));
}

static void
drop_oldest(struct iscsi_server *server)
{
	struct iscsi_conn *conn =
	    list_first(&server->logging_in, struct iscsi_conn, link);

	if (conn == NULL)
		return;
	iscsi_count(server, refused);
	iscsi_conn_close(conn, "gives way to a newer one");
}

/* Who has not logged in can be made to give way; who has cannot. */
static void
connection_arrived(struct iscsi_portal *portal, int fd)
{
	struct iscsi_server *server = portal->server;
	struct iscsi_conn *conn = NULL;

	if (server->logging_in_count >= server->limits.unauthenticated ||
	    server->conn_count >= server->limits.connections)
		drop_oldest(server);
	if (server->conn_count < server->limits.connections &&
	    !server->stopping)
		conn = iscsi_conn_new(server, fd, portal->tag);
	if (conn == NULL) {
		iscsi_count(server, refused);
		close(fd);
		return;
	}
	memcpy(conn->login->redirect, portal->redirect,
	    sizeof(conn->login->redirect));
	conn->login->redirect_permanent = portal->redirect_permanent;
	server->conn_count++;
	iscsi_login_start(conn);
}

static void
portal_closed(struct iscsi_portal *portal)
{
	struct iscsi_server *server = portal->server;

	list_del(&portal->door_link);
	close(portal->fd);
	free(portal);
	server->portal_count--;
	iscsi_server_check_stopped(server);
}

static void
accept_done(struct loop_io *io, int result, uint32_t flags)
{
	struct iscsi_portal *portal =
	    container_of(io, struct iscsi_portal, accept);

	(void)flags;
	if (result >= 0)
		connection_arrived(portal, result);
	if (portal->closing)
		portal_closed(portal);
	else if (result == -EMFILE || result == -ENFILE || result == -ENOMEM ||
		 result == -ENOBUFS)
		loop_timer_arm(
		    iscsi_door(portal->server)->loop, &portal->retry, RETRY_NS);
	else if (result != -EINVAL) /* shut down: portal_close_run follows */
		accept_arm(portal);
}

static void
portal_open_run(struct loop_task *task)
{
	struct iscsi_portal *portal =
	    container_of(task, struct iscsi_portal, open);
	struct iscsi_server *server = portal->server;

	list_add_tail(&server->door_portals, &portal->door_link);
	server->portal_count++;
	accept_arm(portal);
}

static void
portal_close_run(struct loop_task *task)
{
	struct iscsi_portal *portal =
	    container_of(task, struct iscsi_portal, close);
	struct loop *loop = iscsi_door(portal->server)->loop;

	portal->closing = true;
	loop_timer_disarm(loop, &portal->retry);
	if (portal->accept.in_flight)
		loop_cancel(loop, &portal->accept);
	else
		portal_closed(portal);
}

/* ---- Home ---- */

static struct iscsi_portal *
portal_find(struct iscsi_server *server, const char *address)
{
	struct iscsi_portal *portal;
	char text[64];

	list_for_each (portal, &server->portals, home_link) {
		if (strcmp(iscsi_address_format(&portal->address, text),
			address) == 0)
			return portal;
	}
	return NULL;
}

static struct iscsi_portal *
portal_new(struct iscsi_server *server, int fd, uint16_t tag)
{
	struct iscsi_portal *portal = calloc(1, sizeof(*portal));
	socklen_t length = sizeof(portal->address);

	if (portal == NULL)
		return NULL;
	portal->server = server;
	portal->fd = fd;
	portal->tag = tag;
	portal->open.run = portal_open_run;
	portal->close.run = portal_close_run;
	portal->retry.expire = retry_expired;
	loop_io_init(&portal->accept, accept_done);
	if (getsockname(fd, (struct sockaddr *)&portal->address, &length) < 0) {
		free(portal);
		return NULL;
	}
	return portal;
}

int
iscsi_portal_add(struct iscsi_server *server, const char *address, uint16_t tag,
    struct sockaddr_storage *ret_bound)
{
	struct sockaddr_storage where;
	struct iscsi_portal *portal;
	int fd, ret;

	if (parse_address(address, &where) < 0)
		return -EINVAL;
	if (portal_find(server, address) != NULL)
		return -EEXIST;
	ret = listen_on(&where, 0, &fd);
	if (ret == -EADDRINUSE && where.ss_family == AF_INET6)
		ret = listen_on(&where, 1, &fd);
	if (ret < 0)
		return ret;
	portal = portal_new(server, fd, tag);
	if (portal == NULL) {
		close(fd);
		return -ENOMEM;
	}
	list_add_tail(&server->portals, &portal->home_link);
	if (ret_bound != NULL)
		*ret_bound = portal->address;
	loop_post(iscsi_door(server)->loop, &portal->open);
	return 0;
}

/* ---- Redirection ---- */

struct redirection {
	struct loop_task task;
	struct iscsi_portal *portal; /* closed, if so, by a later message */
	char to[ISCSI_REDIRECT_MAX];
	bool permanent;
};

static void
redirect_run(struct loop_task *task)
{
	struct redirection *r = container_of(task, struct redirection, task);

	memcpy(r->portal->redirect, r->to, sizeof(r->to));
	r->portal->redirect_permanent = r->permanent;
	free(r);
}

int
iscsi_portal_redirect(struct iscsi_server *server, const char *address,
    const char *to, bool permanent)
{
	struct iscsi_portal *portal = portal_find(server, address);
	struct redirection *r;

	if (portal == NULL)
		return -ENOENT;
	if (to != NULL && strlen(to) >= sizeof(r->to))
		return -E2BIG;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->portal = portal;
	r->permanent = permanent;
	if (to != NULL)
		strcpy(r->to, to);
	r->task.run = redirect_run;
	loop_post(iscsi_door(server)->loop, &r->task);
	return 0;
}

/* The address is free from now on, not only when the door has let go of the
 * socket: it may be wanted again at once. */
static void
portal_close(struct iscsi_portal *portal)
{
	list_del(&portal->home_link);
	shutdown(portal->fd, SHUT_RDWR);
	loop_post(iscsi_door(portal->server)->loop, &portal->close);
}

int
iscsi_portal_remove(struct iscsi_server *server, const char *address)
{
	struct iscsi_portal *portal = portal_find(server, address);

	if (portal == NULL)
		return -ENOENT;
	portal_close(portal);
	return 0;
}

void
iscsi_portals_close(struct iscsi_server *server)
{
	struct iscsi_portal *portal, *next;

	list_for_each_safe (portal, next, &server->portals, home_link)
		portal_close(portal);
}
