/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COMPARE AND WRITE (SBC-3 5.2) and ORWRITE (SBC-3 5.5): what is written
 * depends on what is read, and nothing comes between (OP_EXCLUSIVE: see
 * ordering.c).  Read in bounded pieces into a second buffer.
 */
#include "base/crc32c.h"
#include "target/scsi/handlers.h"
#include <string.h>

#define STEP (256u << 10)

/* ---- COMPARE AND WRITE ---- */

/* Data-Out is what is expected and then what is to be written.  One of another
 * length is not what the CDB means. */
struct scsi_sense
sbc_compare_and_write_check(struct scsi_task *task)
{
	unsigned count_at;
	struct scsi_sense sense = sbc_range(task, &count_at);

	if (!sense_is_good(&sense))
		return sense;
	/* a count that the CDB cannot say has become 0 */
	if (task->block_count > SBC_COMPARE_AND_WRITE_MAX ||
	    (task->block_count == 0 && task->expected_out > 0))
		return scsi_invalid_cdb(13, -1);
	task->out_full = 2 * task_offset(task, task->block_count);
	if (task->expected_out != task->out_full)
		return SENSE_INVALID_FIELD_IN_COMMAND_IU;
	task->data_length = task->out_full;
	return SENSE_NONE;
}

static uint32_t
sum_of(const struct scsi_task *task, uint64_t from, uint64_t length)
{
	struct iovec part[SCSI_TASK_IOV_MAX];
	unsigned count = bs_iov_slice(
	    task->iov, task->iov_count, from, length, part, SCSI_TASK_IOV_MAX);
	uint32_t sum = CRC32C_SEED;

	for (unsigned i = 0; i < count; i++)
		sum = crc32c_add(sum, part[i].iov_base, part[i].iov_len);
	return crc32c_end(sum);
}

static struct compare_key
compare_key(const struct scsi_task *task)
{
	uint64_t length = task->data_length / 2;
	struct compare_key key = {
	    .offset = task_offset(task, task->lba),
	    .length = (uint32_t)length,
	    .expected_sum = sum_of(task, 0, length),
	    .written_sum = sum_of(task, length, length),
	};

	memcpy(key.naa, task->lun->naa, sizeof(key.naa));
	return key;
}

static void
remember(struct scsi_task *task)
{
	const struct compare_key key = compare_key(task);

	if (task->lun->compares != NULL)
		task->compare = compare_memory_begin(task->lun->compares, &key);
}

static bool
was_interrupted(const struct scsi_task *task)
{
	const struct compare_key key = compare_key(task);

	return task->lun->compares != NULL &&
	       compare_memory_recall(
		   task->lun->compares, &key, loop_now(task->loop));
}

static void
written_before(struct scsi_task *task)
{
	if (sbc_fua(task))
		scsi_task_flush(task, scsi_task_end_good);
	else
		scsi_task_end_good(task);
}

/* What differs from what is expected may be what this very command has written,
 * when its initiator did not hear of it. */
bool
sbc_differs(struct scsi_task *task, uint64_t *at)
{
	if (task->compare_from > 0) {
		*at = task->differs_at;
		return false;
	}
	if (!was_interrupted(task))
		return false;
	task->differs_at = *at;
	sbc_compare_again(task, task->data_length / 2, written_before);
	return true;
}

static void
compared_written(struct scsi_task *task)
{
	task->lun->stat.writes++;
	task->lun->stat.write_bytes += task->data_length / 2;
	scsi_task_end_good(task);
}

static void
compared_equal(struct scsi_task *task)
{
	uint64_t length = task->data_length / 2;
	struct bs_io *io =
	    scsi_task_io(task, BS_WRITE, task_offset(task, task->lba), length);

	assert(length <= task->lun->bs->max_io);
	io->fua = sbc_fua(task);
	io->iov = task->piece;
	io->iov_count = bs_iov_slice(task->iov, task->iov_count, length, length,
	    task->piece, SCSI_TASK_IOV_MAX);
	remember(task);
	scsi_task_submit(task, compared_written);
}

void
sbc_compare_and_write(struct scsi_task *task)
{
	if (task->block_count == 0)
		scsi_task_end_good(task);
	else
		sbc_compare(task, compared_equal);
}

/* ---- ORWRITE ---- */

static void or_read(struct scsi_task *task);

static void
or_written(struct scsi_task *task)
{
	task->cursor += task->io.length;
	or_read(task);
}

static void
or_with_data(struct scsi_task *task, uint8_t *data, size_t length)
{
	struct iovec part[SCSI_TASK_IOV_MAX];
	unsigned count = bs_iov_slice(task->iov, task->iov_count, task->cursor,
	    length, part, SCSI_TASK_IOV_MAX);

	for (unsigned i = 0; i < count; i++) {
		const uint8_t *from = part[i].iov_base;
		for (size_t k = 0; k < part[i].iov_len; k++)
			*data++ |= from[k];
	}
}

/* The piece that is there stays as it is: only the medium has the answer. */
static void
or_write(struct scsi_task *task)
{
	struct bs_io *io = &task->io;
	uint64_t offset = io->offset, length = io->length;

	or_with_data(task, task->side, length);
	io = scsi_task_io(task, BS_WRITE, offset, length);
	io->fua = sbc_fua(task);
	io->iov = task->piece;
	io->iov_count = 1;
	scsi_task_submit(task, or_written);
}

static void
or_read(struct scsi_task *task)
{
	uint64_t rest = task->data_length - task->cursor;
	uint64_t length = rest < STEP ? rest : STEP;
	struct bs_io *io;

	if (rest == 0) {
		task->lun->stat.writes++;
		task->lun->stat.write_bytes += task->data_length;
		scsi_task_end_good(task);
		return;
	}
	io = scsi_task_io(
	    task, BS_READ, task_offset(task, task->lba) + task->cursor, length);
	task->piece[0] =
	    (struct iovec){.iov_base = task->side, .iov_len = length};
	io->iov = task->piece;
	io->iov_count = 1;
	scsi_task_submit(task, or_write);
}

void
sbc_orwrite(struct scsi_task *task)
{
	uint64_t length = task->data_length;

	task->cursor = 0;
	if (length == 0)
		scsi_task_end_good(task);
	else
		scsi_task_side(task, length < STEP ? length : STEP, or_read);
}
