/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may give which command while a unit is reserved: the opcode table says
 * what passes, here it is applied.  And RESERVE and RELEASE of SPC-2 5.5 and
 * 5.6, for old cluster software: the whole unit, for one I_T nexus, until it
 * releases it, is lost, or the unit is reset.
 */
#include "target/scsi/handlers.h"

#define START   0x01u /* byte 4 of START STOP UNIT */
#define PREVENT 0x03u /* byte 4 of PREVENT ALLOW MEDIUM REMOVAL */

/* The persistent reservation keeps something from this nexus. */
static bool
may_pass(const struct scsi_task *task)
{
	enum registry_type type = task->lun->registry->type;

	switch (task->op->pass) {
	case PASS_ANYONE: return true;
	case PASS_READER: return !registry_type_is_exclusive(type);
	case PASS_NONE: return false;
	case PASS_START: return (task->cdb[4] & START) != 0;
	case PASS_ALLOW: return (task->cdb[4] & PREVENT) == 0;
	}
	return false;
}

bool
reserve_keeps(const struct scsi_mapping *mapping, bool write)
{
	const struct lun *lun = mapping->lun;

	if (lun->reserved_by != NULL && lun->reserved_by != mapping)
		return true;
	return !mapping->may_all &&
	       (write || registry_type_is_exclusive(lun->registry->type));
}

bool
reserve_conflicts(const struct scsi_task *task)
{
	const struct lun *lun = task->lun;

	if (lun == NULL)
		return false;
	if (lun->reserved_by != NULL) {
		/* SPC-2 5.5.1: of everyone, also of who has reserved */
		if (task->op->flags & OP_PERSISTENT)
			return true;
		if (lun->reserved_by != task->mapping &&
		    !(task->op->flags & OP_RESERVED))
			return true;
	}
	return !task->mapping->may_all && !may_pass(task);
}

/* SPC-4 5.12.3, what REPORT CAPABILITIES calls CRH: who may do everything under
 * a persistent reservation is told that his RESERVE or RELEASE is done, and
 * nothing is.  For all others both conflict as long as anyone is registered
 * (SPC-2 5.5.1).  False: no one is, and it is to be done. */
static bool
persistent_decides(struct scsi_task *task)
{
	const struct registry *registry = task->lun->registry;

	if (registry->count == 0)
		return false;
	if (registry->type != REGISTRY_NONE && task->mapping->may_all)
		scsi_task_end_good(task);
	else
		scsi_task_end_status(task, SCSI_RESERVATION_CONFLICT);
	return true;
}

/* A reservation of another nexus was seen before we got here. */
void
reserve_take(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	if (persistent_decides(task))
		return;
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
	if (persistent_decides(task))
		return;
	if (task->lun->reserved_by == task->mapping)
		task->lun->reserved_by = NULL;
	scsi_task_end_good(task);
}
