/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WRITE ATOMIC(16), SBC-4 5.48: what a power cut leaves is the store's promise
 * (backstore.h), that nobody sees a part of it the task set's (ordering.c).
 * VPD B0h says how much, and where.
 */
#include "target/scsi/handlers.h"

#define COUNT_AT 12u /* TRANSFER LENGTH; ATOMIC BOUNDARY before it is zero */

static struct scsi_sense
check_limits(const struct scsi_task *task)
{
	const struct backstore *bs = task->lun->bs;

	if (task_offset(task, task->block_count) > bs->atomic_max ||
	    task_offset(task, task->block_count) % bs->atomic_unit != 0)
		return scsi_invalid_cdb(COUNT_AT, -1);
	if (task_offset(task, task->lba) % bs->atomic_unit != 0)
		return scsi_invalid_cdb(2, -1);
	return SENSE_NONE;
}

/* Less data than the CDB says would be a part of what was to be atomic. */
struct scsi_sense
sbc_write_atomic_check(struct scsi_task *task)
{
	unsigned count_at;
	struct scsi_sense sense = sbc_range(task, &count_at);

	if (sense_is_good(&sense))
		sense = check_limits(task);
	if (!sense_is_good(&sense))
		return sense;
	task->out_full = task_offset(task, task->block_count);
	if (task->expected_out < task->out_full)
		return SENSE_INVALID_FIELD_IN_COMMAND_IU;
	task->data_length = task->out_full;
	return SENSE_NONE;
}

static void
atomic_written(struct scsi_task *task)
{
	task->lun->stat.writes++;
	task->lun->stat.write_bytes += task->data_length;
	scsi_task_end_good(task);
}

void
sbc_write_atomic(struct scsi_task *task)
{
	uint64_t length = task->data_length;
	struct bs_io *io;

	if (length == 0) {
		scsi_task_end_good(task);
		return;
	}
	io = scsi_task_io(task, BS_WRITE, task_offset(task, task->lba), length);
	io->atomic = true;
	io->fua = sbc_fua(task);
	io->iov = task->piece;
	io->iov_count = bs_iov_slice(task->iov, task->iov_count, 0, length,
	    task->piece, SCSI_TASK_IOV_MAX);
	scsi_task_submit(task, atomic_written);
}
