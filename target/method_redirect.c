/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * portal redirect.  It is in the state before it takes effect: after a restart
 * a portal sends hosts where it said it would, as soon as it listens.
 */
#include "target/method.h"
#include <string.h>

struct redirect {
	char to[NAMING_ADDRESS_MAX]; /* "": off */
	bool permanent;
};

static struct house_portal *
next_of(const struct house_portal *portal)
{
	if (portal->row.redirect[0] == '\0')
		return NULL;
	return house_portal_at(portal->house, portal->row.redirect);
}

/* Initiators would follow it until they give up.  A circle of others, which an
 * address that has come since may have closed, is none of this one's. */
static bool
comes_back(const struct house_portal *from, const char *to)
{
	const struct house_portal *at = house_portal_at(from->house, to);
	const struct house_portal *portal;

	list_for_each (portal, &from->house->portals, link) {
		if (at == NULL || at == from)
			break;
		at = next_of(at);
	}
	return at == from;
}

static json_t *
to_check(const char *text, const struct house_portal *from,
    char to[NAMING_ADDRESS_MAX])
{
	const char *address = from->row.address;

	if (!naming_address(text, to))
		return fault_fix(fault_new("portal.redirect",
				     "'%s' is not an address", text),
		    "10.0.0.11, 10.0.0.11:3260, [fd00::11] or "
		    "[fd00::11]:3260");
	if (naming_address_any(to) || naming_address_port(to) == 0)
		return fault_new(
		    "portal.redirect", "no host can connect to %s", to);
	if (house_portal_at(from->house, to) == from)
		return fault_new("portal.redirect", "%s is the portal %s", to,
		    strcmp(to, address) == 0 ? "itself" : address);
	if (comes_back(from, to))
		return fault_fix(
		    fault_why(fault_new("portal.redirect",
				  "%s cannot send hosts to %s", address, to),
			"they are sent back from there: no host would get in"),
		    "varve portal list -o address,redirect");
	return NULL;
}

static json_t *
redirect_take(const json_t *params, const struct house_portal *portal,
    struct redirect *redirect)
{
	const char *to = param_text(params, "to");
	const char *from = portal->row.address;
	const bool off = param_flag(params, "off");

	memset(redirect, 0, sizeof(*redirect));
	redirect->permanent = param_flag(params, "permanent");
	if (off == (to != NULL) || (off && redirect->permanent))
		return fault_fix(
		    fault_new("portal.redirect",
			"say where, or that it is off, one of them"),
		    "varve portal redirect %s --to ADDR:PORT [--permanent]\n"
		    "varve portal redirect %s --off",
		    from, from);
	return off ? NULL : to_check(to, portal, redirect->to);
}

static bool
redirect_write(struct request *request, const struct state_portal *row)
{
	struct state *state = request->house->state;
	int ret;

	if (!request_begin(request))
		return false;
	ret = state_portal_redirect(
	    state, row->id, row->redirect, row->permanent);
	if (ret < 0) {
		request_state_failed(request, ret);
		return false;
	}
	return request_commit(request, request->item);
}

void
method_portal_redirect(struct request *request)
{
	struct house_portal *portal;
	struct state_portal before;
	struct redirect redirect;
	json_t *fault;

	if (!method_find_portal(request, &portal))
		return;
	fault = redirect_take(request->params, portal, &redirect);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	before = portal->row;
	strcpy(portal->row.redirect, redirect.to);
	portal->row.permanent = redirect.permanent;
	request->item = portal_item(portal);
	if (request->dry_run || !redirect_write(request, &portal->row)) {
		portal->row = before;
		if (request->dry_run)
			request_answer(request, json_incref(request->item));
		return;
	}
	house_portal_redirect(portal);
	request_answer(request, json_incref(request->item));
}
