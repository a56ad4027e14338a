/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * portal set: how good a portal's group is, for every LUN (asymmetric access).
 */
#include "target/method.h"
#include <errno.h>

/* A path that hosts may use, by a portal of another group.  One that sends them
 * away is none; where it sends them may be one. */
static bool
is_other_path(const struct house_portal *portal, uint16_t tag)
{
	return portal->listening && portal->row.redirect[0] == '\0' &&
	       portal->row.tag != tag &&
	       port_access_is_active(
		   house_ports_access(portal->house, portal->row.tag));
}

static bool
leaves_a_path(const struct house_portal *portal, enum port_access access)
{
	const struct house_portal *other;

	if (port_access_is_active(access))
		return true;
	list_for_each (other, &portal->house->portals, link) {
		if (is_other_path(other, portal->row.tag))
			return true;
	}
	return false;
}

static json_t *
last_path_fault(const struct house_portal *portal, const char *word)
{
	json_t *fault = fault_new("portal.last-path",
	    "with portal group %u %s no host could use its LUNs",
	    portal->row.tag, word);

	fault_why(fault, "no portal of another group listens, is active "
			 "and sends hosts nowhere else");
	fault_fix(fault, "make another path first:   varve portal list");
	return fault_fix(fault,
	    "or if they are to be cut off:   varve portal set %s --access %s "
	    "--force",
	    portal->row.address, word);
}

static void
told(void *arg)
{
	struct request *request = arg;

	request_answer(request, json_incref(request->item));
}

static void
set_write(struct request *request, uint16_t tag, enum port_access access)
{
	struct state *state = request->house->state;
	int ret;

	if (!request_begin(request))
		return;
	ret = state_port_group_set(state, tag, access);
	if (ret < 0)
		request_state_failed(request, ret);
	else if (request_commit(request, request->item))
		house_ports_tell(request->house, tag, told, request);
}

void
method_portal_set(struct request *request)
{
	const char *word = param_text(request->params, "access");
	struct house_portal *portal;
	enum port_access access;

	if (!method_find_portal(request, &portal))
		return;
	if (!house_access_parse(word, &access)) {
		request_fail(request,
		    fault_new("request.argument", "no such access: %s", word));
		return;
	}
	if (!leaves_a_path(portal, access) &&
	    !param_flag(request->params, "force")) {
		request_fail(request, last_path_fault(portal, word));
		return;
	}
	request->item = portal_item(portal);
	json_object_set_new(request->item, "access", json_string(word));
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		set_write(request, portal->row.tag, access);
}
