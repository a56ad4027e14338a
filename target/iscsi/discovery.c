/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SendTargets, RFC 7143 13.3 and appendix C.  An initiator is told of the
 * targets it has exports on, and of nothing else.
 *
 * A discovery session is at the door, whose access and portals these are.  A
 * session on another reactor may ask for its own target: it is told the portal
 * it came by, and needs nothing of the door.
 */
#include "target/iscsi/access.h"
#include "target/iscsi/portal.h"
#include "target/iscsi/session.h"
#include "target/iscsi/text_request.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One TargetName or TargetAddress with its key. */
#define PAIR_MAX (ISCSI_NAME_MAX + 64)

static int
text_reserve(struct iscsi_text *text, size_t more)
{
	size_t size = text->size;
	char *data;

	while (size - text->length < more)
		size *= 2;
	if (size == text->size)
		return 0;
	data = realloc(text->data, size);
	if (data == NULL)
		return -ENOMEM;
	text->data = data;
	text->size = size;
	return 0;
}

static bool
is_wildcard(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;

	if (address->ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	return in->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Where the initiator came in, at another port.  False: by IPv4 and the portal
 * is IPv6, or the other way round. */
static bool
local_with_port(const struct iscsi_conn *conn,
    const struct sockaddr_storage *portal, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	const struct sockaddr_in *port = (const void *)portal;

	static_assert(offsetof(struct sockaddr_in, sin_port) ==
			  offsetof(struct sockaddr_in6, sin6_port),
	    "the port has one place");
	*ret = conn->local;
	if (ret->ss_family != portal->ss_family)
		return false;
	in->sin_port = port->sin_port;
	return true;
}

static int
add_address(struct iscsi_text *text, const struct sockaddr_storage *address,
    uint16_t tag)
{
	char buf[64];
	int ret = text_reserve(text, PAIR_MAX);

	if (ret < 0)
		return ret;
	iscsi_text_addf(text, "TargetAddress", "%s,%u",
	    iscsi_address_format(address, buf), tag);
	return 0;
}

static bool
is_portal(const struct iscsi_conn *conn, const char *address)
{
	const struct iscsi_portal *portal;
	char buf[64];

	list_for_each (portal, &conn->server->door_portals, door_link) {
		if (!portal->closing &&
		    strcmp(iscsi_address_format(&portal->address, buf),
			address) == 0)
			return true;
	}
	return false;
}

/* A portal that sends hosts elsewhere for good is not named; where it sends
 * them is, unless that is a portal of ours. */
static int
add_moved(const struct iscsi_conn *conn, const struct iscsi_portal *portal,
    struct iscsi_text *text)
{
	int ret;

	if (is_portal(conn, portal->redirect))
		return 0;
	ret = text_reserve(text, PAIR_MAX + ISCSI_REDIRECT_MAX);
	if (ret == 0)
		iscsi_text_addf(text, "TargetAddress", "%s,%u",
		    portal->redirect, portal->tag);
	return ret;
}

static int
add_portal(const struct iscsi_conn *conn, const struct iscsi_portal *portal,
    struct iscsi_text *text)
{
	struct sockaddr_storage address = portal->address;

	if (portal->redirect[0] != '\0' && portal->redirect_permanent)
		return add_moved(conn, portal, text);
	if (is_wildcard(&address) &&
	    !local_with_port(conn, &portal->address, &address))
		return 0;
	return add_address(text, &address, portal->tag);
}

static int
add_portals(const struct iscsi_conn *conn, struct iscsi_text *text)
{
	const struct iscsi_portal *portal;
	int ret = 0;

	list_for_each (portal, &conn->server->door_portals, door_link) {
		if (!portal->closing && ret == 0)
			ret = add_portal(conn, portal, text);
	}
	return ret;
}

static int
add_name(struct iscsi_text *text, const char *iqn)
{
	int ret = text_reserve(text, PAIR_MAX);

	if (ret == 0)
		iscsi_text_add(text, "TargetName", iqn);
	return ret;
}

/* value: one target's name, or "All" */
static int
send_discovered(
    struct iscsi_conn *conn, const char *value, struct iscsi_text *text)
{
	const struct iscsi_access *access = conn->server->access;
	const struct iscsi_host *host =
	    iscsi_access_host(access, conn->session->initiator);
	const bool all = strcmp(value, "All") == 0;
	int ret = 0;

	for (unsigned i = 0; host != NULL && i < access->target_count; i++) {
		const struct iscsi_target *target = &access->targets[i];
		if (!iscsi_access_sees(access, host, target) ||
		    (!all && strcasecmp(value, target->iqn) != 0))
			continue;
		ret = add_name(text, target->iqn);
		if (ret == 0)
			ret = add_portals(conn, text);
		if (ret < 0)
			break;
	}
	return ret;
}

int
iscsi_send_targets(
    struct iscsi_conn *conn, const char *value, struct iscsi_text *text)
{
	const struct iscsi_session *session = conn->session;
	int ret;

	if (session->discovery)
		return value[0] == '\0' ? -EPROTO
					: send_discovered(conn, value, text);
	/* 13.3: empty means "the target of this session"; All is for
	 * discovery sessions only */
	if (strcmp(value, "All") == 0)
		return -EPROTO;
	if (value[0] != '\0' && strcasecmp(value, session->target) != 0)
		return 0;
	ret = add_name(text, session->target);
	if (ret == 0)
		ret = add_address(text, &conn->local, session->tag);
	return ret;
}
