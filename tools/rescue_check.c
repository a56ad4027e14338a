/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/findings.h"
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
	return json_pack("{s:i, s:s, s:o, s:O}", "varve", 1, "kind",
	    "rescue.check", "item",
	    findings_item(&rescue->report, rescue->families), "items",
	    rescue->findings);
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
