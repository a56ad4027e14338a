/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "tools/problem.h"
#include "tools/rescue_priv.h"

static int
work(struct rescue *rescue)
{
	return pool_check(rescue->stores, rescue->count, rescue_step, rescue,
	    &rescue->report);
}

static json_t *
rescue_answer(const struct rescue *rescue)
{
	const struct check_report *report = &rescue->report;
	json_t *item =
	    json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "pool",
		json_string_lossy(report->pool), "volumes",
		(json_int_t)report->volumes, "snapshots",
		(json_int_t)report->snapshots, "hidden",
		(json_int_t)report->hidden, "pages", (json_int_t)report->pages,
		"data_blocks", (json_int_t)report->data_blocks, "leaked_blocks",
		(json_int_t)report->leaked_blocks, "log_records",
		(json_int_t)report->log_records, "families", rescue->families);

	assert(item != NULL);
	return json_pack("{s:i, s:s, s:o, s:O}", "varve", 1, "kind",
	    "rescue.check", "item", item, "items", rescue->findings);
}

json_t *
rescue_check(const json_t *paths, bool progress, json_t **ret_result)
{
	struct rescue rescue = {
	    .paths = paths, .work = work, .progress = progress};
	json_t *problem = rescue_run(&rescue);

	if (problem == NULL)
		*ret_result = rescue_answer(&rescue);
	rescue_done(&rescue);
	return problem;
}
