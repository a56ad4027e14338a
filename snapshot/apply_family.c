/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the records that change versions mean, and not what is in their maps:
 * SNAP, GROUP, CLONE, ROLLBACK, OWN, ORPHAN, SET, DELETE, DELSTEP.  All of them
 * cost the same whatever the size of the volumes, but for DELSTEP, which gives
 * up the pages of a range.
 */
#include "snapshot/engine.h"
#include "snapshot/reserve.h"
#include <string.h>

struct family_record {
	uint16_t mask;
	uint64_t a, b;
	struct volume *volume;
};

static struct family_record
family_record_parse(struct pool *pool, const struct fmt_record *from)
{
	return (struct family_record){
	    .mask = le16_get(&from->mask),
	    .a = le64_get(&from->a),
	    .b = le64_get(&from->b),
	    .volume = volume_by_id(pool, le32_get(&from->volume)),
	};
}

/* ---- a new version: SNAP, CLONE ---- */

static uint32_t
new_id(const struct family_record *r)
{
	return (uint32_t)r->a;
}

static uint32_t
new_slot(const struct family_record *r)
{
	return (uint32_t)(r->a >> 32);
}

/* Slot and id are as they were given when the record was made; what comes
 * between, in the log, cannot have taken them. */
static int
new_prepare(struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	struct page *page;

	if (r->volume == NULL || new_id(r) == 0 ||
	    new_slot(r) >= FMT_VERSIONS_MAX)
		return -EBADMSG;
	return version_page_get(pool, new_slot(r), waiter, &page);
}

static struct page *
new_page(struct pool *pool, const struct family_record *r)
{
	struct page *page = page_find(
	    &pool->versions, 0, new_slot(r) / FMT_PAGE_VERSIONS_COUNT);

	assert(page != NULL);
	assert(page->loaded);
	return page;
}

/* A version like `like`, in the table and in memory; a SNAP or a HEAD. */
static struct volume *
version_like(struct pool *pool, const struct family_record *r,
    struct volume *like, enum fmt_version_state state, uint64_t origin)
{
	struct page *page = new_page(pool, r);
	struct fmt_version *record;
	struct volume *volume;

	if (pool->slots[new_slot(r)] != NULL ||
	    volume_by_id(pool, new_id(r)) != NULL)
		return NULL;
	page_dirty(page);
	record = &((struct fmt_version_page *)(void *)page->data)
		      ->version[new_slot(r) % FMT_PAGE_VERSIONS_COUNT];
	memset(record, 0, sizeof(*record));
	le64_set(&record->id, new_id(r));
	le64_set(&record->family, like->map.family);
	le64_set(&record->origin, origin);
	record->state = (uint8_t)state;
	record->block_shift = (uint8_t)__builtin_ctz(like->bs.block_size);
	record->cow_shift = like->cow_shift;
	record->levels = like->map.levels;
	record->root = like->map.root;
	le64_set(&record->size, like->size);
	le64_set(&record->live_blocks, like->live_blocks);
	le64_set(&record->held_blocks, like->held_blocks);
	le64_set(&record->fine_chunks, like->fine_chunks);
	le64_set(&record->fragments, like->fragments);
	if (state == FMT_VERSION_SNAP)
		le32_set(&record->epoch, pool->epoch);
	le32_set(
	    &page_header(page)->used, le32_get(&page_header(page)->used) + 1);
	volume = volume_new(pool, new_slot(r), page, record);
	assert(volume != NULL);
	version_insert(pool, volume);
	if (pool->next_version <= new_id(r))
		pool->next_version = (uint64_t)new_id(r) + 1;
	volume_changed(volume);
	return volume;
}

static int
snap_apply(struct pool *pool, struct family_record *r)
{
	struct volume *head = r->volume, *snapshot;

	if (head->state != FMT_VERSION_HEAD)
		return -EBADMSG;
	snapshot = version_like(pool, r, head, FMT_VERSION_SNAP, head->id);
	if (snapshot == NULL)
		return -EBADMSG;
	snapshot->origin = head;
	head->cuts++;
	losses_snapshot(head, snapshot);
	volume_set_parent(snapshot, head->parent);
	volume_set_parent(head, snapshot);
	version_list(pool, snapshot);
	return 0;
}

static int
clone_apply(struct pool *pool, struct family_record *r)
{
	struct volume *clone;

	if (r->volume->state != FMT_VERSION_SNAP)
		return -EBADMSG;
	clone = version_like(pool, r, r->volume, FMT_VERSION_HEAD, 0);
	if (clone == NULL)
		return -EBADMSG;
	volume_set_parent(clone, r->volume);
	version_list(pool, clone);
	return 0;
}

/* ---- GROUP ---- */

static int
group_apply(struct pool *pool, struct family_record *r)
{
	if (r->a <= pool->epoch || r->a > UINT32_MAX)
		return -EBADMSG;
	if (!engine_breaks.i5_no_epoch)
		pool->epoch = (uint32_t)r->a;
	return 0;
}

static int
nothing_prepare(
    struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	(void)pool;
	(void)r;
	(void)waiter;
	return 0;
}

/* ---- ROLLBACK ---- */

static int
volume_prepare(
    struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	(void)pool;
	(void)waiter;
	return r->volume != NULL ? 0 : -EBADMSG;
}

/* The epoch of the newest version that both descend from; 0: there is none.
 * Ancestors are always older. */
static uint32_t
common_epoch(const struct volume *a, const struct volume *b)
{
	while (a != NULL && b != NULL && a != b) {
		if (a->epoch >= b->epoch)
			a = a->parent;
		else
			b = b->parent;
	}
	return a != NULL && b != NULL ? a->epoch : 0;
}

/* The head descends from another version now.  A bookmark of what it does not
 * descend from any more, be it older than that version, is void. */
static int
rollback_apply(struct pool *pool, struct family_record *r)
{
	struct volume *head = r->volume;
	struct volume *to =
	    r->a > UINT32_MAX ? NULL : volume_by_id(pool, (uint32_t)r->a);
	uint32_t common;

	if (to == NULL || to->state != FMT_VERSION_SNAP ||
	    head->state != FMT_VERSION_HEAD ||
	    to->map.family != head->map.family)
		return -EBADMSG;
	common = common_epoch(head->parent, to);
	version_unlist(pool, head);
	head->map.root = to->map.root;
	head->map.levels = to->map.levels;
	head->map.stamp++;
	head->size = head->bs.size = to->size;
	head->live_blocks = to->live_blocks;
	head->held_blocks = to->held_blocks;
	head->fine_chunks = to->fine_chunks;
	head->fragments = to->fragments;
	volume_set_parent(head, to);
	version_list(pool, head);
	if (!engine_breaks.rollback_keeps_marks)
		bookmarks_drop(pool, head, common);
	return 0;
}

/* ---- OWN, ORPHAN ---- */

/* Read ahead it may name what is not there yet; apply looks. */
static int
own_prepare(struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	const struct fmt_ptr *ptr;
	struct page *page;
	int result;

	(void)pool;
	if (r->volume == NULL || r->volume->state != FMT_VERSION_HEAD ||
	    r->mask >= r->volume->map.levels)
		return -EBADMSG;
	result = map_pointer_at(r->volume, r->mask, r->a, waiter, &ptr);
	if (result < 0 || ptr == NULL || fmt_ptr_address(ptr) == 0)
		return result;
	return map_page_get(r->volume, ptr, r->mask, r->a, waiter, &page);
}

static int
own_apply(struct pool *pool, struct family_record *r)
{
	(void)pool;
	return map_page_own(r->volume, r->mask, r->a);
}

static int
orphan_apply(struct pool *pool, struct family_record *r)
{
	struct volume *volume = r->volume;

	(void)pool;
	if (volume->state != FMT_VERSION_HEAD || volume->parent == NULL ||
	    !losses_are_all(volume))
		return -EBADMSG;
	losses_forget(volume);
	volume_set_parent(volume, NULL);
	return 0;
}

/* ---- SET ---- */

static int
set_prepare(struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	(void)pool;
	(void)waiter;
	return r->mask >= FMT_VERSION_SET_FIRST && r->mask % 16 == 0 &&
		       r->mask < FMT_VERSION_SET_END
		   ? 0
		   : -EBADMSG;
}

/* The version may have come to be in the same group. */
static int
set_apply(struct pool *pool, struct family_record *r)
{
	struct volume *volume = r->volume;
	uint8_t *record;

	if (volume == NULL)
		return -EBADMSG;
	version_unlist(pool, volume);
	page_dirty(volume->record_page);
	record = (uint8_t *)volume_record(volume);
	store_le64(record + r->mask, r->a);
	store_le64(record + r->mask + 8, r->b);
	record[offsetof(struct fmt_version, name) + FMT_NAME - 1] = 0;
	volume_reload(volume);
	if (!fmt_consistency_sane(volume->state, volume->flags))
		return -EBADMSG;
	if (volume->flags & FMT_VERSION_TRASHED)
		reserve_set(volume, 0);
	version_list(pool, volume);
	return 0;
}

/* ---- DELETE, DELSTEP ---- */

static void
origin_gone(struct list *versions, const struct volume *origin)
{
	struct volume *version;

	list_for_each (version, versions, link)
		if (version->origin == origin)
			version->origin = NULL;
}

static int
delete_apply(struct pool *pool, struct family_record *r)
{
	struct volume *volume = r->volume, *snapshot, *next;

	if (volume->state != FMT_VERSION_HEAD &&
	    volume->state != FMT_VERSION_SNAP)
		return -EBADMSG;
	version_unlist(pool, volume);
	/* a volume that has nothing to do with snapshots is as it was before
	 * there were any: pools that have none can be read by version 0.1 */
	if (volume->state == FMT_VERSION_SNAP)
		volume->state = FMT_VERSION_ZOMBIE;
	else if (volume->parent != NULL)
		volume->state = FMT_VERSION_DYING;
	else
		volume->state = FMT_VERSION_DELETING;
	volume->cursor = 0;
	version_list(pool, volume);
	volume_changed(volume);
	/* snapshots that were not deleted before belong to nobody */
	list_for_each_safe (snapshot, next, &volume->snapshots, link) {
		list_del(&snapshot->link);
		snapshot->origin = NULL;
		version_list(pool, snapshot);
	}
	origin_gone(&pool->trash, volume);
	origin_gone(&pool->dying, volume);
	origin_gone(&pool->stuck, volume);
	bookmarks_drop(pool, volume, 0);
	return 0;
}

static bool
may_be_deleted(const struct volume *volume)
{
	return (volume->state == FMT_VERSION_DYING ||
		   volume->state == FMT_VERSION_ZOMBIE ||
		   volume->state == FMT_VERSION_DELETING) &&
	       (list_empty(&volume->children) ||
		   volume_only_child(volume) != NULL);
}

static int
delstep_prepare(
    struct pool *pool, struct family_record *r, struct waiter *waiter)
{
	(void)pool;
	if (r->volume == NULL)
		return -EBADMSG;
	/* read ahead: it may not be so far yet */
	if (!may_be_deleted(r->volume))
		return 0;
	return delete_pages_prepare(r->volume, r->a, waiter);
}

static int
delstep_apply(struct pool *pool, struct family_record *r)
{
	struct volume *volume = r->volume, *child;
	int result;

	if (!may_be_deleted(volume) || r->a < volume->cursor)
		return -EBADMSG;
	result = delete_pages(volume, r->a);
	if (result < 0)
		return result;
	volume->state = FMT_VERSION_DELETING;
	volume->cursor = r->a;
	volume_changed(volume);
	if (r->a != UINT64_MAX)
		return 0;
	child = volume_only_child(volume);
	result = losses_merge(volume, child);
	if (child != NULL) {
		volume_set_parent(child, volume->parent);
		losses_merged(child);
	}
	version_remove(pool, volume);
	return result;
}

/* ---- all ---- */

struct family_kind {
	int (*prepare)(
	    struct pool *pool, struct family_record *r, struct waiter *waiter);
	int (*apply)(struct pool *pool, struct family_record *r);
};

static const struct family_kind kinds[FMT_RECORD_TYPE_COUNT] = {
    [FMT_SNAP] = {new_prepare, snap_apply},
    [FMT_GROUP] = {nothing_prepare, group_apply},
    [FMT_CLONE] = {new_prepare, clone_apply},
    [FMT_ROLLBACK] = {volume_prepare, rollback_apply},
    [FMT_OWN] = {own_prepare, own_apply},
    [FMT_ORPHAN] = {volume_prepare, orphan_apply},
    [FMT_SET] = {set_prepare, set_apply},
    [FMT_DELETE] = {volume_prepare, delete_apply},
    [FMT_DELSTEP] = {delstep_prepare, delstep_apply},
};

bool
record_is_family(const struct fmt_record *record)
{
	return record->type < FMT_RECORD_TYPE_COUNT &&
	       kinds[record->type].apply != NULL;
}

int
apply_family_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter)
{
	struct family_record r = family_record_parse(pool, record);

	return kinds[record->type].prepare(pool, &r, waiter);
}

int
apply_family(struct pool *pool, const struct fmt_record *record)
{
	struct family_record r = family_record_parse(pool, record);

	if (record->type != FMT_OWN &&
	    (record->type != FMT_DELSTEP || r.a == UINT64_MAX))
		pool->limits_stale = pool->has_limits;
	return kinds[record->type].apply(pool, &r);
}
