/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Portals: where the state says that we listen.  One that was asked for with
 * port 0 keeps the port it got, so that initiators find it after a restart; if
 * that is taken it gets another.  One that cannot be had (its address is not
 * up yet, its port is taken) is tried again.
 */
#include "base/log.h"
#include "target/fault.h"
#include "target/house.h"
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_SECONDS 5
/* The port of a varved that was killed is free when the kernel has taken its
 * ring down, which is after the process is gone. */
#define LINGER_NS       (3 * NSEC_PER_SEC)
#define LINGER_RETRY_NS (20 * NSEC_PER_MSEC)

static const char *
portal_problem(int error)
{
	switch (error) {
	case -EADDRINUSE: return "another program listens there";
	case -EADDRNOTAVAIL: return "this machine has no such address";
	case -EACCES: return "varved may not use that port";
	default: return strerror(-error);
	}
}

/* No memory for a message: nothing that a restart would not mend. */
void
house_portal_redirect(struct house_portal *portal)
{
	const struct state_portal *row = &portal->row;
	int ret;

	if (!portal->listening)
		return; /* when it does */
	ret = iscsi_portal_redirect(portal->house->server, row->address,
	    row->redirect[0] != '\0' ? row->redirect : NULL, row->permanent);
	if (ret < 0)
		log_error(
		    "portal %s: redirection: %s", row->address, strerror(-ret));
}

static int
portal_listen(struct house_portal *portal, const char *address)
{
	struct sockaddr_storage bound;
	int ret = iscsi_portal_add(
	    portal->house->server, address, portal->row.tag, &bound);

	if (ret < 0) {
		snprintf(portal->problem, sizeof(portal->problem), "%s",
		    portal_problem(ret));
		return ret;
	}
	naming_sockaddr(&bound, portal->row.address);
	portal->listening = true;
	portal->problem[0] = '\0';
	if (portal->row.redirect[0] != '\0')
		house_portal_redirect(portal);
	log_notice("portal %s: listening", portal->row.address);
	return 0;
}

static struct house_portal *
portal_new(struct house *house, const struct state_portal *row)
{
	struct house_portal *portal = calloc(1, sizeof(*portal));

	if (portal == NULL)
		return NULL;
	portal->house = house;
	portal->row = *row;
	list_add_tail(&house->portals, &portal->link);
	return portal;
}

static void
portal_free(struct house_portal *portal)
{
	loop_timer_disarm(portal->house->home, &portal->retry);
	list_del(&portal->link);
	free(portal);
}

int
house_portal_add(struct house *house, const char *asked, uint16_t tag,
    struct house_portal **ret_portal)
{
	struct state_portal row = {.tag = tag};
	struct house_portal *portal;
	int ret;

	snprintf(row.asked, sizeof(row.asked), "%s", asked);
	portal = portal_new(house, &row);
	if (portal == NULL)
		return -ENOMEM;
	ret = portal_listen(portal, asked);
	if (ret < 0) {
		portal_free(portal);
		return ret;
	}
	*ret_portal = portal;
	return 0;
}

struct house_portal *
house_portal_find(struct house *house, const char *address)
{
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (strcmp(portal->row.address, address) == 0)
			return portal;
	}
	return NULL;
}

/* The host of a canonical address. */
static size_t
host_length(const char *address)
{
	return (size_t)(strrchr(address, ':') - address);
}

static bool
host_equal(const char *a, const char *b)
{
	return host_length(a) == host_length(b) &&
	       memcmp(a, b, host_length(a)) == 0;
}

static bool
interface_has(const struct ifaddrs *interface, const char *address)
{
	const struct sockaddr *sa = interface->ifa_addr;
	struct sockaddr_storage own = {0};
	char text[NAMING_ADDRESS_MAX];

	if (sa == NULL ||
	    (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return false;
	memcpy(&own, sa,
	    sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
				     : sizeof(struct sockaddr_in6));
	naming_sockaddr(&own, text);
	return host_equal(text, address);
}

/* All of 127.0.0.0/8 is this machine, though its interface has one of them. */
static bool
is_own_address(const char *address)
{
	struct ifaddrs *interfaces;
	bool own = false;

	if (strncmp(address, "127.", 4) == 0 || host_equal(address, "[::1]:"))
		return true;
	if (getifaddrs(&interfaces) < 0)
		return false;
	for (const struct ifaddrs *i = interfaces; i != NULL && !own;
	     i = i->ifa_next)
		own = interface_has(i, address);
	freeifaddrs(interfaces);
	return own;
}

/* [::] takes IPv4 too, unless another portal has that. */
static struct house_portal *
portal_of_all(struct house *house, const char *address)
{
	struct house_portal *portal, *found = NULL;

	list_for_each (portal, &house->portals, link) {
		const char *listens = portal->row.address;
		if (!naming_address_any(listens) ||
		    naming_address_port(listens) !=
			naming_address_port(address))
			continue;
		if ((listens[0] == '[') == (address[0] == '['))
			return portal;
		if (listens[0] == '[')
			found = portal;
	}
	return found;
}

struct house_portal *
house_portal_at(struct house *house, const char *address)
{
	struct house_portal *portal = house_portal_find(house, address);

	if (portal == NULL && is_own_address(address))
		portal = portal_of_all(house, address);
	return portal;
}

void
house_portal_remove(struct house_portal *portal)
{
	if (portal->listening) {
		iscsi_portal_remove(portal->house->server, portal->row.address);
		log_notice("portal %s: closed", portal->row.address);
	}
	portal_free(portal);
}

void
house_portals_free(struct house *house)
{
	struct house_portal *portal;

	while ((portal = list_first(
		    &house->portals, struct house_portal, link)) != NULL)
		portal_free(portal);
}

const char *
house_portal_where(const struct house_portal *portal)
{
	const struct state_portal *row = &portal->row;

	return row->redirect[0] != '\0' && row->permanent ? row->redirect
							  : row->address;
}

json_t *
house_portals_json(struct house *house)
{
	json_t *array = json_array();
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (portal->listening)
			json_array_append_new(
			    array, json_text(house_portal_where(portal)));
	}
	return array;
}

/* ---- at the start ---- */

static int
row_move(struct house *house, const struct state_portal *row)
{
	int ret = state_begin(house->state);

	if (ret < 0)
		return ret;
	ret = state_portal_move(house->state, row->id, row->address);
	if (ret < 0) {
		state_rollback(house->state);
		return ret;
	}
	return state_commit(house->state);
}

static void
portal_try(struct house_portal *portal)
{
	char before[STATE_ADDRESS_MAX];
	int ret;

	snprintf(before, sizeof(before), "%s", portal->row.address);
	ret = portal_listen(portal, before);
	if (ret == -EADDRINUSE &&
	    loop_now(portal->house->home) < portal->first_try_ns + LINGER_NS) {
		loop_timer_arm(
		    portal->house->home, &portal->retry, LINGER_RETRY_NS);
		return;
	}
	if (ret == -EADDRINUSE && naming_address_port(portal->row.asked) == 0)
		ret = portal_listen(portal, portal->row.asked);
	if (ret < 0) {
		log_warn(
		    "portal %s: %s; trying again", before, portal->problem);
		loop_timer_arm(portal->house->home, &portal->retry,
		    RETRY_SECONDS * NSEC_PER_SEC);
		return;
	}
	if (strcmp(before, portal->row.address) != 0 &&
	    row_move(portal->house, &portal->row) < 0)
		log_error("portal %s: its new port is not remembered",
		    portal->row.address);
}

static void
portal_retry(struct loop_timer *timer)
{
	portal_try(container_of(timer, struct house_portal, retry));
}

static int
row_add(struct house *house, struct state_portal *row)
{
	int ret = state_begin(house->state);

	if (ret < 0)
		return ret;
	ret = state_portal_add(house->state, row);
	if (ret < 0) {
		state_rollback(house->state);
		return ret;
	}
	return state_commit(house->state);
}

static bool
was_asked(struct house *house, const char *asked)
{
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (strcmp(portal->row.asked, asked) == 0 ||
		    strcmp(portal->row.address, asked) == 0)
			return true;
	}
	return false;
}

/* What the command line asks for stays: it is added as by portal add. */
static int
portal_asked(struct house *house, const char *text)
{
	char asked[STATE_ADDRESS_MAX];
	struct house_portal *portal;
	int ret;

	if (!naming_address(text, asked))
		return -EINVAL;
	if (was_asked(house, asked))
		return 0;
	ret = house_portal_add(house, asked, PORT_GROUP_FIRST, &portal);
	if (ret < 0) {
		log_error("portal %s: %s", asked, portal_problem(ret));
		return ret;
	}
	return row_add(house, &portal->row);
}

int
house_portals_start(struct house *house)
{
	struct state_portal *rows;
	unsigned count;
	int ret = state_portals(house->state, &rows, &count);

	for (unsigned i = 0; i < count && ret == 0; i++) {
		struct house_portal *portal = portal_new(house, &rows[i]);
		if (portal == NULL) {
			ret = -ENOMEM;
			break;
		}
		portal->retry.expire = portal_retry;
		portal->first_try_ns = loop_now(house->home);
		portal_try(portal);
	}
	free(rows);
	for (unsigned i = 0; i < house->config->portal_count && ret == 0; i++)
		ret = portal_asked(house, house->config->portals[i]);
	return ret;
}
