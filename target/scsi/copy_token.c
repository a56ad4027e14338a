/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POPULATE TOKEN and WRITE USING TOKEN, SBC-3 5.7, 5.50 and 4.28 ("offloaded
 * data transfer"): a host asks for a token for blocks of one unit, and has them
 * copied to another, or to the same, by showing it: also another host, and
 * through another target of the pool.
 *
 * RECEIVE ROD TOKEN INFORMATION (copy_result.c) hands the token out.
 */
#include "base/log.h"
#include "target/scsi/copy.h"
#include <string.h>

#define SECOND 1000000000ull
#define IMMED  0x01u

struct populate_list {
	struct be16 length;
	uint8_t flags, reserved;
	struct be32 inactivity_timeout, type;
	uint8_t reserved2[2];
	struct be16 ranges_length;
	struct lba_range ranges[];
};
static_assert(sizeof(struct populate_list) == 16, "SBC-3 table 30");
#define HAS_TYPE 0x02u /* RTV */

struct write_list {
	struct be16 length;
	uint8_t flags, reserved[5];
	struct be64 offset;
	uint8_t token[TOKEN_LENGTH];
	uint8_t reserved2[6];
	struct be16 ranges_length;
	struct lba_range ranges[];
};
static_assert(sizeof(struct write_list) == 536, "SBC-3 table 117");
#define DELETE_TOKEN 0x02u

#define RANGES_BYTES (TOKEN_RANGES_MAX * sizeof(struct lba_range))

/* ---- ranges ---- */

struct range_list {
	const struct lba_range *at;
	unsigned length_at; /* where the list says how long it is */
	unsigned offset;    /* of the first */
	unsigned length;    /* bytes, as the list has it */
};

/* SBC-3 5.7.3: no block twice */
static struct scsi_sense
range_add(const struct lun *lun, const struct lba_range *descriptor,
    unsigned at, struct token_ranges *ranges)
{
	uint64_t lba = be64_get(&descriptor->lba);
	uint64_t count = be32_get(&descriptor->block_count);
	struct token_range range = {
	    lba << lun->block_shift, count << lun->block_shift};

	if (!sbc_range_ok(lun, lba, count))
		return SENSE_LBA_OUT_OF_RANGE;
	if (count == 0)
		return SENSE_NONE;
	if (token_ranges_overlap(ranges, range.offset, range.length))
		return scsi_invalid_parameter(at, -1);
	ranges->bytes += range.length;
	if (ranges->bytes > COPY_TOKEN_BYTES_MAX)
		return scsi_invalid_parameter(at + 8, -1);
	ranges->range[ranges->count++] = range;
	return SENSE_NONE;
}

static struct scsi_sense
parse_ranges(
    const struct scsi_task *task, const struct range_list *list, void *to)
{
	struct token_ranges *ranges = to;
	unsigned count = list->length / sizeof(*list->at);
	struct scsi_sense sense = SENSE_NONE;

	if (count == 0)
		return scsi_invalid_parameter(list->length_at, -1);
	if (list->offset + list->length > task->data_length ||
	    list->length % sizeof(*list->at) != 0)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	if (count > TOKEN_RANGES_MAX)
		return SENSE_TOO_MANY_SEGMENT_DESCRIPTORS;
	ranges->count = 0;
	ranges->bytes = 0;
	for (unsigned i = 0; i < count && sense_is_good(&sense); i++)
		sense = range_add(task->lun, &list->at[i],
		    list->offset + i * (unsigned)sizeof(*list->at), ranges);
	return sense;
}

/* What the list says of its own length is not less than it needs. */
static bool
is_whole(const struct be16 *length, size_t header, unsigned ranges)
{
	return be16_get(length) + sizeof(*length) >= header + ranges;
}

/* ---- POPULATE TOKEN ---- */

struct scsi_sense
copy_populate_token_check(struct scsi_task *task)
{
	return copy_want_list(task, sizeof(struct populate_list), RANGES_BYTES);
}

static struct scsi_sense
check_populate(const struct populate_list *list)
{
	uint32_t type = be32_get(&list->type);

	if (!is_whole(
		&list->length, sizeof(*list), be16_get(&list->ranges_length)))
		return scsi_invalid_parameter(0, -1);
	if (be32_get(&list->inactivity_timeout) > COPY_TOKEN_PATIENCE_MAX)
		return scsi_invalid_parameter(4, -1);
	if (list->flags & HAS_TYPE && type != TOKEN_CHANGE_VULNERABLE &&
	    type != TOKEN_ANY_POINT_IN_TIME)
		return scsi_invalid_parameter(8, -1);
	return SENSE_NONE;
}

static void
populate(struct scsi_task *task, const struct populate_list *list,
    const struct token_ranges *ranges)
{
	struct copy_result *result;
	uint32_t patience = be32_get(&list->inactivity_timeout);
	struct token *token;

	if (task->lun->changing) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	result = copy_result_begin(task, load_be32(&task->cdb[6]));
	if (result == NULL)
		return;
	token = token_new(task->lun, ranges,
	    (patience > 0 ? patience : COPY_TOKEN_PATIENCE) * SECOND);
	if (token == NULL) {
		result->state = COPY_UNUSED;
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	result->token_id = token->id;
	result->bytes = ranges->bytes;
	result->segments = (uint16_t)ranges->count;
	copy_result_end(task, result, NULL);
	scsi_task_end_good(task);
}

/* IMMED or not, it takes no time.  SBC-3 5.7.2: no list is no error */
void
copy_populate_token(struct scsi_task *task)
{
	const struct populate_list *list;
	struct token_ranges ranges;
	struct scsi_sense sense;

	if (task->data_length == 0) {
		scsi_task_end_good(task);
		return;
	}
	list = (const void *)scsi_task_parameters(task);
	sense = check_populate(list);
	if (sense_is_good(&sense))
		sense = parse_ranges(task,
		    &(struct range_list){.at = list->ranges,
			.length_at =
			    offsetof(struct populate_list, ranges_length),
			.offset = sizeof(*list),
			.length = be16_get(&list->ranges_length)},
		    &ranges);
	if (sense_is_good(&sense))
		populate(task, list, &ranges);
	else
		scsi_task_end(task, &sense);
}

/* ---- WRITE USING TOKEN ---- */

/* At the start of the second buffer. */
struct token_write {
	struct copy_move move;
	struct token *token; /* NULL: zeros */
	bool delete_token;
	struct token_ranges to;
	unsigned to_at, from_at; /* the ranges at hand */
	uint64_t to_done, from_done;
	uint64_t rest; /* bytes that are still to be copied */
	union {
		struct write_list list;
		uint8_t bytes[sizeof(struct write_list) + RANGES_BYTES];
	};
};
static_assert(sizeof(struct token_write) <= COPY_HEAD, "room");

static struct token_write *
write_of(const struct scsi_task *task)
{
	return task->side;
}

struct scsi_sense
copy_write_using_token_check(struct scsi_task *task)
{
	return copy_want_list(task, sizeof(struct write_list), RANGES_BYTES);
}

static struct scsi_sense
write_may_go_on(const struct scsi_task *task)
{
	const struct token_write *write = write_of(task);
	struct scsi_sense sense = copy_may(task->mapping, true);

	if (!sense_is_good(&sense) || write->token == NULL)
		return sense;
	if (write->token->revoked)
		return SENSE_TOKEN_REVOKED;
	return copy_may_unit(write->token->lun);
}

static void
write_end(struct scsi_task *task, const struct scsi_sense *sense)
{
	struct token_write *write = write_of(task);

	copy_result_end(task, write->move.result, sense);
	if (write->token != NULL) {
		if (sense == NULL && write->delete_token)
			token_revoke(write->token);
		token_leave(write->token);
	}
	scsi_task_end(task, sense);
}

/* To the end of the range at hand, here and there. */
static void
run_next(struct scsi_task *task)
{
	struct token_write *write = write_of(task);
	struct copy_move *move = &write->move;
	const struct token_range *to = &write->to.range[write->to_at];

	if (write->rest == 0) {
		write_end(task, NULL);
		return;
	}
	move->to = to->offset + write->to_done;
	move->length = smaller(write->rest, to->length - write->to_done);
	if (write->token != NULL) {
		const struct token_range *from =
		    &write->token->ranges.range[write->from_at];
		move->from = from->offset + write->from_done;
		move->length =
		    smaller(move->length, from->length - write->from_done);
	}
	copy_move(task);
}

static void
run_moved(struct scsi_task *task, const struct scsi_sense *sense)
{
	struct token_write *write = write_of(task);
	uint64_t length = write->move.length;

	if (sense != NULL) {
		write_end(task, sense);
		return;
	}
	write->rest -= length;
	write->to_done += length;
	write->from_done += length;
	if (write->to_done == write->to.range[write->to_at].length) {
		write->to_at++;
		write->to_done = 0;
		write->move.result->segments = (uint16_t)write->to_at;
	}
	if (write->token != NULL &&
	    write->from_done ==
		write->token->ranges.range[write->from_at].length) {
		write->from_at++;
		write->from_done = 0;
	}
	run_next(task);
}

/* SBC-3 5.50.3: the token's data from OFFSET INTO ROD on.  Whether it has more
 * than is asked for, or less, is told afterwards. */
static struct scsi_sense
measure(struct scsi_task *task, struct copy_result *result)
{
	struct token_write *write = write_of(task);
	const struct token *token = write->token;
	unsigned shift = task->lun->block_shift;
	uint64_t blocks = be64_get(&write->list.offset), offset, there;

	write->rest = write->to.bytes;
	if (token == NULL)
		return SENSE_NONE;
	if (blocks >= token->ranges.bytes >> shift)
		return scsi_invalid_parameter(8, -1);
	offset = blocks << shift;
	there = token->ranges.bytes - offset;
	write->rest = smaller(write->rest, there);
	if (there < write->to.bytes)
		result->if_good = COPY_DONE_RESIDUAL;
	else if (there > write->to.bytes)
		result->if_good = COPY_DONE_PARTIAL;
	while (offset >= token->ranges.range[write->from_at].length)
		offset -= token->ranges.range[write->from_at++].length;
	write->from_done = offset;
	return SENSE_NONE;
}

/* A token is good for a unit of the same block length, and not for the blocks
 * that it stands for: they would change while they are copied. */
static bool
is_fit(const struct token *token, const struct lun *lun,
    const struct token_ranges *ranges)
{
	if (token->lun->block_shift != lun->block_shift)
		return false;
	for (unsigned i = 0; token->lun == lun && i < ranges->count; i++) {
		const struct token_range *to = &ranges->range[i];
		if (token_ranges_overlap(
			&token->ranges, to->offset, to->length))
			return false;
	}
	return true;
}

static struct scsi_sense
parse_write(struct scsi_task *task)
{
	struct token_write *write = write_of(task);
	const struct write_list *list = &write->list;
	unsigned length = be16_get(&list->ranges_length);
	struct scsi_sense sense;

	if (!is_whole(&list->length, sizeof(*list), length))
		return scsi_invalid_parameter(0, -1);
	sense = parse_ranges(task,
	    &(struct range_list){.at = list->ranges,
		.length_at = offsetof(struct write_list, ranges_length),
		.offset = sizeof(*list),
		.length = length},
	    &write->to);
	if (!sense_is_good(&sense))
		return sense;
	sense = token_decode(task->lun->manager, list->token, &write->token);
	if (sense_is_good(&sense) && write->token != NULL &&
	    !is_fit(write->token, task->lun, &write->to))
		return SENSE_INVALID_TOKEN_OPERATION;
	return sense;
}

static void
write_start(struct scsi_task *task)
{
	struct token_write *write = write_of(task);
	struct copy_result *result =
	    copy_result_begin(task, load_be32(&task->cdb[6]));
	struct scsi_sense sense;

	if (result == NULL)
		return;
	sense = measure(task, result);
	if (!sense_is_good(&sense)) {
		copy_result_end(task, result, &sense);
		scsi_task_end(task, &sense);
		return;
	}
	result->background = write->list.flags & IMMED;
	write->delete_token = write->list.flags & DELETE_TOKEN;
	write->move.result = result;
	write->move.destination = task->lun;
	if (result->background)
		task = scsi_task_go_on_alone(task);
	if (task == NULL) {
		result->state = COPY_UNUSED;
		return;
	}
	if (write->token != NULL) {
		write->move.source = write->token->lun;
		token_use(write->token);
	}
	run_next(task);
}

static void
write_begin(struct scsi_task *task)
{
	struct token_write *write = write_of(task);
	struct scsi_sense sense;

	memset(write, 0, sizeof(*write));
	write->move.may = write_may_go_on;
	write->move.end = run_moved;
	scsi_task_gather(task, write->bytes);
	sense = parse_write(task);
	if (sense_is_good(&sense))
		write_start(task);
	else
		scsi_task_end(task, &sense);
}

/* SBC-3 5.50.2: no list is no error */
void
copy_write_using_token(struct scsi_task *task)
{
	if (task->data_length == 0)
		scsi_task_end_good(task);
	else
		scsi_task_side(task, COPY_HEAD, write_begin);
}
