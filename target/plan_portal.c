/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a document says of portals, and of where they send hosts.  Both it and
 * the server may say the same in several ways ("10.0.0.10",
 * "10.0.0.10:3260,1"): all here is compared in the one form of portal_text.
 */
#include "target/plan_part.h"
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
	char head[NAMING_ADDRESS_MAX];
	unsigned tag = PORT_GROUP_FIRST;
	const char *comma = strchr(text, ',');
	size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);

	if (length >= sizeof(head))
		return false;
	memcpy(head, text, length);
	head[length] = '\0';
	if (comma != NULL && (!naming_number(comma + 1, &tag) || tag == 0))
		return false;
	*ret_tag = (uint16_t)tag;
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

/* ---- the document, in the one form ---- */

/* The group of the portal at address; 0: there is none. */
static uint16_t
group_of(const json_t *portals, const char *address)
{
	char other[NAMING_ADDRESS_MAX];
	const json_t *entry;
	uint16_t tag;
	size_t i;

	json_array_foreach(portals, i, entry)
	{
		if (portal_split(json_string_value(entry), other, &tag) &&
		    strcmp(other, address) == 0)
			return tag;
	}
	return 0;
}

static void
form_portals(struct plan *plan)
{
	json_t *portals = json_object_get(plan->want, "portals");
	json_t *form = json_array();
	char address[NAMING_ADDRESS_MAX];
	const json_t *entry;
	uint16_t tag;
	size_t i;

	json_array_foreach(portals, i, entry)
	{
		const char *text = json_string_value(entry);
		if (!portal_split(text, address, &tag))
			plan_fail(plan, "portal '%s' is not an address", text);
		else if (group_of(form, address) != 0)
			plan_fail(plan, "portal %s is there twice", address);
		else
			json_array_append_new(form, portal_text(address, tag));
	}
	json_object_set_new(plan->want, "portals", form);
}

static void
form_address(struct plan *plan, json_t *entry, const char *member)
{
	const char *text = plan_text(entry, member);
	char address[NAMING_ADDRESS_MAX];

	if (naming_address(text, address))
		json_object_set_new(entry, member, json_string(address));
	else
		plan_fail(plan, "'%s' of redirects, %s, is not an address",
		    text, member);
}

void
plan_portals_form(struct plan *plan)
{
	json_t *entry;
	size_t i;

	form_portals(plan);
	json_array_foreach(json_object_get(plan->want, "redirects"), i, entry)
	{
		form_address(plan, entry, "name");
		form_address(plan, entry, "to");
	}
}

/* ---- steps ---- */

/* A portal is in its group for life: into another it goes and comes again, and
 * where it sent hosts goes along. */
static bool
is_moving(const struct plan *plan, const char *address)
{
	uint16_t from =
	    group_of(json_object_get(plan->have, "portals"), address);
	uint16_t to = group_of(json_object_get(plan->want, "portals"), address);

	return from != 0 && to != 0 && from != to;
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
		    group_of(portals, address) != 0 &&
		    !is_moving(plan, address))
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
		if (portal_split(text, address, &tag) &&
		    group_of(portals, address) == 0)
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
		if (plan_string_in(have, text) ||
		    !portal_split(text, address, &tag))
			continue;
		if (is_moving(plan, address))
			plan_step(plan, "portal.remove", address,
			    json_pack("{s:s}", "address", address),
			    "into group %u", tag);
		plan_step(plan, "portal.add", address,
		    json_pack(
			"{s:s, s:i}", "address", address, "group", (int)tag),
		    "listen");
	}
}

static bool
redirect_equal(const json_t *a, const json_t *b)
{
	return strcmp(plan_text(a, "to"), plan_text(b, "to")) == 0 &&
	       json_is_true(json_object_get(a, "permanent")) ==
		   json_is_true(json_object_get(b, "permanent"));
}

static void
redirect_step(struct plan *plan, const json_t *entry)
{
	json_t *params = json_copy((json_t *)(uintptr_t)entry);

	json_object_set(params, "address", json_object_get(entry, "name"));
	json_object_del(params, "name");
	plan_step(plan, "portal.redirect", plan_text(entry, "name"), params,
	    "to %s", plan_text(entry, "to"));
}

/* Without prune, what the document does not name is as it was. */
static void
keep_redirects(struct plan *plan)
{
	const json_t *want = json_object_get(plan->want, "redirects"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->have, "redirects"), i, entry)
	{
		if (plan_entry(want, entry) == NULL &&
		    is_moving(plan, plan_text(entry, "name")))
			redirect_step(plan, entry);
	}
}

/* First, or a new one could close a circle with one that is about to go. */
static void
redirects_end(struct plan *plan)
{
	const json_t *want = json_object_get(plan->want, "redirects"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->have, "redirects"), i, entry)
	{
		const char *address = plan_text(entry, "name");
		const json_t *after = plan_entry(want, entry);
		if (after != NULL && !redirect_equal(entry, after) &&
		    !is_moving(plan, address))
			plan_step(plan, "portal.redirect", address,
			    json_pack(
				"{s:s, s:b}", "address", address, "off", 1),
			    "it is to go elsewhere");
	}
}

void
plan_redirects(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "redirects"), *entry;
	size_t i;

	redirects_end(plan);
	json_array_foreach(json_object_get(plan->want, "redirects"), i, entry)
	{
		const json_t *before = plan_entry(have, entry);
		if (before == NULL || !redirect_equal(before, entry) ||
		    is_moving(plan, plan_text(entry, "name")))
			redirect_step(plan, entry);
	}
	if (!plan->prune)
		keep_redirects(plan);
}
