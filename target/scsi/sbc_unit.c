/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of SBC about the unit as a whole: capacity, start and stop, defects.
 */
#include "target/scsi/handlers.h"

/* ---- READ CAPACITY ---- */

static uint64_t
lba_last(const struct lun *lun)
{
	uint64_t blocks = lun_blocks(lun);

	return blocks > 0 ? blocks - 1 : 0;
}

/* SBC-3 5.15: FFFFFFFFh sends the initiator to READ CAPACITY(16). */
struct scsi_sense
sbc_read_capacity_10(struct scsi_task *task, struct scsi_answer *answer)
{
	uint64_t last = lba_last(task->lun);

	store_be32(
	    answer->data, last < UINT32_MAX ? (uint32_t)last : UINT32_MAX);
	store_be32(answer->data + 4, task->lun->bs->block_size);
	answer->length = 8;
	return SENSE_NONE;
}

#define LBPME 0x80u
#define LBPRZ 0x40u

/* SBC-3 5.16 */
struct scsi_sense
sbc_read_capacity_16(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct backstore *bs = task->lun->bs;
	uint32_t ratio = bs->physical_block_size / bs->block_size;

	store_be64(answer->data, lba_last(task->lun));
	store_be32(answer->data + 8, bs->block_size);
	if (ratio > 1)
		answer->data[13] = (uint8_t)(31 - __builtin_clz(ratio));
	/* LOWEST ALIGNED LOGICAL BLOCK ADDRESS is 0 */
	if (bs->thin)
		answer->data[14] = LBPME | LBPRZ;
	answer->length = 32;
	return SENSE_NONE;
}

/* ---- START STOP UNIT ---- */

#define START    0x01u
#define NO_FLUSH 0x04u

static void
unit_stop(struct scsi_task *task)
{
	task->lun->stopped = true;
	scsi_task_end_good(task);
}

/* SBC-3 5.25: power conditions and LOEJ are not in the mask of the row; a unit
 * that stops first makes its cache durable.  With IMMED the status may come
 * early, it need not. */
void
sbc_start_stop(struct scsi_task *task)
{
	uint8_t flags = task->cdb[4];

	if (flags & START) {
		task->lun->stopped = false;
		scsi_task_end_good(task);
	} else if (flags & NO_FLUSH) {
		unit_stop(task);
	} else {
		scsi_task_flush(task, unit_stop);
	}
}

/* ---- READ DEFECT DATA: both lists are there, and empty ---- */

#define LISTS_AND_FORMAT 0x1fu

struct scsi_sense
sbc_read_defect_data_10(struct scsi_task *task, struct scsi_answer *answer)
{
	answer->data[1] = task->cdb[2] & LISTS_AND_FORMAT;
	answer->length = 4;
	return SENSE_NONE;
}

struct scsi_sense
sbc_read_defect_data_12(struct scsi_task *task, struct scsi_answer *answer)
{
	answer->data[1] = task->cdb[1] & LISTS_AND_FORMAT;
	answer->length = 8;
	return SENSE_NONE;
}
