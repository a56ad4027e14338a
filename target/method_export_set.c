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

void
method_export_set(struct request *request)
{
	struct house *house = request->house;
	struct state_export row;
	struct exports all;
	int ret;

	if (!export_find(request, &all, &row))
		return;
	free(all.rows);
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
