/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bookmarks and groups, which become durable by checkpoints.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A slot that is free, its page in memory: 0, -EAGAIN (queued), -ENOSPC. */
static int
slot_take(struct operation *op, struct table *table, uint32_t *ret_slot)
{
	uint32_t slot = 0;
	int result = pool_room(op->pool, 8, &op->waiter);

	if (result < 0)
		return result;
	while (slot < table->slots && table_used(table, slot))
		slot++;
	result = slot >= FMT_VERSIONS_MAX
		     ? -ENOSPC
		     : space_meta_room(op->pool, 4, false, &op->waiter);
	if (result == -ENOSPC)
		operation_problem(op, "no space for its record");
	if (result < 0)
		return result;
	*ret_slot = slot;
	return table_reach(table, slot + 1, &op->waiter);
}

/* ---- bookmarks ---- */

static struct table *
bookmarks_of(struct pool *pool)
{
	return &pool->table[TABLE_BOOKMARKS];
}

static bool
bookmark_is(const struct fmt_bookmark *mark, const struct volume *volume)
{
	return le64_get(&mark->volume) == volume->id;
}

/* Its newest bookmark decides what it may overwrite. */
static void
bookmark_epoch_set(struct volume *volume)
{
	struct table *table = bookmarks_of(volume->pool);
	uint32_t epoch = 0;

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_bookmark *mark = table_at(table, slot);
		if (bookmark_is(mark, volume) && le32_get(&mark->epoch) > epoch)
			epoch = le32_get(&mark->epoch);
	}
	if (volume->bookmark_epoch == epoch)
		return;
	volume->bookmark_epoch = epoch;
	volume->cuts++;
	volume_changed(volume);
}

void
bookmarks_drop(struct pool *pool, struct volume *volume, uint32_t epoch)
{
	struct table *table = bookmarks_of(pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_bookmark *mark = table_at(table, slot);
		if (bookmark_is(mark, volume) && le32_get(&mark->epoch) > epoch)
			table_drop(table, slot);
	}
	bookmark_epoch_set(volume);
}

bool
bookmark_marks(const struct volume *volume, uint32_t epoch)
{
	struct table *table = bookmarks_of(volume->pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_bookmark *mark = table_at(table, slot);
		if (bookmark_is(mark, volume) &&
		    le32_get(&mark->epoch) == epoch)
			return true;
	}
	return false;
}

static bool
bookmark_sane(const struct pool *pool, const struct fmt_bookmark *mark)
{
	return memchr(mark->name, 0, sizeof(mark->name)) != NULL &&
	       pool_name_valid(mark->name) && le32_get(&mark->epoch) != 0 &&
	       le32_get(&mark->epoch) < pool->epoch;
}

static bool
group_sane(const struct fmt_group *group)
{
	return memchr(group->name, 0, sizeof(group->name)) != NULL &&
	       pool_name_valid(group->name) && le64_get(&group->id) != 0;
}

int
marks_check(struct pool *pool)
{
	const struct table *bookmarks = bookmarks_of(pool);
	const struct table *groups = &pool->table[TABLE_GROUPS];

	for (uint32_t slot = 0; slot < bookmarks->slots; slot++)
		if (table_used(bookmarks, slot) &&
		    !bookmark_sane(pool, table_at(bookmarks, slot)))
			return -EBADMSG;
	for (uint32_t slot = 0; slot < groups->slots; slot++)
		if (table_used(groups, slot) &&
		    !group_sane(table_at(groups, slot)))
			return -EBADMSG;
	for (uint32_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i] != NULL &&
		    pool->slots[i]->state == FMT_VERSION_HEAD)
			bookmark_epoch_set(pool->slots[i]);
	return 0;
}

static bool
bookmark_find(const struct volume *volume, const char *name, uint32_t *ret_slot)
{
	struct table *table = bookmarks_of(volume->pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_bookmark *mark = table_at(table, slot);
		if (!bookmark_is(mark, volume) || strcmp(mark->name, name) != 0)
			continue;
		*ret_slot = slot;
		return true;
	}
	return false;
}

static int
bookmark_check(struct operation *op)
{
	const struct volume *at = op->volume->parent;
	uint32_t slot;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	while (at != NULL && at != op->other)
		at = at->parent;
	if (at == NULL || op->volume->state != FMT_VERSION_HEAD ||
	    at->state != FMT_VERSION_SNAP) {
		operation_problem(op, "%s is no snapshot in %s's line",
		    op->other->name, op->volume->name);
		return -EINVAL;
	}
	if (bookmark_find(op->volume, op->name, &slot)) {
		operation_problem(op, "%s/%s has a bookmark %s", op->pool->name,
		    op->volume->name, op->name);
		return -EEXIST;
	}
	return 0;
}

static int
bookmark_run(struct operation *op)
{
	struct table *table = bookmarks_of(op->pool);
	struct fmt_bookmark *mark;
	uint32_t slot;
	uuid_t uuid;
	int result = bookmark_check(op);

	if (result == 0)
		result = slot_take(op, table, &slot);
	if (result < 0)
		return result;
	uuid_generate_random(uuid);
	mark = table_take(table, slot);
	le64_set(&mark->volume, op->volume->id);
	le32_set(&mark->epoch, op->other->epoch);
	memcpy(mark->uuid, uuid, sizeof(mark->uuid));
	le64_set(&mark->created_unix, (uint64_t)time(NULL));
	memcpy(mark->name, op->name, sizeof(mark->name));
	bookmark_epoch_set(op->volume);
	return operation_checkpoint(op, operation_done);
}

void
bookmark_create(struct pool *pool, struct volume *volume,
    struct volume *snapshot, const char *name, struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, bookmark_run, volume, name);

	op->other = snapshot;
	operation_queue(pool, op);
}

static int
bookmark_deleted(struct operation *op)
{
	op->volume->bookmark_held = 0;
	return operation_done(op);
}

/* Its rules hold until it is durably gone: a cut may bring it back, and what
 * has been logged meanwhile must be right for it. */
static int
bookmark_delete_run(struct operation *op)
{
	uint32_t slot, held = op->volume->bookmark_epoch;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (!bookmark_find(op->volume, op->name, &slot)) {
		operation_problem(op, "%s/%s has no bookmark %s",
		    op->pool->name, op->volume->name, op->name);
		return -ENOENT;
	}
	table_drop(bookmarks_of(op->pool), slot);
	bookmark_epoch_set(op->volume);
	op->volume->bookmark_held = held;
	return operation_checkpoint(op, bookmark_deleted);
}

void
bookmark_delete(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request)
{
	operation_queue(
	    pool, operation_on(request, bookmark_delete_run, volume, name));
}

static void
bookmark_fill(const struct fmt_bookmark *mark, struct bookmark *ret_bookmark)
{
	memcpy(ret_bookmark->name, mark->name, sizeof(ret_bookmark->name));
	memcpy(ret_bookmark->uuid, mark->uuid, sizeof(ret_bookmark->uuid));
	ret_bookmark->epoch = le32_get(&mark->epoch);
	ret_bookmark->created_unix = le64_get(&mark->created_unix);
}

/* Bookmarks of the volume that come before this one. */
static unsigned
bookmark_rank(const struct volume *volume, uint32_t slot)
{
	struct table *table = bookmarks_of(volume->pool);
	const struct fmt_bookmark *self = table_at(table, slot);
	uint32_t epoch = le32_get(&self->epoch);
	unsigned rank = 0;

	for (uint32_t i = 0; i < table->slots; i++) {
		const struct fmt_bookmark *mark = table_at(table, i);
		if (bookmark_is(mark, volume) &&
		    (le32_get(&mark->epoch) < epoch ||
			(le32_get(&mark->epoch) == epoch && i < slot)))
			rank++;
	}
	return rank;
}

bool
bookmark_get(
    struct volume *volume, unsigned index, struct bookmark *ret_bookmark)
{
	struct table *table = bookmarks_of(volume->pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_bookmark *mark = table_at(table, slot);
		if (!bookmark_is(mark, volume) ||
		    bookmark_rank(volume, slot) != index)
			continue;
		bookmark_fill(mark, ret_bookmark);
		return true;
	}
	return false;
}

/* ---- groups ---- */

static struct table *
groups_of(struct pool *pool)
{
	return &pool->table[TABLE_GROUPS];
}

static const struct fmt_group *
group_find(struct pool *pool, const char *name, uint32_t *ret_slot)
{
	const struct table *table = groups_of(pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_group *group = table_at(table, slot);
		if (!table_used(table, slot) || strcmp(group->name, name) != 0)
			continue;
		if (ret_slot != NULL)
			*ret_slot = slot;
		return group;
	}
	return NULL;
}

struct grouping {
	struct volume *volume[SNAPSHOT_VOLUMES_MAX];
	unsigned count;
};

static int
group_check(struct operation *op)
{
	const struct grouping *g = op->detail;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (g->count > SNAPSHOT_VOLUMES_MAX) {
		operation_problem(
		    op, "more than %u volumes", (unsigned)SNAPSHOT_VOLUMES_MAX);
		return -EINVAL;
	}
	if (group_find(op->pool, op->name, NULL) != NULL) {
		operation_problem(op, "there is a group %s", op->name);
		return -EEXIST;
	}
	for (unsigned i = 0; i < g->count; i++)
		if (g->volume[i]->group != 0) {
			operation_problem(
			    op, "%s is in a group already", g->volume[i]->name);
			return -EBUSY;
		}
	return 0;
}

static int
group_run(struct operation *op)
{
	struct grouping *g = op->detail;
	struct pool *pool = op->pool;
	struct fmt_group *group;
	uint64_t id = pool->next_group;
	uint32_t slot;
	uuid_t uuid;
	int result = group_check(op);

	if (result == 0)
		result = slot_take(op, groups_of(pool), &slot);
	if (result < 0)
		return result;
	pool->next_group++;
	uuid_generate_random(uuid);
	group = table_take(groups_of(pool), slot);
	le64_set(&group->id, id);
	memcpy(group->uuid, uuid, sizeof(group->uuid));
	le64_set(&group->created_unix, (uint64_t)time(NULL));
	memcpy(group->name, op->name, sizeof(group->name));
	for (unsigned i = 0; i < g->count; i++) {
		g->volume[i]->group = id;
		volume_changed(g->volume[i]);
	}
	return operation_checkpoint(op, operation_done);
}

void
group_create(struct pool *pool, const char *name, struct volume *const *volumes,
    unsigned count, struct pool_request *request)
{
	struct operation *op = operation_on(request, group_run, NULL, name);
	struct grouping *g = calloc(1, sizeof(*g));

	assert(g != NULL);
	op->detail = g;
	op->cleanup = operation_free_detail;
	g->count = count;
	for (unsigned i = 0; i < count && i < SNAPSHOT_VOLUMES_MAX; i++)
		g->volume[i] = volumes[i];
	operation_queue(pool, op);
}

/* Takes all out of it whose group it is; what a snapshot was of stays said. */
static int
group_delete_run(struct operation *op)
{
	struct pool *pool = op->pool;
	const struct fmt_group *group;
	uint32_t slot;
	uint64_t id;
	int result = operation_check(op);

	if (result < 0)
		return result;
	group = group_find(pool, op->name, &slot);
	if (group == NULL) {
		operation_problem(op, "there is no group %s", op->name);
		return -ENOENT;
	}
	id = le64_get(&group->id);
	for (uint32_t i = 0; i < pool->slot_count; i++) {
		struct volume *volume = pool->slots[i];
		if (volume == NULL || volume->group != id)
			continue;
		volume->group = 0;
		volume_changed(volume);
	}
	table_drop(groups_of(pool), slot);
	return operation_checkpoint(op, operation_done);
}

void
group_delete(struct pool *pool, const char *name, struct pool_request *request)
{
	operation_queue(
	    pool, operation_on(request, group_delete_run, NULL, name));
}

static int
group_member_run(struct operation *op)
{
	struct volume *volume = op->volume;
	const struct fmt_group *group;
	uint64_t id;
	int result = operation_check(op);

	if (result < 0)
		return result;
	group = group_find(op->pool, op->name, NULL);
	if (group == NULL) {
		operation_problem(op, "there is no group %s", op->name);
		return -ENOENT;
	}
	id = le64_get(&group->id);
	if (op->flag && volume->group != 0 && volume->group != id) {
		operation_problem(op, "%s is in a group already", volume->name);
		return -EBUSY;
	}
	if (!op->flag && volume->group != id)
		return OP_DONE;
	volume->group = op->flag ? id : 0;
	volume_changed(volume);
	op->pool->needs_write = true;
	return operation_checkpoint(op, operation_done);
}

void
group_set_member(struct pool *pool, const char *name, struct volume *volume,
    bool member, struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, group_member_run, volume, name);

	op->flag = member;
	operation_queue(pool, op);
}

/* Groups whose name comes before this one's. */
static unsigned
group_rank(const struct table *table, const struct fmt_group *self)
{
	unsigned rank = 0;

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_group *group = table_at(table, slot);
		if (table_used(table, slot) &&
		    strcmp(group->name, self->name) < 0)
			rank++;
	}
	return rank;
}

const char *
group_name(struct pool *pool, unsigned index)
{
	const struct table *table = groups_of(pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_group *group = table_at(table, slot);
		if (table_used(table, slot) &&
		    group_rank(table, group) == index)
			return group->name;
	}
	return NULL;
}

const char *
volume_group(const struct volume *volume)
{
	const struct table *table = groups_of(volume->pool);

	for (uint32_t slot = 0; slot < table->slots; slot++) {
		const struct fmt_group *group = table_at(table, slot);
		if (volume->group != 0 && le64_get(&group->id) == volume->group)
			return group->name;
	}
	return NULL;
}
