/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RESERVE and RELEASE of SPC-2 5.5 and 5.6, for old cluster software: the whole
 * unit, for one I_T nexus, until it releases it, is lost, or the unit is reset.
 * Who else may do what is a flag in the opcode table.
 */
#include "target/scsi/handlers.h"

/* A reservation of another nexus was seen before we got here. */
void
reserve_take(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	if (lun->reserved_by != NULL && lun->reserved_by != task->mapping) {
		scsi_task_end_status(task, SCSI_RESERVATION_CONFLICT);
		return;
	}
	lun->reserved_by = task->mapping;
	scsi_task_end_good(task);
}

/* SPC-2 5.6: of a reservation it does not hold, a no-op. */
void
reserve_release(struct scsi_task *task)
{
	if (task->lun->reserved_by == task->mapping)
		task->lun->reserved_by = NULL;
	scsi_task_end_good(task);
}
