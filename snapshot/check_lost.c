/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Losses: the blocks that a version's parent holds and it does not, by their
 * birth.  An entry of the version's tree has the sum of those born after the
 * entry before and up to its own birth.
 *
 * While the parent is being deleted, what it held below its cursor is partly
 * gone, and what was born up to the epoch of its own parent cannot be counted
 * any more.  What was born later was the parent's own: below the cursor it is
 * gone, and above it can be counted.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool check_losses = false;

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
losses_add(struct check *check, struct check_losses *losses, uint32_t birth)
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

/* ---- the version's tree ---- */

struct lost_read {
	const struct check_version *version;
	struct check_losses losses;
	uint64_t entries; /* that there should be */
	bool ordered;
	char what[FMT_NAME + 32];
};

static void
lost_take(
    struct check *check, struct lost_read *read, const struct fmt_lost *entry)
{
	struct check_losses *losses = &read->losses;
	uint32_t birth = le32_get(&entry->birth);
	struct check_loss *loss;

	if (losses->count > 0 && losses->loss[losses->count - 1].birth >= birth)
		read->ordered = false;
	loss = losses_insert(check, losses, losses->count);
	if (loss == NULL)
		return;
	loss->birth = birth;
	loss->blocks = le64_get(&entry->blocks);
}

static void
lost_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_lost none;
	const struct fmt_lost_page *p = (const void *)page;
	struct lost_read *read = walk->arg;
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_LOST_COUNT; i++) {
		uint64_t n = index * FMT_PAGE_LOST_COUNT + i;
		bool empty = memcmp(&p->lost[i], &none, sizeof(none)) == 0;
		used += !empty;
		if (n < read->entries)
			lost_take(walk->check, read, &p->lost[i]);
		else if (!empty)
			read->ordered = false;
	}
	walk_check_used(walk, page, used);
}

static void
lost_verify(struct check *check, const struct lost_read *read)
{
	const struct check_version *version = read->version;
	uint32_t last = read->losses.count == 0
			    ? 0
			    : read->losses.loss[read->losses.count - 1].birth;
	const char *wrong = NULL;

	if (!read->ordered || read->losses.count != read->entries)
		wrong = "not in the order of births, or not all there";
	else if (read->entries > 0 && version->parent_id == 0)
		wrong = "of a version without a parent";
	else if (version->parent != NULL && last > version->parent->epoch)
		wrong = "born after the parent";
	else if (losses_between(&read->losses, 0, UINT32_MAX) !=
		     version->lost_blocks ||
		 version->lost_sole > version->lost_blocks)
		wrong = "not what their record has as their sum";
	if (wrong != NULL)
		check_find(check, CHECK_DAMAGE, "lost.record", "%s: %s",
		    read->what, wrong);
}

static void
lost_walk(struct check *check, struct lost_read *read)
{
	const struct fmt_root *root = &read->version->lost;
	struct check_walk walk = {.check = check,
	    .what = read->what,
	    .type = FMT_PAGE_LOST,
	    .leaf = lost_leaf,
	    .arg = read};

	snprintf(read->what, sizeof(read->what), "losses of version %llu (%s)",
	    (unsigned long long)read->version->id, read->version->name);
	read->entries = le64_get(&root->count);
	check_table(&walk, root, FMT_PAGE_LOST_COUNT, "lost.count");
	if (check->error == 0)
		lost_verify(check, read);
}

/* ---- the one against the other ---- */

/* The epoch up to which nothing can be said. */
static uint32_t
epoch_unknown(const struct check_version *version)
{
	const struct check_version *parent = version->parent;

	if (parent->state != FMT_VERSION_DELETING || parent->cursor == 0 ||
	    parent->parent == NULL)
		return 0;
	return parent->parent->epoch;
}

/* An entry may merge births only where no ancestor's epoch lies between. */
static bool
entry_merges_over(const struct check_losses *counted,
    const struct check_version *version, uint32_t after, uint32_t up_to)
{
	const struct check_version *v = version->parent;

	for (; v != NULL; v = v->parent)
		if (losses_between(counted, after, v->epoch) > 0 &&
		    losses_between(counted, v->epoch, up_to) > 0)
			return true;
	return false;
}

static void
compare_between(struct check *check, const struct lost_read *read,
    const struct check_losses *counted, uint32_t after,
    const struct check_loss *entry)
{
	uint64_t blocks = losses_between(counted, after, entry->birth);

	if (blocks != entry->blocks)
		check_find(check, CHECK_DAMAGE, "lost.counts",
		    "%s: of those born in epochs %u to %u there are %llu,"
		    " recorded are %llu",
		    read->what, after + 1, entry->birth,
		    (unsigned long long)blocks,
		    (unsigned long long)entry->blocks);
	else if (entry_merges_over(counted, read->version, after, entry->birth))
		check_find(check, CHECK_DAMAGE, "lost.counts",
		    "%s: those born in epochs %u to %u are not told apart by"
		    " an ancestor between",
		    read->what, after + 1, entry->birth);
}

static void
lost_compare(struct check *check, const struct lost_read *read,
    const struct check_losses *counted)
{
	const struct check_version *version = read->version;
	const struct check_version *above = version->parent->parent;
	uint32_t after = epoch_unknown(version);
	uint64_t sole = losses_between(
	    counted, above == NULL ? 0 : above->epoch, UINT32_MAX);

	for (uint32_t i = 0; i < read->losses.count; i++) {
		const struct check_loss *entry = &read->losses.loss[i];
		if (entry->birth <= after)
			continue;
		compare_between(check, read, counted, after, entry);
		after = entry->birth;
	}
	compare_between(
	    check, read, counted, after, &(struct check_loss){UINT32_MAX, 0});
	if (sole != version->lost_sole)
		check_find(check, CHECK_DAMAGE, "lost.sole",
		    "%s: %llu of the parent's own blocks, recorded are %llu",
		    read->what, (unsigned long long)sole,
		    (unsigned long long)version->lost_sole);
}

void
check_lost(struct check *check, const struct check_version *version,
    const struct check_losses *counted)
{
	struct lost_read read = {.version = version, .ordered = true};

	lost_walk(check, &read);
	if (check->error == 0 && check_losses && counted != NULL &&
	    read.ordered && version->parent != NULL &&
	    version->state != FMT_VERSION_DELETING)
		lost_compare(check, &read, counted);
	free(read.losses.loss);
}
