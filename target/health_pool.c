/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: pools, and quotas of LUNs.
 */
#include "base/size.h"
#include "target/health.h"
#include <time.h>

/* Less than a chunk is left: the next one that is needed is refused. */
#define LEFT_MIN 65536u

/* ---- pools ---- */

static void
pool_level(struct health *f, const struct survey_pool *sp)
{
	static const struct {
		const char *severity, *code, *what;
	} levels[] = {
	    {NULL, NULL, NULL},
	    {"warning", "pool.filling", "is filling up"},
	    {"error", "pool.almost-full", "is almost full"},
	    {"error", "pool.full",
		"is full: writes that need new space fail until there is "
		"some"},
	};
	char left[SIZE_TEXT_MAX];
	int level = sp->stat.level & 3;

	if (level == 0)
		return;
	health_finding(f, levels[level].severity, levels[level].code,
	    json_textf("varve pool grow %s DEVICE, or trim in the guests "
		       "(fstrim -av), or delete snapshots and LUNs (varve "
		       "trash empty %s)",
		sp->name, sp->name),
	    "pool %s %s: %s free", sp->name, levels[level].what,
	    size_format(sp->stat.free, left));
}

#define FULL_SOON_DAYS 7

static void
pool_forecast(struct health *f, const struct survey_pool *sp)
{
	const struct house_pool *hp = house_pool_by_id(f->house, sp->id);
	int64_t seconds;

	if (hp == NULL || sp->stat.level != 0 ||
	    !forecast_full(&hp->forecast, sp->stat.free, &seconds) ||
	    seconds > FULL_SOON_DAYS * 86400)
		return;
	health_finding(f, "warning", "pool.full-soon",
	    json_textf("varve pool grow %s DEVICE, or look at what grows: "
		       "varve lun list %s --sort -live",
		sp->name, sp->name),
	    "pool %s is full in %lld hours if it goes on growing so", sp->name,
	    (long long)(seconds / 3600));
}

static void
pool_state(struct health *f, const struct survey_pool *sp)
{
	if (sp->stat.state == POOL_SUSPECT)
		health_finding(f, "error", "pool.suspect",
		    json_textf("mend or replace the device, then: systemctl "
			       "restart varved"),
		    "pool %s: a device failed a write or flush, so it takes "
		    "no more writes: %s",
		    sp->name, sp->stat.problem);
	else if (sp->stat.state == POOL_READ_ONLY)
		health_finding(f, "error", "pool.read-only",
		    json_textf("varve pool show %s", sp->name),
		    "pool %s can only be read: %s", sp->name, sp->stat.problem);
	if (sp->stat.host_full)
		health_finding(f, "error", "pool.host-full",
		    json_textf(
			"make space where the files of %s are", sp->name),
		    "pool %s: the file system below it has no space", sp->name);
}

/* Those without a reservation get nothing any more, those with one do. */
static void
pool_set_aside(struct health *f, const struct survey_pool *sp)
{
	char aside[SIZE_TEXT_MAX];

	if (sp->stat.set_aside == 0 || sp->stat.level == 3 ||
	    sp->stat.set_aside + LEFT_MIN <= sp->stat.free)
		return;
	health_finding(f, "warning", "pool.set-aside",
	    json_textf("varve pool grow %s DEVICE, or reserve less: varve lun "
		       "list %s -o name,reserve,set-aside",
		sp->name, sp->name),
	    "pool %s has nothing left but %s that is set aside for LUNs with "
	    "a reservation: others get no new space",
	    sp->name, size_format(sp->stat.set_aside, aside));
}

static void
look_at_pools(struct health *f)
{
	for (unsigned i = 0; i < f->survey->pool_count; i++) {
		const struct survey_pool *sp = &f->survey->pools[i];
		if (sp->open) {
			pool_level(f, sp);
			pool_forecast(f, sp);
			pool_state(f, sp);
			pool_set_aside(f, sp);
			continue;
		}
		health_finding(f, "error", "pool.not-open",
		    json_textf(
			"mend the reason, then: varve pool open %s", sp->name),
		    "pool %s is not open: %s", sp->name, sp->problem);
	}
}

/* ---- quotas ---- */

static void
look_at_quotas(struct health *f, const struct survey_pool *sp)
{
	char quota[SIZE_TEXT_MAX];

	for (unsigned i = 0; i < sp->lun_count; i++) {
		const struct volume_stat *v = &sp->luns[i].volume;
		if (v->quota == 0 || v->quota_used + LEFT_MIN <= v->quota)
			continue;
		health_finding(f, "warning", "lun.quota-reached",
		    json_textf("varve lun set %s/%s --quota SIZE, or trim in "
			       "the guest (fstrim -av), or delete snapshots: "
			       "varve snap list %s/%s",
			sp->name, v->name, sp->name, v->name),
		    "LUN %s/%s has reached its quota of %s: its writes that "
		    "need new space fail",
		    sp->name, v->name, size_format(v->quota, quota));
	}
}

void
health_pools(struct health *f)
{
	look_at_pools(f);
	for (unsigned i = 0; i < f->survey->pool_count; i++)
		look_at_quotas(f, &f->survey->pools[i]);
}
