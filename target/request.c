/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/request.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "target/params.h"
#include "target/request_event.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- new ---- */

static void
digest_text(const uint8_t *bytes, size_t count, char *text)
{
	for (size_t i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

/* Tells a repeated request from another one with the same id. */
static void
digest_make(struct request *request)
{
	uint8_t bytes[32];
	char *text = json_dumps(request->params, JSON_COMPACT | JSON_SORT_KEYS);
	gnutls_hash_hd_t hash;
	int ret = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256);

	assert(text != NULL && ret == 0);
	gnutls_hash(hash, request->command->method,
	    strlen(request->command->method) + 1);
	gnutls_hash(hash, text, strlen(text));
	gnutls_hash_deinit(hash, bytes);
	explicit_bzero(text, strlen(text));
	free(text);
	digest_text(bytes, sizeof(bytes), request->digest);
}

static json_t *
role_check(const struct api_command *command, const struct caller *caller)
{
	bool changes = (command->flags & API_CHANGES) != 0;

	if (caller->role >= (changes ? ROLE_WRITE : ROLE_READ))
		return NULL;
	return fault_fix(
	    fault_why(
		fault_new("request.not-allowed", "user %u may not call %s",
		    caller->uid, command->method),
		changes ? "root and the group varve change things, the group "
			  "varve-ro only reads"
			: "root and the groups varve and varve-ro may read"),
	    "as root, or:   usermod -aG %s USER",
	    changes ? "varve" : "varve-ro");
}

json_t *
request_new(struct house *house, const char *method, json_t *params,
    const struct caller *caller, struct request **ret_request)
{
	const struct api_command *command = api_find_method(method);
	_cleanup_json_ json_t *taken = params != NULL ? params : json_object();
	struct request *request;
	json_t *fault;

	if (command == NULL)
		return fault_fix(fault_new("request.method",
				     "there is no method '%.64s'", method),
		    "varve api schema lists them");
	fault = role_check(command, caller);
	if (fault == NULL)
		fault = params_check(command, taken);
	if (fault != NULL)
		return fault;
	if (house->requests >= REQUESTS_WAITING_MAX)
		return fault_new("request.busy", "%u requests wait already",
		    house->requests);
	request = calloc(1, sizeof(*request));
	assert(request != NULL);
	list_init(&request->link);
	request->house = house;
	request->command = command;
	request->run = method_find(method);
	assert(request->run != NULL);
	request->caller = *caller;
	request->params = json_incref(taken);
	request->dry_run = param_flag(taken, "dry_run");
	request->id = param_text(taken, "request_id");
	if (request->id != NULL)
		digest_make(request);
	*ret_request = request;
	return NULL;
}

static void
request_free(struct request *request)
{
	assert(!request->call.running);
	survey_free(request->survey);
	json_decref(request->item);
	json_decref(request->cursor);
	json_decref(request->params);
	if (request->own_free != NULL)
		request->own_free(request->own);
	free(request);
}

const char *
request_who(const struct request *request, char buf[64])
{
	snprintf(buf, 64, "uid %u, pid %d", request->caller.uid,
	    (int)request->caller.pid);
	return buf;
}

/* ---- the order of changes ---- */

static bool
is_change(const struct request *request)
{
	return (request->command->flags & API_CHANGES) != 0 && !request->inner;
}

/* NULL: run it.  Else what to answer at once. */
static json_t *
generation_check(const struct request *request)
{
	json_int_t expected = param_int(request->params, "if_generation", -1);
	int64_t now = state_generation(request->house->state);

	if (expected < 0 || expected == now)
		return NULL;
	return fault_fix(
	    fault_new("request.generation",
		"the state is at generation %" PRId64 ", not %" PRId64, now,
		(int64_t)expected),
	    "look at what changed, then try again");
}

/* A repeated request_id: the answer is that of the first time. */
static bool
replay(struct request *request)
{
	json_t *answer;
	int ret;

	if (request->id == NULL || request->dry_run || request->inner)
		return false;
	ret = state_request_find(
	    request->house->state, request->id, request->digest, &answer);
	if (ret == -ENOENT)
		return false;
	if (ret == 0) {
		request->told = true; /* the first time */
		request_answer(request, answer);
		return true;
	}
	request_fail(request,
	    ret == -ESTALE
		? fault_new("request.id-reused",
		      "request_id %s was used for another request", request->id)
		: fault_internal("the state cannot be read", ret));
	return true;
}

static void
request_run(struct loop_task *task)
{
	struct request *request = container_of(task, struct request, later);
	json_t *fault;

	if (is_change(request) && replay(request))
		return;
	fault = generation_check(request);
	if (fault != NULL)
		request_fail(request, fault);
	else
		request->run(request);
}

static void
request_launch(struct request *request)
{
	if (is_change(request))
		request->house->change = request;
	request->later.run = request_run;
	loop_defer(request->house->home, &request->later);
}

static void
change_next(struct house *house)
{
	struct list *node;

	assert(house->change == NULL);
	node = list_pop(&house->waiting);
	if (node != NULL)
		request_launch(list_entry(node, struct request, link));
}

static void
request_refuse(struct loop_task *task)
{
	struct request *request = container_of(task, struct request, later);

	request_fail(request,
	    fault_fix(fault_new("server.stopping", "varved is stopping"),
		"systemctl start varved"));
}

void
request_start(struct request *request)
{
	struct house *house = request->house;

	assert(request->answered != NULL);
	if (!request->inner) {
		house->requests++;
		request->counted = true;
	}
	if (house->stopping && is_change(request)) {
		request->later.run = request_refuse;
		loop_defer(house->home, &request->later);
	} else if (!house->started) {
		list_add_tail(&house->held, &request->link);
	} else if (is_change(request) && house->change != NULL) {
		list_add_tail(&house->waiting, &request->link);
	} else {
		request_launch(request);
	}
}

void
requests_release(struct house *house)
{
	struct list *node;

	assert(house->started);
	while ((node = list_pop(&house->held)) != NULL) {
		struct request *request =
		    list_entry(node, struct request, link);
		if (is_change(request) && house->change != NULL)
			list_add_tail(&house->waiting, &request->link);
		else
			request_launch(request);
	}
}

void
requests_refuse(struct house *house)
{
	struct list *node;

	while ((node = list_pop(&house->waiting)) != NULL) {
		struct request *request =
		    list_entry(node, struct request, link);
		request->later.run = request_refuse;
		loop_defer(house->home, &request->later);
	}
}

/* ---- the answer ---- */

static void
audit(struct request *request, const char *result)
{
	_cleanup_json_ json_t *shown =
	    params_public(request->command, request->params);
	_cleanup_(freep) char *text = json_dumps(shown, JSON_COMPACT);
	char who[64];
	struct state_audit row = {
	    .who = request_who(request, who),
	    .method = request->command->method,
	    .params = text,
	    .result = result,
	};

	assert(text != NULL);
	if (state_audit_add(request->house->state, &row) < 0)
		log_error("audit: %s: not written", row.method);
}

static void
refusal_log(const struct request *request, const json_t *fault)
{
	char who[64];

	log_info("%s: %s refused: %s [%s], to %s", request_subject(request),
	    request->command->method, fault_what(fault), fault_code(fault),
	    request_who(request, who));
}

/* One that had nothing to write into the state is told of here. */
static void
change_end(struct request *request, const json_t *fault)
{
	struct change_event change;

	if (fault != NULL) {
		refusal_log(request, fault);
		audit(request, fault_code(fault));
		return;
	}
	if (request->told)
		return;
	change_event_init(&change, request);
	event_keep_and_log(request->house, &change.event);
	change_event_done(&change);
}

static void
request_end(struct request *request, json_t *result, json_t *fault)
{
	struct house *house = request->house;

	if (is_change(request) && !request->dry_run)
		change_end(request, fault);
	if (request->counted) {
		assert(house->requests > 0);
		house->requests--;
	}
	if (house->change == request) {
		house->change = NULL;
		if (!house->stopping)
			change_next(house);
	}
	request->answered(request, result, fault);
	json_decref(result);
	json_decref(fault);
	request_free(request);
}

static json_t *
result_new(const struct request *request, const char *member, json_t *value)
{
	json_t *result = json_pack("{s:i, s:s, s:o, s:I}", "varve", 1, "kind",
	    request->command->method, member, value, "generation",
	    (json_int_t)state_generation(request->house->state));

	assert(result != NULL);
	if (request->dry_run)
		json_object_set_new(result, "dry_run", json_true());
	if (request->cursor != NULL)
		json_object_set(result, "cursor", request->cursor);
	return result;
}

void
request_answer(struct request *request, json_t *item)
{
	bool list = (request->command->flags & API_LIST) != 0;

	request_end(
	    request, result_new(request, list ? "items" : "item", item), NULL);
}

void
request_answer_items(struct request *request, json_t *items)
{
	assert((request->command->flags & API_LIST) != 0);
	assert(json_is_array(items));
	request_answer(request, items);
}

void
request_fail(struct request *request, json_t *fault)
{
	request_end(request, NULL, fault);
}

/* ---- changes of the state ---- */

bool
request_begin(struct request *request)
{
	int ret = state_begin(request->house->state);

	if (ret < 0)
		request_fail(
		    request, fault_internal("the state is not written", ret));
	return ret == 0;
}

void
request_state_failed(struct request *request, int error)
{
	state_rollback(request->house->state);
	request_fail(
	    request, fault_internal("the change could not be written", error));
}

/* All that the state keeps of a change beside what it has changed. */
static int
change_write(struct request *request, json_t *item, struct state_event *event)
{
	struct state *state = request->house->state;
	int ret = 0;

	audit(request, "ok");
	if (request->id != NULL)
		ret = state_request_add(
		    state, request->id, request->digest, item);
	return ret < 0 ? ret : event_keep(request->house, event);
}

bool
request_commit(struct request *request, json_t *item)
{
	struct state *state = request->house->state;
	struct change_event change;
	int ret;

	assert(!request->dry_run);
	change_event_init(&change, request);
	ret = change_write(request, item, &change.event);
	if (ret < 0)
		state_rollback(state);
	else
		ret = state_commit(state);
	request->told = ret == 0;
	if (ret == 0)
		event_log(&change.event);
	change_event_done(&change);
	if (ret == 0)
		return true;
	request_fail(
	    request, fault_internal("the change could not be written", ret));
	return false;
}

static void
published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);

	request_answer(request, json_incref(request->item));
}

void
request_publish_and_answer(struct request *request)
{
	assert(request->item != NULL);
	request->publish.done = published;
	house_publish(request->house, &request->publish);
}
