/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/survey.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The LUN objects of a pool as home knows them when it asks. */
struct survey_served {
	uuid_t uuid;
	struct lun *lun;
};

struct survey *
survey_new(struct house *house)
{
	struct survey *survey = calloc(1, sizeof(*survey));

	assert(survey != NULL);
	survey->house = house;
	return survey;
}

static void
luns_free(struct survey_pool *sp)
{
	for (unsigned i = 0; i < sp->lun_count; i++)
		free(sp->luns[i].latency);
	free(sp->luns);
}

void
survey_free(struct survey *survey)
{
	if (survey == NULL)
		return;
	assert(survey->pending == 0);
	for (unsigned i = 0; i < survey->pool_count; i++) {
		luns_free(&survey->pools[i]);
		free(survey->pools[i].snaps);
		free(survey->pools[i].trash);
		free(survey->pools[i].groups);
		free(survey->pools[i].bookmarks);
		free(survey->pools[i].jobs);
		free(survey->pools[i].devices);
		free(survey->pools[i].served);
		json_decref(survey->pools[i].settings);
	}
	free(survey->pools);
	free(survey->sessions);
	free(survey);
}

static void
part_done(struct survey *survey, int error)
{
	assert(survey->pending > 0);
	if (error < 0)
		survey->error = error;
	if (--survey->pending == 0)
		survey->done(survey);
}

/* ---- on a reactor ---- */

static int
served_compare(const void *a, const void *b)
{
	const struct survey_served *x = a, *y = b;

	return uuid_compare(x->uuid, y->uuid);
}

static void
served_look(const struct survey_pool *sp, struct survey_lun *sl)
{
	struct survey_served key;
	const struct survey_served *found;

	uuid_copy(key.uuid, sl->volume.uuid);
	found = bsearch(
	    &key, sp->served, sp->served_count, sizeof(key), served_compare);
	if (found == NULL)
		return;
	sl->served = true;
	lun_stat_get(found->lun, &sl->lun);
	if ((sp->survey->also & SURVEY_LATENCY) == 0 || sl->is_snapshot)
		return;
	sl->latency = malloc(sizeof(*sl->latency));
	if (sl->latency != NULL)
		*sl->latency = *lun_latency(found->lun);
}

/* A clone's own snapshots stand between it and the one it was made of. */
static struct volume *
origin_of(struct volume *volume)
{
	struct volume *parent = volume_parent(volume);

	while (parent != NULL && snapshot_volume(parent) == volume)
		parent = volume_parent(parent);
	return parent;
}

static void
origin_look(
    const struct survey_pool *sp, struct volume *volume, struct survey_lun *sl)
{
	struct volume *origin = origin_of(volume), *owner;
	struct volume_stat snap, lun = {.name = "(deleted)"};

	if (origin == NULL)
		return;
	owner = snapshot_volume(origin);
	volume_stat_get(origin, &snap);
	if (owner != NULL)
		volume_stat_get(owner, &lun);
	uuid_copy(sl->parent_uuid, snap.uuid);
	snprintf(sl->parent, sizeof(sl->parent), "%s/%s@%s", sp->name, lun.name,
	    snap.name);
}

void
survey_look(const struct survey_pool *sp, struct volume *volume,
    struct survey_lun *ret_lun)
{
	struct volume_stat owner_stat;
	const char *group = volume_group(volume);
	struct volume *owner;

	*ret_lun = (struct survey_lun){.served = false};
	volume_stat_get(volume, &ret_lun->volume);
	family_stat_get(volume, &ret_lun->family);
	ret_lun->is_snapshot = volume_is_snapshot(volume);
	served_look(sp, ret_lun);
	if (group != NULL)
		snprintf(ret_lun->group, sizeof(ret_lun->group), "%s", group);
	if (!ret_lun->is_snapshot) {
		origin_look(sp, volume, ret_lun);
		return;
	}
	owner = snapshot_volume(volume);
	if (owner == NULL)
		return;
	volume_stat_get(owner, &owner_stat);
	snprintf(ret_lun->of, sizeof(ret_lun->of), "%s", owner_stat.name);
}

static int
luns_look(struct survey_pool *sp)
{
	sp->luns = calloc(sp->stat.volumes + 1, sizeof(*sp->luns));
	if (sp->luns == NULL)
		return -ENOMEM;
	for (struct volume *v = volume_next(sp->pool, NULL);
	     v != NULL && sp->lun_count < sp->stat.volumes;
	     v = volume_next(sp->pool, v))
		survey_look(sp, v, &sp->luns[sp->lun_count++]);
	return 0;
}

static int
lun_look_one(struct survey_pool *sp)
{
	struct volume *volume = volume_find(sp->pool, sp->survey->only_lun);

	if (volume == NULL)
		return 0;
	sp->luns = calloc(1, sizeof(*sp->luns));
	if (sp->luns == NULL)
		return -ENOMEM;
	survey_look(sp, volume, &sp->luns[sp->lun_count++]);
	return 0;
}

/* Settings of what is there no more keep nobody from its number. */
static void
serial_look_at(struct survey_pool *sp, const char *owner)
{
	struct volume *volume;
	uuid_t uuid;

	if (sp->serial_taken || uuid_parse(owner, uuid) < 0 ||
	    (sp->lun_count > 0 &&
		uuid_compare(uuid, sp->luns[0].volume.uuid) == 0))
		return;
	volume = house_volume_find(sp->pool, uuid);
	if (volume == NULL)
		return;
	survey_look(sp, volume, &sp->serial_owner);
	sp->serial_taken = true;
}

static void
serial_look(struct survey_pool *sp)
{
	const char *serial = sp->survey->serial, *theirs;
	json_t *settings;
	const char *uuid;

	if (serial == NULL)
		return;
	json_object_foreach(sp->settings, uuid, settings)
	{
		theirs = json_string_value(json_object_get(settings, "serial"));
		if (theirs != NULL && strcmp(theirs, serial) == 0)
			serial_look_at(sp, uuid);
	}
	serial_look_at(sp, serial); /* where nothing is set, it is the uuid */
}

static void
pool_look(struct call *call)
{
	struct survey_pool *sp = container_of(call, struct survey_pool, call);
	int ret = 0;

	pool_stat_get(sp->pool, &sp->stat);
	if (sp->survey->only_lun[0] != '\0' &&
	    (sp->survey->also & SURVEY_SNAPS) == 0)
		ret = lun_look_one(sp);
	else if (!sp->survey->without_luns)
		ret = luns_look(sp);
	if (ret == 0)
		serial_look(sp);
	if (ret == 0)
		ret = survey_look_family(sp);
	call_finish(call, ret);
}

/* ---- at home ---- */

static void
pool_looked(struct call *call)
{
	struct survey_pool *sp = container_of(call, struct survey_pool, call);

	part_done(sp->survey, call->result);
}

static int
served_gather(struct survey_pool *sp, struct house_pool *hp)
{
	struct house_lun *hl;
	unsigned count = 0;

	list_for_each (hl, &hp->luns, link)
		count++;
	sp->served = calloc(count + 1, sizeof(*sp->served));
	if (sp->served == NULL)
		return -ENOMEM;
	list_for_each (hl, &hp->luns, link) {
		struct survey_served *served = &sp->served[sp->served_count++];
		uuid_copy(served->uuid, hl->uuid);
		served->lun = hl->lun;
	}
	qsort(
	    sp->served, sp->served_count, sizeof(*sp->served), served_compare);
	return 0;
}

static void
pool_ask(struct survey *survey, struct survey_pool *sp, struct house_pool *hp)
{
	sp->survey = survey;
	sp->id = hp->id;
	snprintf(sp->name, sizeof(sp->name), "%s", hp->name);
	snprintf(sp->problem, sizeof(sp->problem), "%s", hp->problem);
	if (hp->pool == NULL)
		return;
	if (served_gather(sp, hp) < 0) {
		survey->error = -ENOMEM;
		return;
	}
	int ret = survey->without_luns ? 0
				       : state_settings(survey->house->state,
					     hp->id, &sp->settings);
	if (ret < 0) {
		survey->error = ret;
		return;
	}
	sp->open = true;
	sp->pool = hp->pool;
	sp->call.run = pool_look;
	sp->call.done = pool_looked;
	survey->pending++;
	call_start(&sp->call, survey->house->home, hp->loop);
}

static void
sessions_came(void *arg, const struct iscsi_session_info *infos, unsigned count)
{
	struct survey *survey = arg;

	survey->sessions = calloc(count + 1, sizeof(*infos));
	if (survey->sessions == NULL) {
		part_done(survey, -ENOMEM);
		return;
	}
	if (count > 0)
		memcpy(survey->sessions, infos, count * sizeof(*infos));
	survey->session_count = count;
	part_done(survey, 0);
}

static void
nothing_run(struct call *call)
{
	call_finish(call, 0);
}

static void
nothing_done(struct call *call)
{
	struct survey_pool *sp = container_of(call, struct survey_pool, call);

	part_done(sp->survey, 0);
}

void
survey_run(
    struct survey *survey, void (*done)(struct survey *survey), void *arg)
{
	struct house *house = survey->house;
	struct house_pool *hp;
	unsigned count = 0;

	survey->done = done;
	survey->arg = arg;
	list_for_each (hp, &house->pools, link)
		count++;
	/* the last one carries the answer back when there is nothing to ask */
	survey->pools = calloc(count + 1, sizeof(*survey->pools));
	assert(survey->pools != NULL);
	struct survey_pool *tail = &survey->pools[count];
	tail->survey = survey;
	tail->call.run = nothing_run;
	tail->call.done = nothing_done;
	survey->pending++;
	call_start(&tail->call, house->home, house->home);
	list_for_each (hp, &house->pools, link) {
		if (survey->only_pool[0] == '\0' ||
		    strcmp(survey->only_pool, hp->name) == 0)
			pool_ask(
			    survey, &survey->pools[survey->pool_count++], hp);
	}
	if (survey->without_sessions)
		return;
	survey->pending++;
	iscsi_sessions_list(house->server, sessions_came, survey);
}

const struct iscsi_session_info *
survey_sessions_of(const struct survey *survey, const char *host,
    const char *iqn, unsigned *ret_count)
{
	const struct iscsi_session_info *found = NULL;

	*ret_count = 0;
	for (unsigned i = 0; i < survey->session_count; i++) {
		const struct iscsi_session_info *info = &survey->sessions[i];
		if (strcmp(info->host, host) != 0 ||
		    (iqn != NULL && strcmp(info->target, iqn) != 0))
			continue;
		found = info;
		(*ret_count)++;
	}
	return found;
}

json_t *
survey_settings(const struct survey_pool *sp, const struct survey_lun *sl)
{
	char uuid[STATE_UUID_TEXT];

	uuid_unparse_lower(sl->volume.uuid, uuid);
	return json_object_get(sp->settings, uuid);
}

const struct survey_lun *
survey_lun_find(const struct survey *survey, const char *pool, const char *lun)
{
	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		if (strcmp(sp->name, pool) != 0)
			continue;
		for (unsigned l = 0; l < sp->lun_count; l++) {
			if (strcmp(sp->luns[l].volume.name, lun) == 0)
				return &sp->luns[l];
		}
	}
	return NULL;
}
