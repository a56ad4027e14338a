/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two families of versions made by hand, both sound.  The first, small one is
 * what most claims change:
 *
 *	version 2 (snapshot mon, epoch 3)   chunks 0 and 5, born in epoch 1
 *	  version 1 (volume disk)           chunk 0: its block 0 redirected, the
 *	                                    others shared; chunk 5 shared; chunk
 *	                                    6 its own; chunk 8 unmapped
 *	  version 3 (volume clone)          all of mon
 *
 * The other one has a snapshot that is being deleted:
 *
 *	version 2 (snapshot, epoch 2)       chunk 0
 *	  version 3 (deleted, epoch 4)      leaf 0 dealt with, leaf 1 its own
 *	    version 1 (volume)              leaf 0: chunk 1 was version 3's,
 *	                                    chunk 0 is version 2's; leaf 1
 *shared
 */
#ifndef TESTS_SNAPSHOT_IMAGE_KIN_H
#define TESTS_SNAPSHOT_IMAGE_KIN_H

#include "tests/unit/snapshot/support/image.h"

enum { EPOCH = 10, COW = 12 };

extern unsigned leaf;   /* of version 1 */
extern unsigned leaf_1; /* ... its second, in the family with a deletion */

/* Neither yet: the volume alone, in a pool that may have snapshots. */
struct image *image_of_families(void);
struct image *family_new(void);
struct image *merge_new(void);

/* Addresses for data that the image does not use itself. */
uint64_t free_chunk(unsigned n);

#endif
