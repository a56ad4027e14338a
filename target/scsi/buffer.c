/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ BUFFER and WRITE BUFFER, SPC-4 6.18 and 6.49: memory by which a host
 * tries the way to the unit without touching the medium.  Two buffers:
 *
 *	data  one per unit, BUFFER ID 0: any part of it is written and read
 *	echo  one per I_T nexus: what a nexus has written it gets back, whatever
 *	      others write; so EBOS is said, and ECHO BUFFER OVERWRITTEN never
 *
 * Neither is there before somebody writes it.  No mode loads microcode.
 */
#include "target/scsi/handlers.h"
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE 4096u
#define EBOS        0x01u

static_assert(BUFFER_SIZE <= SCSI_ANSWER_SIZE, "one answer holds it");
static_assert(BUFFER_SIZE < 1u << 13, "what an echo buffer descriptor can say");

enum {
	MODE_DATA = 0x02,
	MODE_DESCRIPTOR = 0x03,
	MODE_ECHO = 0x0a,
	MODE_ECHO_DESCRIPTOR = 0x0b,
};

static unsigned
mode_of(const struct scsi_task *task)
{
	return task->cdb[1] & 0x1f;
}

/* SPC-4 5.15.2.4: through a port that is not active only the echo buffer. */
static struct scsi_sense
check_access(const struct scsi_task *task)
{
	struct scsi_sense sense = SENSE_NONE;

	if (mode_of(task) != MODE_ECHO && mode_of(task) != MODE_ECHO_DESCRIPTOR)
		access_refuses(task->mapping, NULL, &sense);
	return sense;
}

/* ---- READ BUFFER ---- */

struct scsi_sense
buffer_read_check(struct scsi_task *task)
{
	return check_access(task);
}

/* SPC-4 6.18.5: any byte is a boundary.  Of a buffer that is not there all
 * fields are zero. */
static struct scsi_sense
describe_data(struct scsi_task *task, struct scsi_answer *answer)
{
	if (task->cdb[2] == 0)
		store_be24(answer->data + 1, BUFFER_SIZE);
	answer->length = 4;
	return SENSE_NONE;
}

/* SPC-4 6.18.8 */
static struct scsi_sense
describe_echo(struct scsi_task *task, struct scsi_answer *answer)
{
	(void)task;
	answer->data[0] = EBOS;
	store_be16(answer->data + 2, BUFFER_SIZE);
	answer->length = 4;
	return SENSE_NONE;
}

/* SPC-4 6.18.4 */
static struct scsi_sense
read_data(struct scsi_task *task, struct scsi_answer *answer)
{
	const uint8_t *data = task->lun->buffer;
	uint32_t offset = load_be24(&task->cdb[3]);

	if (task->cdb[2] != 0)
		return scsi_invalid_cdb(2, -1);
	if (offset > BUFFER_SIZE)
		return scsi_invalid_cdb(3, -1);
	answer->length = BUFFER_SIZE - offset;
	if (data != NULL)
		memcpy(answer->data, data + offset, answer->length);
	return SENSE_NONE;
}

/* SPC-4 6.18.7: as much as the nexus has written; BUFFER ID and BUFFER OFFSET
 * mean nothing here. */
static struct scsi_sense
read_echo(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct scsi_echo *echo = &task->mapping->echo;

	if (echo->length == 0)
		return SENSE_COMMAND_SEQUENCE_ERROR;
	memcpy(answer->data, echo->data, echo->length);
	answer->length = echo->length;
	return SENSE_NONE;
}

static const struct {
	uint8_t mode;
	struct scsi_sense (*answer)(
	    struct scsi_task *task, struct scsi_answer *answer);
} reads[] = {
    {MODE_DATA, read_data},
    {MODE_DESCRIPTOR, describe_data},
    {MODE_ECHO, read_echo},
    {MODE_ECHO_DESCRIPTOR, describe_echo},
};

struct scsi_sense
buffer_read(struct scsi_task *task, struct scsi_answer *answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		if (reads[i].mode == mode_of(task))
			return reads[i].answer(task, answer);
	}
	return scsi_invalid_cdb(1, 4);
}

/* ---- WRITE BUFFER ---- */

static struct scsi_sense
check_place(const struct scsi_task *task, uint32_t length)
{
	uint32_t offset = load_be24(&task->cdb[3]);

	if (task->cdb[2] != 0)
		return scsi_invalid_cdb(2, -1);
	if (offset > BUFFER_SIZE)
		return scsi_invalid_cdb(3, -1);
	if (length > BUFFER_SIZE - offset)
		return scsi_invalid_cdb(6, -1);
	return SENSE_NONE;
}

struct scsi_sense
buffer_write_check(struct scsi_task *task)
{
	uint32_t length = load_be24(&task->cdb[6]);
	struct scsi_sense sense = check_access(task);

	if (!sense_is_good(&sense))
		return sense;
	if (mode_of(task) == MODE_DATA)
		sense = check_place(task, length);
	else if (mode_of(task) != MODE_ECHO)
		sense = scsi_invalid_cdb(1, 4);
	else if (length > BUFFER_SIZE)
		sense = scsi_invalid_cdb(6, -1);
	if (!sense_is_good(&sense))
		return sense;
	return scsi_task_want_list(task, length);
}

void
buffer_write(struct scsi_task *task)
{
	bool echo = mode_of(task) == MODE_ECHO;
	uint8_t **data = echo ? &task->mapping->echo.data : &task->lun->buffer;
	uint32_t offset = echo ? 0 : load_be24(&task->cdb[3]);

	if (task->data_length == 0) { /* nothing to do, no error */
		scsi_task_end_good(task);
		return;
	}
	assert(offset + task->data_length <= BUFFER_SIZE);
	if (*data == NULL)
		*data = calloc(1, BUFFER_SIZE);
	if (*data == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	memcpy(*data + offset, scsi_task_parameters(task), task->data_length);
	if (echo)
		task->mapping->echo.length = (uint32_t)task->data_length;
	scsi_task_end_good(task);
}
