/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool with one volume, web01, and what most claims on families do with it;
 * a clone of one of its snapshots is called copy.  Each step asserts that it
 * works.
 */
#ifndef TESTS_UNIT_SNAPSHOT_WEB01_H
#define TESTS_UNIT_SNAPSHOT_WEB01_H

#include "tests/unit/snapshot/support/rig.h"

#define KiB   1024ull
#define MiB   (1ull << 20)
#define CHUNK 65536ull

extern struct rig rig;
extern struct volume *volume, *the_clone; /* web01, copy */
extern struct backstore *bs, *copy;       /* ... open */

int web01_setup(void **state);
/* In the background the engine does as much as it can. */
int web01_setup_eager(void **state);
/* ... and the blocks of the disk are larger than those of the volume. */
int web01_setup_eager_4k(void **state);
int web01_teardown(void **state);

/* For another pool in the middle of a test. */
void web01_make(uint32_t block_size);
/* The pool, and the two if there are two, are others then. */
void web01_reopen(bool power_cut);

#define WEB01_TEST(name, setup)                                                \
	cmocka_unit_test_setup_teardown(name, setup, web01_teardown)

struct volume *snapshot(struct volume *of, const char *name);
/* Becomes the_clone and copy. */
void clone_of(struct volume *s, const char *name);
/* Another volume: with a copy unit of so many bytes, a MiB of ones and a
 * snapshot of that, called one. */
struct volume *volume_with_unit(
    uint32_t unit, struct backstore **ret_store, struct volume **ret_snapshot);
/* Closes and deletes it, and waits until it has gone. */
void drop(struct volume *of, struct backstore *store);

void fill(struct backstore *store, uint64_t offset, uint64_t length, int byte);
bool holds(struct backstore *store, uint64_t offset, uint64_t length, int byte);

struct family_stat stat_of(struct volume *of);
uint64_t allocated(void);
/* Takes space until the pool is full to its hard threshold. */
struct backstore *ballast(void);

#endif
