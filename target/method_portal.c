/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * portal add, list, remove; session list, drop.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- portals ---- */

json_t *
portal_item(const struct house_portal *portal)
{
	const struct state_portal *row = &portal->row;
	enum port_access access = house_ports_access(portal->house, row->tag);

	return json_pack("{s:s, s:s, s:i, s:s, s:o, s:o, s:b}", "address",
	    row->address, "asked", row->asked, "group", (int)row->tag, "access",
	    house_access_word(access), "state",
	    json_text(portal->listening ? "listening" : portal->problem),
	    "redirect",
	    row->redirect[0] != '\0' ? json_text(row->redirect) : json_null(),
	    "permanent", (int)row->permanent);
}

void
method_portal_list(struct request *request)
{
	json_t *items = json_array();
	struct house_portal *portal;

	list_for_each (portal, &request->house->portals, link)
		json_array_append_new(items, portal_item(portal));
	request_answer_items(request, items);
}

static bool
address_take(struct request *request, char address[NAMING_ADDRESS_MAX])
{
	const char *text = param_text(request->params, "address");

	if (naming_address(text, address))
		return true;
	request_fail(request,
	    fault_fix(
		fault_new("portal.address", "'%s' is not an address", text),
		"10.0.0.10, 10.0.0.10:3260, [fd00::10] or [fd00::10]:3260"));
	return false;
}

static json_t *
listen_fault(const char *address, int error)
{
	if (error == -EADDRINUSE || error == -EEXIST)
		return fault_fix(
		    fault_new("portal.in-use",
			"cannot listen at %s: another program does", address),
		    "see which:   ss -ltnp 'sport = :%u'",
		    naming_address_port(address));
	return fault_why(
	    fault_new("portal.failed", "cannot listen at %s", address), "%s",
	    error == -EADDRNOTAVAIL ? "this machine has no such address"
	    : error == -EACCES
		? "varved may not use that port; those under 1024 need "
		  "CAP_NET_BIND_SERVICE"
		: strerror(-error));
}

bool
method_find_portal(struct request *request, struct house_portal **ret_portal)
{
	char address[NAMING_ADDRESS_MAX];

	if (!address_take(request, address))
		return false;
	*ret_portal = house_portal_find(request->house, address);
	if (*ret_portal != NULL)
		return true;
	request_fail(
	    request, fault_fix(fault_new("portal.not-found",
				   "there is no portal at %s", address),
			 "varve portal list"));
	return false;
}

/* One more group than there may be is one that no LUN would tell of. */
static bool
group_take(struct request *request, uint16_t *ret_tag)
{
	const struct port_groups *ports = &request->house->ports;
	json_int_t tag = param_int(request->params, "group", PORT_GROUP_FIRST);

	if (tag < 1 || tag > UINT16_MAX) {
		request_fail(
		    request, fault_new("request.argument",
				 "a portal group is a number from 1 to 65535"));
		return false;
	}
	*ret_tag = (uint16_t)tag;
	for (unsigned i = 0; i < ports->count; i++) {
		if (ports->list[i].tag == tag)
			return true;
	}
	if (ports->count < PORT_GROUPS_MAX)
		return true;
	request_fail(request,
	    fault_fix(fault_new("portal.groups",
			  "there are %u portal groups already", ports->count),
		"varve portal list"));
	return false;
}

static void
portal_write(struct request *request, struct house_portal *portal)
{
	struct state *state = request->house->state;
	json_t *item = portal_item(portal);
	int ret = state_begin(state);

	request->item = item;
	if (ret == 0) {
		ret = state_portal_add(state, &portal->row);
		if (ret < 0)
			state_rollback(state);
	}
	if (ret < 0) {
		house_portal_remove(portal);
		request_fail(
		    request, fault_internal("the portal is not written", ret));
		return;
	}
	if (!request_commit(request, item))
		return;
	house_ports_tell(request->house, 0, NULL, NULL);
	request_answer(request, json_incref(item));
}

void
method_portal_add(struct request *request)
{
	char address[NAMING_ADDRESS_MAX];
	struct house_portal *portal;
	uint16_t tag;
	int ret;

	if (!address_take(request, address) || !group_take(request, &tag))
		return;
	if (house_portal_find(request->house, address) != NULL) {
		request_fail(
		    request, fault_new("portal.exists",
				 "there is a portal at %s already", address));
		return;
	}
	if (request->dry_run) {
		request_answer(
		    request, json_pack("{s:s, s:s, s:i}", "address", address,
				 "asked", address, "group", (int)tag));
		return;
	}
	ret = house_portal_add(request->house, address, tag, &portal);
	if (ret < 0)
		request_fail(request, listen_fault(address, ret));
	else
		portal_write(request, portal);
}

void
method_portal_remove(struct request *request)
{
	struct state *state = request->house->state;
	struct house_portal *portal;
	int ret;

	if (!method_find_portal(request, &portal))
		return;
	request->item = portal_item(portal);
	if (request->dry_run) {
		request_answer(request, json_incref(request->item));
		return;
	}
	if (!request_begin(request))
		return;
	ret = state_portal_remove(state, portal->row.id);
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (!request_commit(request, request->item))
		return;
	house_portal_remove(portal);
	house_ports_tell(request->house, 0, NULL, NULL);
	request_answer(request, json_incref(request->item));
}

/* ---- sessions ---- */

static json_t *
session_luns(
    const struct iscsi_session_info *info, const struct exports *exports)
{
	json_t *luns = json_array();

	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (strcmp(row->host, info->host) == 0 &&
		    strcmp(row->iqn, info->target) == 0)
			json_array_append_new(luns,
			    json_textf("%s/%s", row->pool, row->lun_name));
	}
	return luns;
}

static json_t *
session_peers(const struct iscsi_session_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < info->connections; i++)
		json_array_append_new(list, json_text(info->conns[i].peer));
	return list;
}

json_t *
session_item(
    const struct iscsi_session_info *info, const struct exports *exports)
{
	json_t *item = json_pack("{s:i, s:i, s:i}", "session", (int)info->tsih,
	    "connections", (int)info->connections, "commands",
	    (int)info->commands);
	const struct {
		const char *name, *text;
	} texts[] = {
	    /* of the oldest connection, for who knows but one */
	    {"host", info->host},
	    {"initiator", info->initiator},
	    {"peer", info->conns[0].peer},
	    {"portal", info->conns[0].portal},
	    {"auth", info->auth},
	    {"header_digest", info->conns[0].header_digest},
	    {"data_digest", info->conns[0].data_digest},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		json_object_set_new(
		    item, texts[i].name, json_text(texts[i].text));
	json_object_set_new(item, "peers", session_peers(info));
	json_object_set_new(item, "target",
	    info->discovery ? json_null() : json_text(info->target));
	json_object_set_new(item, "isid",
	    json_textf("%02x%02x%02x%02x%02x%02x", info->isid[0], info->isid[1],
		info->isid[2], info->isid[3], info->isid[4], info->isid[5]));
	json_object_set_new(
	    item, "since", json_time((int64_t)info->since_unix));
	json_object_set_new(item, "luns", session_luns(info, exports));
	json_object_set_new(item, "used_lun",
	    info->used_lun >= 0 ? json_integer(info->used_lun) : json_null());
	json_object_set_new(item, "reads", json_bytes(info->reads));
	json_object_set_new(item, "writes", json_bytes(info->writes));
	json_object_set_new(item, "read_bytes", json_bytes(info->read_bytes));
	json_object_set_new(item, "write_bytes", json_bytes(info->write_bytes));
	latency_item(item, &info->latency);
	return item;
}

static void
sessions_answer(struct request *request)
{
	const struct survey *survey = request->survey;
	const char *host = param_text(request->params, "host");
	json_t *items = json_array();
	struct exports exports;

	if (!method_exports(request, &exports)) {
		json_decref(items);
		return;
	}
	for (unsigned i = 0; i < survey->session_count; i++) {
		const struct iscsi_session_info *info = &survey->sessions[i];
		if (host == NULL || strcmp(host, info->host) == 0)
			json_array_append_new(
			    items, session_item(info, &exports));
	}
	free(exports.rows);
	request_answer_items(request, items);
}

void
method_session_list(struct request *request)
{
	const char *name = param_text(request->params, "host");
	struct state_host host;

	if (name != NULL && !method_find_host(request, name, &host))
		return;
	explicit_bzero(&host, sizeof(host));
	method_survey_pools(request, "", sessions_answer);
}

json_t *
session_missing(const struct request *request)
{
	return fault_fix(
	    fault_new("session.not-found", "there is no session %lld",
		(long long)param_int(request->params, "session", 0)),
	    "varve session list");
}

static void
dropped(void *arg, int result)
{
	struct request *request = arg;
	int ret;

	if (result < 0) {
		request_fail(request, session_missing(request));
		return;
	}
	ret = state_begin(request->house->state);
	if (ret < 0)
		request_fail(
		    request, fault_internal("the drop is not logged", ret));
	else if (request_commit(request, request->item))
		request_answer(request, json_incref(request->item));
}

static void
drop_go(struct request *request)
{
	json_int_t number = param_int(request->params, "session", 0);
	const struct survey *survey = request->survey;
	const struct iscsi_session_info *info = NULL;
	struct exports exports;

	for (unsigned i = 0; i < survey->session_count; i++) {
		if (survey->sessions[i].tsih == number)
			info = &survey->sessions[i];
	}
	if (info == NULL) {
		request_fail(request, session_missing(request));
		return;
	}
	if (!method_exports(request, &exports))
		return;
	request->item = session_item(info, &exports);
	free(exports.rows);
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		iscsi_session_drop(
		    request->house->server, info->tsih, dropped, request);
}

void
method_session_drop(struct request *request)
{
	method_survey_pools(request, "", drop_go);
}
