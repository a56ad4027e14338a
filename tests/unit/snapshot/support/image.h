/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small pool made by hand from format.h alone, without the engine: one
 * device of 64 MiB with regions of 1 MiB, one volume of 1 MiB in which chunks
 * 0 and 5 are mapped by the checkpoint and chunk 7 by the log.  Tests change
 * the structures, add pages, records and versions, and then count, seal and
 * write them.
 */
#ifndef TESTS_SNAPSHOT_IMAGE_H
#define TESTS_SNAPSHOT_IMAGE_H

#include "backstores/backstore.h"
#include "snapshot/check.h"
#include "snapshot/format.h"

enum {
	IMAGE_REGION_BLOCKS = 256,
	IMAGE_LOG_REGIONS = 8,
	IMAGE_META_REGION = 8,
	IMAGE_DATA_REGION = 9,
	IMAGE_REGIONS = 62,
	IMAGE_META = IMAGE_META_REGION * IMAGE_REGION_BLOCKS, /* addresses */
	IMAGE_DATA = IMAGE_DATA_REGION * IMAGE_REGION_BLOCKS,
	IMAGE_GEN = 6,
	IMAGE_EPOCH = 3,
	IMAGE_VOLUME = 1,
	IMAGE_RECORDS = 8,
	IMAGE_PAGES = 64,
	IMAGE_LINKS = 96,
};

#define IMAGE_BYTES (64ull << 20)

/* Metadata pages, in the order of their addresses from IMAGE_META on. */
enum {
	PAGE_REGIONS,
	PAGE_VERSIONS,
	PAGE_BITMAP,
	PAGE_MAP_3,
	PAGE_MAP_2,
	PAGE_MAP_1,
	PAGE_LEAF,
	PAGE_COUNT, /* of the pool as it is made; more may follow */
};

/* A pointer, and the page that it shall name. */
struct image_link {
	size_t from; /* offset in struct image */
	unsigned page;
};

struct image {
	struct backstore *bs;
	struct loop *loop;
	struct fmt_label label[FMT_LABELS];
	struct fmt_super super[FMT_SUPER_SLOTS]; /* [0] is the newest */
	union {
		struct fmt_page header;
		struct fmt_inner inner;
		struct fmt_leaf leaf;
		struct fmt_region_page regions;
		struct fmt_version_page versions;
		struct fmt_fine fine;
		struct fmt_lost_page lost;
		struct fmt_bookmark_page bookmarks;
		struct fmt_group_page groups;
		uint8_t bitmap[FMT_BLOCK];
	} page[IMAGE_PAGES];
	unsigned pages;
	struct image_link link[IMAGE_LINKS];
	unsigned links;
	union {
		struct {
			struct fmt_log_block head;
			struct fmt_record record[IMAGE_RECORDS];
		};
		uint8_t bytes[FMT_BLOCK];
	} log;
};

struct image *image_new(void);
void image_free(struct image *image);

/* Counters, sums and pointers follow from the contents. */
void image_count(struct image *image);
void image_seal(struct image *image);
void image_write(struct image *image);
void image_finish(struct image *image); /* all three */

void image_bits(
    struct image *image, uint64_t address, unsigned run, bool value);
void image_record(struct image *image, enum fmt_record_type type, uint64_t a,
    uint64_t b, uint16_t mask);
uint64_t image_page_offset(unsigned page);
/* The log has nothing that the checkpoint has not: recovery is not run. */
void image_no_log(struct image *image);

/* ---- checking it ---- */

#define IMAGE_CODES_MAX 512

struct image_found {
	char codes[IMAGE_CODES_MAX];  /* " code code ..." */
	char damage[IMAGE_CODES_MAX]; /* those that are damage */
	char text[256];               /* of the last one */
	struct check_family family;   /* the last one */
	unsigned families;
	struct check_report report;
};

/* Of the loop, which is arg: something is left to be done. */
void image_step(void *arg);
int image_check(struct image *image, struct image_found *found);
/* After changes: counted, sealed and written first. */
int image_check_again(struct image *image, struct image_found *found);

/* With whatever result, and ASan and UBSan have nothing to say. */
void image_check_ends(struct image *image);

/* Bytes at random, sealed or not and written, so many times: each() is called
 * with what came of it.  (image_scribble.c) */
void image_scribble(
    struct image *fresh, unsigned seeds, void (*each)(struct image *image));

/* ---- families (image_family.c) ---- */

void image_page_init(
    struct image *image, unsigned n, uint8_t type, uint8_t level);
/* The page that a pointer shall name; 0: none. */
unsigned image_link_page(const struct image *image, const struct fmt_ptr *from);

/* One more page; maps: of family IMAGE_VOLUME.  Its bit is set. */
unsigned image_page(struct image *image, enum fmt_page_type type,
    unsigned level, uint64_t index, uint32_t birth);
/* Sealing makes the pointer name that page; replaces what it named before. */
void image_link(struct image *image, struct fmt_ptr *from, unsigned page);
void image_unlink(struct image *image, struct fmt_ptr *from);

struct fmt_version *image_version(struct image *image, unsigned slot);
/* In that slot, of family IMAGE_VOLUME, with id slot + 1 and an empty map. */
struct fmt_version *image_version_add(struct image *image, unsigned slot,
    enum fmt_version_state state, uint64_t parent, uint32_t epoch,
    const char *name);
/* Four pages born in that epoch become its map; returns the leaf. */
unsigned image_map(struct image *image, unsigned slot, uint32_t birth);
/* Another leaf, in the page above the leaf given. */
unsigned image_leaf(
    struct image *image, unsigned beside, unsigned index, uint32_t birth);
void image_share_map(struct image *image, unsigned slot, unsigned from);
/* Entries; the bits of what they hold are set. */
void image_coarse(struct image *image, unsigned leaf, unsigned chunk,
    uint64_t address, uint16_t mask, uint32_t birth);
void image_hole(
    struct image *image, unsigned leaf, unsigned chunk, uint32_t birth);
/* FINE, with no single block yet; makes the page if there is none. */
unsigned image_fine(struct image *image, unsigned leaf, unsigned chunk,
    unsigned cow_shift, uint32_t birth);
/* A sub-entry, and its bits in the mask of the chunk. */
void image_sub(struct image *image, unsigned leaf, unsigned chunk,
    unsigned cow_shift, unsigned n, uint64_t address, uint32_t birth);
/* A record of the table of bookmarks or groups, which is made if need be. */
struct fmt_bookmark *image_bookmark(
    struct image *image, uint64_t volume, uint32_t epoch, const char *name);
struct fmt_group *image_group(struct image *image, uint64_t id);
/* The losses of a version: n pairs of birth and blocks. */
void image_lost(
    struct image *image, unsigned slot, const uint32_t (*pair)[2], unsigned n);

#endif
