/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last resort of a repair: pages that are damaged in all copies are made
 * anew from what a scan of the regions of metadata finds by the headers of
 * pages.
 *
 *	repair_scan.c    the order of things, what is put in and what stays lost
 *	repair_find.c    the scan: every right page of the pool
 *	repair_beside.c  what the maps of other versions have at a place
 *	repair_inner.c   inner pages of maps and tables, from their children
 *	repair_leaf.c    leaves and fine pages, from those beside, older copies
 *	repair_table.c   pages of tables, from older copies
 *	repair_lost.c    what stays lost
 *	repair_super.c   a superblock, where none is left
 *
 * A page is made anew in its own place, with the birth and the gen that its
 * pointer demands: so all that points to it is right again, in however many
 * versions, and no other page changes.
 *
 * What a damaged page P of the map of version V has at a place, by the first
 * rule that says anything:
 *
 *	1  a child of V (a version whose parent is V) has there what was born
 *	   up to V's epoch: V has the same, for it can be from nowhere else
 *	2  a page was found: right sum; type, family, level and index of the
 *	   place; born after the epoch of V's effective parent, and not after
 *	   V's own epoch (the pool's, of a volume); gen not over P's; marked
 *	   used by the bitmap of the checkpoint, and reached by nothing else.
 *	   (Not bounded by P's birth: a page that is changed is born again only
 *	   if it was shared, so that its children may be younger.)  Of several
 *	   the one with the newest gen is taken, in doubt; none, if two have
 *	   the same gen, or one fits two damaged pages
 *	3  V's effective parent has something there: the same, in doubt
 *	4  a hole, in doubt
 *
 * Doubts are over if in the end V's map comes to the blocks that V's record and
 * its losses say.  Else what was in doubt is made unreadable (POISON), never a
 * hole.  Without a page of the bitmap, rule 2 leaves doubts, too.
 *
 * Of leaves and fine pages rule 2 is another: an entry of the newest older copy
 * (header as above, gen below P's) counts if the blocks that it has are marked
 * used and nothing else has them, or, in doubt, if they are the parent's; and a
 * hole of it, in doubt.  What no rule says anything of is POISON.  A
 * page whose repair would contradict any other is left as it is, which reads
 * as an error as well.
 *
 * Pages of tables: inner ones by rule 2, without births; others become the
 * newest older copy.  Losses are counted anew.  What an older record of a
 *version says of its root is found by rule 2: if it is not as recorded, or
 *there are several, the newest is taken, and all of the version is reported as
 *in doubt.
 */
#ifndef SNAPSHOT_REPAIR_SCAN_H
#define SNAPSHOT_REPAIR_SCAN_H

#include "snapshot/check_map.h"
#include "snapshot/repair_priv.h"

/* A page on disk, right in itself. */
struct scan_page {
	uint64_t place;   /* fmt_device_address() */
	uint64_t address; /* 0: unknown, the regions are damaged */
	uint64_t family, index;
	uint32_t birth, gen;
	uint8_t type, level;
};

/* A page that something points to, and that is damaged. */
struct scan_damage {
	struct fmt_ptr ptr;
	uint64_t family, index, version; /* version 0: of a table */
	uint64_t size, cursor;           /* of the version */
	uint32_t after, bound;           /* births of its own */
	uint8_t type, level;

	enum scan_fate {
		SCAN_NEW, /* not looked at yet */
		SCAN_MADE,
		SCAN_LEFT, /* as it is */
	} fate;
	bool older;                    /* of a copy that was older */
	bool chosen;                   /* one page of several that fit */
	uint8_t doubt[FMT_FANOUT];     /* inner: pointers; fine: bits of subs */
	uint8_t lost[FMT_LEAF_CHUNKS]; /* leaf, fine: chunks of the leaf */
	uint8_t holes[FMT_LEAF_CHUNKS]; /* leaf: in doubt */
};

struct scan {
	struct repair *repair;
	struct check_report *report; /* what is said of it */
	struct check *check;         /* the pass at hand */
	struct check_report mute;    /* ... which nobody hears */

	struct scan_page *page;
	uint32_t page_count, page_room;
	bool regions_known, found; /* pages were looked for */

	struct scan_damage *damage;
	uint32_t damage_count, damage_room;
	uint64_t next_version; /* as of the checkpoint */
	bool bitmap_damaged;
	unsigned contradictions; /* of the pass */
};

/* ---- repair_find.c ---- */

/* 0, -ENOMEM; what cannot be read is not found. */
int scan_find(struct scan *scan);
/* Does the checkpoint say that a block is in use?  Unknown is yes. */
bool scan_is_used(const struct scan *scan, uint64_t address);
/* Can it be told? */
bool scan_use_is_known(const struct scan *scan, uint64_t address);
/* A page of the damaged one's version at that level and index, as rule 2. */
bool scan_fits(const struct scan *scan, const struct scan_damage *damage,
    unsigned level, const struct scan_page *page);

/* What was found for a place. */
struct scan_choice {
	const struct scan_page *page; /* NULL: nothing, or twins */
	bool several, twins;
};
/* By rule 2 (older: the newest older copies), for the places of a level from
 * first on. */
void scan_choose(struct scan *scan, const struct scan_damage *damage,
    unsigned level, uint64_t first, unsigned count, bool older,
    struct scan_choice *ret_choice);

/* A block of metadata that nothing uses, and that nothing used before.  0:
 * there is none. */
uint64_t scan_room_take(struct scan *scan);

/* In the place that the pointer names, and in its mirror; sealed. */
int scan_write(struct scan *scan, const struct scan_damage *damage, void *page);
/* Is it sure that nothing else lies there? */
bool scan_may_write(const struct scan *scan, const struct scan_damage *damage);
/* The header of a page of the damaged one's version. */
void scan_header(struct scan *scan, const struct scan_damage *damage,
    unsigned level, uint64_t index, void *page);
int scan_read(struct scan *scan, const struct scan_page *page, void *buf);

/* ---- repair_beside.c ---- */

struct check_version *scan_version(
    const struct scan *scan, const struct scan_damage *damage);
/* The parent that counts at that place; NULL: none. */
const struct check_version *scan_parent(const struct scan *scan,
    const struct check_version *version, unsigned level, uint64_t index);
/* Has the version, which is being deleted, given the place up? */
bool scan_given_up(
    const struct check_version *version, unsigned level, uint64_t index);
/* The pointer in a version's map: false, and it cannot be known. */
bool scan_pointer(struct scan *scan, const struct check_version *version,
    unsigned level, uint64_t index, struct fmt_ptr *ret_ptr);
/* The page there: false, there is none or it cannot be read. */
bool scan_page_of(struct scan *scan, const struct check_version *version,
    unsigned level, uint64_t index, void *buf);

/* A block in the map of a version: address 0, nothing. */
struct scan_block {
	uint64_t address;
	uint32_t birth;
	bool valid; /* the mask says so */
};

/* A leaf of a version with its fine pages, one at a time. */
struct scan_side {
	struct scan *scan;
	const struct check_version *version;
	uint64_t index;
	bool there;    /* it can be read */
	unsigned slot; /* which fine page is at hand; FMT_LEAF_FINE: none */
	struct fmt_leaf *leaf; /* two pages: the leaf, a fine page */
	struct fmt_fine *fine;
};
/* False: no memory. */
bool scan_side_init(struct scan *scan, struct scan_side *side,
    const struct check_version *version, uint64_t index);
void scan_side_done(struct scan_side *side);
/* Its fine page of that slot comes to hand.  False: it cannot be read. */
bool scan_side_fine(struct scan_side *side, unsigned slot);
/* Block 0 to 15 of a chunk of the leaf.  False: it cannot be read. */
bool scan_side_block(struct scan_side *side, unsigned chunk, unsigned block,
    struct scan_block *ret_block);

/* ---- repair_inner.c, repair_leaf.c, repair_table.c ---- */

/* Makes the page that is damaged: 0, and fate says what came of it; or the
 * error that ends it all. */
int scan_inner_make(struct scan *scan, struct scan_damage *damage);
int scan_leaf_make(struct scan *scan, struct scan_damage *damage);
int scan_fine_make(struct scan *scan, struct scan_damage *damage);
int scan_table_make(struct scan *scan, struct scan_damage *damage);
/* Regions that an older copy of their table calls free, and that are in use.
 * *ret_made: there were any. */
int scan_regions_mend(struct scan *scan, bool *ret_made);
/* What is in doubt becomes unreadable. */
int scan_inner_poison(struct scan *scan, struct scan_damage *damage);
int scan_leaf_poison(struct scan *scan, struct scan_damage *damage);
int scan_fine_poison(struct scan *scan, struct scan_damage *damage);
/* Names what of a version reads as an error. */
void scan_lost_tell(struct scan *scan, const struct check_version *version);
/* Where no superblock is left: one from what is found.  0: there is one now, or
 * was before; else as pool_check(). */
int scan_super_make(struct repair *repair, struct check_report *report);
/* As it is, but surely not to be mistaken for a page. */
int scan_leave(struct scan *scan, struct scan_damage *damage);

#endif
