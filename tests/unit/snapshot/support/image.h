/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small pool made by hand from format.h alone, without the engine: one
 * device of 64 MiB with regions of 1 MiB, one volume of 1 MiB in which chunks
 * 0 and 5 are mapped by the checkpoint and chunk 7 by the log.  Tests change
 * the structures and then seal and write them.
 */
#ifndef TESTS_SNAPSHOT_IMAGE_H
#define TESTS_SNAPSHOT_IMAGE_H

#include "backstores/backstore.h"
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
	PAGE_COUNT,
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
		uint8_t bitmap[FMT_BLOCK];
	} page[PAGE_COUNT];
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

void image_bits(
    struct image *image, uint64_t address, unsigned run, bool value);
void image_record(struct image *image, enum fmt_record_type type, uint64_t a,
    uint64_t b, uint16_t mask);
uint64_t image_page_offset(unsigned page);

#endif
