/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals of what would be taken away from someone: they name who, say why,
 * and both ways out.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *
in_use_fault(const char *code, const char *doing,
    const struct iscsi_session_info *info, unsigned sessions, const char *why)
{
	json_t *fault;

	if (sessions > 1)
		fault = fault_new(code,
		    "cannot %s: it is in use by host %s (%s, session %u and "
		    "%u more)",
		    doing, info->host, info->conns[0].peer, info->tsih,
		    sessions - 1);
	else
		fault = fault_new(code,
		    "cannot %s: it is in use by host %s (%s, session %u)",
		    doing, info->host, info->conns[0].peer, info->tsih);
	fault_why(fault, "%s", why);
	return fault_fix(fault,
	    "stop the VM or log out on %s:   iscsiadm -m node -T %s -u",
	    info->host, info->target);
}

json_t *
session_fault(struct request *request, const struct survey_lun *sl,
    const char *doing, const char *why, const char *other_way)
{
	struct exports exports;
	json_t *fault = NULL;
	unsigned count;

	if (state_exports(
		request->house->state, &exports.rows, &exports.count) < 0)
		return fault_internal("the state cannot be read", -EIO);
	for (unsigned i = 0; i < exports.count && fault == NULL; i++) {
		const struct state_export *row = &exports.rows[i];
		const struct iscsi_session_info *info;
		if (!export_is_of_lun(row, sl->volume.uuid))
			continue;
		info = survey_sessions_of(
		    request->survey, row->host, row->iqn, &count);
		if (count == 0)
			continue;
		fault =
		    in_use_fault(sl->is_snapshot ? "snap.in-use" : "lun.in-use",
			doing, info, count, why);
		if (other_way != NULL)
			fault_fix(fault, "%s", other_way);
		fault_fix(fault,
		    "or take it away from the host:   varve export remove "
		    "%s/%s --host %s --force",
		    row->pool, row->lun_name, row->host);
	}
	free(exports.rows);
	return fault;
}

/* "it", when doing ends with the name: "delete vms/web01". */
static const char *
it_or_name(const char *doing, const char *name)
{
	size_t all = strlen(doing), length = strlen(name);

	return all > length && doing[all - length - 1] == ' ' &&
		       strcmp(doing + all - length, name) == 0
		   ? "it"
		   : name;
}

json_t *
exported_fault(struct request *request, const struct survey_lun *sl,
    const char *code, const char *doing)
{
	struct exports exports;
	char name[REF_TEXT_MAX];
	json_t *fault = NULL;

	if (state_exports(
		request->house->state, &exports.rows, &exports.count) < 0)
		return fault_internal("the state cannot be read", -EIO);
	for (unsigned i = 0; i < exports.count; i++) {
		const struct state_export *row = &exports.rows[i];
		if (!export_is_of_lun(row, sl->volume.uuid))
			continue;
		snprintf(name, sizeof(name), "%s/%s", row->pool, row->lun_name);
		if (fault == NULL)
			fault = fault_why(
			    fault_new(code,
				"cannot %s: %s is exported to host %s", doing,
				it_or_name(doing, name), row->host),
			    "a host that is away may come back for it");
		fault_fix(fault, "varve export remove %s/%s --host %s",
		    row->pool, row->lun_name, row->host);
	}
	free(exports.rows);
	return fault;
}

json_t *
held_fault(const struct survey_lun *snap, const char *code, const char *doing,
    const char *name)
{
	if (!snap->family.hold)
		return NULL;
	return fault_fix(
	    fault_why(fault_new(code, "cannot %s: %s is held", doing,
			  it_or_name(doing, name)),
		"snap hold, or snap create --hold, asked to keep it"),
	    "when nobody needs it any more:   varve snap release %s", name);
}
