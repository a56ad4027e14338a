/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the snapshots, bookmarks and groups that the engine shows those that
 * were promised?  After a restart, what was under way may have happened.
 */
#include "snapshot/engine.h"
#include "tests/sim/family.h"
#include <inttypes.h>
#include <string.h>

/* ---- bookmarks, groups ---- */

static void
mark_found(
    struct world *world, struct sim_mark *mark, const struct bookmark *bookmark)
{
	if (mark->state == MARK_PRESENT && mark->epoch != bookmark->epoch)
		sim_fail(world, "bookmark %s changed its epoch", mark->name);
	mark->state = MARK_PRESENT;
	mark->doubtful = false;
	mark->epoch = bookmark->epoch;
}

/* Those the engine has are those that should be. */
void
family_marks_verify(struct world *world, struct sim_volume *volume)
{
	struct bookmark bookmark;
	unsigned found = 0, mine = 0;

	for (unsigned i = 0; bookmark_get(volume->volume, i, &bookmark); i++) {
		struct sim_mark **at = family_mark_find(volume, bookmark.name);
		if (at == NULL)
			sim_fail(
			    world, "bookmark %s should not be", bookmark.name);
		mark_found(world, *at, &bookmark);
		found++;
	}
	for (struct sim_mark **at = &volume->marks; *at != NULL;) {
		struct sim_mark *m = *at;
		bool there = false;
		for (unsigned i = 0; bookmark_get(volume->volume, i, &bookmark);
		     i++)
			there |= strcmp(bookmark.name, m->name) == 0;
		if (!there && m->state == MARK_PRESENT && !m->doubtful)
			sim_fail(world, "bookmark %s is lost", m->name);
		if (!there) {
			family_mark_drop(at);
			continue;
		}
		mine++;
		at = &m->next;
	}
	if (mine != found)
		sim_fail(world, "%u bookmarks, not %u", found, mine);
}

void
family_groups_verify(struct world *world)
{
	unsigned there = 0, count = 0;

	while (group_name(world->pool, there) != NULL)
		there++;
	for (unsigned i = 0; i < GROUPS_MAX; i++)
		count += world->group[i].state == GROUP_PRESENT;
	if (there != count)
		sim_fail(world, "%u groups, not %u", there, count);
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		const struct sim_volume *v = &world->volume[i];
		if (v->state != PRESENT)
			continue;
		const char *name = volume_group(v->volume);
		const char *mine = v->group != NULL ? v->group->name : NULL;
		if ((name == NULL) != (mine == NULL) ||
		    (name != NULL && strcmp(name, mine) != 0))
			sim_fail(world, "%s is in group %s, not %s", v->name,
			    name != NULL ? name : "(none)",
			    mine != NULL ? mine : "(none)");
	}
}

/* ---- snapshots ---- */

static bool
is_called(const struct sim_volume *s, const char *name)
{
	return strcmp(s->name, name) == 0 ||
	       (s->new_name[0] != '\0' && strcmp(s->new_name, name) == 0);
}

/* The volume's snapshots are mine, from the oldest to the newest. */
static void
verify_snapshots_of(struct world *world, struct sim_volume *volume)
{
	struct volume *found = NULL;
	struct volume_stat stat;
	uint64_t age = 0;

	while ((found = snapshot_next(volume->volume, found)) != NULL) {
		struct sim_volume *s = world->snapshots;
		volume_stat_get(found, &stat);
		while (s != NULL && (s->of != volume || s->state == ABSENT ||
					!is_called(s, stat.name)))
			s = s->next;
		if (s == NULL)
			sim_fail(world, "snapshot %s@%s should not be",
			    volume->name, stat.name);
		strcpy(s->name, stat.name);
		s->new_name[0] = '\0';
		if (s->state != CREATING && s->age < age)
			sim_fail(world, "snapshot %s is out of order", s->name);
		if (s->state != CREATING)
			age = s->age;
		family_found(world, s, found);
	}
}

static struct volume *
trash_find(struct world *world, const uuid_t uuid)
{
	struct volume *v = NULL;
	struct volume_stat stat;

	while ((v = trash_next(world->pool, v)) != NULL) {
		volume_stat_get(v, &stat);
		if (uuid_compare(stat.uuid, uuid) == 0)
			return v;
	}
	return NULL;
}

/* Is what was found or not found of a snapshot as it may be? */
static void
verify_snapshot(struct world *world, struct sim_volume *s)
{
	struct volume *trashed = trash_find(world, s->uuid);

	if (s->state == TRASHED && s->with_volume)
		return;
	if (s->state == DELETING && s->volume == NULL) {
		family_gone(world, s);
	} else if ((s->state == TRASHED || s->state == TRASHING) &&
		   trashed != NULL) {
		s->state = TRASHED;
		s->volume = trashed;
	} else if (s->volume == NULL || trashed != NULL) {
		sim_fail(world, "snapshot %s is lost", s->name);
	} else {
		if (s->state == TRASHED && world->control != CONTROL_RESTORE)
			sim_fail(world, "snapshot %s left the trash", s->name);
		s->state = PRESENT;
	}
}

static void
verify_hold(struct world *world, struct sim_volume *s)
{
	struct family_stat stat;

	family_stat_get(s->volume, &stat);
	if (s->hold_asked)
		s->hold = stat.hold;
	s->hold_asked = false;
	if (stat.hold != s->hold)
		sim_fail(world, "snapshot %s: held %d", s->name, stat.hold);
}

/* As it was, or as it was asked for. */
static void
verify_consistency(struct world *world, struct sim_volume *s)
{
	struct family_stat stat;

	family_stat_get(s->volume, &stat);
	if (stat.consistency == s->new_consistency)
		s->consistency = s->new_consistency;
	s->new_consistency = s->consistency;
	if (stat.consistency != s->consistency)
		sim_fail(world, "snapshot %s: consistency %d", s->name,
		    (int)stat.consistency);
}

/* All of a group snapshot, or nothing. */
static void
verify_new_snapshots(struct world *world)
{
	unsigned found = 0, missing = 0;

	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->state != CREATING)
			continue;
		found += s->volume != NULL;
		missing += s->volume == NULL;
	}
	if (found > 0 && missing > 0)
		sim_fail(world, "%u snapshots of a group of %u", found,
		    found + missing);
	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->state == CREATING && found == 0)
			s->state = ABSENT;
	if (found > 0)
		family_cut_made(world, world->control_started);
}

void
family_verify_volume(
    struct world *world, struct sim_volume *volume, struct volume *found)
{
	struct sim_volume *keep = world->rollback_keep;

	volume->volume = found;
	/* a flatten that was under way may have got to its end */
	if (world->control == CONTROL_FLATTEN &&
	    world->control_volume == volume && found->parent == NULL)
		family_cut_off(world, volume);
	if (world->control != CONTROL_ROLLBACK || keep == NULL ||
	    keep->of != volume)
		return;
	if (snapshot_find(found, keep->name) != NULL)
		family_rolled_back(world);
	else
		keep->state = ABSENT;
}

/* Volumes that are not among the volumes. */
static void
verify_trash(struct world *world)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *v = &world->volume[i];
		if (v->volume != NULL ||
		    (v->state != TRASHING && v->state != TRASHED))
			continue;
		v->volume = trash_find(world, v->uuid);
		if (v->volume == NULL)
			sim_fail(world, "%s is not in the trash", v->name);
		family_trashed(world, v);
	}
}

/* A group that was under way: the engine knows. */
static void
settle_groups(struct world *world)
{
	const char *name;

	for (unsigned g = 0; g < GROUPS_MAX; g++) {
		struct sim_group *group = &world->group[g];
		if (group->state == GROUP_ABSENT ||
		    group->state == GROUP_PRESENT)
			continue;
		group->state = GROUP_ABSENT;
		for (unsigned i = 0; (name = group_name(world->pool, i)); i++)
			if (strcmp(name, group->name) == 0)
				group->state = GROUP_PRESENT;
	}
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *v = &world->volume[i];
		name = v->state == PRESENT ? volume_group(v->volume) : NULL;
		if (name != NULL && v->group_asked != NULL &&
		    strcmp(v->group_asked->name, name) == 0)
			v->group = v->group_asked;
		else if (name == NULL && v->group_asked == NULL)
			v->group = NULL;
		if (v->group != NULL && v->group->state != GROUP_PRESENT)
			v->group = NULL;
		v->group_asked = v->group;
	}
}

void
family_verify(struct world *world)
{
	verify_trash(world);
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT)
			verify_snapshots_of(world, &world->volume[i]);
	verify_new_snapshots(world);
	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->state != ABSENT)
			verify_snapshot(world, s);
		if (s->state != PRESENT)
			continue;
		verify_hold(world, s);
		verify_consistency(world, s);
	}
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT)
			family_marks_verify(world, &world->volume[i]);
	settle_groups(world);
	family_groups_verify(world);
	world->rollback_to = world->rollback_keep = NULL;
	world->diff = NULL;
}
