/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/scsi/support/copy_list.h"

void
copy_list_begin(struct copy_list *list, uint8_t id, unsigned usage)
{
	memset(list, 0, sizeof(*list));
	list->bytes[0] = id;
	list->bytes[1] = (uint8_t)(usage << 3);
	list->length = COPY_LIST_HEAD;
}

void
copy_list_target(struct copy_list *list, const struct lun *lun)
{
	uint8_t *at = list->bytes + list->length;

	at[0] = 0xe4;
	at[4] = 1;
	at[5] = 3;
	at[7] = 8;
	memcpy(at + 8, lun->naa, 8);
	store_be32(at + 28, lun->bs->block_size);
	list->length += COPY_LIST_TARGET;
	store_be16(&list->bytes[2], (uint16_t)(list->length - COPY_LIST_HEAD));
}

void
copy_list_segment(struct copy_list *list, unsigned from, unsigned to,
    uint16_t count, uint64_t from_lba, uint64_t lba)
{
	uint8_t *at = list->bytes + list->length;
	uint16_t targets = load_be16(&list->bytes[2]);

	at[0] = 0x02;
	at[3] = COPY_LIST_SEGMENT - 4;
	at[5] = (uint8_t)from;
	at[7] = (uint8_t)to;
	store_be16(at + 10, count);
	store_be64(at + 12, from_lba);
	store_be64(at + 20, lba);
	list->length += COPY_LIST_SEGMENT;
	store_be32(&list->bytes[8],
	    (uint32_t)(list->length - COPY_LIST_HEAD - targets));
}

void
copy_list_pair(struct copy_list *list, const struct pair *pair, uint8_t id,
    unsigned from, unsigned to, uint16_t count, uint64_t from_lba, uint64_t lba)
{
	copy_list_begin(list, id, 0);
	copy_list_target(list, pair->rig.lun);
	copy_list_target(list, pair->lun);
	copy_list_segment(list, from, to, count, from_lba, lba);
}

void
cmd_copy(struct cmd *cmd, struct rig *rig, const struct copy_list *list)
{
	CMD(cmd, rig, 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, BE32(list->length), 0,
	    0);
	cmd_out(cmd, list->bytes, list->length);
}

void
copy_expect(struct pair *pair, unsigned id, unsigned status, unsigned segments,
    uint32_t kib)
{
	struct cmd cmd;

	CMD(&cmd, &pair->rig, 0x84, 0, (uint8_t)id, 0, 0, 0, 0, 0, 0, 0,
	    BE32(1024), 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	assert_int_equal(load_be32(in), 8);
	assert_int_equal(in[4], status);
	assert_int_equal(load_be16(&in[5]), segments);
	assert_int_equal(in[7], 1);
	assert_int_equal(load_be32(&in[8]), kib);
	cmd_release(&cmd);
}
