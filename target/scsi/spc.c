/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small commands of SPC: TEST UNIT READY, REQUEST SENSE, PREVENT ALLOW MEDIUM
 * REMOVAL.
 */
#include "target/scsi/handlers.h"

/* Being stopped, or a unit attention, was seen before we got here. */
void
spc_test_unit_ready(struct scsi_task *task)
{
	scsi_task_end_good(task);
}

/* The medium cannot be removed: there is nothing to prevent and nothing to
 * allow. */
void
spc_prevent_allow(struct scsi_task *task)
{
	scsi_task_end_good(task);
}

/* SPC-4 6.39: the pending unit attention is parameter data here, and gone;
 * with no logical unit the sense data says so; either way status is GOOD. */
struct scsi_sense
spc_request_sense(struct scsi_task *task, struct scsi_answer *answer)
{
	struct scsi_sense sense = SENSE_NONE;
	bool descriptor = task->cdb[1] & 0x01;

	static_assert(SCSI_ANSWER_SIZE >= SENSE_DATA_MAX, "room");
	if (task->lun == NULL)
		sense = SENSE_LOGICAL_UNIT_NOT_SUPPORTED;
	else if (!attention_take(task, &sense) &&
		 !access_refuses(task->mapping, NULL, &sense) &&
		 !sanitize_refuses(task->lun, NULL, &sense) &&
		 task->lun->stopped)
		sense = SENSE_LUN_NOT_READY_STOPPED;
	answer->length = sense_encode(&sense, descriptor, answer->data);
	return SENSE_NONE;
}
