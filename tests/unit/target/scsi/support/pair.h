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

#endif
