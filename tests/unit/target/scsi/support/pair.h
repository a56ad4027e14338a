/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rig of 512 byte blocks, and a second unit that nexus 0 alone sees as
 * number 1.
 */
#ifndef TESTS_UNIT_TARGET_SCSI_SUPPORT_PAIR_H
#define TESTS_UNIT_TARGET_SCSI_SUPPORT_PAIR_H

#include "tests/unit/target/scsi/support/rig.h"

struct pair {
	struct rig rig;
	struct spy *spy;
	struct lun *lun;
};

struct pair *pair_open(uint32_t block_size);
void pair_close(struct pair *pair);

/* Of a test: the pair is its state. */
int pair_setup_512(void **state);
int pair_setup_4096(void **state);
int pair_teardown(void **state);

/* The second unit's blocks are of 4096 bytes. */
#define pair_test(f)                                                           \
	cmocka_unit_test_setup_teardown(f, pair_setup_4096, pair_teardown)

#endif
