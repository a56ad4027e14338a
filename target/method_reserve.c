/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun reservations, release: persistent reservations, and RESERVE of SPC-2, as
 * the administrator sees and breaks them.  Both look first: release takes what
 * it found, and what has come since.
 */
#include "target/method.h"
#include "target/scsi/transport_id.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- looking ---- */

struct looking {
	struct house_lun *hl; /* NULL: not served */
	struct registry *registry;
	char reserved_by[REGISTRY_PORT_MAX]; /* "": nobody */
	struct state_host *hosts;
	unsigned host_count;
	char only[NAMING_IQN_MAX + 1]; /* release --host: its name; "": all */
	void (*then)(struct request *request);
};

static void
looking_free(void *own)
{
	struct looking *looking = own;

	registry_free(looking->registry);
	state_hosts_free(looking->hosts, looking->host_count);
	free(looking);
}

static void
look_run(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct looking *looking = request->own;
	const char *by;

	looking->registry = lun_registry_get(looking->hl->lun, &by);
	if (by != NULL)
		snprintf(looking->reserved_by, sizeof(looking->reserved_by),
		    "%s", by);
	call_finish(call, looking->registry == NULL ? -ENOMEM : 0);
}

static void
look_done(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct looking *looking = request->own;

	if (call->result < 0)
		request_fail(
		    request, fault_internal("the reservations cannot be read",
				 call->result));
	else
		looking->then(request);
}

static void
look(struct request *request)
{
	struct looking *looking = request->own;
	const struct survey_lun *sl = method_surveyed(request);
	int ret = state_hosts(
	    request->house->state, &looking->hosts, &looking->host_count);

	if (ret < 0) {
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
		return;
	}
	looking->hl = house_lun_find(request->house, sl->volume.uuid);
	if (looking->hl == NULL) {
		looking->registry = registry_new();
		assert(looking->registry != NULL);
		looking->then(request);
		return;
	}
	request->call.run = look_run;
	request->call.done = look_done;
	call_start(
	    &request->call, request->house->home, looking->hl->pool->loop);
}

static struct looking *
looking_new(struct request *request, void (*then)(struct request *request))
{
	struct looking *looking = calloc(1, sizeof(*looking));

	assert(looking != NULL);
	looking->then = then;
	request->own = looking;
	request->own_free = looking_free;
	return looking;
}

/* ---- the item ---- */

static json_t *
host_of(const struct looking *looking, const char *port)
{
	for (unsigned i = 0; i < looking->host_count; i++) {
		if (transport_is_port_of(port, looking->hosts[i].iqn))
			return json_text(looking->hosts[i].name);
	}
	return json_null();
}

/* "iqn...,i,0x00023d000001": both its parts. */
static void
item_port(json_t *item, const char *port)
{
	const char *isid;
	size_t length = transport_port_split(port, &isid);

	json_object_set_new(
	    item, "initiator", json_textf("%.*s", (int)length, port));
	json_object_set_new(
	    item, "isid", isid != NULL ? json_text(isid) : json_null());
}

static bool
is_logged_in(
    const struct request *request, const char *port, const char *target)
{
	const struct survey *survey = request->survey;
	char text[REGISTRY_PORT_MAX + 32];

	for (unsigned i = 0; i < survey->session_count; i++) {
		const struct iscsi_session_info *info = &survey->sessions[i];
		const uint8_t *id = info->isid;
		snprintf(text, sizeof(text), "%s,i,0x%02x%02x%02x%02x%02x%02x",
		    info->initiator, id[0], id[1], id[2], id[3], id[4], id[5]);
		if (strcasecmp(text, port) == 0 &&
		    (target == NULL || strcasecmp(info->target, target) == 0))
			return true;
	}
	return false;
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_text(text) : json_null();
}

static json_t *
registration_item(const struct request *request, unsigned index)
{
	const struct looking *looking = request->own;
	const struct registry *registry = looking->registry;
	const struct registration *r = &registry->list[index];
	bool holds = registry_is_holder(registry, (int)index);
	json_t *item = json_pack("{s:o, s:o, s:o, s:b, s:b, s:s, s:o, s:I}",
	    "host", host_of(looking, r->initiator), "key",
	    json_textf("0x%" PRIx64, r->key), "holds",
	    text_or_null(holds ? registry_type_text(registry->type) : ""),
	    "survives", registry->aptpl, "logged_in",
	    is_logged_in(request, r->initiator, r->target), "target", r->target,
	    "port", r->all_ports ? json_null() : json_integer(r->port),
	    "generation", (json_int_t)registry->generation);

	item_port(item, r->initiator);
	return item;
}

/* RESERVE of SPC-2: the LUN for one session, as long as that lives. */
static json_t *
reserve_item(const struct request *request)
{
	const struct looking *looking = request->own;
	json_t *item = json_pack("{s:o, s:n, s:s, s:b, s:b, s:n, s:n, s:I}",
	    "host", host_of(looking, looking->reserved_by), "key", "holds",
	    "reserve", "survives", false, "logged_in",
	    is_logged_in(request, looking->reserved_by, NULL), "target", "port",
	    "generation", (json_int_t)looking->registry->generation);

	item_port(item, looking->reserved_by);
	return item;
}

static void
reservations_answer(struct request *request)
{
	const struct looking *looking = request->own;
	json_t *items = json_array();

	for (unsigned i = 0; i < looking->registry->count; i++)
		json_array_append_new(items, registration_item(request, i));
	if (looking->reserved_by[0] != '\0')
		json_array_append_new(items, reserve_item(request));
	request_answer_items(request, items);
}

void
method_lun_reservations(struct request *request)
{
	looking_new(request, reservations_answer);
	method_survey_version(request, "lun", look);
}

/* ---- release ---- */

static bool
is_meant(const struct looking *looking, const char *port)
{
	return looking->only[0] == '\0' ||
	       transport_is_port_of(port, looking->only);
}

/* What ends with the registrations that go; "": nothing does. */
static const char *
what_is_released(const struct looking *looking)
{
	const struct registry *registry = looking->registry;
	unsigned stay = 0;

	for (unsigned i = 0; i < registry->count; i++)
		stay += !is_meant(looking, registry->list[i].initiator);
	if (looking->reserved_by[0] != '\0')
		return is_meant(looking, looking->reserved_by) ? "reserve" : "";
	if (registry->type == REGISTRY_NONE)
		return "";
	if (registry_type_is_held_by_all(registry->type))
		return stay == 0 ? registry_type_text(registry->type) : "";
	return is_meant(looking, registry->list[registry->holder].initiator)
		   ? registry_type_text(registry->type)
		   : "";
}

static json_t *
release_item(const struct request *request)
{
	const struct looking *looking = request->own;
	const struct registry *registry = looking->registry;
	unsigned count = 0;

	for (unsigned i = 0; i < registry->count; i++)
		count += is_meant(looking, registry->list[i].initiator);
	return json_pack("{s:s, s:o, s:i}", "name",
	    param_text(request->params, "lun"), "released",
	    text_or_null(what_is_released(looking)), "registrations",
	    (int)count);
}

static void
release_taken(void *arg, int result)
{
	struct request *request = arg;
	int ret;

	if (result < 0) {
		request_fail(request,
		    fault_internal("the reservations are not broken", result));
		return;
	}
	ret = state_begin(request->house->state);
	if (ret < 0) {
		request_fail(
		    request, fault_internal("the change is not logged", ret));
		return;
	}
	json_object_set_new(
	    request->item, "registrations", json_integer(result));
	if (request_commit(request, request->item))
		request_answer(request, json_incref(request->item));
}

static void
release_go(struct request *request)
{
	struct looking *looking = request->own;

	request->item = release_item(request);
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else if (looking->hl == NULL)
		release_taken(request, 0);
	else
		house_lun_take(looking->hl,
		    looking->only[0] != '\0' ? looking->only : NULL,
		    release_taken, request);
}

void
method_lun_release(struct request *request)
{
	struct looking *looking = looking_new(request, release_go);
	const char *name = param_text(request->params, "host");
	struct state_host host;

	if (name != NULL && !method_find_host(request, name, &host))
		return;
	if (name != NULL) {
		memcpy(looking->only, host.iqn, sizeof(looking->only));
		explicit_bzero(&host, sizeof(host));
	}
	method_survey_version(request, "lun", look);
}
