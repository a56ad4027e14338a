/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Administrators with snapshots: they take them, of one volume or of several
 * at one instant, clone them, roll back to them, delete them in any order,
 * hold them, put things into the trash and take them out.  Here is what they
 * ask for; family_end.c knows what is different afterwards.
 */
#include "tests/sim/family.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MARKS_MAX 4u

/* ---- drawing ---- */

static unsigned
snapshots_count(const struct world *world)
{
	unsigned count = 0;

	for (const struct sim_volume *s = world->snapshots; s; s = s->next)
		count += s->state != ABSENT;
	return count;
}

/* One that can be read, of any volume if family is 0. */
struct sim_volume *
family_draw_snapshot(struct world *world, uint64_t family)
{
	struct sim_volume *choice = NULL;
	unsigned seen = 0;

	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->state == PRESENT &&
		    (family == 0 || s->family == family) &&
		    below(world, ++seen) == 0)
			choice = s;
	return choice;
}

/* ---- snapshots ---- */

static struct sim_volume *
snapshot_new(struct world *world, struct sim_volume *of, const char *name)
{
	struct sim_volume **end = &world->snapshots;
	struct sim_volume *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	*s = (struct sim_volume){
	    .serial = ++world->serial,
	    .state = CREATING,
	    .size = of->size,
	    .block_size = of->block_size,
	    .is_snapshot = true,
	    .family = of->family,
	    .moved = of->moved,
	    .cow_unit = of->cow_unit,
	    .of = of,
	};
	strcpy(s->name, name);
	while (*end != NULL)
		end = &(*end)->next;
	*end = s;
	of->cut_called = world->clock;
	return s;
}

struct sim_volume *
family_snapshot(struct world *world, struct sim_volume *const *volumes,
    unsigned count, bool hold)
{
	struct snapshot_params params = {.hold = hold};
	struct volume *engines[VOLUMES_MAX];
	struct sim_volume *first = NULL;
	char name[POOL_NAME_MAX + 1];

	control_begin(world,
	    count == 1 ? CONTROL_SNAPSHOT : CONTROL_GROUP_SNAPSHOT, volumes[0]);
	control_new_name(world, name);
	/* not drawn: seeds that are remembered stay what they were */
	params.consistency =
	    (enum consistency)(world->serial % CONSISTENCY_COUNT);
	for (unsigned i = 0; i < count; i++) {
		struct sim_volume *s = snapshot_new(world, volumes[i], name);
		s->hold = params.hold;
		s->consistency = s->new_consistency = params.consistency;
		engines[i] = volumes[i]->volume;
		if (first == NULL)
			first = s;
	}
	params.name = name;
	if (count == 1 && chance(world, 500)) {
		control_new_uuid(world, first->uuid);
		memcpy(params.uuid, first->uuid, sizeof(uuid_t));
	}
	snapshot_create(world->pool, engines, count, &params, &world->request);
	return first;
}

/* Asks for a name that is taken. */
static bool
snapshot_again(struct world *world, struct sim_volume *volume)
{
	struct snapshot_params params = {.name = NULL};

	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->of == volume && s->state == PRESENT)
			params.name = s->name;
	if (params.name == NULL)
		return false;
	control_begin(world, CONTROL_SNAPSHOT, volume);
	world->control_refusal = -EEXIST;
	snapshot_create(
	    world->pool, &volume->volume, 1, &params, &world->request);
	return true;
}

bool
start_snapshot(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL)
		return false;
	if (chance(world, 30))
		return snapshot_again(world, volume);
	if (snapshots_count(world) >= world->scenario->snapshots)
		return false;
	family_snapshot(world, &volume, 1, chance(world, 50));
	return true;
}

bool
start_group_snapshot(struct world *world)
{
	struct sim_volume *volumes[VOLUMES_MAX];
	unsigned count = 0, skip = 0;

	if (!world->scenario->ordered)
		skip = 300;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *v = &world->volume[i];
		if (v->state == PRESENT && !v->ballast && !chance(world, skip))
			volumes[count++] = v;
	}
	if (count == 0 ||
	    snapshots_count(world) + count > world->scenario->snapshots)
		return false;
	family_snapshot(world, volumes, count, chance(world, 50));
	return true;
}

void
family_delete_snapshot(struct world *world, struct sim_volume *snapshot)
{
	control_begin(world, CONTROL_DELETE_SNAPSHOT, snapshot);
	world->control_refusal = snapshot->hold ? -EPERM : 0;
	snapshot->quiet = true;
}

bool
start_delete_snapshot(struct world *world)
{
	struct sim_volume *snapshot = family_draw_snapshot(world, 0);

	if (snapshot == NULL || (snapshot->hold && chance(world, 700)))
		return false;
	family_delete_snapshot(world, snapshot);
	return true;
}

void
delete_snapshot_now(struct world *world, struct sim_volume *snapshot)
{
	snapshot->state = DELETING;
	volume_delete(world->pool, snapshot->volume, &world->request);
}

bool
start_hold(struct world *world)
{
	struct sim_volume *snapshot = family_draw_snapshot(world, 0);

	if (snapshot == NULL)
		return false;
	control_begin(world, CONTROL_HOLD, snapshot);
	snapshot->hold_asked = true;
	snapshot_hold(
	    world->pool, snapshot->volume, !snapshot->hold, &world->request);
	return true;
}

bool
start_consistency(struct world *world)
{
	struct sim_volume *snapshot = family_draw_snapshot(world, 0);

	if (snapshot == NULL)
		return false;
	control_begin(world, CONTROL_CONSISTENCY, snapshot);
	snapshot->new_consistency =
	    (enum consistency)((snapshot->consistency + 1) % CONSISTENCY_COUNT);
	snapshot_set_consistency(world->pool, snapshot->volume,
	    snapshot->new_consistency, &world->request);
	return true;
}

/* ---- clones, rollback ---- */

struct sim_volume *
family_clone(struct world *world, struct sim_volume *snapshot)
{
	struct sim_volume *volume = control_absent(world);
	struct volume_params params = {.size = 0};

	if (volume == NULL)
		return NULL;
	*volume = (struct sim_volume){
	    .state = CREATING,
	    .size = snapshot->size,
	    .block_size = snapshot->block_size,
	    .oracle = oracle_clone(snapshot->oracle),
	    .family = snapshot->family,
	    .moved = snapshot->moved,
	    .cow_unit = snapshot->cow_unit,
	    .parent = snapshot,
	    /* so too when power goes before it is said to be done */
	    .cut_called = world->clock,
	    .cut_done = world->clock,
	};
	if (chance(world, 300))
		params.size = volume->size += 4096 * below(world, 64);
	control_new_name(world, volume->name);
	volume->serial = world->serial;
	control_new_uuid(world, volume->uuid);
	params.name = volume->name;
	memcpy(params.uuid, volume->uuid, sizeof(uuid_t));
	control_begin(world, CONTROL_CLONE, volume);
	volume_clone(world->pool, snapshot->volume, &params, &world->request);
	return volume;
}

bool
start_clone(struct world *world)
{
	struct sim_volume *snapshot = family_draw_snapshot(world, 0);

	return snapshot != NULL && family_clone(world, snapshot) != NULL;
}

/* Hosts go on meanwhile. */
bool
start_flatten(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world), *v = NULL;

	if (volume == NULL || (volume->parent == NULL && !chance(world, 100)))
		return false;
	while ((v = version_next(world, v)) != NULL)
		if (v->family == volume->family)
			v->moved = true;
	control_begin(world, CONTROL_FLATTEN, volume);
	volume_flatten(world->pool, volume->volume, &world->request);
	return true;
}

/* The request follows when the volume is at rest. */
void
family_rollback(
    struct world *world, struct sim_volume *volume, struct sim_volume *snapshot)
{
	control_begin(world, CONTROL_ROLLBACK, volume);
	world->rollback_to = snapshot;
	world->rollback_keep = NULL;
	volume->quiet = true;
}

bool
start_rollback(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world), *snapshot;

	if (volume == NULL)
		return false;
	snapshot = family_draw_snapshot(world, volume->family);
	if (snapshot == NULL ||
	    snapshots_count(world) >= world->scenario->snapshots)
		return false;
	family_rollback(world, volume, snapshot);
	return true;
}

void
rollback_now(struct world *world, struct sim_volume *volume)
{
	char name[POOL_NAME_MAX + 1];

	control_new_name(world, name);
	world->rollback_keep = snapshot_new(world, volume, name);
	volume_rollback(world->pool, volume->volume, world->rollback_to->volume,
	    name, &world->request);
}

/* ---- bookmarks ---- */

bool
family_descends(
    const struct sim_volume *version, const struct sim_volume *snapshot)
{
	for (; version != NULL; version = version->parent)
		if (version == snapshot)
			return true;
	return false;
}

const struct sim_volume *
family_common(const struct sim_volume *a, const struct sim_volume *b)
{
	while (a != NULL && !family_descends(b, a))
		a = a->parent;
	return a;
}

static unsigned
marks_count(const struct sim_volume *volume)
{
	unsigned count = 0;

	for (const struct sim_mark *m = volume->marks; m != NULL; m = m->next)
		count++;
	return count;
}

void
family_mark(
    struct world *world, struct sim_volume *volume, struct sim_volume *snapshot)
{
	struct sim_mark *mark = calloc(1, sizeof(*mark));
	struct sim_mark **end = &volume->marks;

	assert(mark != NULL);
	control_begin(world, CONTROL_MARK, volume);
	control_new_name(world, mark->name);
	mark->snapshot = snapshot;
	mark->oracle = oracle_ref(snapshot->oracle);
	mark->size = snapshot->size;
	while (*end != NULL)
		end = &(*end)->next;
	*end = mark;
	bookmark_create(world->pool, volume->volume, snapshot->volume,
	    mark->name, &world->request);
}

bool
start_mark(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world), *snapshot;

	if (volume == NULL || marks_count(volume) >= MARKS_MAX)
		return false;
	snapshot = family_draw_snapshot(world, volume->family);
	if (chance(world, 500)) /* the usual one */
		snapshot = volume->parent;
	if (snapshot == NULL || snapshot->state != PRESENT)
		return false;
	if (family_descends(volume, snapshot)) {
		family_mark(world, volume, snapshot);
		return true;
	}
	control_begin(world, CONTROL_MARK, volume);
	world->control_refusal = -EINVAL;
	bookmark_create(world->pool, volume->volume, snapshot->volume,
	    "no-ancestor", &world->request);
	return true;
}

bool
start_unmark(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);
	struct sim_mark *choice = NULL;
	unsigned seen = 0;

	if (volume == NULL)
		return false;
	for (struct sim_mark *m = volume->marks; m != NULL; m = m->next)
		if (below(world, ++seen) == 0)
			choice = m;
	control_begin(world, CONTROL_UNMARK, volume);
	world->control_refusal = choice == NULL ? -ENOENT : 0;
	if (choice != NULL)
		choice->state = MARK_DELETING;
	bookmark_delete(world->pool, volume->volume,
	    choice != NULL ? choice->name : "nothing", &world->request);
	return true;
}

/* ---- trash ---- */

/* Nothing of it is held or in the trash already. */
static bool
may_trash(const struct world *world, const struct sim_volume *volume)
{
	for (const struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->of == volume && (s->hold || s->state == TRASHED))
			return false;
	return !volume->hold;
}

bool
start_trash(struct world *world)
{
	struct sim_volume *victim = chance(world, 500)
					? control_draw_volume(world)
					: family_draw_snapshot(world, 0);

	if (victim == NULL || !may_trash(world, victim))
		return false;
	control_begin(world, CONTROL_TRASH, victim);
	victim->quiet = true;
	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->of == victim && s->state == PRESENT)
			s->quiet = true;
	return true;
}

void
trash_now(struct world *world, struct sim_volume *victim)
{
	victim->state = TRASHING;
	volume_trash(world->pool, victim->volume, &world->request);
}

void
family_restore(struct world *world, struct sim_volume *victim)
{
	bool rename = chance(world, 300);

	control_begin(world, CONTROL_RESTORE, victim);
	victim->new_name[0] = '\0';
	if (rename)
		control_new_name(world, victim->new_name);
	volume_restore(world->pool, victim->volume,
	    rename ? victim->new_name : NULL, &world->request);
}

bool
start_restore(struct world *world)
{
	struct sim_volume *v = NULL, *choice = NULL;
	unsigned seen = 0;

	while ((v = version_next(world, v)) != NULL)
		if (v->state == TRASHED && !v->with_volume &&
		    below(world, ++seen) == 0)
			choice = v;
	if (choice != NULL)
		family_restore(world, choice);
	return choice != NULL;
}

/* ---- groups ---- */

static bool
start_group_create(struct world *world, struct sim_group *group)
{
	struct sim_volume *members[VOLUMES_MAX];
	struct volume *volumes[VOLUMES_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *v = &world->volume[i];
		if (v->state == PRESENT && v->group == NULL &&
		    chance(world, 600))
			members[count++] = v;
	}
	if (count == 0)
		return false;
	control_begin(world, CONTROL_GROUP, NULL);
	control_new_name(world, group->name);
	group->state = GROUP_CREATING;
	for (unsigned i = 0; i < count; i++) {
		members[i]->group_asked = group;
		volumes[i] = members[i]->volume;
	}
	group_create(world->pool, group->name, volumes, count, &world->request);
	return true;
}

static bool
start_group_member(struct world *world, struct sim_group *group)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL)
		return false;
	control_begin(world, CONTROL_GROUP, volume);
	if (volume->group != NULL && volume->group != group)
		world->control_refusal = -EBUSY;
	else
		volume->group_asked = volume->group == group ? NULL : group;
	group_set_member(world->pool, group->name, volume->volume,
	    volume->group != group, &world->request);
	return true;
}

bool
start_group(struct world *world)
{
	struct sim_group *group = &world->group[below(world, GROUPS_MAX)];

	if (group->state == GROUP_ABSENT)
		return start_group_create(world, group);
	if (chance(world, 700))
		return start_group_member(world, group);
	control_begin(world, CONTROL_GROUP, NULL);
	group->state = GROUP_DELETING;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].group == group)
			world->volume[i].group_asked = NULL;
	group_delete(world->pool, group->name, &world->request);
	return true;
}
