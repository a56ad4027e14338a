/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the simulator's disk holds: `newest`, which a READ returns, and
 * `platter`, which is durable.  Between them stand the versions of each sector
 * that were written and not flushed yet:
 *
 *     slots[sector] -> version (newest) -> version -> ... -> platter
 *
 * Every change has a sequence number.  A FLUSH remembers the one of its
 * submission; when it completes, each sector's newest version up to that
 * number becomes the platter's.
 *
 * At a cut it is drawn for each version whether it ever reached the platter,
 * and the newest that did is what the sector holds.  Three writes of four are
 * kept or lost whole and the fourth is torn sector by sector: if all were torn,
 * hardly any block of eight sectors would survive, and what a program does with
 * old blocks that are whole would never be tried.
 *
 * Costs: a cut or a flush is proportional to the unflushed sectors, never to
 * the size of the disk, and the images are sparse.
 *
 * Private to backstores/powercut.c.
 */
#ifndef BACKSTORES_CUT_IMAGE_H
#define BACKSTORES_CUT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512u

struct version;

struct cut_image {
	uint64_t size;
	uint8_t *newest, *platter;
	uint32_t *slots; /* per sector: 1 + index of the newest version */

	uint64_t *dirty; /* sectors that may have versions, in any order */
	uint64_t dirty_count, dirty_max;

	struct version *versions;
	uint32_t version_count, version_max;
	uint32_t version_free; /* 1 + index, linked by older */
	uint64_t sequence;     /* of changes so far */
};

int cut_image_init(struct cut_image *image, uint64_t size);
void cut_image_done(struct cut_image *image);

/* At once durable; what is added is zeros. */
void cut_image_resize(struct cut_image *image, uint64_t size);

/* The caller changed newest in this range, by one write: salt is drawn for
 * each. */
void cut_image_changed(struct cut_image *image, uint64_t offset,
    uint64_t length, uint64_t salt, bool durable);

void cut_image_flush(struct cut_image *image, uint64_t sequence);

/* keep_percent: the chance of each version. */
void cut_image_cut(
    struct cut_image *image, unsigned keep_percent, uint64_t salt);

/* Calls change() on every copy of the sector there is. */
void cut_image_change_all(struct cut_image *image, uint64_t sector,
    void (*change)(uint8_t *data, const void *arg), const void *arg);

/* Spreads its input over its output. */
uint64_t cut_image_mix(uint64_t x);

#endif
