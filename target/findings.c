/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/findings.h"
#include "base/assert.h"
#include "target/fault.h"

json_t *
finding_json(enum check_severity severity, const char *code, const char *text)
{
	static const char *const names[] = {
	    [CHECK_NOTE] = "note",
	    [CHECK_LEAK] = "leak",
	    [CHECK_DAMAGE] = "damage",
	};
	json_t *item;

	assert(severity < ARRAY_SIZE(names));
	item = json_pack("{s:s, s:s, s:o}", "severity", names[severity], "code",
	    code, "what", json_text(text));
	assert(item != NULL);
	return item;
}

json_t *
findings_family(const struct check_family *family)
{
	json_t *item = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "name",
	    json_text(family->name), "volumes", (json_int_t)family->volumes,
	    "snapshots", (json_int_t)family->snapshots, "hidden",
	    (json_int_t)family->hidden, "data_blocks",
	    (json_int_t)family->data_blocks, "pages",
	    (json_int_t)family->map_pages);

	assert(item != NULL);
	return item;
}

json_t *
findings_item(const struct check_report *report, json_t *families)
{
	json_t *item =
	    json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "pool",
		json_text(report->pool), "volumes", (json_int_t)report->volumes,
		"snapshots", (json_int_t)report->snapshots, "hidden",
		(json_int_t)report->hidden, "pages", (json_int_t)report->pages,
		"data_blocks", (json_int_t)report->data_blocks, "leaked_blocks",
		(json_int_t)report->leaked_blocks, "log_records",
		(json_int_t)report->log_records, "families", families);

	assert(item != NULL);
	return item;
}
