/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host add, list, show, set, remove.  host connect is method_connect.c.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MUTUAL_USER_DEFAULT "varve"

/* ---- the item ---- */

static const char *
auth_word(const struct state_host *host)
{
	if (host->chap.user[0] == '\0')
		return "none";
	return host->mutual.user[0] != '\0' ? "mutual" : "chap";
}

json_t *
host_item(const struct state_host *host, const struct exports *exports,
    const struct survey *survey)
{
	json_t *item = json_pack("{s:s, s:s, s:s, s:o}", "name", host->name,
	    "iqn", host->iqn, "auth", auth_word(host), "created",
	    json_time(host->created_unix));
	unsigned luns = 0, sessions = 0;

	for (unsigned i = 0; i < exports->count; i++)
		luns += exports->rows[i].host_id == host->id;
	if (survey != NULL)
		survey_sessions_of(survey, host->name, NULL, &sessions);
	json_object_set_new(item, "luns", json_integer(luns));
	json_object_set_new(item, "sessions", json_integer(sessions));
	json_object_set_new(item, "expires", json_time(host->expires_unix));
	if (host->chap.user[0] != '\0')
		json_object_set_new(
		    item, "chap_user", json_text(host->chap.user));
	if (host->mutual.user[0] != '\0')
		json_object_set_new(
		    item, "mutual_user", json_text(host->mutual.user));
	return item;
}

/* ---- list, show ---- */

static void
list_answer(struct request *request)
{
	json_t *items = json_array();
	struct state_host *hosts;
	struct exports exports;
	unsigned count;
	int ret = state_hosts(request->house->state, &hosts, &count);

	if (ret < 0) {
		json_decref(items);
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
		return;
	}
	if (!method_exports(request, &exports)) {
		json_decref(items);
		state_hosts_free(hosts, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(
		    items, host_item(&hosts[i], &exports, request->survey));
	state_hosts_free(hosts, count);
	free(exports.rows);
	request_answer_items(request, items);
}

void
method_host_list(struct request *request)
{
	method_survey_pools(request, "", list_answer);
}

static void
show_answer(struct request *request)
{
	struct exports exports;
	struct state_host host;

	if (!method_find_host(
		request, param_text(request->params, "host"), &host))
		return;
	if (method_exports(request, &exports)) {
		json_t *item = host_item(&host, &exports, request->survey);
		free(exports.rows);
		request_answer(request, item);
	}
	explicit_bzero(&host, sizeof(host));
}

void
method_host_show(struct request *request)
{
	method_survey_pools(request, "", show_answer);
}

/* ---- add, set ---- */

/* What of a host's proofs a request makes; each secret made is shown once. */
struct proof {
	struct state_host host;
	char before[NAMING_IQN_MAX + 1]; /* host set: its initiator name */
	bool made_chap, made_mutual;
};

static void
proof_free(void *own)
{
	explicit_bzero(own, sizeof(struct proof));
	free(own);
}

static struct proof *
proof_new(struct request *request)
{
	struct proof *proof = calloc(1, sizeof(*proof));

	assert(proof != NULL);
	request->own = proof;
	request->own_free = proof_free;
	return proof;
}

static json_t *
secret_fault(const char *whose)
{
	return fault_fix(
	    fault_why(fault_new("host.secret",
			  "that cannot be the CHAP secret of %s", whose),
		"it has to have 12 to 255 printable characters, no space at "
		"its ends"),
	    "--chap-generate makes one that every initiator takes");
}

static json_t *
secret_take(const char *secret, bool make, const char *whose,
    struct state_credentials *to, bool *ret_made)
{
	if (make) {
		int ret = naming_secret_make(to->secret);
		*ret_made = true;
		return ret < 0 ? fault_internal("no random numbers", ret)
			       : NULL;
	}
	if (!naming_secret_valid(secret))
		return secret_fault(whose);
	snprintf(to->secret, sizeof(to->secret), "%s", secret);
	return NULL;
}

static json_t *
chap_take(const json_t *params, struct proof *proof)
{
	const char *secret = param_text(params, "chap");
	const char *user = param_text(params, "chap_user");
	bool make = param_flag(params, "chap_generate");
	struct state_credentials *chap = &proof->host.chap;
	json_t *fault;

	if (param_flag(params, "no_chap")) {
		explicit_bzero(chap, sizeof(*chap));
		return NULL;
	}
	if (make || secret != NULL) {
		fault = secret_take(
		    secret, make, proof->host.name, chap, &proof->made_chap);
		if (fault != NULL)
			return fault;
		if (chap->user[0] == '\0')
			snprintf(chap->user, sizeof(chap->user), "%s",
			    proof->host.name);
	}
	if (user != NULL && chap->secret[0] == '\0')
		return fault_new(
		    "host.auth", "--chap-user needs a CHAP secret as well");
	if (user != NULL)
		snprintf(chap->user, sizeof(chap->user), "%s", user);
	return NULL;
}

static json_t *
mutual_take(const json_t *params, struct proof *proof)
{
	const char *secret = param_text(params, "mutual_chap");
	const char *user = param_text(params, "mutual_user");
	bool make = param_flag(params, "mutual");
	struct state_credentials *mutual = &proof->host.mutual;
	json_t *fault;

	if (param_flag(params, "no_mutual") || param_flag(params, "no_chap"))
		explicit_bzero(mutual, sizeof(*mutual));
	if (make || secret != NULL) {
		fault = secret_take(
		    secret, make, "this server", mutual, &proof->made_mutual);
		if (fault != NULL)
			return fault;
		if (mutual->user[0] == '\0')
			snprintf(mutual->user, sizeof(mutual->user), "%s",
			    MUTUAL_USER_DEFAULT);
	}
	if (user != NULL && mutual->secret[0] == '\0')
		return fault_new("host.auth", "--mutual-user needs --mutual");
	if (user != NULL)
		snprintf(mutual->user, sizeof(mutual->user), "%s", user);
	return NULL;
}

/* RFC 7143 12.1.3: a secret used in one direction must not be used in the
 * other: an initiator could send our own challenge back. */
static json_t *
proof_check(const struct proof *proof)
{
	const struct state_host *host = &proof->host;

	if (host->mutual.user[0] != '\0' && host->chap.user[0] == '\0')
		return fault_new("host.auth",
		    "--mutual is for a host that proves itself by CHAP too");
	if (host->mutual.user[0] != '\0' &&
	    strcmp(host->mutual.secret, host->chap.secret) == 0)
		return fault_new("host.secret",
		    "the secrets of the two directions have to differ");
	return NULL;
}

static unsigned
ways_given(const json_t *params)
{
	return (unsigned)param_flag(params, "chap_generate") +
	       (unsigned)(param_text(params, "chap") != NULL) +
	       (unsigned)param_flag(params, "no_chap");
}

static json_t *
user_check(const json_t *params, const char *name)
{
	const char *user = param_text(params, name);

	if (user == NULL || naming_user_valid(user))
		return NULL;
	return fault_new("request.argument",
	    "%s has to be made of A-Z a-z 0-9 . _ : @ -", name);
}

static json_t *
proof_take(const json_t *params, struct proof *proof)
{
	const char *iqn = param_text(params, "iqn");
	json_t *fault;

	if (ways_given(params) > 1)
		return fault_new("host.auth",
		    "only one of --chap-generate, --chap and --no-chap");
	if (param_flag(params, "mutual") &&
	    param_text(params, "mutual_chap") != NULL)
		return fault_new(
		    "host.auth", "only one of --mutual and --mutual-chap");
	fault = user_check(params, "chap_user");
	if (fault == NULL)
		fault = user_check(params, "mutual_user");
	if (fault != NULL)
		return fault;
	if (iqn != NULL)
		naming_initiator(iqn, proof->host.iqn);
	fault = chap_take(params, proof);
	if (fault == NULL)
		fault = mutual_take(params, proof);
	return fault != NULL ? fault : proof_check(proof);
}

/* A new one (no survey) has nothing yet. */
static json_t *
proof_item(const struct request *request)
{
	const struct proof *proof = request->own;
	struct exports exports = {NULL, 0};
	json_t *item;

	if (request->survey != NULL && state_exports(request->house->state,
					   &exports.rows, &exports.count) < 0)
		exports = (struct exports){NULL, 0};
	item = host_item(&proof->host, &exports, request->survey);
	free(exports.rows);
	if (proof->made_chap)
		json_object_set_new(
		    item, "secret", json_string(proof->host.chap.secret));
	if (proof->made_mutual)
		json_object_set_new(item, "mutual_secret",
		    json_string(proof->host.mutual.secret));
	return item;
}

static json_t *
taken_fault(const struct state_host *host, int error)
{
	if (error == -EEXIST)
		return fault_fix(fault_new("host.exists",
				     "there is a host %s already", host->name),
		    "varve host set %s changes it", host->name);
	return fault_fix(
	    fault_new("host.iqn-taken",
		"another host has the initiator name %s", host->iqn),
	    "varve host list");
}

static bool
renames(const struct proof *proof)
{
	return proof->before[0] != '\0' &&
	       strcasecmp(proof->before, proof->host.iqn) != 0;
}

static void
rename_taken(void *arg)
{
	struct request *request = arg;

	request_answer(request, json_incref(request->item));
}

/* The old initiator is logged out; nobody can give back what it reserved. */
static void
rename_published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);
	const struct proof *proof = request->own;

	house_take(request->house, proof->before, rename_taken, request);
}

static void
proof_publish(struct request *request)
{
	const struct proof *proof = request->own;

	if (proof->host.expires_unix > 0)
		house_keeping_at(request->house, proof->host.expires_unix);
	if (!renames(request->own)) {
		request_publish_and_answer(request);
		return;
	}
	request->publish.done = rename_published;
	house_publish(request->house, &request->publish);
}

/* A dry run tries it too, and takes it back. */
static void
proof_write(struct request *request,
    int (*write)(struct state *state, struct proof *proof))
{
	struct proof *proof = request->own;
	struct state *state = request->house->state;
	int ret;

	if (!request_begin(request))
		return;
	ret = write(state, proof);
	if (ret == -EEXIST || ret == -EADDRINUSE) {
		state_rollback(state);
		request_fail(request, taken_fault(&proof->host, ret));
		return;
	}
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (request->dry_run) {
		state_rollback(state);
		/* what would be made then is another secret */
		proof->made_chap = proof->made_mutual = false;
		request_answer(request, proof_item(request));
		return;
	}
	request->item = proof_item(request);
	if (request_commit(request, request->item))
		proof_publish(request);
}

static int
host_add(struct state *state, struct proof *proof)
{
	return state_host_add(state, &proof->host);
}

void
method_host_add(struct request *request)
{
	json_int_t ttl = param_int(request->params, "ttl", 0);
	struct proof *proof = proof_new(request);
	json_t *fault = NULL;

	snprintf(proof->host.name, sizeof(proof->host.name), "%s",
	    param_text(request->params, "name"));
	if (ttl > 0)
		proof->host.expires_unix = (int64_t)time(NULL) + ttl;
	if (ways_given(request->params) == 0)
		fault = fault_fix(fault_new("host.auth",
				      "it is not said how %s proves itself",
				      proof->host.name),
		    "--chap-generate, or --no-chap where the network is "
		    "trusted");
	if (fault == NULL)
		fault = proof_take(request->params, proof);
	if (fault != NULL)
		request_fail(request, fault);
	else
		proof_write(request, host_add);
}

static int
host_write(struct state *state, struct proof *proof)
{
	int ret = state_host_update(state, &proof->host);

	if (ret == 0 && renames(proof))
		ret = state_registry_forget(state, NULL, proof->before);
	return ret;
}

static unsigned
settings_given(const struct request *request)
{
	unsigned count = 0;

	for (const struct api_arg *arg = request->command->args; arg->name;
	     arg++)
		count += !arg->positional &&
			 json_object_get(request->params, arg->name) != NULL;
	return count;
}

static void
set_go(struct request *request)
{
	struct proof *proof = proof_new(request);
	json_t *fault;

	if (!method_find_host(
		request, param_text(request->params, "host"), &proof->host))
		return;
	memcpy(proof->before, proof->host.iqn, sizeof(proof->before));
	if (settings_given(request) == 0)
		fault = fault_new("request.argument",
		    "nothing was given to change on host %s", proof->host.name);
	else
		fault = proof_take(request->params, proof);
	if (fault != NULL)
		request_fail(request, fault);
	else
		proof_write(request, host_write);
}

void
method_host_set(struct request *request)
{
	method_survey_pools(request, "", set_go);
}

/* ---- remove ---- */

static json_t *
exports_fault(const struct state_host *host, const struct exports *exports)
{
	json_t *fault = NULL;

	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (row->host_id != host->id)
			continue;
		if (fault == NULL)
			fault = fault_new("host.in-use",
			    "cannot remove host %s: LUNs are exported to it",
			    host->name);
		fault_fix(fault, "varve export remove %s/%s --host %s",
		    row->pool, row->lun_name, row->host);
	}
	return fault;
}

static void
remove_write(struct request *request, int64_t id)
{
	struct state *state = request->house->state;
	int ret;

	if (!request_begin(request))
		return;
	ret = state_host_remove(state, id);
	if (ret < 0)
		request_state_failed(request, ret);
	else if (request_commit(request, request->item))
		request_publish_and_answer(request);
}

static void
remove_go(struct request *request)
{
	struct exports exports;
	struct state_host host;
	json_t *fault;

	if (!method_find_host(
		request, param_text(request->params, "host"), &host))
		return;
	if (!method_exports(request, &exports))
		return;
	fault = exports_fault(&host, &exports);
	request->item = host_item(&host, &exports, request->survey);
	free(exports.rows);
	explicit_bzero(&host.chap, sizeof(host.chap));
	explicit_bzero(&host.mutual, sizeof(host.mutual));
	if (fault != NULL)
		request_fail(request, fault);
	else if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		remove_write(request, host.id);
}

void
method_host_remove(struct request *request)
{
	method_survey_pools(request, "", remove_go);
}
