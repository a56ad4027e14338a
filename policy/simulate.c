/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/simulate.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdlib.h>

struct run {
	struct simulate *simulate;
	struct keeper *keeper;
	unsigned *kept;
	size_t there;
};

static void
remove_point(struct run *run, size_t number, int64_t now)
{
	run->simulate->points[number].gone = now;
	run->there--;
}

/* What there is at the start; it is looked at no sooner than at the first run.
 */
static void
add_existing(struct run *run, const struct keep_point *points, size_t count)
{
	size_t gone[KEEP_REASONS];

	for (size_t i = 0; i < count; i++) {
		run->simulate->points[i].when = points[i].when;
		keeper_add(run->keeper, &points[i], i, run->kept, gone);
	}
	run->there = count;
	run->simulate->most = count;
}

static void
make_point(struct run *run, size_t number, int64_t now)
{
	struct keep_point point = {.when = now, .good = true};
	size_t gone[KEEP_REASONS];
	size_t count = keeper_add(run->keeper, &point, number, run->kept, gone);

	run->simulate->points[number] =
	    (struct simulate_point){.when = now, .made = true};
	if (++run->there > run->simulate->most)
		run->simulate->most = run->there;
	while (count-- > 0)
		remove_point(run, gone[count], now);
}

static void
run_future(struct run *run, const struct calendar *calendar, size_t existing,
    int64_t now)
{
	for (size_t i = existing; i < run->simulate->count; i++) {
		now = calendar_next(calendar, now);
		make_point(run, i, now);
		/* the first run also finds what had no reason before */
		for (size_t j = 0; i == existing && j < existing; j++) {
			if (run->kept[j] == 0 &&
			    run->simulate->points[j].gone == 0)
				remove_point(run, j, now);
		}
	}
}

int
simulate_run(const struct calendar *calendar, const struct keep_rule *rule,
    const struct keep_point *points, size_t count, int64_t now, int64_t until,
    struct simulate *ret_simulate)
{
	uint64_t made = calendar_count(calendar, now, until, SIMULATE_MAX + 1);
	size_t total = count + (size_t)made;
	_cleanup_(freep) unsigned *kept = NULL;
	struct run run = {.simulate = ret_simulate};

	*ret_simulate = (struct simulate){0};
	if (made > SIMULATE_MAX)
		return -E2BIG;
	kept = calloc(total + 1, sizeof(*kept));
	ret_simulate->points = calloc(total + 1, sizeof(*ret_simulate->points));
	assert(kept != NULL && ret_simulate->points != NULL);
	ret_simulate->count = total;
	run.kept = kept;
	run.keeper = keeper_new(rule);
	add_existing(&run, points, count);
	run_future(&run, calendar, count, now);
	keeper_free(run.keeper);
	for (size_t i = 0; i < total; i++)
		ret_simulate->points[i].kept = kept[i];
	return 0;
}

void
simulate_done(struct simulate *simulate)
{
	free(simulate->points);
	*simulate = (struct simulate){0};
}
