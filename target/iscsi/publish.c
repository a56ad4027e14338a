/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A new access takes effect: first at the door, so that logins go by it, then
 * on each reactor, where live sessions get the view their host has now.  A LUN
 * that left a view is unmapped and its tasks have ended before the step counts
 * as done; that is what lets the caller free the LUN.
 */
#include "base/log.h"
#include "target/iscsi/access.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A host that lost its access has this long to log out. */
#define LOGOUT_GRACE_MS 2000

/* ---- The view of one session ---- */

static struct iscsi_mapping *
mapping_find(struct iscsi_session *session, unsigned number)
{
	struct iscsi_mapping *mapping;

	list_for_each (mapping, &session->mappings, link) {
		if (mapping->number == number)
			return mapping;
	}
	return NULL;
}

static int
mapping_add(struct iscsi_session *session, const struct iscsi_export *export,
    bool announce)
{
	struct iscsi_mapping *mapping = calloc(1, sizeof(*mapping));
	int ret;

	if (mapping == NULL)
		return -ENOMEM;
	ret = scsi_nexus_map(session->nexus, export->number, export->lun,
	    export->read_only, announce);
	if (ret < 0) {
		free(mapping);
		return ret;
	}
	mapping->number = export->number;
	mapping->lun = export->lun;
	mapping->read_only = export->read_only;
	mapping->wanted = true;
	mapping->session = session;
	list_add_tail(&session->mappings, &mapping->link);
	return 0;
}

static void
mapping_removed(void *arg)
{
	struct iscsi_mapping *mapping = arg;
	struct iscsi_session *session = mapping->session;
	struct iscsi_reactor *reactor = session->reactor;

	free(mapping);
	iscsi_session_unmapped(session);
	iscsi_reactor_publish_step(reactor);
}

static void
mapping_remove(struct iscsi_mapping *mapping)
{
	struct iscsi_session *session = mapping->session;
	int ret;

	list_del(&mapping->link);
	session->unmapping++;
	session->reactor->publishing++;
	ret = scsi_nexus_unmap(
	    session->nexus, mapping->number, true, mapping_removed, mapping);
	assert(ret == 0);
}

static bool
mapping_is_for(
    const struct iscsi_mapping *mapping, const struct iscsi_export *export)
{
	return mapping->lun == export->lun &&
	       mapping->read_only == export->read_only;
}

/* The exports of the session's host on its target; NULL and no count: none. */
static const struct iscsi_target *
session_target(const struct iscsi_session *session,
    const struct iscsi_access *access, unsigned *ret_host)
{
	const struct iscsi_host *host;
	const struct iscsi_target *target;

	if (access == NULL)
		return NULL;
	host = iscsi_access_host(access, session->initiator);
	target = iscsi_access_target(access, session->target);
	if (host == NULL || target == NULL ||
	    !iscsi_access_sees(access, host, target) ||
	    target->loop != session->reactor->loop)
		return NULL;
	*ret_host = (unsigned)(host - access->hosts);
	return target;
}

/* Marks what stays. */
static void
view_mark(struct iscsi_session *session, const struct iscsi_target *target,
    unsigned host)
{
	struct iscsi_mapping *mapping;

	list_for_each (mapping, &session->mappings, link)
		mapping->wanted = false;
	for (unsigned i = 0; target != NULL && i < target->export_count; i++) {
		const struct iscsi_export *export = &target->exports[i];
		if (export->host != host)
			continue;
		mapping = mapping_find(session, export->number);
		if (mapping != NULL && mapping_is_for(mapping, export))
			mapping->wanted = true;
	}
}

static void
view_remove(struct iscsi_session *session)
{
	struct iscsi_mapping *mapping, *next;

	list_for_each_safe (mapping, next, &session->mappings, link) {
		if (!mapping->wanted)
			mapping_remove(mapping);
	}
}

static int
view_add(struct iscsi_session *session, const struct iscsi_target *target,
    unsigned host, bool announce)
{
	for (unsigned i = 0; target != NULL && i < target->export_count; i++) {
		const struct iscsi_export *export = &target->exports[i];
		int ret;
		if (export->host != host ||
		    mapping_find(session, export->number) != NULL)
			continue;
		ret = mapping_add(session, export, announce);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int
iscsi_session_map(struct iscsi_session *session)
{
	unsigned host = 0;
	const struct iscsi_target *target =
	    session_target(session, session->reactor->access, &host);

	return view_add(session, target, host, false);
}

/* ---- One reactor ---- */

static void
session_awaited(struct iscsi_session *session)
{
	if (session->publishing)
		return;
	session->publishing = true;
	session->reactor->publishing++;
}

static void
session_publish(
    struct iscsi_session *session, const struct iscsi_access *access)
{
	const struct iscsi_target *target;
	unsigned host = 0;
	int ret;

	if (session->discovery)
		return;
	if (session->state == ISCSI_SESSION_CLOSING || session->nexus == NULL) {
		session_awaited(session);
		return;
	}
	target = session_target(session, access, &host);
	view_mark(session, target, host);
	view_remove(session);
	ret = view_add(session, target, host, true);
	if (ret < 0)
		log_debug("iscsi %s: mapping LUNs: %s", session->initiator,
		    strerror(-ret));
	if (target == NULL) {
		session_awaited(session);
		iscsi_session_ask_logout(session, LOGOUT_GRACE_MS);
	}
}

void
iscsi_reactor_publish_step(struct iscsi_reactor *reactor)
{
	assert(reactor->publishing > 0);
	if (--reactor->publishing == 0)
		loop_post(reactor->server->home, &reactor->published);
}

static void
reactor_publish_run(struct loop_task *task)
{
	struct iscsi_reactor *reactor =
	    container_of(task, struct iscsi_reactor, publish);
	struct iscsi_access *before = reactor->access;
	struct iscsi_session *session, *next;

	assert(reactor->publishing == 0);
	reactor->access = reactor->next_access;
	reactor->next_access = NULL;
	reactor->publishing = 1;
	list_for_each_safe (session, next, &reactor->sessions, link)
		session_publish(session, reactor->access);
	iscsi_access_unref(before);
	iscsi_reactor_publish_step(reactor);
}

/* On home. */
static void
reactor_published_run(struct loop_task *task)
{
	struct iscsi_server *server =
	    container_of(task, struct iscsi_reactor, published)->server;

	assert(server->publish_waiting > 0);
	if (--server->publish_waiting == 0)
		server->publish_done(server->publish_arg);
}

void
iscsi_reactor_init(struct iscsi_reactor *reactor, struct iscsi_server *server,
    struct loop *loop)
{
	reactor->server = server;
	reactor->loop = loop;
	reactor->publish.run = reactor_publish_run;
	reactor->published.run = reactor_published_run;
	list_init(&reactor->sessions);
	list_init(&reactor->starved);
}

/* ---- The door ---- */

static void
publish_run(struct loop_task *task)
{
	struct iscsi_server *server =
	    container_of(task, struct iscsi_server, publish_task);

	iscsi_access_unref(server->access);
	server->access = server->publish_access;
	server->publish_access = NULL;
	for (unsigned i = 0; i < server->reactor_count; i++) {
		struct iscsi_reactor *reactor = &server->reactors[i];
		reactor->next_access = iscsi_access_ref(server->access);
		loop_post(reactor->loop, &reactor->publish);
	}
}

void
iscsi_server_publish(struct iscsi_server *server, struct iscsi_access *access,
    void (*done)(void *arg), void *arg)
{
	assert(server->publish_waiting == 0);
	server->publish_access = iscsi_access_ref(access);
	server->publish_waiting = server->reactor_count;
	server->publish_done = done;
	server->publish_arg = arg;
	server->publish_task.run = publish_run;
	loop_post(iscsi_door(server)->loop, &server->publish_task);
}
