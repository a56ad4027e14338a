/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server inside: what belongs to which thread.  The first reactor is the
 * door: it accepts, logs in, keeps the directory of sessions and serves
 * discovery.  Threads speak by loop_post() alone; what one thread posts to
 * another arrives in order.
 */
#ifndef TARGET_ISCSI_REACTOR_H
#define TARGET_ISCSI_REACTOR_H

#include "target/iscsi/server.h"
#include <stdatomic.h>

struct iscsi_conn;
struct iscsi_session;

struct iscsi_reactor {
	struct iscsi_server *server;
	struct loop *loop;
	struct list sessions;
	struct list starved; /* conns with commands that would have to wait for
				others (buffers.c) */

	/* publish.c */
	struct iscsi_access *access;      /* in effect here; NULL at first */
	struct iscsi_access *next_access; /* the door's, on its way here */
	struct loop_task publish, published;
	unsigned publishing; /* steps not done yet */
};

/* Counters, any thread. */
struct iscsi_counters {
	_Atomic unsigned connections, sessions, unauthenticated;
	_Atomic uint64_t logins, login_failures, chap_failures, rejects;
	_Atomic uint64_t digest_errors, timeouts, refused;
};

struct iscsi_portal;

struct iscsi_server {
	struct loop *home;
	struct iscsi_limits limits;
	struct iscsi_counters counters;
	struct iscsi_reactor *reactors;
	unsigned reactor_count;

	/* home's */
	struct list portals; /* by home_link */
	struct loop_task publish_task;
	struct iscsi_access *publish_access;
	unsigned publish_waiting;
	void (*publish_done)(void *arg);
	void *publish_arg;
	struct loop_task stop_task, stopped_task;
	void (*stop_done)(void *arg);
	void *stop_arg;
	unsigned stop_grace_ms;

	/* the door's */
	struct iscsi_access *access; /* that logins go by */
	struct list door_portals;    /* by door_link */
	struct list logging_in;      /* oldest first */
	struct list directory;       /* sessions */
	struct list drop_requests;
	unsigned logging_in_count, conn_count, portal_count;
	uint16_t tsih_last;
	bool stopping, stopped;
	struct loop_timer stop_timer;
};

#define iscsi_count(server, counter)                                           \
	atomic_fetch_add_explicit(                                             \
	    &(server)->counters.counter, 1, memory_order_relaxed)
#define iscsi_uncount(server, counter)                                         \
	atomic_fetch_sub_explicit(                                             \
	    &(server)->counters.counter, 1, memory_order_relaxed)

static inline struct iscsi_reactor *
iscsi_door(struct iscsi_server *server)
{
	return &server->reactors[0];
}

/* NULL: none of ours. */
struct iscsi_reactor *iscsi_reactor_of(
    struct iscsi_server *server, const struct loop *loop);

/* ---- directory.c: the door's list of sessions ---- */

/* Gives it a TSIH.  -ENFILE: all are taken; -EDQUOT: the host's share is. */
int iscsi_directory_add(struct iscsi_session *session);
/* The one a login with these would reinstate, RFC 7143 6.3.5: with the same
 * ISID by another portal group it is another nexus; or, with tsih not 0, the
 * one it would join. */
struct iscsi_session *iscsi_directory_find(struct iscsi_server *server,
    const char *initiator, const char *target, uint16_t tag,
    const uint8_t isid[6], uint16_t tsih);
/* Tells its loop; more than once does no harm. */
void iscsi_directory_ask(struct iscsi_session *session, unsigned grace_ms);
void iscsi_directory_drop(struct iscsi_session *session);
/* Its loop is through with it: off the list, freed. */
void iscsi_directory_gone(struct iscsi_session *session);

/* ---- server.c ---- */

/* A connection has gone, a portal is closed: maybe the server has stopped. */
void iscsi_server_check_stopped(struct iscsi_server *server);

/* ---- publish.c ---- */

void iscsi_reactor_init(struct iscsi_reactor *reactor,
    struct iscsi_server *server, struct loop *loop);
/* A step of it is done. */
void iscsi_reactor_publish_step(struct iscsi_reactor *reactor);

/* ---- portal.c ---- */

void iscsi_portals_close(struct iscsi_server *server); /* home */

#endif
