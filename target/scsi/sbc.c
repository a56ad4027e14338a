/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ, WRITE, SYNCHRONIZE CACHE and PRE-FETCH, and what all block commands
 * share: the layout of their CDBs, ranges, transfers between buffers and
 * medium.  A transfer that the backstore takes in one I/O is one lun_submit.
 */
#include "target/scsi/handlers.h"
#include <string.h>

#define FUA   0x08u
#define IMMED 0x02u

/* ---- CDB layouts, by group code (the upper three bits, SPC-4 4.2.5.1) ---- */

static const struct {
	uint8_t lba_at, lba_bytes, count_at, count_bytes;
} layouts[8] = {
    [0] = {1, 3, 4, 1},
    [1] = {2, 4, 7, 2},
    [2] = {2, 4, 7, 2},
    [4] = {2, 8, 10, 4},
    [5] = {2, 4, 6, 4},
};

static uint64_t
load_field(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *from++;
	return value;
}

bool
sbc_range_ok(const struct lun *lun, uint64_t lba, uint64_t count)
{
	uint64_t blocks = lun_blocks(lun);

	return lba <= blocks && count <= blocks - lba;
}

struct scsi_sense
sbc_range(struct scsi_task *task, unsigned *ret_count_at)
{
	const uint8_t *cdb = task->cdb;
	unsigned group = cdb[0] >> 5;

	assert(layouts[group].lba_bytes != 0);
	task->lba =
	    load_field(cdb + layouts[group].lba_at, layouts[group].lba_bytes);
	task->block_count = load_field(
	    cdb + layouts[group].count_at, layouts[group].count_bytes);
	if (group == 0) {
		/* SBC-3 5.7 READ(6): 21 bits of LBA; length 0 means 256 */
		task->lba &= 0x1fffff;
		if (task->block_count == 0)
			task->block_count = 256;
	}
	*ret_count_at = layouts[group].count_at;
	if (!sbc_range_ok(task->lun, task->lba, task->block_count)) {
		struct scsi_sense sense = SENSE_LBA_OUT_OF_RANGE;
		sense.information_valid = true;
		sense.information = task->lba;
		return sense;
	}
	return SENSE_NONE;
}

static struct scsi_sense
check_transfer(struct scsi_task *task)
{
	unsigned count_at;
	struct scsi_sense sense = sbc_range(task, &count_at);

	if (!sense_is_good(&sense))
		return sense;
	/* SBC-3 6.6.3 MAXIMUM TRANSFER LENGTH */
	if (task->block_count > SCSI_TRANSFER_MAX >> task->lun->block_shift)
		return scsi_invalid_cdb(count_at, -1);
	return SENSE_NONE;
}

struct scsi_sense
sbc_range_check(struct scsi_task *task)
{
	unsigned count_at;

	return sbc_range(task, &count_at);
}

struct scsi_sense
sbc_read_check(struct scsi_task *task)
{
	struct scsi_sense sense = check_transfer(task);

	if (sense_is_good(&sense))
		scsi_task_set_in(task, task_offset(task, task->block_count));
	return sense;
}

/* When the initiator sends less than the CDB asks for, the whole blocks of it
 * are the command and the rest is residual (SAM-5 5.4.3, FCP-4 9.4.2); part of
 * a block is refused before any of it is transferred. */
struct scsi_sense
sbc_check_out(struct scsi_task *task)
{
	uint64_t mask = task->lun->bs->block_size - 1;

	task->out_full = task_offset(task, task->block_count);
	task->data_length = task->out_full < task->expected_out
				? task->out_full
				: task->expected_out;
	if (task->data_length & mask)
		return SENSE_INVALID_FIELD_IN_COMMAND_IU;
	task->block_count = task->data_length >> task->lun->block_shift;
	return SENSE_NONE;
}

struct scsi_sense
sbc_write_check(struct scsi_task *task)
{
	struct scsi_sense sense = check_transfer(task);

	return sense_is_good(&sense) ? sbc_check_out(task) : sense;
}

/* ---- transfers ---- */

/* Without a write cache there is nothing to be volatile (SBC-3 6.4.5 WCE);
 * WRITE(6) has no FUA bit, its byte 1 is part of the LBA. */
bool
sbc_fua(const struct scsi_task *task)
{
	bool six = task->cdb[0] < 0x20;

	return !task->lun->mode.write_cache || (!six && task->cdb[1] & FUA);
}

static void
transfer_step(struct scsi_task *task)
{
	uint64_t rest = task->wanted - task->cursor;
	uint64_t most = task->lun->bs->max_io & ~4095u;
	struct bs_io *io = &task->io;

	if (rest == 0) {
		task->after(task);
		return;
	}
	io->length = rest < most ? rest : most;
	io->offset = task_offset(task, task->lba) + task->cursor;
	io->iov = task->piece;
	io->iov_count = bs_iov_slice(task->iov, task->iov_count, task->cursor,
	    io->length, task->piece, SCSI_TASK_IOV_MAX);
	task->cursor += io->length;
	scsi_task_submit(task, transfer_step);
}

static void
transfer_done(struct scsi_task *task)
{
	task->after(task);
}

void
sbc_transfer(struct scsi_task *task, enum bs_op op, uint64_t length, bool fua,
    void (*after)(struct scsi_task *task))
{
	struct bs_io *io =
	    scsi_task_io(task, op, task_offset(task, task->lba), length);

	assert(length > 0);
	io->fua = fua;
	task->after = after;
	if (length <= task->lun->bs->max_io &&
	    bs_iov_length(task->iov, task->iov_count) == length) {
		io->iov = task->iov;
		io->iov_count = task->iov_count;
		scsi_task_submit(task, transfer_done);
		return;
	}
	task->wanted = length;
	task->cursor = 0;
	transfer_step(task);
}

/* ---- READ ---- */

/* Whole blocks are read even if the initiator takes less. */
static uint64_t
read_length(const struct scsi_task *task)
{
	uint64_t mask = task->lun->bs->block_size - 1;

	return (task->in_length + mask) & ~mask;
}

static void
read_end(struct scsi_task *task)
{
	struct lun_stat *stat = &task->lun->stat;

	stat->reads++;
	stat->read_bytes += task->in_length;
	scsi_task_end_good(task);
}

static void
read_medium(struct scsi_task *task)
{
	sbc_transfer(task, BS_READ, read_length(task), false, read_end);
}

/* SBC-3 5.8 FUA: what is newer in a volatile cache goes to the medium before it
 * is read from there. */
static void
read_durable(struct scsi_task *task)
{
	scsi_task_flush(task, read_medium);
}

void
sbc_read(struct scsi_task *task)
{
	bool fua = task->cdb[0] >= 0x20 && (task->cdb[1] & FUA);

	if (task->in_length == 0)
		read_end(task);
	else
		scsi_task_in_buffers(
		    task, read_length(task), fua ? read_durable : read_medium);
}

/* ---- WRITE ---- */

static void
write_end(struct scsi_task *task)
{
	struct lun_stat *stat = &task->lun->stat;

	stat->writes++;
	stat->write_bytes += task->data_length;
	scsi_task_end_good(task);
}

void
sbc_write(struct scsi_task *task)
{
	if (task->data_length == 0)
		write_end(task);
	else
		sbc_transfer(task, BS_WRITE, task->data_length, sbc_fua(task),
		    write_end);
}

/* ---- SYNCHRONIZE CACHE, PRE-FETCH ---- */

/* The backstore flushes as a whole, which covers any range. */
void
sbc_synchronize_cache(struct scsi_task *task)
{
	if (!(task->cdb[1] & IMMED)) {
		scsi_task_flush(task, scsi_task_end_good);
		return;
	}
	lun_flush_in_background(task->lun);
	scsi_task_end_good(task);
}

/* SBC-3 5.6: GOOD says that not all of it went into a cache, which is true:
 * there is none to fill. */
void
sbc_pre_fetch(struct scsi_task *task)
{
	scsi_task_end_good(task);
}
