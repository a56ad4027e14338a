/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that make, change and end versions.  Each is one group of records:
 * applied in one turn of the loop, and done when the log has it.
 *
 * A snapshot is a cut: records before it are in it, those behind it are not.
 * Writes in place that were submitted before the cut and have not ended write
 * into blocks that the snapshot now has too; it is reported when they have
 * ended, and so is what they wrote.  I/O never waits for a cut.
 */
#include "snapshot/family.h"
#include "snapshot/engine.h"
#include "snapshot/reserve.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION_CREDITS 4u /* pages of the table that one version may dirty */

/* ---- records ---- */

/* The bytes of a new version's record that SET may set. */
struct identity {
	uuid_t uuid;
	char name[FMT_NAME];
	uint32_t flags;
	uint64_t group;
};

static void
group_set(
    struct pool *pool, uint32_t id, unsigned offset, uint64_t a, uint64_t b)
{
	struct fmt_record *record = group_add(pool, FMT_SET, NULL, a, b);

	le32_set(&record->volume, id);
	le16_set(&record->mask, (uint16_t)offset);
}

static void
group_set_name(struct pool *pool, uint32_t id, const char name[FMT_NAME])
{
	for (unsigned i = 0; i < FMT_NAME; i += 16)
		group_set(pool, id, offsetof(struct fmt_version, name) + i,
		    load_le64(name + i), load_le64(name + i + 8));
}

static void
group_set_flags(struct pool *pool, const struct volume *volume, uint32_t flags,
    uint64_t deleted_unix)
{
	group_set(pool, volume->id, offsetof(struct fmt_version, deleted_unix),
	    deleted_unix, volume->bookmark_epoch | (uint64_t)flags << 32);
}

static void
group_set_identity(struct pool *pool, uint32_t id, const struct identity *new)
{
	group_set(pool, id, offsetof(struct fmt_version, uuid),
	    load_le64(new->uuid), load_le64(new->uuid + 8));
	group_set(pool, id, offsetof(struct fmt_version, group), new->group,
	    (uint64_t)time(NULL));
	group_set(pool, id, offsetof(struct fmt_version, deleted_unix), 0,
	    (uint64_t) new->flags << 32);
	group_set_name(pool, id, new->name);
}

/* The numbers on the disk are those of enum consistency. */
static uint32_t
consistency_flags(enum consistency consistency)
{
	static_assert((uint32_t)CONSISTENCY_COUNT == FMT_CONSISTENCY_COUNT);
	assert(consistency < CONSISTENCY_COUNT);
	return (uint32_t)consistency << FMT_VERSION_CONSISTENCY_SHIFT;
}

/* ---- ids and slots ---- */

/* Slots for count new versions, their pages in memory: 0, -EAGAIN, error. */
static int
slots_find(struct operation *op, uint32_t *slots, unsigned count)
{
	struct pool *pool = op->pool;
	uint32_t slot = pool->slot_hint;

	if (pool->next_version + count > UINT32_MAX) {
		operation_problem(op, "no more version numbers");
		return -ENOSPC;
	}
	for (unsigned found = 0; found < count; slot++) {
		struct page *page;
		int result;
		if (slot < pool->slot_count && pool->slots[slot] != NULL) {
			if (slot == pool->slot_hint)
				pool->slot_hint++;
			continue;
		}
		if (slot >= FMT_VERSIONS_MAX) {
			operation_problem(op, "no more versions");
			return -ENOSPC;
		}
		result = version_page_get(pool, slot, &op->waiter, &page);
		if (result < 0)
			return result;
		slots[found++] = slot;
	}
	return 0;
}

static uint64_t
id_and_slot(uint64_t id, uint32_t slot)
{
	return id | (uint64_t)slot << 32;
}

/* Room for the records of count versions. */
static int
versions_room(struct operation *op, unsigned count)
{
	struct pool *pool = op->pool;
	uint64_t pages = 8 + (uint64_t)count * VERSION_CREDITS;
	int result;

	result = space_meta_room(pool, pages, false, &op->waiter);
	if (result == -ENOSPC)
		operation_problem(op, "no space for its record");
	if (result < 0)
		return result;
	result = pool_room(pool, 8 + count, &op->waiter);
	return result == -ENOSPC ? -ENOSPC : result;
}

/* Room for what volumes with reservations have to be able to write over once
 * a snapshot has all that is theirs. */
static int
reserve_room(
    struct operation *op, struct volume *const *volumes, unsigned count)
{
	return limits_room(op,
	    reserve_lacks_for_snapshot(op->pool, volumes, count),
	    "what a snapshot adds to a reservation");
}

/* Pools that have snapshots say so before their log does: the bit must be
 * durable before the first record is. */
static bool
feature_needed(struct pool *pool)
{
	if (pool->ro_compat & FMT_RO_COMPAT_SNAPSHOTS)
		return false;
	pool->ro_compat |= FMT_RO_COMPAT_SNAPSHOTS;
	pool->needs_write = true;
	return true;
}

static int
committed(struct operation *op)
{
	op->request->volume = op->volume;
	return OP_DONE;
}

/* ---- snapshots ---- */

struct snapping {
	struct volume *volume[SNAPSHOT_VOLUMES_MAX];
	uint32_t slot[SNAPSHOT_VOLUMES_MAX];
	unsigned count;
	struct identity identity;
};

static int
snapshot_check(struct operation *op)
{
	struct snapping *s = op->detail;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (s->count == 0 || s->count > SNAPSHOT_VOLUMES_MAX) {
		operation_problem(
		    op, "not 1 to %u volumes", (unsigned)SNAPSHOT_VOLUMES_MAX);
		return -EINVAL;
	}
	for (unsigned i = 0; i < s->count; i++) {
		struct volume *volume = s->volume[i];
		if (volume->state != FMT_VERSION_HEAD) {
			operation_problem(op, "%s is no volume", volume->name);
			return -EINVAL;
		}
		if (volume->flags & FMT_VERSION_ERASING) {
			operation_problem(
			    op, "%s is being sanitized", volume->name);
			return -EBUSY;
		}
		if (!version_name_free(op->pool, volume, s->identity.name)) {
			operation_problem(op, "%s/%s@%s exists", op->pool->name,
			    volume->name, s->identity.name);
			return -EEXIST;
		}
	}
	return 0;
}

/* Writes that the cut found under way have ended. */
static int
snapshot_drained(struct operation *op)
{
	struct snapping *s = op->detail;

	for (unsigned i = 0; i < s->count; i++) {
		if (volume_cut_drained(s->volume[i]) ||
		    engine_breaks.cut_no_drain)
			continue;
		list_add_tail(&s->volume[i]->barrier.waiting, &op->waiter.link);
		return -EAGAIN;
	}
	return operation_commit(op, committed);
}

static void
snapshot_records(struct pool *pool, struct volume *volume, uint32_t slot,
    struct identity *identity)
{
	uint32_t id = (uint32_t)pool->next_version++;

	group_add(pool, FMT_SNAP, volume, id_and_slot(id, slot), 0);
	if (uuid_is_null(identity->uuid))
		uuid_generate_random(identity->uuid);
	group_set_identity(pool, id, identity);
	uuid_clear(identity->uuid);
}

static uint64_t
time_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* For people only: nothing depends on it. */
static void
cut_count(struct pool *pool, uint64_t began)
{
	struct pool_stat *counters = &pool->counters;

	counters->cuts++;
	counters->cut_ns = time_ns() - began;
	if (counters->cut_ns > counters->cut_ns_max)
		counters->cut_ns_max = counters->cut_ns;
}

static int
snapshot_cut(struct operation *op)
{
	struct snapping *s = op->detail;
	struct pool *pool = op->pool;
	uint64_t began = time_ns();
	int result = versions_room(op, s->count);

	if (result == 0)
		result = reserve_room(op, s->volume, s->count);
	if (result == 0)
		result = slots_find(op, s->slot, s->count);
	if (result < 0)
		return result;
	group_begin(pool);
	for (unsigned i = 0; i < s->count; i++) {
		s->identity.group = s->volume[i]->group;
		snapshot_records(pool, s->volume[i], s->slot[i], &s->identity);
	}
	group_add(pool, FMT_GROUP, NULL, pool->epoch + 1ull, 0);
	group_record(pool);
	if (pool->state != POOL_ONLINE)
		return -EIO;
	for (unsigned i = 0; i < s->count; i++)
		s->volume[i]->cut = barrier_ask(&s->volume[i]->barrier);
	cut_count(pool, began);
	op->volume = s->volume[0]->parent;
	op->run = snapshot_drained;
	return 0;
}

static int
snapshot_run(struct operation *op)
{
	int result = snapshot_check(op);

	if (result < 0)
		return result;
	if (op->pool->epoch == UINT32_MAX) {
		operation_problem(op, "the pool has had all its snapshots");
		return -ENOSPC;
	}
	if (feature_needed(op->pool))
		return operation_checkpoint(op, snapshot_cut);
	op->run = snapshot_cut;
	return 0;
}

void
snapshot_create(struct pool *pool, struct volume *const *volumes,
    unsigned count, const struct snapshot_params *params,
    struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, snapshot_run, NULL, params->name);
	struct snapping *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	op->detail = s;
	op->cleanup = operation_free_detail;
	s->count = count;
	for (unsigned i = 0; i < count && i < SNAPSHOT_VOLUMES_MAX; i++)
		s->volume[i] = volumes[i];
	memcpy(s->identity.name, op->name, sizeof(op->name));
	if (count == 1)
		uuid_copy(s->identity.uuid, params->uuid);
	s->identity.flags = consistency_flags(params->consistency) |
			    (params->hold ? FMT_VERSION_HOLD : 0);
	operation_queue(pool, op);
}

/* ---- clones ---- */

static int
clone_check(struct operation *op)
{
	struct volume *snapshot = op->other;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (op->params.size == 0)
		op->params.size = snapshot->size;
	if (snapshot->state != FMT_VERSION_SNAP) {
		operation_problem(op, "%s is no snapshot", snapshot->name);
		return -EINVAL;
	}
	if (op->params.size < snapshot->size ||
	    op->params.size % FMT_BLOCK != 0) {
		operation_problem(op,
		    "the size is no multiple of 4 KiB or less than the"
		    " snapshot's");
		return -EINVAL;
	}
	if (op->params.size > FMT_VOLUME_MAX) {
		operation_problem(op, "the size is over 232 TiB");
		return -E2BIG;
	}
	if (!version_name_free(op->pool, NULL, op->name)) {
		operation_problem(op, "%s/%s exists", op->pool->name, op->name);
		return -EEXIST;
	}
	return 0;
}

static int
clone_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct identity identity = {.flags = 0};
	uint32_t id;
	int result = clone_check(op);

	if (result == 0)
		result = versions_room(op, 2);
	if (result == 0)
		result = slots_find(op, &op->slot, 1);
	if (result < 0)
		return result;
	id = (uint32_t)pool->next_version++;
	uuid_copy(identity.uuid, op->params.uuid);
	memcpy(identity.name, op->name, sizeof(identity.name));
	group_begin(pool);
	group_add(pool, FMT_CLONE, op->other, id_and_slot(id, op->slot), 0);
	group_set_identity(pool, id, &identity);
	if (op->params.size > op->other->size)
		le32_set(&group_add(pool, FMT_RESIZE, NULL, op->params.size, 0)
			      ->volume,
		    id);
	group_record(pool);
	if (pool->state != POOL_ONLINE)
		return -EIO;
	op->volume = volume_by_id(pool, id);
	return operation_commit(op, committed);
}

void
volume_clone(struct pool *pool, struct volume *snapshot,
    const struct volume_params *params, struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, clone_run, NULL, params->name);

	op->params = *params;
	op->other = snapshot;
	if (uuid_is_null(op->params.uuid))
		uuid_generate_random(op->params.uuid);
	operation_queue(pool, op);
}

/* ---- rollback ---- */

static int
rollback_check(struct operation *op)
{
	struct volume *volume = op->volume, *to = op->other;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (volume->state != FMT_VERSION_HEAD ||
	    to->state != FMT_VERSION_SNAP ||
	    to->map.family != volume->map.family) {
		operation_problem(op, "%s is no snapshot of %s's family",
		    to->name, volume->name);
		return -EINVAL;
	}
	if (!version_name_free(op->pool, volume, op->name)) {
		operation_problem(op, "%s/%s@%s exists", op->pool->name,
		    volume->name, op->name);
		return -EEXIST;
	}
	if (volume_io_past(volume, 0)) {
		operation_problem(op, "I/O is in flight");
		return -EBUSY;
	}
	return 0;
}

static int
rollback_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct volume *volume = op->volume;
	struct identity identity = {.group = volume->group};
	int result = rollback_check(op);

	if (result == 0)
		result = versions_room(op, 2);
	if (result == 0)
		result = reserve_room(op, &volume, 1);
	if (result == 0)
		result = slots_find(op, &op->slot, 1);
	if (result < 0)
		return result;
	memcpy(identity.name, op->name, sizeof(identity.name));
	group_begin(pool);
	snapshot_records(pool, volume, op->slot, &identity);
	group_add(pool, FMT_GROUP, NULL, pool->epoch + 1ull, 0);
	group_add(pool, FMT_ROLLBACK, volume, op->other->id, 0);
	group_record(pool);
	return pool->state != POOL_ONLINE ? -EIO
					  : operation_commit(op, committed);
}

void
volume_rollback(struct pool *pool, struct volume *volume,
    struct volume *snapshot, const char *keep_name,
    struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, rollback_run, volume, keep_name);

	op->other = snapshot;
	operation_queue(pool, op);
}

/* ---- deletion ---- */

static int
delete_check_one(struct operation *op, const struct volume *volume)
{
	if (volume->flags & FMT_VERSION_HOLD) {
		operation_problem(op, "%s is held", volume->bs.name);
		return -EPERM;
	}
	if (volume->open || volume->users > 0) {
		operation_problem(op, "%s is %s", volume->bs.name,
		    volume->open ? "open" : "being compared");
		return -EBUSY;
	}
	return 0;
}

/* A volume goes with its snapshots. */
static int
delete_check(struct operation *op)
{
	struct volume *snapshot;
	int result = operation_check(op);

	if (result == 0)
		result = delete_check_one(op, op->volume);
	list_for_each (snapshot, &op->volume->snapshots, link)
		if (result == 0)
			result = delete_check_one(op, snapshot);
	return result;
}

static int
delete_done(struct operation *op)
{
	op->request->volume = NULL;
	delete_jobs_start(op->pool);
	return OP_DONE;
}

static void
delete_record(struct pool *pool, struct volume *volume)
{
	group_begin(pool);
	group_add(pool, FMT_DELETE, volume, 0, 0);
	volume->dying_lsn = group_record(pool);
}

static int
delete_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct volume *volume = op->volume, *snapshot, *next;
	int result = delete_check(op);

	if (result == 0)
		result = rewriter_leave(pool, volume, &op->waiter);
	if (result == 0)
		result = pool_room(pool, 8, &op->waiter);
	if (result < 0)
		return result;
	if (volume->state == FMT_VERSION_HEAD)
		space_window_drop(pool, volume);
	list_for_each_safe (snapshot, next, &volume->snapshots, link)
		delete_record(pool, snapshot);
	list_for_each_safe (snapshot, next, &pool->trash, link)
		if (snapshot->origin == volume)
			delete_record(pool, snapshot);
	delete_record(pool, volume);
	return pool->state != POOL_ONLINE ? -EIO
					  : operation_commit(op, delete_done);
}

void
volume_delete(
    struct pool *pool, struct volume *volume, struct pool_request *request)
{
	operation_queue(pool, operation_on(request, delete_run, volume, NULL));
}

/* ---- flags: hold, consistency, trash ---- */

static int
flags_commit(struct operation *op, uint32_t flags, uint64_t deleted_unix)
{
	group_begin(op->pool);
	group_set_flags(op->pool, op->volume, flags, deleted_unix);
	group_record(op->pool);
	return operation_commit(op, committed);
}

static int
snapshot_flags(struct operation *op, uint32_t mask, uint32_t flags)
{
	const struct volume *volume = op->volume;
	int result = operation_check(op);

	if (result == 0 && volume->state != FMT_VERSION_SNAP) {
		operation_problem(op, "%s is no snapshot", volume->name);
		result = -EINVAL;
	}
	if (result == 0)
		result = pool_room(op->pool, 8, &op->waiter);
	if (result < 0)
		return result;
	return flags_commit(
	    op, (volume->flags & ~mask) | flags, volume->deleted_unix);
}

static int
hold_run(struct operation *op)
{
	return snapshot_flags(
	    op, FMT_VERSION_HOLD, op->flag ? FMT_VERSION_HOLD : 0);
}

static int
consistency_run(struct operation *op)
{
	return snapshot_flags(op, FMT_VERSION_CONSISTENCY,
	    consistency_flags((enum consistency)op->size));
}

void
snapshot_hold(struct pool *pool, struct volume *snapshot, bool hold,
    struct pool_request *request)
{
	struct operation *op = operation_on(request, hold_run, snapshot, NULL);

	op->flag = hold;
	operation_queue(pool, op);
}

void
snapshot_set_consistency(struct pool *pool, struct volume *snapshot,
    enum consistency consistency, struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, consistency_run, snapshot, NULL);

	op->size = consistency; /* which of them */
	operation_queue(pool, op);
}

/* Without a parent, children and bookmarks all that it maps is its own and is
 * overwritten where it is. */
static bool
is_alone(const struct volume *volume)
{
	return volume->state == FMT_VERSION_HEAD && volume->parent == NULL &&
	       list_empty(&volume->children) && volume->bookmark_epoch == 0 &&
	       volume->bookmark_held == 0;
}

static int
erasing_run(struct operation *op)
{
	struct volume *volume = op->volume;
	uint32_t flags =
	    volume->flags & ~(FMT_VERSION_ERASING | FMT_VERSION_EXITS);
	int result = operation_check(op);

	if (result == 0 && op->flag && !is_alone(volume)) {
		operation_problem(op,
		    "%s has snapshots, clones, an origin or bookmarks",
		    volume->name);
		return -EBUSY;
	}
	if (result == 0 && feature_needed(op->pool))
		return operation_checkpoint(op, erasing_run);
	if (result == 0)
		result = pool_room(op->pool, 8, &op->waiter);
	if (result < 0)
		return result;
	if (op->flag)
		flags |= (uint32_t)op->size; /* which of the two */
	return flags_commit(op, flags, volume->deleted_unix);
}

void
volume_set_erasing(struct pool *pool, struct volume *volume, bool erasing,
    bool exits, struct pool_request *request)
{
	struct operation *op = operation_on(request, erasing_run, volume, NULL);

	op->flag = erasing;
	op->size = FMT_VERSION_ERASING | (exits ? FMT_VERSION_EXITS : 0);
	operation_queue(pool, op);
}

bool
volume_is_erasing(const struct volume *volume, bool *ret_exits)
{
	*ret_exits = volume->flags & FMT_VERSION_EXITS;
	return volume->flags & FMT_VERSION_ERASING;
}

static int
trash_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct volume *volume = op->volume;
	int result = delete_check(op);

	if (result == 0 && volume->flags & FMT_VERSION_TRASHED) {
		operation_problem(op, "it is in the trash already");
		result = -EINVAL;
	}
	if (result == 0 && feature_needed(pool))
		return operation_checkpoint(op, trash_run);
	if (result == 0)
		result = pool_room(pool, 8, &op->waiter);
	if (result < 0)
		return result;
	if (volume->state == FMT_VERSION_HEAD)
		space_window_drop(pool, volume);
	return flags_commit(
	    op, volume->flags | FMT_VERSION_TRASHED, (uint64_t)time(NULL));
}

void
volume_trash(
    struct pool *pool, struct volume *volume, struct pool_request *request)
{
	operation_queue(pool, operation_on(request, trash_run, volume, NULL));
}

static int
restore_check(struct operation *op)
{
	struct volume *volume = op->volume;
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (!(volume->flags & FMT_VERSION_TRASHED)) {
		operation_problem(op, "it is not in the trash");
		return -EINVAL;
	}
	if (volume->state == FMT_VERSION_SNAP && volume->origin == NULL) {
		operation_problem(op, "its volume is gone");
		return -EINVAL;
	}
	if (!version_name_free(op->pool, volume->origin, op->name)) {
		operation_problem(op, "%s exists", op->name);
		return -EEXIST;
	}
	return 0;
}

static int
restore_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct volume *volume = op->volume;
	int result;

	if (op->name[0] == 0)
		memcpy(op->name, volume->name, sizeof(op->name));
	result = restore_check(op);
	if (result == 0)
		result = pool_room(pool, 8, &op->waiter);
	if (result < 0)
		return result;
	group_begin(pool);
	group_set_name(pool, volume->id, op->name);
	group_set_flags(pool, volume, volume->flags & ~FMT_VERSION_TRASHED, 0);
	group_record(pool);
	return operation_commit(op, committed);
}

void
volume_restore(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request)
{
	operation_queue(pool, operation_on(request, restore_run, volume, name));
}

/* ---- finding ---- */

struct volume *
snapshot_find(struct volume *volume, const char *name)
{
	struct volume *snapshot;

	list_for_each (snapshot, &volume->snapshots, link)
		if (strcmp(snapshot->name, name) == 0)
			return snapshot;
	return NULL;
}

static struct volume *
next_in(struct list *list, struct volume *volume)
{
	struct list *next = volume == NULL ? list->next : volume->link.next;

	return next == list ? NULL : list_entry(next, struct volume, link);
}

struct volume *
snapshot_next(struct volume *volume, struct volume *snapshot)
{
	return next_in(&volume->snapshots, snapshot);
}

struct volume *
trash_next(struct pool *pool, struct volume *volume)
{
	return next_in(&pool->trash, volume);
}

bool
volume_is_snapshot(const struct volume *volume)
{
	return volume->state == FMT_VERSION_SNAP;
}

struct volume *
snapshot_volume(const struct volume *snapshot)
{
	return snapshot->origin;
}

struct volume *
volume_parent(const struct volume *volume)
{
	struct volume *parent = volume->parent;

	return parent != NULL && parent->state == FMT_VERSION_SNAP ? parent
								   : NULL;
}
