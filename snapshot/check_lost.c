/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Losses: the blocks that a version's parent holds and it does not, by their
 * birth.  A row of the table has a sum of those of one account that were born
 * in its epoch, or before it and after the next lower epoch of an ancestor.
 *
 * While the parent is being deleted, what it held below its cursor is partly
 * gone, but the rows are settled when it is gone altogether: until then nothing
 * can be said.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <stdlib.h>
#include <string.h>

bool check_losses = true;

/* ---- counting ---- */

/* The first with this birth or a later one. */
static uint32_t
losses_find(const struct check_losses *losses, uint32_t birth)
{
	uint32_t first = 0, end = losses->count;

	while (first < end) {
		uint32_t middle = first + (end - first) / 2;
		if (losses->loss[middle].birth < birth)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

static struct check_loss *
losses_insert(struct check *check, struct check_losses *losses, uint32_t at)
{
	struct check_loss *room = check_grow(
	    check, losses->loss, losses->count, &losses->room, sizeof(*room));

	if (room == NULL)
		return NULL;
	losses->loss = room;
	memmove(&room[at + 1], &room[at], (losses->count - at) * sizeof(*room));
	losses->count++;
	room[at] = (struct check_loss){0, 0};
	return &room[at];
}

void
check_losses_add(
    struct check *check, struct check_losses *losses, uint32_t birth)
{
	uint32_t at = losses_find(losses, birth);

	if (at == losses->count || losses->loss[at].birth != birth) {
		struct check_loss *fresh = losses_insert(check, losses, at);
		if (fresh == NULL)
			return;
		fresh->birth = birth;
	}
	losses->loss[at].blocks++;
}

/* Those born after one epoch and up to another. */
static uint64_t
losses_between(
    const struct check_losses *losses, uint32_t after, uint32_t up_to)
{
	uint32_t i = after == UINT32_MAX ? losses->count
					 : losses_find(losses, after + 1);
	uint64_t blocks = 0;

	for (; i < losses->count && losses->loss[i].birth <= up_to; i++)
		blocks += losses->loss[i].blocks;
	return blocks;
}

/* ---- the table ---- */

static int
row_compare(const void *a, const void *b)
{
	const struct check_row *x = a, *y = b;

	if (x->account != y->account)
		return x->account < y->account ? -1 : 1;
	return (x->birth > y->birth) - (x->birth < y->birth);
}

static void
row_take(struct check *check, const struct fmt_lost *lost)
{
	struct check_row *room = check_grow(check, check->row, check->row_count,
	    &check->row_room, sizeof(*room));

	if (room == NULL)
		return;
	check->row = room;
	check->row[check->row_count++] = (struct check_row){
	    .account = le32_get(&lost->account),
	    .birth = le32_get(&lost->birth),
	    .blocks = le64_get(&lost->blocks),
	};
}

static void
lost_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_lost none;
	const struct fmt_lost_page *p = (const void *)page;
	uint64_t slots = le64_get(&walk->check->super.lost.count);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_LOST_COUNT; i++) {
		uint64_t slot = index * FMT_PAGE_LOST_COUNT + i;
		if (memcmp(&p->lost[i], &none, sizeof(none)) == 0)
			continue;
		used++;
		if (slot < slots)
			row_take(walk->check, &p->lost[i]);
		else
			check_find(walk->check, CHECK_DAMAGE, "lost.record",
			    "loss in slot %llu: beyond the slots that the"
			    " superblock knows",
			    (unsigned long long)slot);
	}
	walk_check_used(walk, page, used);
}

static const struct check_version *
account_version(const struct check *check, uint32_t account)
{
	for (uint32_t i = 0; i < check->version_count; i++)
		if (check->version[i].account == account)
			return &check->version[i];
	return NULL;
}

/* NULL: right in itself, and beside the row before it. */
static const char *
row_verify(const struct check_version *version, const struct check_row *row,
    const struct check_row *before)
{
	if (version == NULL)
		return "of no version";
	if (version->parent == NULL)
		return "of a version without a parent";
	if (row->birth == 0 || (version->parent->epoch != 0 &&
				   row->birth > version->parent->epoch))
		return "born after the parent";
	if (before != NULL && row_compare(before, row) == 0)
		return "there twice";
	return NULL;
}

void
check_lost_table(struct check *check)
{
	const struct check_version *version = NULL;
	struct check_walk walk = {.check = check,
	    .what = "table of losses",
	    .type = FMT_PAGE_LOST,
	    .leaf = lost_leaf};

	check_table(
	    &walk, &check->super.lost, FMT_PAGE_LOST_COUNT, "lost.count");
	if (check->row_count == 0 || check->error < 0)
		return;
	qsort(check->row, check->row_count, sizeof(check->row[0]), row_compare);
	for (uint32_t i = 0; i < check->row_count; i++) {
		const struct check_row *row = &check->row[i];
		const char *wrong;
		if (i == 0 || check->row[i - 1].account != row->account)
			version = account_version(check, row->account);
		wrong = row_verify(
		    version, row, i == 0 ? NULL : &check->row[i - 1]);
		if (wrong != NULL)
			check_find(check, CHECK_DAMAGE, "lost.record",
			    "losses of account %u, born in epoch %u: %s",
			    row->account, row->birth, wrong);
	}
}

/* The rows of a version, in the order of births. */
static const struct check_row *
rows_of(const struct check *check, const struct check_version *version,
    uint32_t *ret_count)
{
	uint32_t first = 0, end;

	while (first < check->row_count &&
	       check->row[first].account < version->account)
		first++;
	for (end = first; end < check->row_count &&
			  check->row[end].account == version->account;
	     end++)
		;
	*ret_count = end - first;
	return &check->row[first];
}

/* ---- the one against the other ---- */

/* The epoch up to which nothing can be said. */
static uint32_t
epoch_unknown(const struct check_version *version)
{
	const struct check_version *parent = version->parent;

	return parent->state != FMT_VERSION_DELETING || parent->cursor == 0
		   ? 0
		   : UINT32_MAX - 1;
}

static uint64_t
rows_between(
    const struct check_row *row, uint32_t count, uint32_t after, uint32_t up_to)
{
	uint64_t blocks = 0;

	for (uint32_t i = 0; i < count; i++)
		if (row[i].birth > after && row[i].birth <= up_to)
			blocks += row[i].blocks;
	return blocks;
}

static void
counted_take(struct check *check, struct check_row row)
{
	struct check_row *room = check_grow(check, check->counted,
	    check->counted_count, &check->counted_room, sizeof(*room));

	if (room == NULL)
		return;
	check->counted = room;
	check->counted[check->counted_count++] = row;
}

/* Where nothing can be counted, what is recorded stays. */
static void
recount(struct check *check, const struct check_version *version,
    const struct check_losses *counted)
{
	const struct check_row *row;
	uint32_t count;

	if (version->parent == NULL)
		return;
	row = rows_of(check, version, &count);
	if (counted != NULL && version->state != FMT_VERSION_DELETING &&
	    epoch_unknown(version) == 0) {
		for (uint32_t i = 0; i < counted->count; i++)
			counted_take(check, (struct check_row){version->account,
						counted->loss[i].birth,
						counted->loss[i].blocks});
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (row[i].birth != 0 && row[i].birth <= version->parent->epoch)
			counted_take(check, row[i]);
}

/* Between the epochs of two ancestors births are not told apart. */
void
check_lost(struct check *check, struct check_version *version,
    const struct check_losses *counted)
{
	const struct check_version *ancestor = version->parent;
	const struct check_row *row;
	uint32_t count, unknown;

	if (check->recount)
		recount(check, version, counted);
	if (!check_losses || ancestor == NULL || counted == NULL ||
	    version->state == FMT_VERSION_DELETING)
		return;
	row = rows_of(check, version, &count);
	unknown = epoch_unknown(version);
	for (; ancestor != NULL; ancestor = ancestor->parent) {
		uint32_t up_to = ancestor->epoch;
		uint32_t after =
		    ancestor->parent == NULL ? 0 : ancestor->parent->epoch;
		uint64_t blocks = losses_between(counted, after, up_to);
		uint64_t recorded = rows_between(row, count, after, up_to);
		if (up_to <= unknown || blocks == recorded)
			continue;
		version->lost_differs = true;
		check_find(check, CHECK_DAMAGE, "lost.counts",
		    "losses of version %llu (%s): of those born in epochs %u"
		    " to %u there are %llu, recorded are %llu",
		    (unsigned long long)version->id, version->name, after + 1,
		    up_to, (unsigned long long)blocks,
		    (unsigned long long)recorded);
		return;
	}
}
