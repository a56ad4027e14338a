/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export remove: the access first, then what nobody has any more.
 */
#include "base/log.h"
#include "target/house_tcmu.h"
#include "target/kernel_ask.h"
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct removal {
	struct state_export row;
	char initiator[NAMING_IQN_MAX + 1];
	bool last_of_target, last_of_lun;
	json_t *fault; /* it is removed, but not all of it is gone */
};

static void
removal_free(void *own)
{
	struct removal *removal = own;

	json_decref(removal->fault);
	free(removal);
}

static bool
removal_find(struct request *request, struct removal *removal)
{
	struct exports exports;

	if (!export_find(request, &exports, &removal->row))
		return false;
	removal->last_of_target = removal->row.own_target;
	removal->last_of_lun = true;
	for (unsigned i = 0; i < exports.count; i++) {
		const struct state_export *other = &exports.rows[i];
		if (other->id == removal->row.id)
			continue;
		if (other->target_id == removal->row.target_id)
			removal->last_of_target = false;
		if (strcmp(other->lun_uuid, removal->row.lun_uuid) == 0)
			removal->last_of_lun = false;
	}
	free(exports.rows);
	return true;
}

static void
remove_done(struct request *request)
{
	const struct removal *removal = request->own;

	if (removal->fault != NULL)
		request_fail(request, json_incref(removal->fault));
	else
		request_answer(request, json_incref(request->item));
}

/* It may have registered once more while it was being taken away. */
static void
remove_lun_closed(void *arg)
{
	struct request *request = arg;
	const struct removal *removal = request->own;
	const struct registry nothing = {.count = 0};

	if (state_registry_put(request->house->state, removal->row.pool_id,
		removal->row.lun_uuid, &nothing) < 0)
		log_error("%s/%s: its registrations are not forgotten",
		    removal->row.pool, removal->row.lun_name);
	remove_done(request);
}

static void
remove_taken(void *arg, int result)
{
	struct request *request = arg;
	const struct removal *removal = request->own;

	if (result < 0)
		log_error("%s/%s: what host %s has reserved is not taken from "
			  "it: %s",
		    removal->row.pool, removal->row.lun_name, removal->row.host,
		    strerror(-result));
	remove_done(request);
}

static void
remove_look_at_kernel(struct request *request)
{
	struct removal *removal = request->own;
	const struct state_export *row = &removal->row;
	const char *problem = "";
	uuid_t uuid;

	if (row->carrier != CARRIER_ISCSI &&
	    uuid_parse(row->lun_uuid, uuid) == 0)
		problem = house_tcmu_problem(request->house->tcmu, uuid);
	if (problem[0] != '\0')
		removal->fault = fault_fix(
		    fault_why(fault_new("export.kernel",
				  "the export of %s/%s is removed, but the "
				  "kernel still has something of it",
				  row->pool, row->lun_name),
			"%s", problem),
		    "it is tried again with each change");
}

/* The host has no way any more to give back what it has reserved. */
static void
remove_published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);
	struct removal *removal = request->own;
	struct house_lun *hl = NULL;
	uuid_t uuid;

	if (wait->result < 0) {
		request_fail(request,
		    fault_internal("the export is removed, but the host sees "
				   "it until something else changes",
			wait->result));
		return;
	}
	remove_look_at_kernel(request);
	if (uuid_parse(removal->row.lun_uuid, uuid) == 0)
		hl = house_lun_find(request->house, uuid);
	if (hl == NULL)
		remove_done(request);
	else if (removal->last_of_lun)
		house_lun_close(hl, remove_lun_closed, request);
	else
		house_lun_take(hl, removal->initiator, remove_taken, request);
}

static int
remove_rows(struct state *state, const struct removal *removal)
{
	const struct state_export *row = &removal->row;
	int ret = state_export_remove(state, row->id);

	if (ret == 0 && removal->last_of_target)
		ret = state_target_remove(state, row->target_id);
	if (ret == 0)
		ret = state_registry_forget(state, row->lun_uuid,
		    removal->last_of_lun ? NULL : removal->initiator);
	return ret;
}

static void
remove_write(struct request *request)
{
	struct removal *removal = request->own;
	struct state *state = request->house->state;
	int ret;

	if (!request_begin(request))
		return;
	ret = remove_rows(state, removal);
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (!request_commit(request, request->item))
		return;
	request->publish.done = remove_published;
	house_publish(request->house, &request->publish);
}

static void
remove_begin(struct request *request)
{
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		remove_write(request);
}

static void
remove_disk_looked_at(void *arg, int result, const char *disk)
{
	struct request *request = arg;
	const struct removal *removal = request->own;
	const struct state_export *row = &removal->row;

	if (result <= 0) {
		remove_begin(request);
		return;
	}
	request_fail(request,
	    fault_fix(fault_why(fault_new("lun.in-use",
				    "%s/%s is in use on this machine, as %s",
				    row->pool, row->lun_name, disk),
			  "it is mounted, or part of another device"),
		"umount it; or if it is to be lost under its user:   varve "
		"export remove %s/%s --host %s --force",
		row->pool, row->lun_name, row->host));
}

static void
remove_session_looked_at(void *arg, int result, const char *nothing)
{
	struct request *request = arg;
	const struct removal *removal = request->own;
	const struct state_export *row = &removal->row;

	(void)nothing;
	if (result == 0) {
		remove_begin(request);
		return;
	}
	request_fail(request,
	    fault_fix(fault_why(fault_new("lun.in-use",
				    "host %s is logged in to the kernel's "
				    "target of %s/%s",
				    row->host, row->pool, row->lun_name),
			  "a guest that has the disk open would lose it under "
			  "its hands"),
		"log out there; or if nothing there uses it:   varve export "
		"remove %s/%s --host %s --force",
		row->pool, row->lun_name, row->host));
}

/* Whether the kernel's host uses it the kernel knows. */
static void
remove_ask_kernel(struct request *request)
{
	const struct removal *removal = request->own;
	const struct state_export *row = &removal->row;
	char iqn[NAMING_IQN_MAX + 8];
	uuid_t uuid;

	if (row->carrier == CARRIER_TCMU_LOOP &&
	    uuid_parse(row->lun_uuid, uuid) == 0) {
		kernel_ask_disk(
		    request->house->home, uuid, remove_disk_looked_at, request);
		return;
	}
	export_iqn(row, iqn);
	kernel_ask_session(request->house->home, iqn, removal->initiator,
	    remove_session_looked_at, request);
}

/* QEMU's initiator logs in once for each disk, by a name of its session that is
 * random (RFC 7143 11.12.5: type 10b of ISID).  Initiators of kernels have all
 * LUNs of a target in one session, and after a new login some of them idle. */
static bool
uses_another_alone(const struct iscsi_session_info *info, unsigned number)
{
	return info->isid[0] >> 6 == 2 && info->used_lun >= 0 &&
	       info->used_lun != (int)number;
}

/* Of the host's sessions with the target: how many may have the LUN, and one of
 * them. */
static const struct iscsi_session_info *
sessions_with(const struct request *request, const struct state_export *row,
    unsigned *ret_count)
{
	const struct survey *survey = request->survey;
	const struct iscsi_session_info *found = NULL;

	if (!param_flag(request->params, "unused"))
		return survey_sessions_of(
		    survey, row->host, row->iqn, ret_count);
	*ret_count = 0;
	for (unsigned i = 0; i < survey->session_count; i++) {
		const struct iscsi_session_info *info = &survey->sessions[i];
		if (strcmp(info->host, row->host) != 0 ||
		    strcmp(info->target, row->iqn) != 0 ||
		    uses_another_alone(info, row->number))
			continue;
		found = info;
		(*ret_count)++;
	}
	return found;
}

static void
remove_go(struct request *request)
{
	struct removal *removal = request->own;
	const struct state_export *row = &removal->row;
	const struct iscsi_session_info *info;
	unsigned sessions;
	char doing[REF_TEXT_MAX + 32];

	request->item = export_item(request->house, row);
	info = sessions_with(request, row, &sessions);
	if (row->carrier == CARRIER_ISCSI && sessions > 0 &&
	    !param_flag(request->params, "force")) {
		snprintf(doing, sizeof(doing), "take %s/%s away", row->pool,
		    row->lun_name);
		request_fail(request,
		    fault_fix(in_use_fault("lun.in-use", doing, info, sessions,
				  "a guest that has the disk open would lose "
				  "it under its hands"),
			"or if nothing there uses it:   varve export remove "
			"%s/%s --host %s --force",
			row->pool, row->lun_name, row->host));
	} else if (row->carrier != CARRIER_ISCSI &&
		   !param_flag(request->params, "force")) {
		remove_ask_kernel(request);
	} else {
		remove_begin(request);
	}
}

void
method_export_remove(struct request *request)
{
	struct removal *removal = calloc(1, sizeof(*removal));
	struct state_host host;

	assert(removal != NULL);
	request->own = removal;
	request->own_free = removal_free;
	if (!removal_find(request, removal) ||
	    !method_find_host(request, removal->row.host, &host))
		return;
	memcpy(removal->initiator, host.iqn, sizeof(removal->initiator));
	explicit_bzero(&host, sizeof(host));
	method_survey_pools(request, "", remove_go);
}
