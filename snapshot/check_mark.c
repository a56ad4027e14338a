/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bookmarks and groups.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include "snapshot/pool.h"
#include <stdlib.h>
#include <string.h>

/* Do they lie in slots that the superblock knows? */
static uint64_t
slots_left(const struct fmt_root *root, uint64_t first)
{
	uint64_t slots = le64_get(&root->count);

	return slots > first ? slots - first : 0;
}

/* ---- bookmarks ---- */

/* NULL: right in itself. */
static const char *
bookmark_verify(const struct check *check, const struct fmt_bookmark *b)
{
	const struct check_version *volume =
	    check_version_find(check, le64_get(&b->volume));
	uint32_t epoch = le32_get(&b->epoch);

	if (!check_has_snapshots(check))
		return "a bookmark in a pool without snapshots";
	if (volume == NULL || volume->state != FMT_VERSION_HEAD)
		return "of no volume";
	if (epoch == 0 || epoch >= le32_get(&check->super.epoch))
		return "impossible epoch";
	if (memchr(b->name, 0, sizeof(b->name)) == NULL ||
	    !pool_name_valid(b->name))
		return "impossible name";
	return NULL;
}

static void
bookmark_take(struct check *check, const struct fmt_bookmark *b)
{
	struct check_bookmark *room = check_grow(check, check->bookmark,
	    check->bookmark_count, &check->bookmark_room, sizeof(*room));

	if (room == NULL)
		return;
	check->bookmark = room;
	room = &check->bookmark[check->bookmark_count++];
	room->volume = le64_get(&b->volume);
	room->epoch = le32_get(&b->epoch);
	memcpy(room->name, b->name, sizeof(room->name));
}

static void
bookmarks_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_bookmark nothing;
	const struct fmt_bookmark_page *p = (const void *)page;
	struct check *check = walk->check;
	uint64_t first = index * FMT_PAGE_BOOKMARKS_COUNT;
	uint64_t left = slots_left(&check->super.bookmarks, first);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_BOOKMARKS_COUNT; i++) {
		const struct fmt_bookmark *b = &p->bookmark[i];
		const char *wrong;
		if (memcmp(b, &nothing, sizeof(nothing)) == 0)
			continue;
		used++;
		wrong = i < left ? bookmark_verify(check, b)
				 : "beyond the slots that the superblock knows";
		if (wrong == NULL)
			bookmark_take(check, b);
		else
			check_find(check, CHECK_DAMAGE, "bookmark.record",
			    "bookmark in slot %llu: %s",
			    (unsigned long long)first + i, wrong);
	}
	walk_check_used(walk, page, used);
}

static int
bookmark_compare(const void *a, const void *b)
{
	const struct check_bookmark *x = a, *y = b;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	return strcmp(x->name, y->name);
}

void
check_bookmarks(struct check *check)
{
	struct check_walk walk = {.check = check,
	    .what = "table of bookmarks",
	    .type = FMT_PAGE_BOOKMARKS,
	    .leaf = bookmarks_leaf};

	check_table(&walk, &check->super.bookmarks, FMT_PAGE_BOOKMARKS_COUNT,
	    "bookmark.count");
	if (check->bookmark_count == 0)
		return;
	qsort(check->bookmark, check->bookmark_count,
	    sizeof(check->bookmark[0]), bookmark_compare);
	for (uint32_t i = 1; i < check->bookmark_count; i++)
		if (bookmark_compare(
			&check->bookmark[i - 1], &check->bookmark[i]) == 0)
			check_find(check, CHECK_DAMAGE, "bookmark.name",
			    "two bookmarks of volume %llu have the same name",
			    (unsigned long long)check->bookmark[i].volume);
}

/* ---- groups ---- */

static const char *
group_verify(const struct check *check, const struct fmt_group *g)
{
	uint64_t id = le64_get(&g->id);

	if (id == 0 || id >= le64_get(&check->super.next_group))
		return "impossible id";
	if (memchr(g->name, 0, sizeof(g->name)) == NULL)
		return "a name without end";
	return NULL;
}

static void
group_take(struct check *check, uint64_t id)
{
	uint64_t *room = check_grow(check, check->group, check->group_count,
	    &check->group_room, sizeof(*room));

	if (room == NULL)
		return;
	check->group = room;
	check->group[check->group_count++] = id;
}

static void
groups_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_group nothing;
	const struct fmt_group_page *p = (const void *)page;
	struct check *check = walk->check;
	uint64_t first = index * FMT_PAGE_GROUPS_COUNT;
	uint64_t left = slots_left(&check->super.groups, first);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_GROUPS_COUNT; i++) {
		const struct fmt_group *g = &p->group[i];
		const char *wrong;
		if (memcmp(g, &nothing, sizeof(nothing)) == 0)
			continue;
		used++;
		wrong = i < left ? group_verify(check, g)
				 : "beyond the slots that the superblock knows";
		if (wrong == NULL)
			group_take(check, le64_get(&g->id));
		else
			check_find(check, CHECK_DAMAGE, "group.record",
			    "group in slot %llu: %s",
			    (unsigned long long)first + i, wrong);
	}
	walk_check_used(walk, page, used);
}

static int
group_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

void
check_groups(struct check *check)
{
	struct check_walk walk = {.check = check,
	    .what = "table of groups",
	    .type = FMT_PAGE_GROUPS,
	    .leaf = groups_leaf};

	check_table(
	    &walk, &check->super.groups, FMT_PAGE_GROUPS_COUNT, "group.count");
	if (check->group_count == 0)
		return;
	qsort(check->group, check->group_count, sizeof(check->group[0]),
	    group_compare);
	for (uint32_t i = 1; i < check->group_count; i++)
		if (check->group[i - 1] == check->group[i])
			check_find(check, CHECK_DAMAGE, "group.double",
			    "two groups have the id %llu",
			    (unsigned long long)check->group[i]);
}
