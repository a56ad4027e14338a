/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export add.  One command makes all that a host needs: the LUN object, the
 * target, the LUN number, the access.
 */
#include "target/house_tcmu.h"
#include "target/kernel_ask.h"
#include "target/lun_change.h"
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THIS_MACHINE "localhost"

struct addition {
	struct state_export row;
	struct state_target target; /* id 0: to be made */
	struct state_host host;     /* id 0: to be made, it is this machine */
	uuid_t uuid;
	json_t *fault;
};

static void
addition_free(void *own)
{
	struct addition *addition = own;

	json_decref(addition->fault);
	explicit_bzero(&addition->host, sizeof(addition->host));
	free(addition);
}

static bool
number_is_free(const struct exports *exports, const struct addition *addition,
    unsigned number)
{
	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (row->target_id == addition->target.id &&
		    row->host_id == addition->row.host_id &&
		    row->number == number)
			return false;
	}
	return true;
}

/* The number that the LUN has for other hosts, so that all of a cluster see
 * the same; else the lowest free one. */
static bool
number_choose(const struct exports *exports, struct addition *addition)
{
	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (row->target_id != addition->target.id ||
		    !export_is_of_lun(row, addition->uuid) ||
		    !number_is_free(exports, addition, row->number))
			continue;
		addition->row.number = row->number;
		return true;
	}
	for (unsigned n = 0; n <= LUN_NUMBER_MAX; n++) {
		if (number_is_free(exports, addition, n)) {
			addition->row.number = n;
			return true;
		}
	}
	return false;
}

static json_t *
number_take(const struct request *request, const struct exports *exports,
    struct addition *addition)
{
	json_int_t asked = param_int(request->params, "lun", -1);

	if (asked > LUN_NUMBER_MAX || (addition->row.own_target && asked > 0))
		return fault_new("export.number",
		    "%lld cannot be the LUN number here", (long long)asked);
	if (asked < 0 && number_choose(exports, addition))
		return NULL;
	if (asked < 0)
		return fault_new("limit.reached",
		    "host %s has all %d LUN numbers of this target",
		    addition->row.host, LUN_NUMBER_MAX + 1);
	addition->row.number = (unsigned)asked;
	if (number_is_free(exports, addition, addition->row.number))
		return NULL;
	return fault_fix(fault_new("export.number-taken",
			     "host %s has another LUN by the number %u",
			     addition->row.host, addition->row.number),
	    "varve export list --host %s", addition->row.host);
}

/* Reservations of one carrier are not seen by the other. */
static json_t *
carrier_fits(const struct exports *exports, const struct addition *addition)
{
	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (!export_is_of_lun(row, addition->uuid) ||
		    row->carrier == addition->row.carrier)
			continue;
		return fault_fix(
		    fault_new("export.carrier",
			"%s/%s is exported to host %s by the carrier %s, and "
			"has one carrier at a time",
			row->pool, row->lun_name, row->host,
			state_carriers[row->carrier]),
		    "varve export remove %s/%s --host %s", row->pool,
		    row->lun_name, row->host);
	}
	return NULL;
}

static json_t *
not_exported_yet(const struct exports *exports, const struct addition *addition)
{
	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (row->host_id == addition->row.host_id &&
		    export_is_of_lun(row, addition->uuid))
			return fault_new("export.exists",
			    "%s/%s is exported to host %s already, as LUN %u "
			    "of %s",
			    row->pool, row->lun_name, row->host, row->number,
			    row->iqn);
	}
	return NULL;
}

/* The pool's target, or the LUN's own, which may have to be made. */
static json_t *
target_take(struct state *state, struct addition *addition)
{
	struct state_export *row = &addition->row;
	struct state_target *target = &addition->target;
	char base[NAMING_IQN_MAX + 1];
	int ret = state_target_find(
	    state, row->pool_id, row->own_target ? row->lun_uuid : "", target);

	if (ret == -ENOENT && row->own_target) {
		*target = (struct state_target){.pool_id = row->pool_id};
		snprintf(target->lun_uuid, sizeof(target->lun_uuid), "%s",
		    row->lun_uuid);
		snprintf(target->alias, sizeof(target->alias), "%.63s",
		    row->lun_name);
		ret = state_meta_get(state, "iqn-base", base, sizeof(base));
		if (ret == 0)
			naming_target(
			    base, row->pool, row->lun_name, 1, target->iqn);
	}
	if (ret < 0)
		return fault_internal("the target is not found", ret);
	snprintf(row->iqn, sizeof(row->iqn), "%s", target->iqn);
	return NULL;
}

static int
target_make(struct state *state, struct addition *addition)
{
	struct state_target *target = &addition->target;
	char base[NAMING_IQN_MAX + 1];
	int ret = state_target_add(state, target);

	if (ret == -EEXIST)
		ret = state_meta_get(state, "iqn-base", base, sizeof(base));
	else
		return ret;
	for (unsigned copy = 2; ret == 0; copy++) {
		naming_target(base, addition->row.pool, addition->row.lun_name,
		    copy, target->iqn);
		ret = state_target_add(state, target);
		if (ret != -EEXIST)
			return ret;
		ret = 0;
	}
	return ret;
}

static int
addition_rows(struct state *state, struct addition *addition)
{
	int ret = 0;

	if (addition->target.id == 0)
		ret = target_make(state, addition);
	if (ret == 0 && addition->host.id == 0) {
		ret = state_host_add(state, &addition->host);
		addition->row.host_id = addition->host.id;
	}
	if (ret < 0)
		return ret;
	addition->row.target_id = addition->target.id;
	memcpy(
	    addition->row.iqn, addition->target.iqn, sizeof(addition->row.iqn));
	return state_export_add(state, &addition->row);
}

static void
add_lun_closed(void *arg)
{
	struct request *request = arg;
	struct addition *addition = request->own;
	json_t *fault = addition->fault;

	addition->fault = NULL;
	request_fail(request, fault);
}

/* The LUN was opened for this export alone: closes it again, then fails. */
static void
add_reject(struct request *request, json_t *fault)
{
	struct addition *addition = request->own;
	struct house_lun *hl = house_lun_find(request->house, addition->uuid);
	struct exports exports = {NULL, 0};
	bool used = hl == NULL;

	if (state_exports(
		request->house->state, &exports.rows, &exports.count) < 0)
		used = true;
	for (unsigned i = 0; i < exports.count && !used; i++)
		used = export_is_of_lun(&exports.rows[i], addition->uuid);
	free(exports.rows);
	addition->fault = fault;
	if (used)
		add_lun_closed(request);
	else
		house_lun_close(hl, add_lun_closed, request);
}

/* Only the kernel's carriers can fail by now. */
static void
add_published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);
	const struct addition *addition = request->own;
	const struct state_export *row = &addition->row;
	const char *problem =
	    house_tcmu_problem(request->house->tcmu, addition->uuid);

	if (row->carrier == CARRIER_ISCSI || problem[0] == '\0') {
		request_answer(request, json_incref(request->item));
		return;
	}
	request_fail(request,
	    fault_fix(fault_why(fault_new("export.kernel",
				    "%s/%s is exported, but the kernel does "
				    "not show it yet",
				    row->pool, row->lun_name),
			  "%s", problem),
		"it is tried again with each change; or take it back:   varve "
		"export remove %s/%s --host %s",
		row->pool, row->lun_name, row->host));
}

static void
add_write(struct request *request)
{
	struct addition *addition = request->own;
	struct state *state = request->house->state;
	int ret = state_begin(state);

	if (ret == 0) {
		ret = addition_rows(state, addition);
		if (ret < 0)
			state_rollback(state);
	}
	if (ret < 0) {
		add_reject(
		    request, fault_internal("the export is not written", ret));
		return;
	}
	request->item = export_item(request->house, &addition->row);
	if (addition->row.expires_unix > 0)
		house_keeping_at(request->house, addition->row.expires_unix);
	if (!request_commit(request, request->item))
		return;
	request->publish.done = add_published;
	house_publish(request->house, &request->publish);
}

static void
add_lun_open(void *arg, int result)
{
	struct request *request = arg;

	if (result == 0)
		add_write(request);
	else
		request_fail(request,
		    fault_why(fault_new("pool.failed", "%s cannot be served",
				  param_text(request->params, "name")),
			"%s", strerror(-result)));
}

static enum state_carrier
carrier_asked(const struct request *request)
{
	const char *word = param_text(request->params, "carrier");

	for (unsigned i = 0; word != NULL && i < CARRIER_COUNT; i++)
		if (strcmp(word, state_carriers[i]) == 0)
			return i;
	return CARRIER_ISCSI;
}

static struct addition *
addition_new(struct request *request, const struct state_host *host)
{
	const struct survey *survey = request->survey;
	const struct survey_lun *sl = method_surveyed(request);
	json_int_t ttl = param_int(request->params, "ttl", 0);
	struct addition *addition = calloc(1, sizeof(*addition));
	struct state_export *row;

	assert(addition != NULL);
	row = &addition->row;
	uuid_copy(addition->uuid, sl->volume.uuid);
	uuid_unparse_lower(addition->uuid, row->lun_uuid);
	addition->host = *host;
	row->host_id = host->id;
	row->carrier = carrier_asked(request);
	row->pool_id = method_pool(request)->id;
	row->read_only =
	    sl->is_snapshot || param_flag(request->params, "read_only");
	if (ttl > 0)
		row->expires_unix = (int64_t)time(NULL) + ttl;
	row->own_target = param_flag(request->params, "own_target");
	snprintf(row->lun_name, sizeof(row->lun_name), "%s%s%s", sl->of,
	    sl->is_snapshot ? "@" : "", sl->volume.name);
	snprintf(row->host, sizeof(row->host), "%s", host->name);
	snprintf(row->pool, sizeof(row->pool), "%s", survey->only_pool);
	request->own = addition;
	request->own_free = addition_free;
	return addition;
}

static json_t *
iqn_fits(const struct state_export *row)
{
	char iqn[NAMING_IQN_MAX + 8];

	export_iqn(row, iqn);
	if (strlen(iqn) <= NAMING_IQN_MAX)
		return NULL;
	return fault_new("request.argument",
	    "the kernel's target would be called %s, and no name is longer "
	    "than %d bytes",
	    iqn, NAMING_IQN_MAX);
}

static json_t *
addition_check(struct request *request, struct addition *addition)
{
	struct state *state = request->house->state;
	struct exports exports;
	json_t *fault = NULL;
	int ret = state_exports(state, &exports.rows, &exports.count);

	if (ret < 0)
		return fault_internal("the state cannot be read", ret);
	fault = not_exported_yet(&exports, addition);
	if (fault == NULL)
		fault = carrier_fits(&exports, addition);
	if (fault == NULL)
		fault = target_take(state, addition);
	if (fault == NULL)
		fault = iqn_fits(&addition->row);
	if (fault == NULL)
		fault = number_take(request, &exports, addition);
	free(exports.rows);
	return fault;
}

/* This machine, as the host of its own disks: made with the first of them. */
static bool
find_this_machine(struct request *request, struct state_host *ret_host)
{
	struct state *state = request->house->state;
	char base[NAMING_IQN_MAX + 1];
	int ret = state_host_find(state, THIS_MACHINE, ret_host);

	if (ret == -ENOENT)
		ret = state_meta_get(state, "iqn-base", base, sizeof(base));
	else if (ret == 0)
		return true;
	if (ret < 0) {
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
		return false;
	}
	snprintf(ret_host->name, sizeof(ret_host->name), THIS_MACHINE);
	snprintf(
	    ret_host->iqn, sizeof(ret_host->iqn), "%.200s:" THIS_MACHINE, base);
	return true;
}

static bool
find_host(struct request *request, struct state_host *ret_host)
{
	const char *name = param_text(request->params, "host");

	if (carrier_asked(request) != CARRIER_TCMU_LOOP)
		return method_find_host(request, name, ret_host);
	/* tcm_loop has no such thing */
	if (param_flag(request->params, "read_only")) {
		request_fail(request,
		    fault_fix(
			fault_new("request.argument",
			    "a disk of this machine is read-only only if its "
			    "LUN is"),
			"varve lun set %s --read-only on",
			param_text(request->params, "name")));
		return false;
	}
	if (strcmp(name, THIS_MACHINE) == 0)
		return find_this_machine(request, ret_host);
	request_fail(request,
	    fault_fix(fault_new("request.argument",
			  "a disk of this machine is not host %s's", name),
		"varve export add %s --host " THIS_MACHINE
		" --carrier tcmu-loop",
		param_text(request->params, "name")));
	return false;
}

static void
add_begin(struct request *request)
{
	struct house *house = request->house;
	struct addition *addition = request->own;
	struct house_pool *hp = house_pool_by_id(house, addition->row.pool_id);

	assert(hp != NULL);
	if (request->dry_run)
		request_answer(request, export_item(house, &addition->row));
	else if (house_lun_find(house, addition->uuid) != NULL)
		add_write(request);
	else
		house_lun_open(hp, addition->uuid, add_lun_open, request);
}

static void
add_kernel_checked(void *arg, int result, const char *problem)
{
	struct request *request = arg;

	if (result == 0)
		add_begin(request);
	else
		request_fail(request,
		    fault_fix(fault_why(fault_new("export.kernel-not-there",
					    "the kernel of this machine "
					    "cannot export LUNs"),
				  "%s", problem),
			"varve doctor --carrier %s",
			param_text(request->params, "carrier")));
}

static void
add_go(struct request *request)
{
	struct addition *addition;
	struct state_host host;
	json_t *fault;

	if (!find_host(request, &host))
		return;
	addition = addition_new(request, &host);
	explicit_bzero(&host, sizeof(host));
	fault = addition_check(request, addition);
	if (fault == NULL)
		fault = lun_settings_fault(request, method_surveyed(request));
	if (fault != NULL)
		request_fail(request, fault);
	else if (addition->row.carrier != CARRIER_ISCSI)
		kernel_ask_usable(
		    request->house->home, add_kernel_checked, request);
	else
		add_begin(request);
}

void
method_export_add(struct request *request)
{
	method_survey_version(request, "name", add_go);
}
