/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inner pages, of maps and of tables: pointers to the pages that are there.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A place below the page. */
struct child {
	unsigned level;
	uint64_t index;
	const struct check_version *version, *parent; /* NULL: none */
};

static uint32_t
epoch_of(const struct check_version *version)
{
	return version == NULL ? 0 : version->epoch;
}

/* Holes remember a birth where differences are asked for: one too young costs
 * a block in a difference, one too old would hide it. */
static uint32_t
hole_birth(
    const struct scan_damage *damage, const struct check_version *version)
{
	return version->parent != NULL || version->bookmark_epoch != 0
		   ? le32_get(&damage->ptr.birth)
		   : 0;
}

/* Rule 1. */
static bool
child_of_heir(
    struct scan *scan, const struct child *child, struct fmt_ptr *ret_ptr)
{
	for (uint32_t i = 0; i < scan->check->version_count; i++) {
		const struct check_version *heir = &scan->check->version[i];
		if (heir->parent == child->version &&
		    scan_pointer(
			scan, heir, child->level, child->index, ret_ptr) &&
		    fmt_ptr_address(ret_ptr) != 0 &&
		    le32_get(&ret_ptr->birth) <= child->version->epoch)
			return true;
	}
	return false;
}

static void
pointer_to(const struct scan_page *page, struct fmt_ptr *ret_ptr)
{
	fmt_ptr_set(ret_ptr,
	    page->type == FMT_PAGE_REGIONS ? page->place : page->address,
	    page->birth, page->gen);
}

/* True: in doubt. */
static bool
child_of_map(struct scan *scan, struct scan_damage *damage,
    const struct child *child, const struct scan_choice *choice,
    struct fmt_ptr *ret_ptr)
{
	if (child_of_heir(scan, child, ret_ptr))
		return false;
	if (choice->page != NULL &&
	    choice->page->birth > epoch_of(child->parent)) {
		pointer_to(choice->page, ret_ptr);
		return choice->several ||
		       !scan_use_is_known(scan, choice->page->address);
	}
	if (child->parent != NULL &&
	    scan_pointer(
		scan, child->parent, child->level, child->index, ret_ptr) &&
	    fmt_ptr_address(ret_ptr) != 0)
		return true;
	fmt_ptr_set(ret_ptr, 0, hole_birth(damage, child->version), 0);
	return true;
}

/* Beyond the end, and where a deletion has been, nothing is asked for. */
static bool
child_counts(const struct child *child)
{
	uint64_t first =
	    child->index * level_reach(child->level) * FMT_LEAF_CHUNKS;

	return first * FMT_CHUNK < child->version->size &&
	       !scan_given_up(child->version, child->level, child->index);
}

static void
map_fill(struct scan *scan, struct scan_damage *damage,
    const struct scan_choice *choice, struct fmt_inner *inner)
{
	struct child child = {
	    .level = damage->level - 1u, .version = scan_version(scan, damage)};

	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		child.index = damage->index * FMT_FANOUT + i;
		child.parent =
		    scan_parent(scan, child.version, child.level, child.index);
		if (child_counts(&child))
			damage->doubt[i] = child_of_map(
			    scan, damage, &child, &choice[i], &inner->ptr[i]);
	}
}

static void
table_fill(struct scan_damage *damage, const struct scan_choice *choice,
    struct fmt_inner *inner)
{
	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		if (choice[i].page == NULL)
			continue;
		pointer_to(choice[i].page, &inner->ptr[i]);
		damage->chosen |=
		    choice[i].several && damage->type != FMT_PAGE_REGIONS;
	}
}

static unsigned
pointers_used(const struct fmt_inner *inner)
{
	static const struct fmt_ptr none;
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_FANOUT; i++)
		used += memcmp(&inner->ptr[i], &none, sizeof(none)) != 0;
	return used;
}

static int
inner_write(struct scan *scan, const struct scan_damage *damage,
    struct fmt_inner *inner)
{
	scan_header(scan, damage, damage->level, damage->index, inner);
	le32_set(&inner->page.used, pointers_used(inner));
	return scan_write(scan, damage, inner);
}

int
scan_inner_make(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_inner inner = {.page = {.type = 0}};
	struct scan_choice *choice = calloc(FMT_FANOUT, sizeof(*choice));

	if (choice == NULL)
		return -ENOMEM;
	scan_choose(scan, damage, damage->level - 1u,
	    damage->index * FMT_FANOUT, FMT_FANOUT, false, choice);
	if (damage->type == FMT_PAGE_MAP)
		map_fill(scan, damage, choice, &inner);
	else
		table_fill(damage, choice, &inner);
	free(choice);
	damage->fate = SCAN_MADE;
	return inner_write(scan, damage, &inner);
}

/* ---- what stays in doubt ---- */

static void
leaf_of_poison(
    const struct scan_damage *damage, uint64_t index, struct fmt_leaf *leaf)
{
	unsigned used = 0;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		if ((index * FMT_LEAF_CHUNKS + c) * FMT_CHUNK >= damage->size)
			break;
		le64_set(
		    &leaf->entry[c].word, fmt_entry_word(FMT_POISON, 0, 0));
		leaf->entry[c].birth = damage->ptr.birth;
		used++;
	}
	le32_set(&leaf->page.used, used);
}

/* Pages of which nothing can be read.  Goes down at most FMT_LEVELS_MAX times.
 * -ENOSPC: no room for them. */
static int
poison_make(struct scan *scan, const struct scan_damage *damage, unsigned level,
    uint64_t index, struct fmt_ptr *ret_ptr)
{
	_Alignas(FMT_BLOCK) struct fmt_inner page = {.page = {.type = 0}};
	uint64_t child =
	    level == 0 ? 0 : level_reach(level - 1) * FMT_LEAF_BYTES;
	struct scan_damage at = *damage;
	uint64_t room = scan_room_take(scan);

	if (room == 0)
		return -ENOSPC;
	fmt_ptr_set(&at.ptr, room, le32_get(&damage->ptr.birth),
	    le32_get(&damage->ptr.gen));
	*ret_ptr = at.ptr;
	for (unsigned i = 0; level > 0 && i < FMT_FANOUT; i++) {
		uint64_t below = index * FMT_FANOUT + i;
		int r = 0;
		if (below * child < damage->size)
			r = poison_make(
			    scan, damage, level - 1, below, &page.ptr[i]);
		if (r < 0)
			return r;
	}
	scan_header(scan, damage, level, index, &page);
	le32_set(&page.page.used, pointers_used(&page));
	if (level == 0)
		leaf_of_poison(damage, index, (void *)&page);
	return scan_write(scan, &at, &page);
}

static int
doubts_poison(
    struct scan *scan, struct scan_damage *damage, struct fmt_inner *inner)
{
	int r = 0;

	for (unsigned i = 0; i < FMT_FANOUT && r == 0; i++) {
		if (!damage->doubt[i])
			continue;
		r = poison_make(scan, damage, damage->level - 1u,
		    damage->index * FMT_FANOUT + i, &inner->ptr[i]);
	}
	return r;
}

int
scan_inner_poison(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_inner inner;
	const struct check_version *version = scan_version(scan, damage);
	int r;

	if (version == NULL ||
	    !scan_page_of(scan, version, damage->level, damage->index, &inner))
		return scan_leave(scan, damage);
	r = doubts_poison(scan, damage, &inner);
	if (r == -ENOSPC)
		return scan_leave(scan, damage);
	return r < 0 ? r : inner_write(scan, damage, &inner);
}

int
scan_leave(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_page page[FMT_BLOCK / 64] = {
	    {.type = 0}};

	damage->fate = SCAN_LEFT;
	return scan_write(scan, damage, page);
}
