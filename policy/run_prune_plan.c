/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/run_prune_plan.h"
#include "backup/attachment.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/names.h"
#include <stdlib.h>
#include <string.h>

static bool
is_of(const char *policy, const json_t *snap)
{
	const char *at = strchr(item_text(snap, "name"), '@');

	return at != NULL && policy_snap_is_of(policy, at + 1);
}

static bool
was_frozen(const json_t *snap)
{
	const char *consistency = item_text(snap, "consistency");

	return consistency[0] != '\0' && strcmp(consistency, "crash") != 0;
}

json_t *
prune_plan(
    const char *policy, const struct keep_rule *rule, const json_t *snaps)
{
	size_t room = json_array_size(snaps) + 1, count = 0, frozen = 0, i;
	_cleanup_(freep) struct keep_point *points =
	    calloc(room, sizeof(*points));
	_cleanup_(freep) const json_t **ours = calloc(room, sizeof(*ours));
	_cleanup_(freep) unsigned *kept = calloc(room, sizeof(*kept));
	json_t *gone = json_array();
	const json_t *snap;

	assert(points != NULL && ours != NULL && kept != NULL);
	json_array_foreach(snaps, i, snap)
	{
		if (!is_of(policy, snap))
			continue;
		points[count] = (struct keep_point){
		    .when = (int64_t)seconds_of(item_text(snap, "created")),
		    .good = true,
		    .held = json_is_true(json_object_get(snap, "held"))};
		ours[count++] = snap;
		if (was_frozen(snap))
			frozen = count;
	}
	if (frozen > 0)
		points[frozen - 1].held = true;
	keep_apply(rule, points, count, kept);
	for (i = 0; i < count; i++) {
		if (kept[i] == 0)
			json_array_append_new(
			    gone, json_string(item_text(ours[i], "name")));
	}
	return gone;
}
