/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: what is not as it should be.  Each finding has a stable code and says
 * how it is mended.
 */
#include "base/size.h"
#include "target/house_tcmu.h"
#include "target/method.h"
#include "target/settings.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Less than a chunk is left: the next one that is needed is refused. */
#define LEFT_MIN 65536u

struct findings {
	struct house *house;
	const struct survey *survey;
	struct exports exports;
	json_t *items;
};

__attribute__((format(printf, 5, 6))) static void
finding(struct findings *f, const char *severity, const char *code, json_t *fix,
    const char *what, ...)
{
	char *text;
	va_list args;

	va_start(args, what);
	int length = vasprintf(&text, what, args);
	va_end(args);
	assert(length >= 0);
	json_array_append_new(
	    f->items, json_pack("{s:s, s:s, s:o, s:o}", "severity", severity,
			  "code", code, "what", json_text(text), "fix", fix));
	free(text);
}

/* ---- pools ---- */

static void
pool_level(struct findings *f, const struct survey_pool *sp)
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
	finding(f, levels[level].severity, levels[level].code,
	    json_textf("varve pool grow %s DEVICE, or trim in the guests "
		       "(fstrim -av), or delete snapshots and LUNs (varve "
		       "trash empty %s)",
		sp->name, sp->name),
	    "pool %s %s: %s free", sp->name, levels[level].what,
	    size_format(sp->stat.free, left));
}

#define FULL_SOON_DAYS 7

static void
pool_forecast(struct findings *f, const struct survey_pool *sp)
{
	const struct house_pool *hp = house_pool_by_id(f->house, sp->id);
	int64_t seconds;

	if (hp == NULL || sp->stat.level != 0 ||
	    !forecast_full(&hp->forecast, sp->stat.free, &seconds) ||
	    seconds > FULL_SOON_DAYS * 86400)
		return;
	finding(f, "warning", "pool.full-soon",
	    json_textf("varve pool grow %s DEVICE, or look at what grows: "
		       "varve lun list %s --sort -live",
		sp->name, sp->name),
	    "pool %s is full in %lld hours if it goes on growing so", sp->name,
	    (long long)(seconds / 3600));
}

static void
pool_state(struct findings *f, const struct survey_pool *sp)
{
	if (sp->stat.state == POOL_SUSPECT)
		finding(f, "error", "pool.suspect",
		    json_textf("mend or replace the device, then: systemctl "
			       "restart varved"),
		    "pool %s: a device failed a write or flush, so it takes "
		    "no more writes: %s",
		    sp->name, sp->stat.problem);
	else if (sp->stat.state == POOL_READ_ONLY)
		finding(f, "error", "pool.read-only",
		    json_textf("varve pool show %s", sp->name),
		    "pool %s can only be read: %s", sp->name, sp->stat.problem);
	if (sp->stat.host_full)
		finding(f, "error", "pool.host-full",
		    json_textf(
			"make space where the files of %s are", sp->name),
		    "pool %s: the file system below it has no space", sp->name);
}

/* Those without a reservation get nothing any more, those with one do. */
static void
pool_set_aside(struct findings *f, const struct survey_pool *sp)
{
	char aside[SIZE_TEXT_MAX];

	if (sp->stat.set_aside == 0 || sp->stat.level == 3 ||
	    sp->stat.set_aside + LEFT_MIN <= sp->stat.free)
		return;
	finding(f, "warning", "pool.set-aside",
	    json_textf("varve pool grow %s DEVICE, or reserve less: varve lun "
		       "list %s -o name,reserve,set-aside",
		sp->name, sp->name),
	    "pool %s has nothing left but %s that is set aside for LUNs with "
	    "a reservation: others get no new space",
	    sp->name, size_format(sp->stat.set_aside, aside));
}

static void
look_at_pools(struct findings *f)
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
		finding(f, "error", "pool.not-open",
		    json_textf(
			"mend the reason, then: varve pool open %s", sp->name),
		    "pool %s is not open: %s", sp->name, sp->problem);
	}
}

/* ---- quotas ---- */

static void
look_at_quotas(struct findings *f, const struct survey_pool *sp)
{
	char quota[SIZE_TEXT_MAX];

	for (unsigned i = 0; i < sp->lun_count; i++) {
		const struct volume_stat *v = &sp->luns[i].volume;
		if (v->quota == 0 || v->quota_used + LEFT_MIN <= v->quota)
			continue;
		finding(f, "warning", "lun.quota-reached",
		    json_textf("varve lun set %s/%s --quota SIZE, or trim in "
			       "the guest (fstrim -av), or delete snapshots: "
			       "varve snap list %s/%s",
			sp->name, v->name, sp->name, v->name),
		    "LUN %s/%s has reached its quota of %s: its writes that "
		    "need new space fail",
		    sp->name, v->name, size_format(v->quota, quota));
	}
}

/* ---- exports, hosts, sessions ---- */

static void
look_at_kernel(
    struct findings *f, const struct state_export *row, const uuid_t uuid)
{
	const char *problem = house_tcmu_problem(f->house->tcmu, uuid);

	if (row->carrier != CARRIER_ISCSI && problem[0] != '\0')
		finding(f, "error", "export.kernel", json_textf("varve doctor"),
		    "%s/%s is exported to %s, but the kernel does not show "
		    "it: %s",
		    row->pool, row->lun_name, row->host, problem);
}

static const json_t *
settings_of(const struct findings *f, int64_t pool_id, const char *uuid)
{
	for (unsigned i = 0; i < f->survey->pool_count; i++) {
		const struct survey_pool *sp = &f->survey->pools[i];
		if (sp->id == pool_id)
			return json_object_get(sp->settings, uuid);
	}
	return NULL;
}

static void
look_at_exports(struct findings *f)
{
	for (unsigned i = 0; i < f->exports.count; i++) {
		const struct state_export *row = &f->exports.rows[i];
		const struct house_pool *hp =
		    house_pool_by_id(f->house, row->pool_id);
		uuid_t uuid;
		if (hp == NULL || hp->pool == NULL)
			continue; /* told above */
		if (uuid_parse(row->lun_uuid, uuid) == 0 &&
		    house_lun_find(f->house, uuid) != NULL) {
			look_at_kernel(f, row, uuid);
			continue;
		}
		if (json_is_null(settings_of(f, row->pool_id, row->lun_uuid))) {
			finding(f, "error", "lun.settings",
			    json_textf(SETTINGS_RESCUE,
				f->house->config->state_dir, row->lun_uuid),
			    "%s/%s is not served: what is set of it cannot be "
			    "read",
			    row->pool, row->lun_name);
			continue;
		}
		finding(f, "error", "export.no-lun",
		    json_textf("varve export remove %s/%s --host %s", row->pool,
			row->lun_name, row->host),
		    "%s/%s is exported to %s, but the pool has no such LUN",
		    row->pool, row->lun_name, row->host);
	}
}

/* This machine itself, which logs in nowhere. */
static bool
has_disks_here(const struct findings *f, int64_t host_id)
{
	bool here = false;

	for (unsigned i = 0; i < f->exports.count; i++) {
		const struct state_export *row = &f->exports.rows[i];
		if (row->host_id != host_id)
			continue;
		if (row->carrier != CARRIER_TCMU_LOOP)
			return false;
		here = true;
	}
	return here;
}

static void
look_at_hosts(struct findings *f)
{
	struct state_host *hosts;
	unsigned count;

	if (state_hosts(f->house->state, &hosts, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		if (hosts[i].chap.user[0] != '\0' ||
		    has_disks_here(f, hosts[i].id))
			continue;
		finding(f, "note", "host.no-chap",
		    json_textf(
			"varve host set %s --chap-generate", hosts[i].name),
		    "host %s is let in by its name alone, which anyone on the "
		    "network can claim",
		    hosts[i].name);
	}
	state_hosts_free(hosts, count);
}

static bool
told_before(const struct survey *survey, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (strcmp(survey->sessions[i].host,
			survey->sessions[index].host) == 0 &&
		    strcasestr(survey->sessions[i].auth, "md5") != NULL)
			return true;
	}
	return false;
}

static void
look_at_sessions(struct findings *f)
{
	for (unsigned i = 0; i < f->survey->session_count; i++) {
		const struct iscsi_session_info *s = &f->survey->sessions[i];
		if (strcasestr(s->auth, "md5") == NULL ||
		    told_before(f->survey, i))
			continue;
		finding(f, "note", "host.md5",
		    json_textf("an initiator that speaks SHA-256, or a "
			       "network of its own for storage"),
		    "host %s proves itself with CHAP MD5, which can be "
		    "guessed offline by who reads the network",
		    s->host);
	}
}

/* ---- the server ---- */

static void
look_at_portals(struct findings *f)
{
	struct house_portal *portal;

	if (list_empty(&f->house->portals))
		finding(f, "warning", "portal.none",
		    json_textf("varve portal add ADDRESS"),
		    "there is no portal: no initiator can connect");
	list_for_each (portal, &f->house->portals, link) {
		if (!portal->listening)
			finding(f, "error", "portal.not-listening",
			    json_textf("ip addr; ss -ltnp; varve portal "
				       "remove %s",
				portal->row.address),
			    "portal %s does not listen: %s",
			    portal->row.address, portal->problem);
	}
}

static void
look_at_paths(struct findings *f)
{
	struct house_portal *portal,
	    *first = list_first(&f->house->portals, struct house_portal, link);
	unsigned paths = 0;

	list_for_each (portal, &f->house->portals, link) {
		if (port_access_is_active(
			house_ports_access(f->house, portal->row.tag)))
			paths++;
	}
	if (paths == 0 && first != NULL)
		finding(f, "warning", "portal.no-path",
		    json_textf("varve portal set %s --access optimized",
			first->row.address),
		    "no portal is active: hosts cannot use their LUNs");
}

/* Without any portal there is a group all the same: NULL. */
static const char *
address_in(struct house *house, uint16_t tag)
{
	struct house_portal *portal;

	list_for_each (portal, &house->portals, link) {
		if (portal->row.tag == tag)
			return portal->row.address;
	}
	return NULL;
}

static const struct port_group *
group_named(const struct house *house, const char *saved)
{
	char name[LUN_SAVED_NAME_MAX];

	for (unsigned i = 0; i < house->ports.count; i++) {
		lun_access_name(house->ports.list[i].tag, name);
		if (strcmp(name, saved) == 0)
			return &house->ports.list[i];
	}
	return NULL;
}

/* What an initiator set with SET TARGET PORT GROUPS. */
static void
look_at_path(struct findings *f, const struct house_pool *hp,
    const struct state_saved *saved)
{
	const struct port_group *group = group_named(f->house, saved->name);

	if (group == NULL || address_in(f->house, group->tag) == NULL ||
	    group->access ==
		ACCESS_UNAVAILABLE || /* then nobody's word counts */
	    saved->value == group->access)
		return;
	finding(f, "note", "lun.path",
	    json_textf("varve portal set %s --access %s",
		address_in(f->house, group->tag),
		house_access_word(group->access)),
	    "%s/%s: portal group %u is %s since a host said so", hp->name,
	    saved->lun_name, group->tag,
	    house_access_word((enum port_access)saved->value));
}

/* What an initiator set with MODE SELECT; of a snapshot it does nothing. */
static void
look_at_mode(struct findings *f, const struct house_pool *hp,
    const struct state_saved *saved)
{
	struct lun_params set;

	if (strchr(saved->lun_name, '@') != NULL)
		return;
	settings_params(settings_of(f, saved->pool_id, saved->lun_uuid), &set);
	if (strcmp(saved->name, LUN_CACHE_SAVED) == 0 &&
	    (saved->value != 0) != set.write_cache)
		finding(f, "note", "lun.write-cache",
		    json_textf("varve lun set %s/%s --write-cache %s", hp->name,
			saved->lun_name, set.write_cache ? "on" : "off"),
		    "%s/%s: its write cache is %s since a host said so",
		    hp->name, saved->lun_name, set.write_cache ? "off" : "on");
	if (strcmp(saved->name, LUN_PROTECT_SAVED) == 0 && saved->value != 0 &&
	    !set.read_only)
		finding(f, "warning", "lun.write-protected",
		    json_textf("varve lun set %s/%s --read-only off", hp->name,
			saved->lun_name),
		    "%s/%s: no host can write since one of them said so (SWP)",
		    hp->name, saved->lun_name);
}

/* What hosts set and saved is in the state only. */
static void
look_at_saved(struct findings *f)
{
	struct state_saved *saved;
	unsigned count;

	if (state_saved_exported(f->house->state, &saved, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const struct house_pool *hp =
		    house_pool_by_id(f->house, saved[i].pool_id);
		if (hp == NULL || hp->pool == NULL)
			continue; /* what is set of it is not known */
		look_at_path(f, hp, &saved[i]);
		look_at_mode(f, hp, &saved[i]);
	}
	free(saved);
}

/* CHAP needs no clock, but audit rows and times of LUNs do. */
static void
look_at_clock(struct findings *f)
{
	const int64_t release = 1767225600; /* 2026-01-01 */
	int64_t now = (int64_t)time(NULL);

	if (now < release)
		finding(f, "warning", "clock.wrong",
		    json_textf("timedatectl set-ntp true"),
		    "the clock of this machine is before varve was written");
	else if (now < f->house->started_unix)
		finding(f, "warning", "clock.backwards",
		    json_textf("timedatectl status"),
		    "the clock of this machine went back to before varved "
		    "started");
}

static void
health_answer(struct request *request)
{
	struct findings f = {
	    .house = request->house, .survey = request->survey};

	if (!method_exports(request, &f.exports))
		return;
	f.items = json_array();
	look_at_pools(&f);
	for (unsigned i = 0; i < f.survey->pool_count; i++)
		look_at_quotas(&f, &f.survey->pools[i]);
	look_at_portals(&f);
	look_at_paths(&f);
	look_at_exports(&f);
	look_at_saved(&f);
	look_at_hosts(&f);
	look_at_sessions(&f);
	look_at_clock(&f);
	free(f.exports.rows);
	request_answer_items(request, f.items);
}

void
method_health(struct request *request)
{
	method_survey(request, health_answer);
}
