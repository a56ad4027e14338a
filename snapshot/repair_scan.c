/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passes of check over what has been made so far: each says which pages are
 * damaged, from the tables to the maps and from their roots down, until one
 * finds nothing new.
 */
#include "snapshot/repair_scan.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PASSES_MAX 64u /* trees are not that deep */

/* ---- a pass ---- */

static void
damage_births(struct scan_damage *damage, const struct check_version *version)
{
	const struct check_version *parent = version->parent;

	damage->version = version->id;
	damage->size = version->size;
	damage->cursor = version->cursor;
	damage->after = parent == NULL ? 0 : parent->epoch;
	/* places below the cursor of a deletion go by the parent's parent */
	if (parent != NULL && parent->state == FMT_VERSION_DELETING)
		damage->after =
		    parent->parent == NULL ? 0 : parent->parent->epoch;
	if (check_is_frozen(version))
		damage->bound = version->epoch;
}

static bool
damage_is_known(const struct scan *scan, const struct scan_damage *damage)
{
	for (uint32_t i = 0; i < scan->damage_count; i++) {
		const struct scan_damage *other = &scan->damage[i];
		if (other->type == damage->type &&
		    other->level == damage->level &&
		    other->index == damage->index &&
		    memcmp(&other->ptr, &damage->ptr, sizeof(damage->ptr)) == 0)
			return true;
	}
	return false;
}

static void
on_damaged(struct check_walk *walk, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index)
{
	struct scan *scan = walk->check->damaged_arg;
	struct scan_damage damage = {.ptr = *ptr,
	    .type = walk->type,
	    .level = (uint8_t)level,
	    .family = walk->family,
	    .index = index,
	    .bound = le32_get(&walk->check->super.epoch)};
	struct scan_damage *room;

	/* it is made anew as a whole */
	if (walk->type == FMT_PAGE_BITMAP) {
		scan->bitmap_damaged = true;
		return;
	}
	if (walk->type == FMT_PAGE_REGIONS)
		scan->regions_known = false;
	if (walk->version != NULL)
		damage_births(&damage, walk->version);
	if (damage_is_known(scan, &damage))
		return;
	room = check_grow(walk->check, scan->damage, scan->damage_count,
	    &scan->damage_room, sizeof(*room));
	if (room == NULL)
		return;
	scan->damage = room;
	scan->damage[scan->damage_count++] = damage;
}

/* What two pages say, and cannot both be right. */
static void
on_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	static const char *const codes[] = {"map.shared", "map.entry",
	    "map.beyond", "data.double", "meta.double", "meta.place",
	    "meta.birth", "meta.pointer", "meta.used"};
	struct scan *scan = arg;

	(void)severity;
	if (strncmp(code, "meta.", strlen("meta.")) == 0 &&
	    strncmp(text, "bitmap:", strlen("bitmap:")) == 0)
		scan->bitmap_damaged = true;
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
		scan->contradictions += strcmp(code, codes[i]) == 0;
}

static int
pass_begin(struct scan *scan, struct check *check)
{
	struct repair *repair = scan->repair;

	scan->mute = (struct check_report){.finding = on_finding, .arg = scan};
	scan->regions_known = true;
	scan->bitmap_damaged = false;
	scan->contradictions = 0;
	*check = (struct check){.bs = repair->bs,
	    .bs_count = repair->count,
	    .step = repair->step,
	    .step_arg = repair->step_arg,
	    .report = &scan->mute,
	    .damaged = on_damaged,
	    .damaged_arg = scan};
	scan->check = check;
	return check_run_pass(check);
}

/* What is made is told to whoever asked for it. */
static void
pass_tell(struct scan *scan)
{
	scan->check->report = scan->report;
}

/* ---- making ---- */

/* Without the tables there are no maps, and without the regions no tables. */
static unsigned
stage_of(const struct scan_damage *damage)
{
	return damage->type == FMT_PAGE_REGIONS    ? 0
	       : damage->type == FMT_PAGE_VERSIONS ? 1
						   : 2;
}

static int
damage_make(struct scan *scan, struct scan_damage *damage)
{
	damage->fate = SCAN_LEFT;
	if (!scan_may_write(scan, damage))
		return 0;
	damage->fate = SCAN_NEW;
	if (damage->type == FMT_PAGE_FINE)
		return scan_fine_make(scan, damage);
	if (damage->level > 0)
		return scan_inner_make(scan, damage);
	return damage->type == FMT_PAGE_MAP ? scan_leaf_make(scan, damage)
					    : scan_table_make(scan, damage);
}

/* Those that can be made now.  *ret_made: any. */
static int
damages_make(struct scan *scan, bool *ret_made)
{
	unsigned stage = 2;
	bool found = scan->found;
	int r = 0;

	*ret_made = false;
	for (uint32_t i = 0; i < scan->damage_count; i++)
		if (scan->damage[i].fate == SCAN_NEW &&
		    stage_of(&scan->damage[i]) < stage)
			stage = stage_of(&scan->damage[i]);
	for (uint32_t i = 0; i < scan->damage_count && r == 0; i++) {
		struct scan_damage *damage = &scan->damage[i];
		if (damage->fate != SCAN_NEW || stage_of(damage) != stage)
			continue;
		if (!found)
			r = scan_find(scan);
		found = true;
		if (r == 0)
			r = damage_make(scan, damage);
		*ret_made = true;
	}
	if (stage == 0)
		scan->found = false; /* where META is was not known */
	return r < 0 ? r : scan->check->error;
}

/* A page of the one or the other kind that contradicts what is there is taken
 * back: reading it is an error, as before. */
static int
leaves_take_back(struct scan *scan, uint32_t first)
{
	int r = 0;

	for (uint32_t i = first; i < scan->damage_count && r == 0; i++) {
		struct scan_damage *damage = &scan->damage[i];
		if (damage->fate == SCAN_MADE && damage->version != 0 &&
		    damage->level == 0)
			r = scan_leave(scan, damage);
	}
	return r;
}

/* 1: nothing is left to be made. */
static int
scan_round(struct scan *scan, unsigned *contradictions, uint32_t *first)
{
	struct check check;
	uint32_t before = scan->damage_count;
	bool made = false;
	int r = pass_begin(scan, &check);

	if (r == 0 && scan->contradictions > *contradictions)
		r = leaves_take_back(scan, *first);
	else if (r == 0)
		*contradictions = scan->contradictions;
	*first = before;
	pass_tell(scan);
	if (r == 0)
		r = scan_regions_mend(scan, &made);
	if (r == 0 && !made)
		r = damages_make(scan, &made);
	check_done(&check);
	return r < 0 || made ? r : 1;
}

/* ---- doubts ---- */

static bool
version_is_proven(const struct check_version *version)
{
	return version->state == FMT_VERSION_DELETING ||
	       (version->sum.known && version->sum.live == version->live &&
		   version->sum.held == version->held &&
		   !version->lost_differs);
}

/* Does the version reach the page? */
static bool
version_has(struct scan *scan, const struct check_version *version,
    const struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_leaf leaf;
	struct fmt_ptr ptr;

	if (version->family != damage->family)
		return false;
	if (damage->type == FMT_PAGE_MAP)
		return scan_pointer(
			   scan, version, damage->level, damage->index, &ptr) &&
		       memcmp(&ptr, &damage->ptr, sizeof(ptr)) == 0;
	return scan_page_of(
		   scan, version, 0, damage->index / FMT_LEAF_FINE, &leaf) &&
	       memcmp(&leaf.fine[damage->index % FMT_LEAF_FINE], &damage->ptr,
		   sizeof(ptr)) == 0;
}

/* All that reach it come to what their records say. */
static bool
damage_is_proven(struct scan *scan, const struct scan_damage *damage)
{
	for (uint32_t i = 0; i < scan->check->version_count; i++) {
		const struct check_version *version = &scan->check->version[i];
		if (!version_is_proven(version) &&
		    version_has(scan, version, damage))
			return false;
	}
	return true;
}

static bool
has_doubts(const struct scan_damage *damage)
{
	static const uint8_t none[sizeof(damage->doubt)];
	_Static_assert(sizeof(none) >= sizeof(damage->holes), "holes");

	return damage->fate == SCAN_MADE && damage->version != 0 &&
	       (memcmp(damage->doubt, none, sizeof(damage->doubt)) != 0 ||
		   memcmp(damage->holes, none, sizeof(damage->holes)) != 0);
}

static int
damage_poison(struct scan *scan, struct scan_damage *damage)
{
	if (damage->type == FMT_PAGE_FINE)
		return scan_fine_poison(scan, damage);
	return damage->level > 0 ? scan_inner_poison(scan, damage)
				 : scan_leaf_poison(scan, damage);
}

/* Judged before anything is changed: proof is of all that was made. */
static int
doubts_end(struct scan *scan)
{
	struct check check;
	int r = pass_begin(scan, &check);

	for (uint32_t i = 0; i < scan->damage_count && r == 0; i++) {
		struct scan_damage *damage = &scan->damage[i];
		if (has_doubts(damage) && damage_is_proven(scan, damage)) {
			memset(damage->doubt, 0, sizeof(damage->doubt));
			memset(damage->holes, 0, sizeof(damage->holes));
		}
	}
	for (uint32_t i = 0; i < scan->damage_count && r == 0; i++) {
		struct scan_damage *damage = &scan->damage[i];
		if (has_doubts(damage))
			r = damage_poison(scan, damage);
	}
	check_done(&check);
	return r;
}

/* ---- what is said ---- */

static const char *
type_name(const struct scan_damage *damage)
{
	static const char *const names[FMT_PAGE_TYPE_COUNT] = {
	    [FMT_PAGE_MAP] = "map",
	    [FMT_PAGE_FINE] = "fine page",
	    [FMT_PAGE_REGIONS] = "region map",
	    [FMT_PAGE_VERSIONS] = "version table",
	    [FMT_PAGE_BOOKMARKS] = "table of bookmarks",
	    [FMT_PAGE_GROUPS] = "table of groups",
	    [FMT_PAGE_LOST] = "table of losses",
	    [FMT_PAGE_DEAD] = "table of dead subtrees",
	};

	return names[damage->type];
}

static void
table_tell(struct scan *scan, const struct scan_damage *damage)
{
	const char *what = damage->fate == SCAN_LEFT ? "cannot be made anew"
			   : damage->level > 0 ? "made from the pages below"
			   : damage->older
			       ? "an older copy, which may be out of date"
			       : "lost: empty now";
	bool sure = damage->fate == SCAN_MADE &&
		    (damage->type == FMT_PAGE_LOST ||
			(damage->level > 0 && !damage->chosen));

	check_find(scan->check, sure ? CHECK_NOTE : CHECK_DAMAGE,
	    damage->fate == SCAN_LEFT ? "scan.lost"
	    : damage->older           ? "scan.older"
				      : "scan.made",
	    "%s: page (level %u, index %llu): %s", type_name(damage),
	    damage->level, (unsigned long long)damage->index, what);
}

static void
older_tell(struct scan *scan, const struct check_version *version,
    const struct scan_damage *damage)
{
	uint64_t leaf = damage->type == FMT_PAGE_FINE
			    ? damage->index / FMT_LEAF_FINE
			    : damage->index;

	if (damage->older && damage->fate == SCAN_MADE && damage->version != 0)
		check_find(scan->check, CHECK_DAMAGE, "scan.older",
		    "version %llu (%s): bytes %llu to %llu: a page of the map"
		    " is an older copy, and may be out of date",
		    (unsigned long long)version->id, version->name,
		    (unsigned long long)(leaf * FMT_LEAF_BYTES),
		    (unsigned long long)((leaf + 1) * FMT_LEAF_BYTES - 1));
}

static void
map_tell(struct scan *scan, const struct scan_damage *damage)
{
	if (damage->fate == SCAN_MADE)
		check_find(scan->check, CHECK_NOTE, "scan.made",
		    "version %llu: %s (level %u, index %llu) was made anew",
		    (unsigned long long)damage->version, type_name(damage),
		    damage->level, (unsigned long long)damage->index);
	for (uint32_t i = 0; i < scan->check->version_count; i++)
		if (version_has(scan, &scan->check->version[i], damage))
			older_tell(scan, &scan->check->version[i], damage);
}

/* What was made, of the checkpoint. */
static int
scan_tell(struct scan *scan)
{
	struct check check;
	int r = pass_begin(scan, &check);

	pass_tell(scan);
	scan->next_version = le64_get(&check.super.next_version);
	for (uint32_t i = 0; i < scan->damage_count; i++)
		if (scan->damage[i].version == 0)
			table_tell(scan, &scan->damage[i]);
		else if (r == 0)
			map_tell(scan, &scan->damage[i]);
	check_done(&check);
	return r;
}

/* A version that the log has made may share what is an older copy. */
static void
newer_tell(struct scan *scan, const struct check_version *version)
{
	for (uint32_t i = 0; i < scan->damage_count; i++)
		if (version->id >= scan->next_version &&
		    version->family == scan->damage[i].family)
			older_tell(scan, version, &scan->damage[i]);
}

/* ---- all of it ---- */

int
repair_scan(
    struct repair *repair, struct check_report *report, struct scan **ret_scan)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	unsigned contradictions = UINT32_MAX;
	uint32_t first = 0;
	int r = 0;

	*ret_scan = scan;
	if (scan == NULL)
		return -ENOMEM;
	scan->repair = repair;
	scan->report = report;
	r = scan_super_make(repair, report);
	for (unsigned i = 0; i < PASSES_MAX && r == 0; i++)
		r = scan_round(scan, &contradictions, &first);
	if (r >= 0)
		r = doubts_end(scan);
	if (r == 0)
		r = scan_tell(scan);
	for (uint32_t i = 0; i < scan->damage_count; i++)
		repair->keep |= scan->damage[i].version == 0 &&
				scan->damage[i].type == FMT_PAGE_VERSIONS;
	return r;
}

int
repair_scan_end(struct scan *scan)
{
	struct check check;
	int r = pass_begin(scan, &check);

	pass_tell(scan);
	for (uint32_t i = 0; i < check.version_count && r == 0; i++) {
		newer_tell(scan, &check.version[i]);
		scan_lost_tell(scan, &check.version[i]);
	}
	check_done(&check);
	return r;
}

void
repair_scan_free(struct scan *scan)
{
	if (scan == NULL)
		return;
	free(scan->page);
	free(scan->damage);
	free(scan);
}
