/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WRITE SAME, SBC-3 5.46 and 5.47.  A block of zeros, or no block at all
 * (NDOB), becomes BS_ZERO, which gives space back where the store is thin and
 * is exact to the block.  Any other block is really written, whatever the UNMAP
 * bit says, as SBC-3 4.7.3.4 has it for a pattern that does not read back from
 * unmapped blocks.
 */
#include "base/zero.h"
#include "target/scsi/handlers.h"
#include <string.h>

#define UNMAP_BIT 0x08u
#define NDOB_BIT  0x01u

/* the pattern is repeated in this much memory, named by each element of iov */
#define PATTERN (64u << 10)
static_assert(PATTERN * SCSI_TASK_IOV_MAX == 1u << 20,
    "what every backstore takes in one I/O");

/* An initiator that unmaps so without sending the block means zeros; any other
 * length than one block cannot be what it meant. */
static struct scsi_sense
check_block(struct scsi_task *task)
{
	uint32_t block_size = task->lun->bs->block_size;
	uint8_t flags = task->cdb[1];

	if (flags & NDOB_BIT)
		return SENSE_NONE;
	if (task->expected_out == 0 && (flags & UNMAP_BIT))
		return SENSE_NONE;
	task->out_full = block_size;
	if (task->expected_out != block_size)
		return SENSE_INVALID_FIELD_IN_COMMAND_IU;
	task->data_length = block_size;
	return SENSE_NONE;
}

struct scsi_sense
sbc_write_same_check(struct scsi_task *task)
{
	const struct lun *lun = task->lun;
	unsigned count_at;
	struct scsi_sense sense = sbc_range(task, &count_at);

	if (!sense_is_good(&sense))
		return sense;
	if ((task->cdb[1] & UNMAP_BIT) && !lun->bs->thin)
		return scsi_invalid_cdb(1, 3);
	/* SBC-3 6.6.3: WSNZ is 1, so that a count which is zero by mistake does
	 * not overwrite the medium up to its end */
	if (task->block_count == 0 || task->block_count > SBC_WRITE_SAME_MAX)
		return scsi_invalid_cdb(count_at, -1);
	return check_block(task);
}

static uint64_t
same_rest(const struct scsi_task *task, uint64_t most)
{
	uint64_t rest = task_offset(task, task->block_count) - task->cursor;

	return rest < most ? rest : most;
}

static void
same_end(struct scsi_task *task)
{
	task->lun->stat.writes++;
	task->lun->stat.write_bytes += task_offset(task, task->block_count);
	scsi_task_end_good(task);
}

/* ---- zeros ---- */

static void
same_zero(struct scsi_task *task)
{
	uint64_t length = same_rest(task, SBC_STEP_MAX);

	if (length == 0) {
		same_end(task);
		return;
	}
	struct bs_io *io = scsi_task_io(
	    task, BS_ZERO, task_offset(task, task->lba) + task->cursor, length);
	io->may_unmap = task->lun->bs->thin;
	io->fua = !task->lun->mode.write_cache;
	task->cursor += length;
	scsi_task_submit(task, same_zero);
}

/* ---- a pattern ---- */

static void
same_write(struct scsi_task *task)
{
	uint64_t length =
	    same_rest(task, (uint64_t)task->side_length * SCSI_TASK_IOV_MAX);

	if (length == 0) {
		same_end(task);
		return;
	}
	struct bs_io *io = scsi_task_io(task, BS_WRITE,
	    task_offset(task, task->lba) + task->cursor, length);
	io->fua = !task->lun->mode.write_cache;
	io->iov = task->piece;
	task->cursor += length;
	while (length > 0) {
		size_t part =
		    length < task->side_length ? length : task->side_length;
		task->piece[io->iov_count++] =
		    (struct iovec){.iov_base = task->side, .iov_len = part};
		length -= part;
	}
	scsi_task_submit(task, same_write);
}

static void
same_pattern(struct scsi_task *task)
{
	size_t block_size = task->lun->bs->block_size;

	for (size_t at = 0; at < task->side_length; at += block_size)
		memcpy((uint8_t *)task->side + at, task->iov[0].iov_base,
		    block_size);
	same_write(task);
}

void
sbc_write_same(struct scsi_task *task)
{
	size_t length = task_offset(task, task->block_count) < PATTERN
			    ? task_offset(task, task->block_count)
			    : PATTERN;

	task->cursor = 0;
	if (task->data_length == 0 ||
	    is_zero(task->iov[0].iov_base, task->data_length))
		same_zero(task);
	else if (length == 0)
		same_end(task);
	else
		scsi_task_side(task, length, same_pattern);
}
