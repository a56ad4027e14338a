/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export set: when an export ends.  Who reads a snapshot for long gives it a
 * short time and renews that while it works: what it leaves behind when it dies
 * goes away by itself.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool
row_find(struct request *request, struct state_export *ret_row)
{
	const char *lun = param_text(request->params, "name");
	const char *host = param_text(request->params, "host");
	struct exports exports;
	bool found = false;

	if (!method_exports(request, &exports))
		return false;
	for (unsigned i = 0; i < exports.count && !found; i++) {
		found = export_is_of(&exports.rows[i], lun, host);
		if (found)
			*ret_row = exports.rows[i];
	}
	free(exports.rows);
	if (!found)
		request_fail(request,
		    fault_fix(fault_new("export.not-found",
				  "%s is not exported to host %s", lun, host),
			"varve export list"));
	return found;
}

void
method_export_set(struct request *request)
{
	struct house *house = request->house;
	struct state_export row;
	int ret;

	if (!row_find(request, &row))
		return;
	row.expires_unix =
	    (int64_t)time(NULL) + param_int(request->params, "ttl", 0);
	request->item = export_item(house, &row);
	if (request->dry_run) {
		request_answer(request, json_incref(request->item));
		return;
	}
	if (!request_begin(request))
		return;
	ret = state_export_expires(house->state, row.id, row.expires_unix);
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (!request_commit(request, request->item))
		return;
	house_keeping_at(house, row.expires_unix);
	request_answer(request, json_incref(request->item));
}
