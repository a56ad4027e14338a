/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is different when a request about snapshots has ended: who holds what
 * now, and who stands on whom.
 */
#include "snapshot/engine.h"
#include "tests/sim/family.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- snapshots ---- */

/* The engine shows it as it should be. */
void
family_found(
    struct world *world, struct sim_volume *snapshot, struct volume *found)
{
	const struct sim_volume *of = snapshot->of;
	struct volume_stat stat;

	if (found == NULL)
		sim_fail(world, "snapshot %s is not found", snapshot->name);
	volume_stat_get(found, &stat);
	if (!volume_is_snapshot(found))
		sim_fail(world, "%s is no snapshot", snapshot->name);
	if (of != NULL && snapshot_volume(found) != of->volume)
		sim_fail(
		    world, "snapshot %s is of another volume", snapshot->name);
	if (stat.size != snapshot->size)
		sim_fail(world,
		    "snapshot %s has %" PRIu64 " bytes, not %" PRIu64,
		    snapshot->name, stat.size, snapshot->size);
	if (!uuid_is_null(snapshot->uuid) &&
	    uuid_compare(snapshot->uuid, stat.uuid) != 0)
		sim_fail(world, "snapshot %s has another uuid", snapshot->name);
	memcpy(snapshot->uuid, stat.uuid, sizeof(uuid_t));
	snapshot->volume = found;
}

static void
snapshot_made(struct world *world, struct sim_volume *s, struct cut *cut)
{
	struct sim_volume *of = s->of;

	s->state = PRESENT;
	s->age = world->age;
	s->oracle = oracle_snapshot(of->oracle, cut);
	s->parent = of->parent;
	of->parent = s;
	of->cut_done = ++world->clock;
	world->tally->snapshots++;
}

void
family_cut_made(struct world *world, uint64_t called)
{
	struct cut *cut = cut_new(called);

	world->age++;
	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->state == CREATING)
			snapshot_made(world, s, cut);
}

void
done_snapshot(struct world *world, struct sim_volume *volume)
{
	struct sim_volume *first = NULL;

	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->state != CREATING)
			continue;
		if (s->of == volume)
			first = s;
		family_found(world, s, snapshot_find(s->of->volume, s->name));
		oracle_flushed(s->of->oracle, world->control_started);
	}
	if (first == NULL || first->volume != world->request.volume)
		sim_fail(world, "the request names another snapshot");
	family_cut_made(world, world->control_started);
	if (world->scenario->ordered)
		order_cut(world, first);
}

/* It stays as an ancestor, with what it held. */
void
family_gone(struct world *world, struct sim_volume *snapshot)
{
	(void)world;
	snapshot->state = ABSENT;
	snapshot->volume = NULL;
	snapshot->quiet = snapshot->hold_asked = false;
}

void
done_delete_snapshot(struct world *world, struct sim_volume *snapshot)
{
	if (snapshot->of != NULL &&
	    snapshot_find(snapshot->of->volume, snapshot->name) != NULL)
		sim_fail(world, "a deleted snapshot is found");
	family_gone(world, snapshot);
	world->tally->deletions++;
}

void
done_hold(struct world *world, struct sim_volume *snapshot)
{
	struct family_stat stat;

	snapshot->hold = !snapshot->hold;
	snapshot->hold_asked = false;
	family_stat_get(snapshot->volume, &stat);
	if (stat.hold != snapshot->hold)
		sim_fail(
		    world, "snapshot %s: held %d", snapshot->name, stat.hold);
}

void
done_consistency(struct world *world, struct sim_volume *snapshot)
{
	struct family_stat stat;

	snapshot->consistency = snapshot->new_consistency;
	family_stat_get(snapshot->volume, &stat);
	if (stat.consistency != snapshot->consistency)
		sim_fail(world, "snapshot %s: consistency %d", snapshot->name,
		    (int)stat.consistency);
}

/* All its snapshots go with it. */
void
family_volume_gone(struct world *world, struct sim_volume *volume)
{
	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->of != volume)
			continue;
		if (s->state != ABSENT &&
		    volume_find_uuid(world->pool, s->uuid) != NULL)
			sim_fail(world, "%s stays without its volume", s->name);
		family_gone(world, s);
		s->of = NULL;
	}
	while (volume->marks != NULL)
		family_mark_drop(&volume->marks);
	oracle_unref(volume->oracle);
	volume->oracle = NULL;
	volume->group = volume->group_asked = NULL;
}

/* ---- clones, rollback ---- */

void
done_clone(struct world *world, struct sim_volume *volume)
{
	volume->state = PRESENT;
	volume->volume = world->request.volume;
	volume->cut_done = ++world->clock;
	world->tally->clones++;
	if (volume_parent(volume->volume) != volume->parent->volume)
		sim_fail(world, "a clone stands on something else");
}

bool
family_has_own(const struct sim_volume *volume)
{
	const struct sim_volume *s = volume->parent;

	while (s != NULL && s->state == ABSENT)
		s = s->parent;
	return s != NULL && s->of == volume;
}

/* Does another's snapshot come before the first of its own that is not gone?
 * One that is gone may still be there, since others have descended from it. */
static bool
may_be_cut_off(const struct sim_volume *volume)
{
	const struct sim_volume *s = volume->parent;

	while (s != NULL && s->of == volume && s->state == ABSENT)
		s = s->parent;
	return s == NULL || s->of != volume;
}

/* What is left of its ancestors are its own snapshots. */
static bool
is_whole(const struct sim_volume *volume)
{
	for (const struct sim_volume *s = volume->parent; s; s = s->parent)
		if (s->state != ABSENT && s->of != volume)
			return false;
	return true;
}

void
family_cut_off(struct world *world, struct sim_volume *volume)
{
	if (!may_be_cut_off(volume))
		sim_fail(world, "%s has lost its snapshots", volume->name);
	volume->parent = NULL;
}

/* It was not refused: so it stands alone, or on its own snapshots only. */
void
done_flatten(struct world *world, struct sim_volume *volume)
{
	world->tally->flattened++;
	if (volume->volume->parent != NULL) {
		if (!is_whole(volume))
			sim_fail(
			    world, "%s is flat and has a parent", volume->name);
		return;
	}
	family_cut_off(world, volume);
}

/* A bookmark of what the volume does not descend from any more is void.  The
 * engine drops those newer than the snapshot; of others it must not give a
 * wrong difference. */
static void
rollback_marks(struct world *world, struct sim_volume *volume)
{
	const struct sim_volume *to = world->rollback_to;
	const struct sim_volume *common =
	    family_common(world->rollback_keep, to);

	for (struct sim_mark **at = &volume->marks; *at != NULL;) {
		struct sim_mark *mark = *at;
		if (mark->snapshot->age > to->age) {
			family_mark_drop(at);
			continue;
		}
		if (common == NULL || mark->snapshot->age > common->age)
			mark->doubtful = true;
		at = &mark->next;
	}
}

void
family_rolled_back(struct world *world)
{
	struct sim_volume *keep = world->rollback_keep;
	struct sim_volume *volume = keep->of, *to = world->rollback_to;

	family_cut_made(world, ++world->clock);
	rollback_marks(world, volume);
	oracle_unref(volume->oracle);
	volume->oracle = oracle_clone(to->oracle);
	volume->size = to->size;
	volume->parent = to;
	volume->cut_done = volume->cut_called = volume->last_unmap =
	    world->clock;
	volume->quiet = false;
	world->rollback_to = world->rollback_keep = NULL;
	world->tally->rollbacks++;
}

void
done_rollback(struct world *world, struct sim_volume *volume)
{
	struct sim_volume *keep = world->rollback_keep;

	family_found(world, keep, snapshot_find(volume->volume, keep->name));
	family_rolled_back(world);
	family_marks_verify(world, volume);
	if (volume->bs != NULL && volume->bs->size != volume->size)
		sim_fail(world, "an open volume did not roll its size back");
	if (volume_parent(volume->volume) != volume->parent->volume)
		sim_fail(world, "rolled back, but to something else");
}

/* ---- bookmarks ---- */

struct sim_mark **
family_mark_find(struct sim_volume *volume, const char *name)
{
	struct sim_mark **at = &volume->marks;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return *at != NULL ? at : NULL;
}

void
family_mark_drop(struct sim_mark **at)
{
	struct sim_mark *mark = *at;

	*at = mark->next;
	oracle_unref(mark->oracle);
	free(mark);
}

void
done_mark(struct world *world, struct sim_volume *volume)
{
	family_marks_verify(world, volume);
	for (struct sim_mark *m = volume->marks; m != NULL; m = m->next)
		if (m->state != MARK_PRESENT)
			sim_fail(world, "bookmark %s is not found", m->name);
	world->tally->marks++;
}

void
done_unmark(struct world *world, struct sim_volume *volume)
{
	struct bookmark bookmark;

	for (struct sim_mark **at = &volume->marks; *at != NULL;)
		if ((*at)->state == MARK_DELETING)
			family_mark_drop(at);
		else
			at = &(*at)->next;
	for (unsigned i = 0; bookmark_get(volume->volume, i, &bookmark); i++)
		if (family_mark_find(volume, bookmark.name) == NULL)
			sim_fail(world, "deleted bookmark %s is there",
			    bookmark.name);
}

/* ---- trash ---- */

void
family_trashed(struct world *world, struct sim_volume *victim)
{
	victim->state = TRASHED;
	reserve_trashed(victim);
	victim->quiet = false;
	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->of != victim || s->state != PRESENT)
			continue;
		s->state = TRASHED;
		s->with_volume = true;
		s->quiet = false;
	}
}

void
done_trash(struct world *world, struct sim_volume *victim)
{
	family_trashed(world, victim);
	if (!victim->is_snapshot &&
	    volume_find(world->pool, victim->name) == victim->volume)
		sim_fail(world, "%s is in the trash and found", victim->name);
}

void
family_out_of_trash(struct world *world, struct sim_volume *victim)
{
	const char *group;

	victim->state = PRESENT;
	if (!victim->is_snapshot) {
		group = volume_group(victim->volume);
		for (unsigned i = 0; group != NULL && i < GROUPS_MAX; i++)
			if (strcmp(world->group[i].name, group) == 0)
				victim->group = &world->group[i];
		if (group == NULL)
			victim->group = NULL;
	}
	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->of != victim || !s->with_volume)
			continue;
		s->state = PRESENT;
		s->with_volume = false;
		family_found(world, s, snapshot_find(victim->volume, s->name));
	}
}

void
done_restore(struct world *world, struct sim_volume *victim)
{
	if (victim->new_name[0] != '\0')
		strcpy(victim->name, victim->new_name);
	victim->new_name[0] = '\0';
	family_out_of_trash(world, victim);
	if (!victim->is_snapshot &&
	    volume_find(world->pool, victim->name) != victim->volume)
		sim_fail(world, "%s is restored, not found", victim->name);
}

/* ---- groups ---- */

void
done_group(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	for (unsigned i = 0; i < GROUPS_MAX; i++) {
		struct sim_group *g = &world->group[i];
		if (g->state == GROUP_CREATING)
			g->state = GROUP_PRESENT;
		if (g->state == GROUP_DELETING)
			g->state = GROUP_ABSENT;
	}
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *v = &world->volume[i];
		if (v->group_asked != NULL || v->group != NULL)
			v->group = v->group_asked;
		if (v->group != NULL && v->group->state != GROUP_PRESENT)
			v->group = v->group_asked = NULL;
	}
	family_groups_verify(world);
}
