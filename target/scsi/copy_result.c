/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a nexus can ask about its copies, SPC-4 6.24 to 6.28: the last few, the
 * oldest that has ended giving way.  EXTENDED COPY and token commands, LID1 and
 * LID4, share one space of list identifiers.
 */
#include "target/scsi/copy.h"
#include <string.h>

#define UNITS_BYTES  0x00u
#define UNITS_KIB    0x01u
#define UNITS_BLOCKS 0xf1u
#define POLL_AFTER   100u /* ms: ESTIMATED STATUS UPDATE DELAY */

/* ---- the life of one ---- */

struct copy_result *
copy_result_find(struct scsi_mapping *mapping, uint32_t list_id)
{
	for (unsigned i = 0; i < COPY_RESULTS; i++) {
		struct copy_result *result = &mapping->copies[i];
		if (result->state != COPY_UNUSED && result->list_id == list_id)
			return result;
	}
	return NULL;
}

/* NULL: all run. */
static struct copy_result *
result_take(struct scsi_mapping *mapping)
{
	struct copy_result *oldest = NULL;

	for (unsigned i = 0; i < COPY_RESULTS; i++) {
		struct copy_result *result = &mapping->copies[i];
		if (result->state == COPY_UNUSED)
			return result;
		if (result->state != COPY_RUNNING &&
		    (oldest == NULL || result->age < oldest->age))
			oldest = result;
	}
	return oldest;
}

struct copy_result *
copy_result_begin(struct scsi_task *task, uint32_t list_id)
{
	struct copy_result *result = copy_result_find(task->mapping, list_id);

	if (result != NULL && result->state == COPY_RUNNING) {
		/* SPC-4 6.4.3.2: the identifier is in use */
		scsi_task_end(task, &SENSE_OPERATION_IN_PROGRESS);
		return NULL;
	}
	if (result == NULL)
		result = result_take(task->mapping);
	if (result == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return NULL;
	}
	*result = (struct copy_result){
	    .state = COPY_RUNNING,
	    .if_good = COPY_DONE,
	    .list_id = list_id,
	    .action = task->op->action,
	    .age = ++task->mapping->copies_begun,
	};
	return result;
}

void
copy_result_end(const struct scsi_task *task, struct copy_result *result,
    const struct scsi_sense *sense)
{
	if (result == NULL)
		return;
	assert(result->state == COPY_RUNNING);
	result->task = NULL;
	if (sense == NULL) {
		result->state = result->if_good;
		return;
	}
	result->state = result->give_up ? COPY_GIVEN_UP : COPY_FAILED;
	result->command_status = SCSI_CHECK_CONDITION;
	result->sense_length = (uint8_t)sense_encode(
	    sense, task->lun->mode.d_sense, result->sense);
}

/* ---- RECEIVE COPY RESULTS ---- */

/* What the two generations of commands call it: SPC-4 tables 249 and 257. */
static const struct {
	uint8_t lid1, lid4;
} status_of[] = {
    [COPY_RUNNING] = {0x00, 0x11},
    [COPY_DONE] = {0x01, 0x01},
    [COPY_DONE_PARTIAL] = {0x01, 0x03},
    [COPY_DONE_RESIDUAL] = {0x01, 0x04},
    [COPY_FAILED] = {0x02, 0x02},
    [COPY_GIVEN_UP] = {0x02, 0x60},
};
#define RUNNING_IN_BACKGROUND 0x12u

struct scsi_sense
copy_status(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct copy_result *result =
	    copy_result_find(task->mapping, task->cdb[2]);
	uint8_t *data = answer->data;

	if (result == NULL)
		return scsi_invalid_cdb(2, -1);
	store_be32(data, 8);
	data[4] = status_of[result->state].lid1;
	store_be16(&data[5], result->segments);
	data[7] = UNITS_KIB;
	store_be32(&data[8], (uint32_t)(result->bytes >> 10));
	answer->length = 12;
	return SENSE_NONE;
}

/* Told once: SPC-4 6.25. */
struct scsi_sense
copy_failed_segment(struct scsi_task *task, struct scsi_answer *answer)
{
	struct copy_result *result =
	    copy_result_find(task->mapping, task->cdb[2]);
	uint8_t *data = answer->data;

	if (result == NULL || status_of[result->state].lid1 != 0x02)
		return scsi_invalid_cdb(2, -1);
	store_be32(data, 60 - 4 + (uint32_t)result->sense_length);
	data[56] = result->command_status;
	store_be16(&data[58], result->sense_length);
	memcpy(&data[60], result->sense, result->sense_length);
	answer->length = 60 + (size_t)result->sense_length;
	result->state = COPY_UNUSED;
	return SENSE_NONE;
}

/* SPC-4 table 256: what RECEIVE COPY STATUS(LID4) and RECEIVE ROD TOKEN
 * INFORMATION have in common. */
static size_t
put_status(
    const struct copy_result *result, uint8_t units, uint64_t count, void *to)
{
	uint8_t *data = to;

	data[4] = result->action;
	data[5] = status_of[result->state].lid4;
	if (result->state == COPY_RUNNING && result->background)
		data[5] = RUNNING_IN_BACKGROUND;
	if (result->state == COPY_RUNNING)
		store_be32(&data[8], POLL_AFTER);
	data[12] = result->command_status;
	data[13] = data[14] = result->sense_length;
	data[15] = units;
	store_be64(&data[16], count);
	store_be16(&data[24], result->segments);
	memcpy(&data[32], result->sense, result->sense_length);
	return 32 + (size_t)result->sense_length;
}

struct scsi_sense
copy_status_lid4(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct copy_result *result =
	    copy_result_find(task->mapping, load_be32(&task->cdb[2]));

	if (result == NULL)
		return scsi_invalid_cdb(2, -1);
	answer->length =
	    put_status(result, UNITS_BYTES, result->bytes, answer->data);
	store_be32(answer->data, (uint32_t)answer->length - 4);
	return SENSE_NONE;
}

/* SPC-4 6.28 (RECEIVE ROD TOKEN INFORMATION).  The token is told as often as
 * it is asked for, while it is good. */
struct scsi_sense
copy_token_information(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct copy_result *result =
	    copy_result_find(task->mapping, load_be32(&task->cdb[2]));
	const struct lun *lun = task->lun;
	const struct token *token;
	uint8_t *data = answer->data;
	size_t length;

	if (result == NULL || (result->action != COPY_POPULATE_TOKEN &&
				  result->action != COPY_WRITE_USING_TOKEN))
		return scsi_invalid_cdb(2, -1);
	length = put_status(result, UNITS_BLOCKS,
	    result->bytes >> lun->block_shift, answer->data);
	token = token_find(lun->manager, result->token_id);
	if (token != NULL) {
		store_be32(&data[length], 2 + TOKEN_LENGTH);
		token_encode(token, &data[length + 6]);
		length += 2 + TOKEN_LENGTH;
	}
	answer->length = length + 4;
	store_be32(data, (uint32_t)answer->length - 4);
	return SENSE_NONE;
}

/* ---- COPY OPERATION ABORT, SPC-4 6.3 ---- */

/* It ends after the piece in flight, or at once where it waits. */
void
copy_operation_abort(struct scsi_task *task)
{
	struct copy_result *result =
	    copy_result_find(task->mapping, load_be32(&task->cdb[2]));
	struct scsi_sense sense = scsi_invalid_cdb(2, -1);

	if (result == NULL || result->state != COPY_RUNNING) {
		scsi_task_end(task, &sense);
		return;
	}
	result->give_up = true;
	if (result->task != NULL)
		copy_move_wake(result->task);
	scsi_task_end_good(task);
}
