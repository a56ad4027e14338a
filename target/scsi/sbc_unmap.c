/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNMAP (SBC-3 5.28) and GET LBA STATUS (5.4).  LBPRZ is set, so an unmapped
 * block reads as zeros; UNMAP does that for every block it names, exactly, by
 * BS_ZERO, and the store keeps what it cannot give back.  All descriptors are
 * checked before the first one is obeyed.
 */
#include "target/scsi/handlers.h"
#include <string.h>

/* ---- UNMAP ---- */

struct unmap_header {
	struct be16 data_length;
	struct be16 descriptor_length;
	uint8_t reserved[4];
};
static_assert(sizeof(struct unmap_header) == 8, "SBC-3 table 97");

#define UNMAP_LIST_MAX                                                         \
	(sizeof(struct unmap_header) +                                         \
	    SBC_UNMAP_DESCRIPTORS_MAX * sizeof(struct lba_range))

struct scsi_sense
sbc_unmap_check(struct scsi_task *task)
{
	uint16_t length = load_be16(&task->cdb[7]);

	if (length > 0 && length < sizeof(struct unmap_header))
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	if (length > UNMAP_LIST_MAX)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	return scsi_task_want_list(task, length);
}

static const struct lba_range *
unmap_list(const struct scsi_task *task)
{
	return (const struct lba_range *)(scsi_task_parameters(task) +
					  sizeof(struct unmap_header));
}

/* SBC-3 5.28.2: a descriptor that is not there as a whole is ignored. */
static unsigned
unmap_count(const struct scsi_task *task)
{
	const struct unmap_header *header =
	    (const struct unmap_header *)scsi_task_parameters(task);
	size_t there = task->data_length - sizeof(*header);
	size_t told = be16_get(&header->descriptor_length);

	return (
	    unsigned)((told < there ? told : there) / sizeof(struct lba_range));
}

static struct scsi_sense
unmap_check_list(const struct scsi_task *task)
{
	const struct lba_range *list = unmap_list(task);
	unsigned count = unmap_count(task);

	for (unsigned i = 0; i < count; i++) {
		uint64_t lba = be64_get(&list[i].lba);
		if (sbc_range_ok(
			task->lun, lba, be32_get(&list[i].block_count)))
			continue;
		struct scsi_sense sense = SENSE_LBA_OUT_OF_RANGE;
		sense.information_valid = true;
		sense.information = lba;
		return sense;
	}
	return SENSE_NONE;
}

/* step: the descriptor; cursor: how far into it, in bytes */
static void
unmap_step(struct scsi_task *task)
{
	const struct lba_range *list = unmap_list(task);
	unsigned count = unmap_count(task);
	uint64_t rest = 0;

	while (task->step < count && rest == 0) {
		rest =
		    task_offset(task, be32_get(&list[task->step].block_count)) -
		    task->cursor;
		if (rest == 0) {
			task->step++;
			task->cursor = 0;
		}
	}
	if (rest == 0) {
		task->lun->stat.unmaps++;
		scsi_task_end_good(task);
		return;
	}
	uint64_t length = rest < SBC_STEP_MAX ? rest : SBC_STEP_MAX;
	struct bs_io *io = scsi_task_io(task, BS_ZERO,
	    task_offset(task, be64_get(&list[task->step].lba)) + task->cursor,
	    length);
	io->may_unmap = true;
	io->fua = !task->lun->mode.write_cache;
	task->cursor += length;
	scsi_task_submit(task, unmap_step);
}

void
sbc_unmap(struct scsi_task *task)
{
	if (task->data_length == 0) {
		scsi_task_end_good(task);
		return;
	}
	struct scsi_sense sense = unmap_check_list(task);
	if (sense_is_good(&sense))
		unmap_step(task);
	else
		scsi_task_end(task, &sense);
}

/* ---- GET LBA STATUS ---- */

struct lba_status {
	struct be64 lba;
	struct be32 block_count;
	uint8_t provisioning;
	uint8_t reserved[3];
};
static_assert(sizeof(struct lba_status) == 16, "SBC-3 table 36");

#define STATUS_MAX    64u
#define STATUS_HEADER 8u
#define STATUS_AT     2048u /* in the side buffer, behind the extents */

static_assert(STATUS_MAX * sizeof(struct bs_extent) <= STATUS_AT, "room");
static_assert(
    STATUS_AT + STATUS_HEADER + STATUS_MAX * sizeof(struct lba_status) <=
	SCSI_ANSWER_SIZE,
    "room");

enum {
	MAPPED = 0,
	DEALLOCATED = 1,
};

struct scsi_sense
sbc_get_lba_status_check(struct scsi_task *task)
{
	task->lba = load_be64(&task->cdb[2]);
	if (task->lba < lun_blocks(task->lun))
		return SENSE_NONE;

	struct scsi_sense sense = SENSE_LBA_OUT_OF_RANGE;
	sense.information_valid = true;
	sense.information = task->lba;
	return sense;
}

/* One descriptor for neighbours of the same kind; its count has 32 bits, where
 * the answer then ends: an initiator asks again from there. */
static unsigned
status_fill(const struct scsi_task *task, const struct bs_extent *extents,
    unsigned extent_count, struct lba_status *list)
{
	unsigned shift = task->lun->block_shift, used = 0;
	uint64_t lba = task->lba, blocks = 0;
	int last = -1;

	for (unsigned i = 0; i < extent_count && blocks <= UINT32_MAX; i++) {
		int kind =
		    extents[i].kind == BS_EXTENT_HOLE ? DEALLOCATED : MAPPED;
		if (kind != last) {
			lba += blocks;
			blocks = 0;
			used++;
		}
		last = kind;
		blocks += extents[i].length >> shift;
		be64_set(&list[used - 1].lba, lba);
		be32_set(&list[used - 1].block_count,
		    blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX);
		list[used - 1].provisioning = (uint8_t)kind;
	}
	return used;
}

static void
status_answer(struct scsi_task *task, const struct bs_extent *extents,
    unsigned extent_count)
{
	uint8_t *data = (uint8_t *)task->side + STATUS_AT;
	unsigned used = status_fill(task, extents, extent_count,
	    (struct lba_status *)(data + STATUS_HEADER));
	size_t length = STATUS_HEADER + used * sizeof(struct lba_status);

	store_be32(data, (uint32_t)(length - 4));
	scsi_task_answer(task, STATUS_AT, length);
	scsi_task_end_good(task);
}

static void
status_extents(struct scsi_task *task)
{
	status_answer(task, task->io.extents, task->io.extent_count);
}

static void
status_ask(struct scsi_task *task)
{
	uint64_t offset = task_offset(task, task->lba);
	uint64_t length = task_offset(task, lun_blocks(task->lun)) - offset;
	struct bs_extent *extents = task->side;

	if (task->lba >= lun_blocks(task->lun)) {
		scsi_task_end(task, &SENSE_LBA_OUT_OF_RANGE);
		return;
	}
	memset(task->side, 0, task->side_length);
	if (!task->lun->bs->thin) {
		extents[0] = (struct bs_extent){offset, length, BS_EXTENT_DATA};
		status_answer(task, extents, 1);
		return;
	}
	struct bs_io *io = scsi_task_io(task, BS_EXTENTS, offset, length);
	io->extents = extents;
	io->extent_max = STATUS_MAX;
	scsi_task_submit(task, status_extents);
}

void
sbc_get_lba_status(struct scsi_task *task)
{
	scsi_task_side(task, SCSI_ANSWER_SIZE, status_ask);
}
