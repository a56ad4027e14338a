/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameter lists of EXTENDED COPY(LID1), SPC-4 6.4, and what came of it. */
#ifndef TESTS_UNIT_TARGET_SCSI_SUPPORT_COPY_LIST_H
#define TESTS_UNIT_TARGET_SCSI_SUPPORT_COPY_LIST_H

#include "tests/unit/target/scsi/support/pair.h"

#define COPY_LIST_HEAD    16u
#define COPY_LIST_TARGET  32u /* bytes of a descriptor */
#define COPY_LIST_SEGMENT 28u

struct copy_list {
	uint8_t bytes[4096 + 64];
	size_t length;
};

void copy_list_begin(struct copy_list *list, uint8_t id, unsigned usage);
void copy_list_target(struct copy_list *list, const struct lun *lun);
/* From and to are the targets' places in the list, count is in blocks. */
void copy_list_segment(struct copy_list *list, unsigned from, unsigned to,
    uint16_t count, uint64_t from_lba, uint64_t lba);
/* Both units of the pair, and one segment between them. */
void copy_list_pair(struct copy_list *list, const struct pair *pair, uint8_t id,
    unsigned from, unsigned to, uint16_t count, uint64_t from_lba,
    uint64_t lba);
/* EXTENDED COPY with that list, which must stay. */
void cmd_copy(struct cmd *cmd, struct rig *rig, const struct copy_list *list);
/* RECEIVE COPY STATUS(LID1) tells that of the first unit's. */
void copy_expect(struct pair *pair, unsigned id, unsigned status,
    unsigned segments, uint32_t kib);

#endif
