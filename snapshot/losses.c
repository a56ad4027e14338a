/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Losses: for each version with a parent, how many blocks the parent holds that
 * it does not, by their birth (format.h).  Maps are never walked for a figure:
 * these sums say what would be free if a version went.
 *
 *	alone in a snapshot with one child
 *	    what the child has lost and was born after the epoch of the
 *	    snapshot's parent
 *	alone in a version without children
 *	    what it holds, less what its parent holds and it has not lost
 *	alone in a version with several children
 *	    nothing: it stays, hidden, as long as they do
 *
 * Each block of a parent that a version lets go of is one of two: its own, then
 * it is free; or shared, then it is counted here.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <stdlib.h>
#include <string.h>

static struct table *
table_of(struct pool *pool)
{
	return &pool->table[TABLE_LOST];
}

static uint64_t
row_blocks(struct pool *pool, const struct loss *row)
{
	const struct fmt_lost *lost = table_at(table_of(pool), row->slot);

	return le64_get(&lost->blocks);
}

/* ---- rows ---- */

/* The first row with a birth of at least that. */
static uint32_t
row_search(const struct losses *losses, uint32_t birth)
{
	uint32_t low = 0, high = losses->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (losses->row[middle].birth < birth)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
row_insert(struct losses *losses, uint32_t at, struct loss row)
{
	if (losses->count == losses->room) {
		uint32_t room = losses->room * 2 + 8;
		struct loss *grown =
		    realloc(losses->row, room * sizeof(grown[0]));
		if (grown == NULL)
			return -ENOMEM;
		losses->row = grown;
		losses->room = room;
	}
	memmove(&losses->row[at + 1], &losses->row[at],
	    (losses->count - at) * sizeof(losses->row[0]));
	losses->row[at] = row;
	losses->count++;
	return 0;
}

static int
slot_take(struct pool *pool, uint32_t *ret_slot)
{
	struct table *table = table_of(pool);

	while (pool->lost_free < table->slots &&
	       table_used(table, pool->lost_free))
		pool->lost_free++;
	if (pool->lost_free == TABLE_SLOTS_MAX)
		return -ENOSPC;
	*ret_slot = pool->lost_free++;
	return table_reach(table, *ret_slot + 1, NULL);
}

static void
slot_drop(struct pool *pool, uint32_t slot)
{
	table_drop(table_of(pool), slot);
	if (slot < pool->lost_free)
		pool->lost_free = slot;
}

static int
row_new(struct volume *volume, uint32_t at, uint32_t birth)
{
	struct loss row = {.birth = birth};
	struct fmt_lost *lost;
	int result = slot_take(volume->pool, &row.slot);

	if (result == 0)
		result = row_insert(&volume->losses, at, row);
	if (result < 0)
		return result;
	lost = table_take(table_of(volume->pool), row.slot);
	le32_set(&lost->account, volume->losses.account);
	le32_set(&lost->birth, birth);
	le64_set(&lost->blocks, 0);
	return 0;
}

int
losses_add(struct volume *volume, uint32_t birth, uint64_t blocks)
{
	struct losses *losses = &volume->losses;
	uint32_t at = row_search(losses, birth);
	struct fmt_lost *lost;
	int result;

	if (at == losses->count || losses->row[at].birth != birth) {
		result = row_new(volume, at, birth);
		if (result < 0)
			return result;
	}
	lost = table_change(table_of(volume->pool), losses->row[at].slot);
	le64_set(&lost->blocks, le64_get(&lost->blocks) + blocks);
	losses->total += blocks;
	return 0;
}

/* Rows from at on go. */
static void
rows_cut(struct volume *volume, uint32_t at)
{
	struct losses *losses = &volume->losses;

	while (losses->count > at) {
		struct loss *row = &losses->row[--losses->count];
		losses->total -= row_blocks(volume->pool, row);
		slot_drop(volume->pool, row->slot);
	}
}

/* ---- families ---- */

void
losses_snapshot(struct volume *head, struct volume *snapshot)
{
	uint32_t account = head->losses.account;

	assert(snapshot->losses.count == 0);
	free(snapshot->losses.row);
	snapshot->losses = head->losses;
	snapshot->losses.account = account;
	head->losses = (struct losses){.account = snapshot->id};
	volume_changed(head);
	volume_changed(snapshot);
}

/* A parent that is being deleted gives up blocks without counting them. */
bool
losses_are_all(const struct volume *volume)
{
	const struct volume *parent = volume->parent;

	return parent->state == FMT_VERSION_DELETING ||
	       parent->held_blocks == volume->losses.total;
}

void
losses_forget(struct volume *volume)
{
	rows_cut(volume, 0);
}

/* Rows between two epochs of ancestors are one from now on: nothing that may
 * happen will tell them apart. */
static void
rows_join(struct volume *volume)
{
	struct losses *losses = &volume->losses;
	const struct volume *ancestor = volume->parent;
	uint32_t to = losses->count;

	for (uint32_t from = losses->count; from-- > 0;) {
		struct loss row = losses->row[from];
		while (ancestor != NULL && ancestor->parent != NULL &&
		       ancestor->parent->epoch >= row.birth)
			ancestor = ancestor->parent;
		if (to < losses->count && ancestor != NULL &&
		    losses->row[to].birth <= ancestor->epoch) {
			struct fmt_lost *lost = table_change(
			    table_of(volume->pool), losses->row[to].slot);
			le64_set(
			    &lost->blocks, le64_get(&lost->blocks) +
					       row_blocks(volume->pool, &row));
			slot_drop(volume->pool, row.slot);
		} else {
			losses->row[--to] = row;
		}
	}
	losses->count -= to;
	memmove(losses->row, &losses->row[to],
	    losses->count * sizeof(losses->row[0]));
}

int
losses_merge(struct volume *volume, struct volume *child)
{
	struct pool *pool = volume->pool;
	uint32_t epoch = volume->parent == NULL ? 0 : volume->parent->epoch;
	int result = 0;

	if (child != NULL) {
		rows_cut(child, row_search(&child->losses, epoch + 1));
		for (uint32_t i = 0; i < volume->losses.count && result == 0;
		     i++) {
			const struct loss *row = &volume->losses.row[i];
			result = losses_add(
			    child, row->birth, row_blocks(pool, row));
		}
	}
	rows_cut(volume, 0);
	return result;
}

void
losses_merged(struct volume *child)
{
	if (child->losses.count > 0)
		rows_join(child);
}

/* ---- figures ---- */

static uint64_t
lost_after(struct volume *volume, uint32_t epoch)
{
	struct losses *losses = &volume->losses;
	uint64_t blocks = 0;

	if (epoch == 0)
		return losses->total;
	for (uint32_t i = row_search(losses, epoch + 1); i < losses->count; i++)
		blocks += row_blocks(volume->pool, &losses->row[i]);
	return blocks;
}

static uint32_t
epoch_of(const struct volume *volume)
{
	return volume == NULL ? 0 : volume->epoch;
}

uint64_t
losses_own(const struct volume *volume)
{
	const struct volume *parent = volume->parent;
	uint64_t shared;

	if (parent == NULL)
		return volume->held_blocks;
	shared = parent->held_blocks - volume->losses.total;
	return volume->held_blocks > shared ? volume->held_blocks - shared : 0;
}

static uint64_t
exclusive_blocks(struct volume *volume)
{
	struct volume *child;

	if (list_empty(&volume->children))
		return losses_own(volume);
	child = volume_only_child(volume);
	return child == NULL ? 0 : lost_after(child, epoch_of(volume->parent));
}

/* Is it, with all that stands on it, deleted, and soon gone by itself? */
static bool
is_dead(const struct volume *volume)
{
	const struct volume *child;

	if (volume->state == FMT_VERSION_SNAP ||
	    volume->state == FMT_VERSION_HEAD)
		return false;
	list_for_each (child, &volume->children, sibling)
		if (!is_dead(child))
			return false;
	return true;
}

/* Would it go with the snapshots of the head?  With all that stands on it; and
 * what is deleted is there only for that. */
static bool
goes_with(const struct volume *volume, const struct volume *head)
{
	const struct volume *child;

	if (volume->state == FMT_VERSION_HEAD ||
	    (volume->state == FMT_VERSION_SNAP && volume->origin != head))
		return false;
	list_for_each (child, &volume->children, sibling)
		if (!goes_with(child, head))
			return false;
	return true;
}

static uint64_t
branch_blocks(const struct volume *volume)
{
	const struct volume *child;
	uint64_t blocks;

	if (is_dead(volume))
		return 0;
	blocks = losses_own(volume);
	list_for_each (child, &volume->children, sibling)
		blocks += branch_blocks(child);
	return blocks;
}

/* Branches beside the line that go: their blocks.  ret_stays: one does not. */
static uint64_t
branches(const struct volume *volume, const struct volume *on_line,
    const struct volume *head, bool *ret_stays)
{
	const struct volume *child;
	uint64_t blocks = 0;

	list_for_each (child, &volume->children, sibling) {
		if (child == on_line)
			continue;
		if (goes_with(child, head))
			blocks += branch_blocks(child);
		else
			*ret_stays = true;
	}
	return blocks;
}

static bool
stays(const struct volume *volume, const struct volume *on_line,
    const struct volume *head, uint64_t *blocks)
{
	bool stay =
	    volume->state == FMT_VERSION_SNAP ? volume->origin != head : false;

	*blocks += branches(volume, on_line, head, &stay);
	return stay;
}

/* The nearest ancestor of volume, itself included, that stays: its epoch. */
static uint32_t
base_epoch(const struct volume *volume, const struct volume *on_line,
    const struct volume *head)
{
	uint64_t ignored = 0;

	while (volume != NULL && !stays(volume, on_line, head, &ignored)) {
		on_line = volume;
		volume = volume->parent;
	}
	return epoch_of(volume);
}

static uint64_t
snap_held_blocks(struct volume *head)
{
	struct volume *on_line = head, *volume = head->parent;
	uint32_t base = 0;
	bool known = false;
	uint64_t blocks = 0;

	for (; volume != NULL; on_line = volume, volume = volume->parent) {
		if (stays(volume, on_line, head, &blocks)) {
			known = false;
			continue;
		}
		if (!known)
			base = base_epoch(volume, on_line, head);
		known = true;
		blocks += lost_after(on_line, base);
	}
	return blocks;
}

uint64_t
losses_snap_held(struct volume *head, uint32_t *ret_base)
{
	uint64_t ignored = 0;

	*ret_base =
	    head->parent == NULL || stays(head->parent, head, head, &ignored)
		? UINT32_MAX
		: base_epoch(head->parent, head, head);
	return snap_held_blocks(head);
}

void
losses_stat(struct volume *volume, struct family_stat *stat)
{
	stat->exclusive = exclusive_blocks(volume) * FMT_BLOCK;
	if (volume->state == FMT_VERSION_HEAD)
		stat->snap_held = snap_held_blocks(volume) * FMT_BLOCK;
}

/* ---- loading ---- */

struct by_account {
	uint32_t account;
	struct volume *volume;
};

static int
account_compare(const void *a, const void *b)
{
	const struct by_account *x = a, *y = b;

	return (x->account > y->account) - (x->account < y->account);
}

static int
row_load(struct by_account *accounts, uint32_t count,
    const struct fmt_lost *lost, uint32_t slot)
{
	struct by_account key = {.account = le32_get(&lost->account)};
	struct by_account *found =
	    bsearch(&key, accounts, count, sizeof(key), account_compare);
	struct losses *losses;
	uint32_t birth = le32_get(&lost->birth), at;

	if (found == NULL || birth == 0 ||
	    birth > epoch_of(found->volume->parent))
		return -EBADMSG;
	losses = &found->volume->losses;
	at = row_search(losses, birth);
	if (at < losses->count && losses->row[at].birth == birth)
		return -EBADMSG;
	losses->total += le64_get(&lost->blocks);
	return row_insert(losses, at, (struct loss){birth, slot});
}

int
losses_load(struct pool *pool)
{
	struct table *table = table_of(pool);
	struct by_account *accounts;
	uint32_t count = 0;
	int result = 0;

	if (table->slots == 0)
		return 0;
	accounts = calloc(pool->slot_count + 1u, sizeof(accounts[0]));
	if (accounts == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i] != NULL)
			accounts[count++] = (struct by_account){
			    pool->slots[i]->losses.account, pool->slots[i]};
	qsort(accounts, count, sizeof(accounts[0]), account_compare);
	for (uint32_t slot = 0; slot < table->slots && result == 0; slot++)
		if (table_used(table, slot))
			result = row_load(
			    accounts, count, table_at(table, slot), slot);
	free(accounts);
	return result;
}
