/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a document says of portals, and of where they send hosts.
 */
#include "target/plan_part.h"
#include <stdio.h>
#include <string.h>

/* As SendTargets has them, "ADDRESS,GROUP", but for those in the first. */
static json_t *
portal_text(const char *address, uint16_t tag)
{
	return tag == PORT_GROUP_FIRST ? json_text(address)
				       : json_textf("%s,%u", address, tag);
}

static bool
portal_split(
    const char *text, char address[NAMING_ADDRESS_MAX], uint16_t *ret_tag)
{
	char head[NAMING_ADDRESS_MAX], rest;
	const char *comma = strchr(text, ',');
	size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);

	*ret_tag = PORT_GROUP_FIRST;
	if (length >= sizeof(head))
		return false;
	memcpy(head, text, length);
	head[length] = '\0';
	if (comma != NULL &&
	    (sscanf(comma + 1, "%hu%c", ret_tag, &rest) != 1 || *ret_tag == 0))
		return false;
	return naming_address(head, address);
}

json_t *
plan_portals_document(struct house *house)
{
	json_t *portals = json_array();
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link)
		json_array_append_new(
		    portals, portal_text(portal->row.address, portal->row.tag));
	return portals;
}

json_t *
plan_redirects_document(struct house *house)
{
	json_t *redirects = json_array();
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (portal->row.redirect[0] != '\0')
			json_array_append_new(redirects,
			    json_pack("{s:s, s:s, s:b}", "name",
				portal->row.address, "to", portal->row.redirect,
				"permanent", (int)portal->row.permanent));
	}
	return redirects;
}

/* What goes with its portal has gone. */
static void
prune_redirects(struct plan *plan)
{
	const json_t *want = json_object_get(plan->want, "redirects"), *entry;
	const json_t *portals = json_object_get(plan->want, "portals");
	size_t i;

	json_array_foreach(json_object_get(plan->have, "redirects"), i, entry)
	{
		const char *address = plan_text(entry, "name");
		if (plan_entry(want, entry) == NULL &&
		    plan_string_in(portals, address))
			plan_step(plan, "portal.redirect", address,
			    json_pack(
				"{s:s, s:b}", "address", address, "off", 1),
			    "it is not in the document");
	}
}

void
plan_portals_prune(struct plan *plan)
{
	const json_t *portals = json_object_get(plan->want, "portals"), *entry;
	char address[NAMING_ADDRESS_MAX];
	uint16_t tag;
	size_t i;

	json_array_foreach(json_object_get(plan->have, "portals"), i, entry)
	{
		const char *text = json_string_value(entry);
		if (!plan_string_in(portals, text) &&
		    portal_split(text, address, &tag))
			plan_step(plan, "portal.remove", address,
			    json_pack("{s:s}", "address", address),
			    "it is not in the document");
	}
	prune_redirects(plan);
}

void
plan_portals(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "portals"), *entry;
	char address[NAMING_ADDRESS_MAX];
	uint16_t tag;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "portals"), i, entry)
	{
		const char *text = json_string_value(entry);
		if (!portal_split(text, address, &tag)) {
			plan_fail(plan, "portal '%s' is not an address", text);
			continue;
		}
		json_t *wanted = portal_text(address, tag);
		if (!plan_string_in(have, json_string_value(wanted)))
			plan_step(plan, "portal.add", address,
			    json_pack("{s:s, s:i}", "address", address, "group",
				(int)tag),
			    "listen");
		json_decref(wanted);
	}
}

static bool
redirect_equal(const json_t *a, const json_t *b)
{
	char to_a[NAMING_ADDRESS_MAX], to_b[NAMING_ADDRESS_MAX];

	return naming_address(plan_text(a, "to"), to_a) &&
	       naming_address(plan_text(b, "to"), to_b) &&
	       strcmp(to_a, to_b) == 0 &&
	       json_is_true(json_object_get(a, "permanent")) ==
		   json_is_true(json_object_get(b, "permanent"));
}

void
plan_redirects(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "redirects"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "redirects"), i, entry)
	{
		const json_t *before = plan_entry(have, entry);
		json_t *params;
		if (before != NULL && redirect_equal(before, entry))
			continue;
		params = json_copy((json_t *)(uintptr_t)entry);
		json_object_set(
		    params, "address", json_object_get(entry, "name"));
		json_object_del(params, "name");
		plan_step(plan, "portal.redirect", plan_text(entry, "name"),
		    params, "to %s", plan_text(entry, "to"));
	}
}
