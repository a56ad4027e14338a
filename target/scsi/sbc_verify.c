/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VERIFY and WRITE AND VERIFY (SBC-3 5.30 ff., 5.40 ff.), and the first half of
 * COMPARE AND WRITE: read the medium back in bounded pieces into a second
 * buffer, and compare with Data-Out (BYTCHK 01b), with one block of Data-Out
 * again and again (11b), or with nothing.
 */
#include "target/scsi/handlers.h"
#include <string.h>

#define STEP (256u << 10)

enum {
	BYTCHK_NONE = 0,
	BYTCHK_DATA = 1,
	BYTCHK_BLOCK = 3,
};

static bool
is_compare_and_write(const struct scsi_task *task)
{
	return task->op->run == sbc_compare_and_write;
}

static unsigned
bytchk(const struct scsi_task *task)
{
	return is_compare_and_write(task) ? BYTCHK_DATA : task->cdb[1] >> 1 & 3;
}

/* One block of Data-Out, for any number of blocks on the medium. */
static struct scsi_sense
check_one_block(struct scsi_task *task)
{
	if (task->block_count == 0)
		return SENSE_NONE;
	task->out_full = task->lun->bs->block_size;
	if (task->expected_out < task->out_full)
		return SENSE_INVALID_FIELD_IN_COMMAND_IU;
	task->data_length = task->out_full;
	return SENSE_NONE;
}

struct scsi_sense
sbc_verify_check(struct scsi_task *task)
{
	unsigned count_at;
	struct scsi_sense sense = sbc_range(task, &count_at);

	if (!sense_is_good(&sense))
		return sense;
	switch (bytchk(task)) {
	case BYTCHK_NONE: return SENSE_NONE;
	case BYTCHK_BLOCK: return check_one_block(task);
	case BYTCHK_DATA: break;
	default: return scsi_invalid_cdb(1, 2);
	}
	if (task->block_count > SCSI_TRANSFER_MAX >> task->lun->block_shift)
		return scsi_invalid_cdb(count_at, -1);
	return sbc_check_out(task);
}

/* ---- comparing ---- */

/* Offset in the piece of the first byte that differs, or length. */
static size_t
compare(const uint8_t *a, const uint8_t *b, size_t length)
{
	size_t i = 0;

	if (memcmp(a, b, length) == 0)
		return length;
	while (a[i] == b[i])
		i++;
	return i;
}

static size_t
compare_data(struct scsi_task *task, const uint8_t *read, size_t length)
{
	size_t at = 0;
	unsigned count = bs_iov_slice(task->iov, task->iov_count,
	    task->compare_from + task->cursor, length, task->piece,
	    SCSI_TASK_IOV_MAX);

	for (unsigned i = 0; i < count; i++) {
		size_t part = task->piece[i].iov_len;
		size_t same = compare(read + at, task->piece[i].iov_base, part);
		at += same;
		if (same < part)
			return at;
	}
	return length;
}

static size_t
compare_block(struct scsi_task *task, const uint8_t *read, size_t length)
{
	const uint8_t *block = task->iov[0].iov_base;
	size_t block_size = task->lun->bs->block_size;

	for (size_t at = 0; at < length; at += block_size) {
		size_t same = compare(read + at, block, block_size);
		if (same < block_size)
			return at + same;
	}
	return length;
}

static size_t
compare_piece(struct scsi_task *task, size_t length)
{
	switch (bytchk(task)) {
	case BYTCHK_DATA: return compare_data(task, task->side, length);
	case BYTCHK_BLOCK: return compare_block(task, task->side, length);
	}
	return length;
}

/* ---- reading ---- */

static void verify_read(struct scsi_task *task);

/* INFORMATION: the block, or (SBC-3 5.2) the offset in Data-Out. */
static void
miscompare(struct scsi_task *task, uint64_t at)
{
	struct scsi_sense sense = SENSE_MISCOMPARE_DURING_VERIFY;

	if (is_compare_and_write(task) && sbc_differs(task, &at))
		return;
	sense.information_valid = true;
	sense.information = is_compare_and_write(task)
				? at
				: task->lba + (at >> task->lun->block_shift);
	scsi_task_end(task, &sense);
}

static void
verify_compare(struct scsi_task *task)
{
	size_t length = task->io.length;
	size_t same = compare_piece(task, length);

	if (same < length) {
		miscompare(task, task->cursor + same);
		return;
	}
	task->cursor += length;
	verify_read(task);
}

static void
verify_read(struct scsi_task *task)
{
	uint64_t rest = task_offset(task, task->block_count) - task->cursor;
	uint64_t length = rest < STEP ? rest : STEP;

	if (rest == 0) {
		task->after(task);
		return;
	}
	struct bs_io *io = scsi_task_io(
	    task, BS_READ, task_offset(task, task->lba) + task->cursor, length);
	task->piece[0] =
	    (struct iovec){.iov_base = task->side, .iov_len = length};
	io->iov = task->piece;
	io->iov_count = 1;
	scsi_task_submit(task, verify_compare);
}

void
sbc_compare(struct scsi_task *task, void (*then)(struct scsi_task *task))
{
	uint64_t total = task_offset(task, task->block_count);

	task->after = then;
	task->cursor = 0;
	task->compare_from = 0;
	scsi_task_side(task, total < STEP ? total : STEP, verify_read);
}

void
sbc_compare_again(
    struct scsi_task *task, uint64_t from, void (*then)(struct scsi_task *task))
{
	task->after = then;
	task->cursor = 0;
	task->compare_from = from;
	verify_read(task);
}

static void
verify_start(struct scsi_task *task)
{
	sbc_compare(task, scsi_task_end_good);
}

/* What is verified is the medium: the cache goes there first. */
void
sbc_verify(struct scsi_task *task)
{
	if (task->block_count == 0)
		scsi_task_end_good(task);
	else
		scsi_task_flush(task, verify_start);
}

static void
verify_written(struct scsi_task *task)
{
	task->lun->stat.writes++;
	task->lun->stat.write_bytes += task->data_length;
	verify_start(task);
}

void
sbc_write_and_verify(struct scsi_task *task)
{
	if (task->data_length == 0)
		scsi_task_end_good(task);
	else
		sbc_transfer(
		    task, BS_WRITE, task->data_length, true, verify_written);
}
