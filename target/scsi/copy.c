/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EXTENDED COPY(LID1) and (LID4), SPC-4 6.4 and 6.5: copies blocks between
 * units that this nexus sees, and no others: a unit that the initiator has no
 * access to, or one of another target, cannot be reached.  What the initiator
 * may not read or write itself it may not have copied either: copy_may().
 *
 * A mapping that a segment uses counts the copy among its tasks: it, and its
 * unit, stay until the piece in flight has ended.  If it is being closed the
 * copy ends there.
 */
#include "target/scsi/copy.h"
#include <string.h>

#define HEADER_LID1 16u
#define HEADER_LID4 48u
#define LIST_MAX    (HEADER_LID4 + COPY_LIST_MAX)

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
	USAGE_HOLD = 0,
	USAGE_RESERVED = 1,
	USAGE_DISCARD = 2, /* when it ends well */
	USAGE_NONE = 3,    /* no list identifier at all */
};

/* At the start of the second buffer. */
struct copy {
	struct copy_move move; /* the segment at hand: task->step */
	uint8_t list[LIST_MAX];
	unsigned header; /* bytes of it */
	unsigned cscd_count, segment_count;
	const struct cscd *cscds;
	const struct segment *segments;
	uint32_t list_id;
	unsigned usage;
	bool immediate;
	struct scsi_mapping *source, *destination; /* NULL: between two */
};
static_assert(sizeof(struct copy) <= COPY_HEAD, "room");

static struct copy *
copy_of(const struct scsi_task *task)
{
	return task->side;
}

/* ---- the CDB ---- */

struct scsi_sense
copy_check(struct scsi_task *task)
{
	bool lid4 = task->op->action == COPY_EXTENDED_LID4;

	return copy_want_list(
	    task, lid4 ? HEADER_LID4 : HEADER_LID1, COPY_LIST_MAX);
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
	for (unsigned i = 0; i * sizeof(struct segment) < bytes; i++) {
		const struct segment *segment = &copy->segments[i];
		if (segment->type != COPY_BLOCK_BLOCK)
			return SENSE_UNSUPPORTED_SEGMENT_DESCRIPTOR;
		if ((i + 1) * sizeof(*segment) > bytes)
			return SENSE_PARAMETER_LIST_LENGTH_ERROR;
		if (be16_get(&segment->length) != sizeof(*segment) - 4)
			return scsi_invalid_parameter(
			    (unsigned)((const uint8_t *)segment - copy->list) +
				2,
			    -1);
	}
	return SENSE_NONE;
}

struct lengths {
	uint64_t cscds, segments, inline_data;
};

/* SPC-4 6.4.3.2 */
static struct scsi_sense
parse_lid1(struct copy *copy, struct lengths *ret)
{
	const uint8_t *list = copy->list;

	copy->header = HEADER_LID1;
	copy->list_id = list[0];
	copy->usage = list[1] >> 3 & 3;
	*ret = (struct lengths){.cscds = load_be16(&list[2]),
	    .segments = load_be32(&list[8]),
	    .inline_data = load_be32(&list[12])};
	if (copy->usage == USAGE_NONE && copy->list_id != 0)
		return scsi_invalid_parameter(0, -1);
	return SENSE_NONE;
}

#define LID4_FORMAT    0x01u
#define LID4_G_SENSE   0x02u
#define LID4_IMMED     0x01u
#define LID4_HEADER    0x20u /* bytes of the header descriptor */
#define LID4_TYPE_CODE 0xffu

/* SPC-4 6.5.2: the header is written as a descriptor */
static struct scsi_sense
parse_lid4(struct copy *copy, struct lengths *ret)
{
	const uint8_t *list = copy->list;

	copy->header = HEADER_LID4;
	copy->list_id = load_be32(&list[20]);
	copy->usage = list[1] >> 3 & 3;
	copy->immediate = list[15] & LID4_IMMED;
	*ret = (struct lengths){.cscds = load_be16(&list[42]),
	    .segments = load_be16(&list[44]),
	    .inline_data = load_be16(&list[46])};
	if (list[0] != LID4_FORMAT)
		return scsi_invalid_parameter(0, -1);
	if (load_be16(&list[2]) != LID4_HEADER)
		return scsi_invalid_parameter(2, -1);
	if (list[15] & LID4_G_SENSE)
		return scsi_invalid_parameter(15, 1);
	if (list[16] != LID4_TYPE_CODE)
		return scsi_invalid_parameter(16, -1);
	if (copy->usage == USAGE_NONE && copy->immediate)
		return scsi_invalid_parameter(1, 4); /* nobody could ask */
	if (copy->usage == USAGE_NONE && copy->list_id != 0)
		return scsi_invalid_parameter(20, -1);
	return SENSE_NONE;
}

/* Lengths before counts, counts before contents. */
static struct scsi_sense
parse_list(const struct scsi_task *task, struct copy *copy)
{
	struct lengths lengths;
	struct scsi_sense sense = task->op->action == COPY_EXTENDED_LID4
				      ? parse_lid4(copy, &lengths)
				      : parse_lid1(copy, &lengths);
	const uint8_t *at = copy->list + copy->header;

	if (!sense_is_good(&sense))
		return sense;
	if (copy->usage == USAGE_RESERVED)
		return scsi_invalid_parameter(1, 4);
	if (lengths.inline_data > 0)
		return SENSE_INLINE_DATA_LENGTH_EXCEEDED;
	if (lengths.cscds + lengths.segments > COPY_LIST_MAX ||
	    copy->header + lengths.cscds + lengths.segments >
		task->data_length ||
	    lengths.cscds % sizeof(struct cscd) != 0)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	copy->cscds = (const struct cscd *)at;
	copy->cscd_count = (unsigned)(lengths.cscds / sizeof(struct cscd));
	copy->segments = (const struct segment *)(at + lengths.cscds);
	copy->segment_count =
	    (unsigned)(lengths.segments / sizeof(struct segment));
	if (copy->cscd_count > COPY_TARGETS_MAX)
		return SENSE_TOO_MANY_TARGET_DESCRIPTORS;
	if (copy->segment_count > COPY_SEGMENTS_MAX)
		return SENSE_TOO_MANY_SEGMENT_DESCRIPTORS;
	sense = check_cscds(copy);
	return sense_is_good(&sense) ? check_segments(copy, lengths.segments)
				     : sense;
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

	copy_result_end(task, copy->move.result, sense);
	if (sense == NULL && copy->usage == USAGE_DISCARD)
		copy->move.result->state = COPY_UNUSED;
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
		return scsi_invalid_parameter(copy->header + id * 32u + 29, -1);
	return SENSE_NONE;
}

static struct scsi_sense
segment_may_go_on(const struct scsi_task *task)
{
	const struct copy *copy = copy_of(task);
	struct scsi_sense sense = copy_may(copy->source, false);

	return sense_is_good(&sense) ? copy_may(copy->destination, true)
				     : sense;
}

static struct scsi_sense
measure(struct copy *copy, const struct segment *segment)
{
	struct copy_move *move = &copy->move;
	const struct lun *source = copy->source->lun;
	const struct lun *destination = copy->destination->lun;
	uint64_t length;
	unsigned shift = segment->flags & COUNTS_DESTINATION
			     ? destination->block_shift
			     : source->block_shift;

	length = (uint64_t)be16_get(&segment->block_count) << shift;
	if (length % source->bs->block_size != 0 ||
	    length % destination->bs->block_size != 0)
		return SENSE_UNEXPECTED_INEXACT_SEGMENT;
	if (!sbc_range_ok(source, be64_get(&segment->source_lba),
		length >> source->block_shift) ||
	    !sbc_range_ok(destination, be64_get(&segment->destination_lba),
		length >> destination->block_shift))
		return SENSE_COPY_ABORTED;
	move->source = copy->source->lun;
	move->destination = copy->destination->lun;
	move->from = be64_get(&segment->source_lba) << source->block_shift;
	move->to = be64_get(&segment->destination_lba)
		   << destination->block_shift;
	move->length = length;
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
	return measure(copy, segment);
}

static void
segment_end(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	mapping_leave(&copy->source);
	mapping_leave(&copy->destination);
	task->step++;
	if (copy->move.result != NULL)
		copy->move.result->segments = (uint16_t)task->step;
}

static void
copy_go_on(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	while (task->step < copy->segment_count) {
		struct scsi_sense sense = segment_begin(task);
		if (!sense_is_good(&sense)) {
			copy_end(task, &sense);
			return;
		}
		if (copy->move.length > 0) {
			copy_move(task);
			return;
		}
		segment_end(task);
	}
	copy_end(task, NULL);
}

static void
segment_moved(struct scsi_task *task, const struct scsi_sense *sense)
{
	if (sense != NULL) {
		copy_end(task, sense);
		return;
	}
	segment_end(task);
	copy_go_on(task);
}

static void
copy_start(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);
	struct copy_result *result = NULL;

	if (copy->usage != USAGE_NONE) {
		result = copy_result_begin(task, copy->list_id);
		if (result == NULL)
			return;
		result->background = copy->immediate;
	}
	copy->move.result = result;
	if (copy->immediate)
		task = scsi_task_go_on_alone(task);
	if (task != NULL)
		copy_go_on(task);
	else if (result != NULL)
		result->state = COPY_UNUSED;
}

static void
copy_begin(struct scsi_task *task)
{
	struct copy *copy = copy_of(task);

	memset(copy, 0, sizeof(*copy));
	copy->move.may = segment_may_go_on;
	copy->move.end = segment_moved;
	scsi_task_gather(task, copy->list);
	struct scsi_sense sense = parse_list(task, copy);
	if (!sense_is_good(&sense))
		scsi_task_end(task, &sense);
	else
		copy_start(task);
}

/* SPC-4 6.4.2: no list is no error */
void
copy_run(struct scsi_task *task)
{
	if (task->data_length == 0)
		scsi_task_end_good(task);
	else
		scsi_task_side(task, COPY_HEAD, copy_begin);
}

/* ---- what RECEIVE COPY OPERATING PARAMETERS tells: SPC-4 6.26 ---- */

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
