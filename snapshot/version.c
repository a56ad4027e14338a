/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The version table in memory: one struct volume per record in use.
 */
#include "snapshot/engine.h"
#include "snapshot/quota.h"
#include "snapshot/reserve.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void volume_close(
    struct backstore *bs, void (*done)(void *arg), void *arg);

/* What a pool has for all of its volumes is free for each of them. */
static void
volume_usage(struct backstore *bs, struct bs_usage *ret_usage)
{
	const struct volume *volume = container_of(bs, struct volume, bs);

	ret_usage->used = volume->live_blocks * FMT_BLOCK;
	ret_usage->free = space_free_bytes(volume->pool);
	ret_usage->warn_free = space_soft_free_bytes(volume->pool);
}

static const struct backstore_ops volume_ops = {
    .name = "volume",
    .submit = volume_submit,
    .usage = volume_usage,
    .close = volume_close,
};

struct fmt_version *
volume_record(struct volume *volume)
{
	struct fmt_version_page *table = (void *)volume->record_page->data;

	return &table->version[volume->slot % FMT_PAGE_VERSIONS_COUNT];
}

static void
volume_store(struct volume *volume)
{
	struct fmt_version *record;

	page_dirty(volume->record_page);
	record = volume_record(volume);
	record->state = volume->state;
	record->levels = volume->map.levels;
	record->root = volume->map.root;
	le64_set(
	    &record->parent, volume->parent == NULL ? 0 : volume->parent->id);
	le32_set(&record->epoch, volume->epoch);
	le64_set(&record->size, volume->size);
	le64_set(&record->live_blocks, volume->live_blocks);
	le64_set(&record->held_blocks, volume->held_blocks);
	le64_set(&record->fine_chunks, volume->fine_chunks);
	le64_set(&record->fragments, volume->fragments);
	le64_set(&record->cursor, volume->cursor);
	le64_set(&record->quota, quota_bytes(volume));
	le64_set(&record->reserve, reserve_bytes(volume));
	le64_set(&record->group, volume->group);
	le64_set(&record->deleted_unix, volume->deleted_unix);
	le64_set(&record->account, volume->losses.account);
	le32_set(&record->bookmark_epoch, volume->bookmark_epoch);
	le32_set(&record->flags, volume->flags);
	memcpy(record->name, volume->name, sizeof(record->name));
}

void
volume_changed(struct volume *volume)
{
	if (!list_empty(&volume->changed_link))
		return;
	list_add_tail(&volume->pool->changed, &volume->changed_link);
	volume->pool->changed_count++;
}

void
volumes_store(struct pool *pool)
{
	struct list *node;

	while ((node = list_pop(&pool->changed)) != NULL)
		volume_store(list_entry(node, struct volume, changed_link));
	pool->changed_count = 0;
}

static void
volume_name_bs(struct volume *volume)
{
	const struct volume *origin = volume->origin;

	if (origin == NULL)
		snprintf(volume->bs.name, sizeof(volume->bs.name),
		    "%.63s/%.63s", volume->pool->name, volume->name);
	else /* the pool goes without saying: there is no room for three */
		snprintf(volume->bs.name, sizeof(volume->bs.name),
		    "%.63s@%.63s", origin->name, volume->name);
}

/* What the devices ask of memory and blocks holds for what goes through. */
static void
volume_bs_init(struct volume *volume, uint32_t block_size)
{
	struct pool *pool = volume->pool;
	struct backstore *bs = &volume->bs;

	*bs = (struct backstore){
	    .ops = &volume_ops,
	    .loop = pool->loop,
	    .size = volume->size,
	    .block_size = block_size,
	    .physical_block_size = FMT_BLOCK,
	    .mem_align = 1,
	    .optimal_io = OPTIMAL_IO,
	    .max_io = 8u << 20,
	    .atomic_max = ATOMIC_MAX,
	    .atomic_unit = volume_unit(volume) * FMT_BLOCK,
	    .read_only = pool->read_only || volume->state != FMT_VERSION_HEAD,
	    .volatile_cache = true,
	    .thin = true,
	};
	volume_name_bs(volume);
	for (unsigned i = 0; i < pool->device_count; i++)
		volume_device_added(volume, pool->device[i].bs);
}

void
volume_device_added(struct volume *volume, const struct backstore *device)
{
	struct backstore *bs = &volume->bs;

	if (bs->mem_align < device->mem_align)
		bs->mem_align = device->mem_align;
	bs->rotational |= device->rotational;
	if (device->block_size > bs->block_size)
		volume->locked_writes = true;
}

struct volume *
volume_new(struct pool *pool, uint32_t slot, struct page *page,
    const struct fmt_version *record)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	if (volume == NULL)
		return NULL;
	volume->pool = pool;
	volume->id = (uint32_t)le64_get(&record->id);
	volume->slot = slot;
	volume->record_page = page;
	page_pin(page);
	list_init(&volume->link);
	list_init(&volume->changed_link);
	list_init(&volume->children);
	list_init(&volume->sibling);
	list_init(&volume->snapshots);
	barrier_init(&volume->barrier);
	volume->cow_shift = record->cow_shift;
	volume->state = record->state;
	volume->size = le64_get(&record->size);
	volume->live_blocks = le64_get(&record->live_blocks);
	volume->held_blocks = le64_get(&record->held_blocks);
	volume->fine_chunks = le64_get(&record->fine_chunks);
	volume->fragments = le64_get(&record->fragments);
	volume->cursor = le64_get(&record->cursor);
	volume->epoch = le32_get(&record->epoch);
	volume->losses.account = le64_get(&record->account) != 0
				     ? (uint32_t)le64_get(&record->account)
				     : volume->id;
	volume->map.levels = record->levels;
	volume->map.family = le64_get(&record->family);
	volume->map.root = record->root;
	quota_set(volume, le64_get(&record->quota));
	reserve_set(volume, le64_get(&record->reserve));
	volume_bs_init(volume, 1u << record->block_shift);
	volume_reload(volume);
	return volume;
}

void
volume_reload(struct volume *volume)
{
	const struct fmt_version *record = volume_record(volume);

	memcpy(volume->name, record->name, sizeof(volume->name));
	memcpy(volume->uuid, record->uuid, sizeof(volume->uuid));
	volume->group = le64_get(&record->group);
	volume->created_unix = le64_get(&record->created_unix);
	volume->deleted_unix = le64_get(&record->deleted_unix);
	volume->bookmark_epoch = le32_get(&record->bookmark_epoch);
	volume->flags = le32_get(&record->flags);
	volume_name_bs(volume);
}

void
volume_set_parent(struct volume *volume, struct volume *parent)
{
	list_del(&volume->sibling);
	volume->parent = parent;
	if (parent != NULL)
		list_add_tail(&parent->children, &volume->sibling);
	volume_changed(volume);
}

unsigned
volume_child_count(const struct volume *volume)
{
	const struct volume *child;
	unsigned count = 0;

	list_for_each (child, &volume->children, sibling)
		count++;
	return count;
}

struct volume *
volume_only_child(const struct volume *volume)
{
	const struct list *children = &volume->children;

	return list_empty(children) || children->next != children->prev
		   ? NULL
		   : list_entry(children->next, struct volume, sibling);
}

void
volume_free(struct volume *volume)
{
	page_unpin(volume->record_page);
	free(volume->losses.row);
	free(volume);
}

static struct volume **
hash_place(struct pool *pool, uint32_t id)
{
	struct volume **place = &pool->by_id[id % VERSION_HASH];

	while (*place != NULL && (*place)->id != id)
		place = &(*place)->hash_next;
	return place;
}

struct volume *
volume_by_id(struct pool *pool, uint32_t id)
{
	return *hash_place(pool, id);
}

/* ---- lists ---- */

static bool
is_dying(const struct volume *volume)
{
	return volume->state == FMT_VERSION_ZOMBIE ||
	       volume->state == FMT_VERSION_DYING ||
	       volume->state == FMT_VERSION_DELETING;
}

static bool
is_trashed(const struct volume *volume)
{
	return volume->flags & FMT_VERSION_TRASHED;
}

static void
list_by_name(struct list *volumes, struct volume *volume)
{
	struct volume *other;

	list_for_each (other, volumes, link)
		if (strcmp(other->name, volume->name) > 0)
			break;
	list_insert_before(&other->link, &volume->link);
}

/* Nearly always at the end. */
static void
list_by_epoch(struct list *snapshots, struct volume *volume)
{
	struct list *node = snapshots->prev;

	while (node != snapshots &&
	       list_entry(node, struct volume, link)->epoch > volume->epoch)
		node = node->prev;
	list_insert_before(node->next, &volume->link);
}

static void
list_by_deletion(struct list *trash, struct volume *volume)
{
	struct volume *other;

	list_for_each (other, trash, link)
		if (other->deleted_unix > volume->deleted_unix)
			break;
	list_insert_before(&other->link, &volume->link);
}

/*
 *	ZOMBIE, DYING, DELETING     pool->dying
 *	HEAD or SNAP, trashed       pool->trash
 *	HEAD                        pool->volumes
 *	SNAP                        snapshots of its origin
 */
void
version_list(struct pool *pool, struct volume *volume)
{
	assert(list_empty(&volume->link));
	if (is_dying(volume)) {
		list_add_tail(&pool->dying, &volume->link);
	} else if (is_trashed(volume) || (volume->state == FMT_VERSION_SNAP &&
					     volume->origin == NULL)) {
		list_by_deletion(&pool->trash, volume);
	} else if (volume->state == FMT_VERSION_SNAP) {
		list_by_epoch(&volume->origin->snapshots, volume);
	} else {
		list_by_name(&pool->volumes, volume);
		pool->volume_count++;
		pool->promised += volume->size;
		reserve_look(volume);
	}
}

void
version_unlist(struct pool *pool, struct volume *volume)
{
	assert(!list_empty(&volume->link));
	list_del(&volume->link);
	if (volume->state != FMT_VERSION_HEAD || is_trashed(volume))
		return;
	pool->volume_count--;
	pool->promised -= volume->size;
	reserve_end(volume);
}

void
version_insert(struct pool *pool, struct volume *volume)
{
	struct volume **place = hash_place(pool, volume->id);

	assert(*place == NULL);
	*place = volume;
	pool->slots[volume->slot] = volume;
}

/* Its record becomes zeros, its slot free. */
void
version_remove(struct pool *pool, struct volume *volume)
{
	struct volume **place = hash_place(pool, volume->id);
	struct fmt_page *header;

	assert(*place == volume);
	assert(list_empty(&volume->children));
	*place = volume->hash_next;
	pool->slots[volume->slot] = NULL;
	if (volume->slot < pool->slot_hint)
		pool->slot_hint = volume->slot;
	version_unlist(pool, volume);
	list_del(&volume->sibling);
	if (!list_empty(&volume->changed_link))
		pool->changed_count--;
	list_del(&volume->changed_link);
	page_dirty(volume->record_page);
	memset(volume_record(volume), 0, sizeof(struct fmt_version));
	header = page_header(volume->record_page);
	le32_set(&header->used, le32_get(&header->used) - 1);
	pool->needs_write = true;
	volume_free(volume);
}

/* ---- slots ---- */

int
version_slots_grow(struct pool *pool, uint32_t count)
{
	struct volume **slots;

	if (count <= pool->slot_count)
		return 0;
	slots = realloc(pool->slots, count * sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	memset(slots + pool->slot_count, 0,
	    (count - pool->slot_count) * sizeof(slots[0]));
	pool->slots = slots;
	pool->slot_count = count;
	return 0;
}

/* Makes room in the table for slots up to that one. */
int
version_page_get(struct pool *pool, uint32_t slot, struct waiter *waiter,
    struct page **ret_page)
{
	uint64_t page = slot / FMT_PAGE_VERSIONS_COUNT;
	int result = version_slots_grow(pool, slot + 1);

	if (result < 0)
		return result;
	tree_raise(&pool->versions, fmt_tree_levels(page + 1));
	return page_get(&pool->versions, 0, page, true, waiter, ret_page, NULL);
}

int
version_slot_take(struct pool *pool, struct waiter *waiter, uint32_t *ret_slot)
{
	struct page *page;

	while (pool->slot_hint < pool->slot_count &&
	       pool->slots[pool->slot_hint] != NULL)
		pool->slot_hint++;
	if (pool->slot_hint >= FMT_VERSIONS_MAX)
		return -ENOSPC;
	*ret_slot = pool->slot_hint;
	return version_page_get(pool, *ret_slot, waiter, &page);
}

static bool
text_ends(const char name[FMT_NAME])
{
	return memchr(name, 0, FMT_NAME) != NULL;
}

/* Snapshots have an epoch, volumes have none. */
static bool
epoch_sane(const struct fmt_version *record)
{
	bool has = le32_get(&record->epoch) != 0;

	switch (record->state) {
	case FMT_VERSION_HEAD:
	case FMT_VERSION_DYING: return !has;
	case FMT_VERSION_SNAP:
	case FMT_VERSION_ZOMBIE: return has;
	default: return true;
	}
}

/* A record told from any other bytes. */
static bool
record_sane(const struct pool *pool, const struct fmt_version *record)
{
	uint64_t id = le64_get(&record->id), size = le64_get(&record->size);

	if (record->state >= FMT_VERSION_STATE_COUNT || id == 0 ||
	    id > UINT32_MAX || id >= pool->next_version)
		return false;
	if (size == 0 || size > FMT_VOLUME_MAX || size % FMT_BLOCK != 0)
		return false;
	if (record->block_shift != 9 && record->block_shift != 12)
		return false;
	if (record->cow_shift < 12 || record->cow_shift > 16)
		return false;
	return record->levels >= FMT_MAP_LEVELS_MIN &&
	       record->levels <= FMT_MAP_LEVELS_MAX &&
	       fmt_map_chunks(record->levels) * FMT_CHUNK >= size &&
	       text_ends(record->name) &&
	       le32_get(&record->epoch) < pool->epoch && epoch_sane(record) &&
	       fmt_consistency_sane(record->state, le32_get(&record->flags)) &&
	       ((record->state != FMT_VERSION_HEAD &&
		    record->state != FMT_VERSION_SNAP) ||
		   pool_name_valid(record->name));
}

static int
version_load(struct pool *pool, uint32_t slot, struct page *page)
{
	struct fmt_version_page *table = (void *)page->data;
	const struct fmt_version *record =
	    &table->version[slot % FMT_PAGE_VERSIONS_COUNT];
	struct volume *volume;

	if (record->state == FMT_VERSION_NONE)
		return 0;
	if (!record_sane(pool, record) ||
	    volume_by_id(pool, (uint32_t)le64_get(&record->id)) != NULL)
		return -EBADMSG;
	volume = volume_new(pool, slot, page, record);
	if (volume == NULL)
		return -ENOMEM;
	version_insert(pool, volume);
	return 0;
}

/* Parents and origins, once all versions are known. */
static int
version_join(struct pool *pool, struct volume *volume)
{
	const struct fmt_version *record = volume_record(volume);
	uint64_t parent = le64_get(&record->parent);
	uint64_t origin = le64_get(&record->origin);

	if (parent != 0) {
		struct volume *found =
		    parent > UINT32_MAX ? NULL
					: volume_by_id(pool, (uint32_t)parent);
		if (found == NULL || found->state == FMT_VERSION_HEAD ||
		    found->state == FMT_VERSION_DYING ||
		    found->map.family != volume->map.family ||
		    found->map.levels > volume->map.levels ||
		    (volume->epoch != 0 && volume->epoch <= found->epoch))
			return -EBADMSG;
		volume->parent = found;
		list_add_tail(&found->children, &volume->sibling);
	}
	if (volume->state != FMT_VERSION_HEAD && origin <= UINT32_MAX)
		volume->origin = volume_by_id(pool, (uint32_t)origin);
	if (volume->origin != NULL && volume->origin->state != FMT_VERSION_HEAD)
		volume->origin = NULL;
	volume_name_bs(volume);
	return 0;
}

/* A chain of parents that does not end is damage.  Epochs fall on the way up,
 * but for a head at its bottom and for deleted ones without. */
static bool
version_chain_ends(const struct pool *pool, const struct volume *volume)
{
	uint32_t steps = pool->slot_count + 1;

	while (volume != NULL && steps > 0) {
		volume = volume->parent;
		steps--;
		if (volume != NULL && volume->parent != NULL &&
		    volume->epoch > volume->parent->epoch)
			continue;
		return volume == NULL || volume->parent == NULL;
	}
	return volume == NULL;
}

static int
versions_join(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i] != NULL &&
		    version_join(pool, pool->slots[i]) < 0)
			return -EBADMSG;
	for (uint32_t i = 0; i < pool->slot_count; i++) {
		struct volume *volume = pool->slots[i];
		if (volume == NULL)
			continue;
		if (!version_chain_ends(pool, volume) ||
		    (volume->state == FMT_VERSION_DELETING &&
			!list_empty(&volume->children) &&
			volume_only_child(volume) == NULL))
			return -EBADMSG;
		version_list(pool, volume);
	}
	return 0;
}

int
versions_load(struct pool *pool, uint32_t *next, struct waiter *waiter)
{
	while (*next < pool->slot_count) {
		struct page *page;
		int result = page_get(&pool->versions, 0,
		    *next / FMT_PAGE_VERSIONS_COUNT, false, waiter, &page,
		    NULL);
		if (result < 0)
			return result;
		/* the last page may have more slots than the superblock says */
		do {
			if (page != NULL)
				result = version_load(pool, *next, page);
			if (result < 0)
				return result;
		} while (++*next % FMT_PAGE_VERSIONS_COUNT != 0 &&
			 *next < pool->slot_count);
	}
	return versions_join(pool);
}

/* ---- public: finding and using ---- */

bool
pool_name_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(name);

	return length >= 1 && length <= POOL_NAME_MAX &&
	       strspn(name, allowed) == length && name[0] != '-' &&
	       name[0] != '.';
}

struct volume *
volume_find(struct pool *pool, const char *name)
{
	struct volume *volume;

	list_for_each (volume, &pool->volumes, link)
		if (strcmp(volume->name, name) == 0)
			return volume;
	return NULL;
}

struct volume *
volume_find_uuid(struct pool *pool, const uuid_t uuid)
{
	struct volume *volume, *snapshot;

	list_for_each (volume, &pool->volumes, link) {
		if (uuid_compare(volume->uuid, uuid) == 0)
			return volume;
		list_for_each (snapshot, &volume->snapshots, link)
			if (uuid_compare(snapshot->uuid, uuid) == 0)
				return snapshot;
	}
	return NULL;
}

bool
version_name_free(
    struct pool *pool, const struct volume *origin, const char *name)
{
	const struct volume *other;

	list_for_each (
	    other, origin == NULL ? &pool->volumes : &origin->snapshots, link)
		if (strcmp(other->name, name) == 0)
			return false;
	return true;
}

struct volume *
volume_next(struct pool *pool, struct volume *volume)
{
	struct list *next =
	    volume == NULL ? pool->volumes.next : volume->link.next;

	return next == &pool->volumes ? NULL
				      : list_entry(next, struct volume, link);
}

void
volume_stat_get(struct volume *volume, struct volume_stat *ret_stat)
{
	*ret_stat = (struct volume_stat){
	    .size = volume->size,
	    .live = volume->live_blocks * FMT_BLOCK,
	    .allocated = volume->held_blocks * FMT_BLOCK,
	    .block_size = volume->bs.block_size,
	    .cow_unit = 1u << volume->cow_shift,
	    .created_unix = volume->created_unix,
	    .quota = quota_bytes(volume),
	    .reserve = reserve_bytes(volume),
	    .set_aside = volume->aside_blocks * FMT_BLOCK,
	    .open = volume->open,
	    .reads = volume->reads,
	    .writes = volume->writes,
	    .read_bytes = volume->read_bytes,
	    .write_bytes = volume->write_bytes,
	    .unmaps = volume->unmaps,
	};
	memcpy(ret_stat->name, volume->name, sizeof(ret_stat->name));
	memcpy(ret_stat->uuid, volume->uuid, sizeof(ret_stat->uuid));
	if (ret_stat->quota != 0)
		ret_stat->quota_used =
		    (volume->held_blocks + volume->snap_held) * FMT_BLOCK;
}

struct backstore *
volume_open(struct volume *volume)
{
	if (volume->open || is_dying(volume) || is_trashed(volume))
		return NULL;
	volume->open = true;
	return &volume->bs;
}

/* By way of bs_close, which has left the caller already. */
static void
volume_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct volume *volume = container_of(bs, struct volume, bs);

	assert(volume->open);
	if (volume->pool->state == POOL_ONLINE)
		space_window_drop(volume->pool, volume);
	volume->open = false;
	done(arg);
}

void
volume_rename_now(struct volume *volume, const char *name)
{
	struct pool *pool = volume->pool;
	struct volume *snapshot;

	version_unlist(pool, volume);
	memset(volume->name, 0, sizeof(volume->name));
	snprintf(volume->name, sizeof(volume->name), "%s", name);
	version_list(pool, volume);
	volume_changed(volume);
	pool->needs_write = true;
	volume_name_bs(volume);
	list_for_each (snapshot, &volume->snapshots, link)
		volume_name_bs(snapshot);
}
