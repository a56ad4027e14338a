/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small pool with web01 (web01.h) of which pages of metadata get lost in all
 * copies, and what a repair by scan makes of it.
 */
#ifndef TESTS_UNIT_SNAPSHOT_SUPPORT_SCAN_H
#define TESTS_UNIT_SNAPSHOT_SUPPORT_SCAN_H

#include "snapshot/check_priv.h"
#include "snapshot/repair.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image.h"
#include "tests/unit/snapshot/support/web01.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK        (96 * MiB)
#define SIZE        (32 * MiB) /* three leaves */
#define BLOCKS      (SIZE / FMT_BLOCK)
#define VOLUMES_MAX 8u
#define LOST        0x100 /* beside the values of bytes */

/* What each volume and snapshot held, a byte for each block. */
struct held {
	char name[FMT_NAME], of[FMT_NAME]; /* of: "" is a volume */
	uint64_t id;
	uint16_t block[BLOCKS];
};
extern struct held before[VOLUMES_MAX], after[VOLUMES_MAX];
extern unsigned before_count, after_count;

extern char said[16384]; /* by the scan: "code text\n" */
extern char codes[1024]; /* by check of what came of it */
extern bool log_dropped;

void scan_pool_make(uint64_t size);
int scan_setup(void **state);

void held_all(struct held *held, unsigned *count);
struct held *held_find(
    struct held *held, unsigned count, const struct held *like);

/* A page: nth by gen, from the newest on; there are no more: the last. */
struct wanted {
	uint8_t type, level;
	uint64_t index;
	unsigned nth;
};

/* The pool is closed; its check at hand, until check_done(). */
void open_check(struct check *check, struct check_report *report);
/* Both copies of the page. */
void destroy(const struct check *check, uint64_t address);
uint64_t page_wanted(const struct check *check, const struct wanted *wanted);
/* Closes the pool, and such a page that the trees reach is gone. */
void lose_nth(uint8_t type, uint8_t level, uint64_t index, unsigned nth);
void lose(uint8_t type, uint8_t level, uint64_t index);

/* The disk becomes what the repair makes of it, and is opened and read. */
int scan_repair(void);
void reopen(void);
void is_repaired(void);
/* All that is there is as it was. */
void nothing_is_lost(void);

#endif
