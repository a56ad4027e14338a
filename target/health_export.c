/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: exports and what hosts have set of them, hosts, sessions.
 */
#include "target/health.h"
#include "target/house_tcmu.h"
#include "target/settings.h"
#include <stdlib.h>
#include <string.h>

/* ---- exports, hosts, sessions ---- */

static void
look_at_kernel(
    struct health *f, const struct state_export *row, const uuid_t uuid)
{
	const char *problem = house_tcmu_problem(f->house->tcmu, uuid);

	if (row->carrier != CARRIER_ISCSI && problem[0] != '\0')
		health_finding(f, "error", "export.kernel",
		    json_textf("varve doctor"),
		    "%s/%s is exported to %s, but the kernel does not show "
		    "it: %s",
		    row->pool, row->lun_name, row->host, problem);
}

static const json_t *
settings_of(const struct health *f, int64_t pool_id, const char *uuid)
{
	for (unsigned i = 0; i < f->survey->pool_count; i++) {
		const struct survey_pool *sp = &f->survey->pools[i];
		if (sp->id == pool_id)
			return json_object_get(sp->settings, uuid);
	}
	return NULL;
}

static void
look_at_exports(struct health *f)
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
			health_finding(f, "error", "lun.settings",
			    json_textf(SETTINGS_RESCUE,
				f->house->config->state_dir, row->lun_uuid),
			    "%s/%s is not served: what is set of it cannot be "
			    "read",
			    row->pool, row->lun_name);
			continue;
		}
		health_finding(f, "error", "export.no-lun",
		    json_textf("varve export remove %s/%s --host %s", row->pool,
			row->lun_name, row->host),
		    "%s/%s is exported to %s, but the pool has no such LUN",
		    row->pool, row->lun_name, row->host);
	}
}

/* This machine itself, which logs in nowhere. */
static bool
has_disks_here(const struct health *f, int64_t host_id)
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
look_at_hosts(struct health *f)
{
	struct state_host *hosts;
	unsigned count;

	if (state_hosts(f->house->state, &hosts, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		if (hosts[i].chap.user[0] != '\0' ||
		    has_disks_here(f, hosts[i].id))
			continue;
		health_finding(f, "note", "host.no-chap",
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
look_at_sessions(struct health *f)
{
	for (unsigned i = 0; i < f->survey->session_count; i++) {
		const struct iscsi_session_info *s = &f->survey->sessions[i];
		if (strcasestr(s->auth, "md5") == NULL ||
		    told_before(f->survey, i))
			continue;
		health_finding(f, "note", "host.md5",
		    json_textf("an initiator that speaks SHA-256, or a "
			       "network of its own for storage"),
		    "host %s proves itself with CHAP MD5, which can be "
		    "guessed offline by who reads the network",
		    s->host);
	}
}

/* ---- what hosts have set ---- */

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
look_at_path(struct health *f, const struct house_pool *hp,
    const struct state_saved *saved)
{
	const struct port_group *group = group_named(f->house, saved->name);

	if (group == NULL || address_in(f->house, group->tag) == NULL ||
	    group->access ==
		ACCESS_UNAVAILABLE || /* then nobody's word counts */
	    saved->value == group->access)
		return;
	health_finding(f, "note", "lun.path",
	    json_textf("varve portal set %s --access %s",
		address_in(f->house, group->tag),
		house_access_word(group->access)),
	    "%s/%s: portal group %u is %s since a host said so", hp->name,
	    saved->lun_name, group->tag,
	    house_access_word((enum port_access)saved->value));
}

/* What an initiator set with MODE SELECT; of a snapshot it does nothing. */
static void
look_at_mode(struct health *f, const struct house_pool *hp,
    const struct state_saved *saved)
{
	struct lun_params set;

	if (strchr(saved->lun_name, '@') != NULL)
		return;
	settings_params(settings_of(f, saved->pool_id, saved->lun_uuid), &set);
	if (strcmp(saved->name, LUN_CACHE_SAVED) == 0 &&
	    (saved->value != 0) != set.write_cache)
		health_finding(f, "note", "lun.write-cache",
		    json_textf("varve lun set %s/%s --write-cache %s", hp->name,
			saved->lun_name, set.write_cache ? "on" : "off"),
		    "%s/%s: its write cache is %s since a host said so",
		    hp->name, saved->lun_name, set.write_cache ? "off" : "on");
	if (strcmp(saved->name, LUN_PROTECT_SAVED) == 0 && saved->value != 0 &&
	    !set.read_only)
		health_finding(f, "warning", "lun.write-protected",
		    json_textf("varve lun set %s/%s --read-only off", hp->name,
			saved->lun_name),
		    "%s/%s: no host can write since one of them said so (SWP)",
		    hp->name, saved->lun_name);
}

/* What hosts set and saved is in the state only. */
static void
look_at_saved(struct health *f)
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

void
health_exports(struct health *f)
{
	look_at_exports(f);
	look_at_saved(f);
	look_at_hosts(f);
	look_at_sessions(f);
}
