/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EXTENDED COPY(LID1), SPC-4 6.4: copies blocks between units that this nexus
 * sees, and no others: a unit that the initiator has no access to, or one of
 * another target, cannot be reached.  What the initiator may not read or write
 * itself it may not have copied either: copy_may().
 *
 * One piece at a time is read into the second buffer and written from it, so a
 * copy needs one buffer however long it is, and an abort is seen after each.
 * Zeros are not written but unmapped where the destination is thin: a copy of
 * a thin unit stays thin.
 *
 * A mapping that a segment uses counts the copy among its tasks: it, and its
 * unit, stay until the piece in flight has ended.  If it is being closed the
 * copy ends there.
 */
#include "base/log.h"
#include "base/zero.h"
#include "target/scsi/handlers.h"
#include <errno.h>
#include <string.h>

#define HEADER   16u
#define LIST_MAX (HEADER + COPY_LIST_MAX)
#define PIECE    (512u << 10)
#define PIECE_AT 8192u /* in the second buffer, behind struct copy */

struct cscd {
	uint8_t type, device_type, port[2];
	uint8_t code_set, designator_type, reserved, designator_length;
	uint8_t designator[20];
	uint8_t pad, block_length[3];
};
static_assert(sizeof(struct cscd) == 32, "SPC-4 6.4.5.1");

struct segment {
	uint8_t type, flags;
	struct be16 length, source, destination;
	uint8_t reserved[2];
	struct be16 block_count;
	struct be64 source_lba, destination_lba;
};
static_assert(sizeof(struct segment) == 28, "SPC-4 6.4.6.5");

#define COUNTS_DESTINATION 0x02u /* DC */

enum {
	STATUS_RUNNING = 0x00,
	STATUS_DONE = 0x01,
	STATUS_FAILED = 0x02,
};

enum {
	USAGE_HOLD = 0,
	USAGE_RESERVED = 1,
	USAGE_DISCARD = 2, /* when it ends well */
	USAGE_NONE = 3,    /* no list identifier at all */
};

/* At the start of the second buffer. */
struct copy {
	uint8_t list[LIST_MAX];
	unsigned cscd_count, segment_count;
	const struct cscd *cscds;
	const struct segment *segments;
	unsigned usage;
	struct copy_result *result; /* NULL: none is kept */

	/* the segment at hand: task->step, and task->cursor in it */
	struct scsi_mapping *source, *destination; /* NULL: between two */
	uint64_t from, to, length;                 /* bytes */
	uint64_t copied;                           /* of all */
};
static_assert(sizeof(struct copy) <= PIECE_AT, "room");
static_assert(PIECE_AT + PIECE <= BUF_MAX, "room");

static struct copy *
copy_of(const struct scsi_task *task)
{
	return task->side;
}

/* ---- the CDB ---- */

struct scsi_sense
copy_check(struct scsi_task *task)
{
	uint32_t length = load_be32(&task->cdb[10]);

	if ((length > 0 && length < HEADER) || length > LIST_MAX)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	return scsi_task_want_list(task, length);
}

/* ---- the parameter list ---- */

static struct scsi_sense
check_cscds(const struct copy *copy)
{
	for (unsigned i = 0; i < copy->cscd_count; i++)
		if (copy->cscds[i].type != COPY_IDENTIFIED)
			return SENSE_UNSUPPORTED_TARGET_DESCRIPTOR;
	return SENSE_NONE;
}

/* All descriptors of a list that has others than ours have other lengths: the
 * type of the first that is not ours decides. */
static struct scsi_sense
check_segments(const struct copy *copy, size_t bytes)
{
	const uint8_t *first = (const uint8_t *)copy->segments;

	for (unsigned i = 0; i * sizeof(struct segment) < bytes; i++) {
		const struct segment *segment = &copy->segments[i];
		if (segment->type != COPY_BLOCK_BLOCK)
			return SENSE_UNSUPPORTED_SEGMENT_DESCRIPTOR;
		if ((i + 1) * sizeof(*segment) > bytes)
			return SENSE_PARAMETER_LIST_LENGTH_ERROR;
		if (be16_get(&segment->length) != sizeof(*segment) - 4)
			return scsi_invalid_parameter(
			    (unsigned)((const uint8_t *)segment - first) +
				HEADER + copy->cscd_count * 32 + 2,
			    -1);
	}
	return SENSE_NONE;
}

/* SPC-4 6.4.3.2; lengths before counts, counts before contents */
static struct scsi_sense
parse_list(const struct scsi_task *task, struct copy *copy)
{
	const uint8_t *list = copy->list;
	uint64_t cscds = load_be16(&list[2]), segments = load_be32(&list[8]);
	uint64_t inline_data = load_be32(&list[12]);

	copy->usage = list[1] >> 3 & 3;
	if (copy->usage == USAGE_RESERVED)
		return scsi_invalid_parameter(1, 4);
	if (copy->usage == USAGE_NONE && list[0] != 0)
		return scsi_invalid_parameter(0, -1);
	if (inline_data > 0)
		return SENSE_INLINE_DATA_LENGTH_EXCEEDED;
	if (cscds + segments > COPY_LIST_MAX ||
	    HEADER + cscds + segments > task->data_length ||
	    cscds % sizeof(struct cscd) != 0)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	copy->cscds = (const struct cscd *)(list + HEADER);
	copy->cscd_count = (unsigned)(cscds / sizeof(struct cscd));
	copy->segments = (const struct segment *)(list + HEADER + cscds);
	copy->segment_count = (unsigned)(segments / sizeof(struct segment));
	if (copy->cscd_count > COPY_TARGETS_MAX)
		return SENSE_TOO_MANY_TARGET_DESCRIPTORS;
	if (copy->segment_count > COPY_SEGMENTS_MAX)
		return SENSE_TOO_MANY_SEGMENT_DESCRIPTORS;
	struct scsi_sense sense = check_cscds(copy);
	return sense_is_good(&sense) ? check_segments(copy, segments) : sense;
}

/* ---- results ---- */

static struct copy_result *
result_find(struct scsi_mapping *mapping, uint8_t list_id)
{
	for (unsigned i = 0; i < COPY_RESULTS; i++) {
		struct copy_result *result = &mapping->copies[i];
		if (result->used && result->list_id == list_id)
			return result;
	}
	return NULL;
}

/* The oldest that has ended gives way; NULL: all run. */
static struct copy_result *
result_take(struct scsi_mapping *mapping)
{
	struct copy_result *oldest = NULL;

	for (unsigned i = 0; i < COPY_RESULTS; i++) {
		struct copy_result *result = &mapping->copies[i];
		if (!result->used)
			return result;
		if (result->status != STATUS_RUNNING &&
		    (oldest == NULL || result->age < oldest->age))
			oldest = result;
	}
	return oldest;
}

/* False: the task has ended. */
static bool
result_begin(struct scsi_task *task, struct copy *copy)
{
	uint8_t list_id = copy->list[0];
	struct copy_result *result = result_find(task->mapping, list_id);

	if (copy->usage == USAGE_NONE)
		return true;
	if (result != NULL && result->status == STATUS_RUNNING) {
		/* SPC-4 6.4.3.2: the identifier is in use */
		scsi_task_end(task, &SENSE_OPERATION_IN_PROGRESS);
		return false;
	}
	if (result == NULL)
		result = result_take(task->mapping);
	if (result == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return false;
	}
	*result = (struct copy_result){
	    .used = true,
	    .list_id = list_id,
	    .status = STATUS_RUNNING,
	    .age = ++task->mapping->copies_begun,
	};
	copy->result = result;
	return true;
}

static void
result_end(const struct scsi_task *task, struct copy *copy,
    const struct scsi_sense *sense)
{
	struct copy_result *result = copy->result;

	if (result == NULL)
		return;
	result->status = sense == NULL ? STATUS_DONE : STATUS_FAILED;
	if (sense == NULL && copy->usage == USAGE_DISCARD)
		result->used = false;
	if (sense == NULL)
		return;
	result->command_status = SCSI_CHECK_CONDITION;
	result->sense_length = (uint8_t)sense_encode(
	    sense, task->lun->mode.d_sense, result->sense);
}

/* ---- the end ---- */

static void
mapping_leave(struct scsi_mapping **mapping)
{
	struct scsi_mapping *left = *mapping;

	*mapping = NULL;
	if (left == NULL)
		return;
	assert(left->task_count > 0);
	left->task_count--;
	mapping_close_check(left);
}

static void
copy_end(struct scsi_task *task, const struct scsi_sense *sense)
{
	struct copy *copy = copy_of(task);

	result_end(task, copy, sense);
	mapping_leave(&copy->source);
	mapping_leave(&copy->destination);
	scsi_task_end(task, sense);
}

/* ---- one segment ---- */

static struct scsi_mapping *
find_unit(const struct scsi_nexus *nexus, const struct cscd *cscd)
{
	struct scsi_mapping *mapping;

	/* binary, of the logical unit, NAA */
	if ((cscd->code_set & 0x0f) != 1 ||
	    (cscd->designator_type & 0x3f) != 3 || cscd->designator_length != 8)
		return NULL;
	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		mapping = nexus->mappings[i];
		if (mapping != NULL &&
		    memcmp(mapping->lun->naa, cscd->designator, 8) == 0)
			return mapping;
	}
	return NULL;
}

/* The unit that a segment names: it is there, a disk of the block length that
 * the initiator believes. */
static struct scsi_sense
resolve(struct scsi_task *task, uint16_t id, struct scsi_mapping **ret_mapping)
{
	const struct copy *copy = copy_of(task);
	const struct cscd *cscd;
	uint32_t block_length;

	if (id >= copy->cscd_count)
		return SENSE_UNREACHABLE_COPY_TARGET;
	cscd = &copy->cscds[id];
	if ((cscd->device_type & 0x1f) != 0)
		return SENSE_INCORRECT_COPY_TARGET_TYPE;
	*ret_mapping = find_unit(task->nexus, cscd);
	if (*ret_mapping == NULL)
		return SENSE_COPY_TARGET_NOT_REACHABLE;
	block_length = load_be32(&cscd->pad) & 0xffffff;
	if (block_length != 0 &&
	    block_length != (*ret_mapping)->lun->bs->block_size)
		return scsi_invalid_parameter(HEADER + id * 32u + 29, -1);
	return SENSE_NONE;
}

/* May the initiator do there what it wants done?  All that could keep a READ or
 * WRITE of its own from the unit belongs here. */
static struct scsi_sense
copy_may(const struct scsi_mapping *mapping, bool write)
{
	const struct lun *lun = mapping->lun;
	struct scsi_sense sense = SENSE_NONE;

	if (reserve_keeps(mapping, write) || lun->stopped ||
	    access_refuses(mapping, NULL, &sense) ||
	    sanitize_refuses(lun, NULL, &sense))
		return SENSE_THIRD_PARTY_DEVICE_FAILURE;
	if (write && mapping_is_protected(mapping, &sense))
		sense.key = SENSE_COPY_ABORTED.key;
	return sense;
}

static struct scsi_sense
measure(struct copy *copy, const struct segment *segment)
{
	const struct lun *source = copy->source->lun;
	const struct lun *destination = copy->destination->lun;
	unsigned shift = segment->flags & COUNTS_DESTINATION
			     ? destination->block_shift
			     : source->block_shift;

	copy->length = (uint64_t)be16_get(&segment->block_count) << shift;
	if (copy->length % source->bs->block_size != 0 ||
	    copy->length % destination->bs->block_size != 0)
		return SENSE_UNEXPECTED_INEXACT_SEGMENT;
	if (!sbc_range_ok(source, be64_get(&segment->source_lba),
		copy->length >> source->block_shift) ||
	    !sbc_range_ok(destination, be64_get(&segment->destination_lba),
		copy->length >> destination->block_shift))
		return SENSE_COPY_ABORTED;
	copy->from = be64_get(&segment->source_lba) << source->block_shift;
	copy->to = be64_get(&segment->destination_lba)
		   << destination->block_shift;
	return SENSE_NONE;
}

static void
mapping_enter(struct scsi_mapping **to, struct scsi_mapping *mapping)
{
	*to = mapping;
	mapping->task_count++;
}

static struct scsi_sense
segment_begin(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);
	const struct segment *segment = &copy->segments[task->step];
	struct scsi_mapping *source = NULL, *destination = NULL;
	struct scsi_sense sense =
	    resolve(task, be16_get(&segment->source), &source);

	if (sense_is_good(&sense))
		sense = resolve(
		    task, be16_get(&segment->destination), &destination);
	if (!sense_is_good(&sense))
		return sense;
	mapping_enter(&copy->source, source);
	mapping_enter(&copy->destination, destination);
	task->cursor = 0;
	return measure(copy, segment);
}

static void copy_go_on(struct scsi_task *task);

/* It ends as soon as it may not go on: between pieces much can change. */
static struct scsi_sense
piece_may_begin(const struct copy *copy)
{
	struct scsi_sense sense;

	if (copy->source->closing || copy->destination->closing)
		return SENSE_COPY_TARGET_NOT_REACHABLE;
	sense = copy_may(copy->source, false);
	return sense_is_good(&sense) ? copy_may(copy->destination, true)
				     : sense;
}

static void
piece_complete(struct bs_io *io, int result)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task_is_executing(task));
	if (task->aborting) {
		copy_end(task, &SENSE_COMMAND_ABORTED);
	} else if (result == 0) {
		task->next(task);
	} else {
		struct scsi_sense sense =
		    sense_from_errno(result, io->op != BS_READ);
		log_debug("%s: EXTENDED COPY: %s", task->lun->label,
		    strerror(-result));
		sense.key = SENSE_COPY_ABORTED.key;
		copy_end(task, &sense);
	}
}

/* The unit may have shrunk since the segment began. */
static void
piece_submit(struct scsi_task *task, struct lun *lun,
    void (*next)(struct scsi_task *task))
{
	struct bs_io *io = &task->io;

	if (io->length > lun->bs->size ||
	    io->offset > lun->bs->size - io->length) {
		copy_end(task, &SENSE_COPY_ABORTED);
		return;
	}
	task->next = next;
	io->complete = piece_complete;
	bs_submit(lun->bs, io);
}

static void
piece_written(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	task->cursor += task->io.length;
	copy->copied += task->io.length;
	if (copy->result != NULL)
		copy->result->bytes = copy->copied;
	copy_go_on(task);
}

static void
piece_write(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);
	struct lun *lun = copy->destination->lun;
	uint64_t length = task->io.length;
	bool zero = lun->bs->thin && is_zero(task->piece[0].iov_base, length);
	struct scsi_sense sense = piece_may_begin(copy);
	struct bs_io *io;

	if (!sense_is_good(&sense)) {
		copy_end(task, &sense);
		return;
	}
	io = scsi_task_io(
	    task, zero ? BS_ZERO : BS_WRITE, copy->to + task->cursor, length);
	io->may_unmap = zero;
	io->fua = !lun->mode.write_cache;
	if (!zero) {
		io->iov = task->piece;
		io->iov_count = 1;
	}
	piece_submit(task, lun, piece_written);
}

static void
piece_read(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);
	uint64_t rest = copy->length - task->cursor;
	uint64_t length = rest < PIECE ? rest : PIECE;
	struct scsi_sense sense = piece_may_begin(copy);
	struct bs_io *io;

	if (!sense_is_good(&sense)) {
		copy_end(task, &sense);
		return;
	}
	io = scsi_task_io(task, BS_READ, copy->from + task->cursor, length);
	task->piece[0] = (struct iovec){
	    .iov_base = (uint8_t *)task->side + PIECE_AT, .iov_len = length};
	io->iov = task->piece;
	io->iov_count = 1;
	piece_submit(task, copy->source->lun, piece_write);
}

static void
segment_end(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	mapping_leave(&copy->source);
	mapping_leave(&copy->destination);
	task->step++;
	if (copy->result != NULL)
		copy->result->segments = (uint16_t)task->step;
}

static void
copy_go_on(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	for (;;) {
		if (copy->source != NULL && task->cursor < copy->length) {
			piece_read(task);
			return;
		}
		if (copy->source != NULL)
			segment_end(task);
		if (task->step == copy->segment_count) {
			copy_end(task, NULL);
			return;
		}
		struct scsi_sense sense = segment_begin(task);
		if (!sense_is_good(&sense)) {
			copy_end(task, &sense);
			return;
		}
	}
}

static void
copy_begin(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	memset(copy, 0, sizeof(*copy));
	scsi_task_gather(task, copy->list);
	struct scsi_sense sense = parse_list(task, copy);
	if (!sense_is_good(&sense))
		scsi_task_end(task, &sense);
	else if (result_begin(task, copy))
		copy_go_on(task);
}

/* SPC-4 6.4.2: no list is no error */
void
copy_run(struct scsi_task *task)
{
	if (task->data_length == 0)
		scsi_task_end_good(task);
	else
		scsi_task_side(task, PIECE_AT + PIECE, copy_begin);
}

/* ---- RECEIVE COPY RESULTS, SPC-4 6.24 to 6.28 ---- */

#define UNITS_KIB 0x01u

struct scsi_sense
copy_status(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct copy_result *result =
	    result_find(task->mapping, task->cdb[2]);
	uint8_t *data = answer->data;

	if (result == NULL)
		return scsi_invalid_cdb(2, -1);
	store_be32(data, 8);
	data[4] = result->status;
	store_be16(&data[5], result->segments);
	data[7] = UNITS_KIB;
	store_be32(&data[8], (uint32_t)(result->bytes >> 10));
	answer->length = 12;
	return SENSE_NONE;
}

struct scsi_sense
copy_operating_parameters(struct scsi_task *task, struct scsi_answer *answer)
{
	static const uint8_t types[] = {COPY_BLOCK_BLOCK, COPY_IDENTIFIED};
	uint8_t *data = answer->data;

	store_be32(data, 44 - 4 + sizeof(types));
	data[4] = 0x01; /* SNLID: LIST ID USAGE 11b is known */
	store_be16(&data[8], COPY_TARGETS_MAX);
	store_be16(&data[10], COPY_SEGMENTS_MAX);
	store_be32(&data[12], COPY_LIST_MAX);
	store_be32(&data[16], COPY_BLOCKS_MAX << task->lun->block_shift);
	store_be16(&data[34], COPY_RESULTS);
	data[36] = COPY_RESULTS;
	data[37] = (uint8_t)task->lun->block_shift;
	data[43] = sizeof(types);
	memcpy(&data[44], types, sizeof(types));
	answer->length = 44 + sizeof(types);
	return SENSE_NONE;
}

/* Told once: SPC-4 6.25. */
struct scsi_sense
copy_failed_segment(struct scsi_task *task, struct scsi_answer *answer)
{
	struct copy_result *result = result_find(task->mapping, task->cdb[2]);
	uint8_t *data = answer->data;

	if (result == NULL || result->status != STATUS_FAILED)
		return scsi_invalid_cdb(2, -1);
	store_be32(data, 60 - 4 + (uint32_t)result->sense_length);
	data[56] = result->command_status;
	store_be16(&data[58], result->sense_length);
	memcpy(&data[60], result->sense, result->sense_length);
	answer->length = 60 + (size_t)result->sense_length;
	result->used = false;
	return SENSE_NONE;
}
