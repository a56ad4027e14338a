/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS, SPC-4 6.42 and 6.20: the
 * default self-test, which has nothing to test that a command would not find by
 * itself, and the page that lists the pages: itself.
 */
#include "target/scsi/handlers.h"

#define SELF_TEST     0x04u
#define PAGE_FORMAT   0x10u
#define PCV           0x01u
#define PAGE_LENGTH   4u
#define PAGE_CODES    0x00u /* supported diagnostic pages */
#define PARAMETER_MAX 4096u

/* The self-tests that have a code run for a while and leave their results in a
 * log page; they are optional and not there. */
struct scsi_sense
diagnostic_send_check(struct scsi_task *task)
{
	uint16_t length = load_be16(&task->cdb[3]);

	if (task->cdb[1] >> 5 != 0)
		return scsi_invalid_cdb(1, 7);
	if ((task->cdb[1] & SELF_TEST) && length != 0)
		return scsi_invalid_cdb(3, -1);
	if (length > 0 && !(task->cdb[1] & PAGE_FORMAT))
		return scsi_invalid_cdb(1, 4);
	if (length > PARAMETER_MAX || (length > 0 && length < PAGE_LENGTH))
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	return scsi_task_want_list(task, length);
}

/* SPC-4 7.2.3: to send the page of codes asks for it by the next RECEIVE
 * DIAGNOSTIC RESULTS, which sends it anyway. */
void
diagnostic_send(struct scsi_task *task)
{
	struct scsi_sense sense = SENSE_NONE;

	if (task->data_length > 0) {
		const uint8_t *page = scsi_task_parameters(task);
		if (page[0] != PAGE_CODES)
			sense = scsi_invalid_parameter(0, -1);
		else if (load_be16(page + 2) != 0)
			sense = scsi_invalid_parameter(2, -1);
		else if (task->data_length != PAGE_LENGTH)
			sense = SENSE_PARAMETER_LIST_LENGTH_ERROR;
	}
	scsi_task_end(task, &sense);
}

struct scsi_sense
diagnostic_receive(struct scsi_task *task, struct scsi_answer *answer)
{
	bool page_valid = task->cdb[1] & PCV;

	if (page_valid && task->cdb[2] != PAGE_CODES)
		return scsi_invalid_cdb(2, -1);
	answer->data[0] = PAGE_CODES;
	store_be16(answer->data + 2, 1);
	answer->data[4] = PAGE_CODES;
	answer->length = PAGE_LENGTH + 1;
	return SENSE_NONE;
}
