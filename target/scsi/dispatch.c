/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a CDB to a row of the opcode table, and every reason to refuse a
 * command before it starts, in the order a device server looks at them
 * (SAM-5 5.3.3, SPC-4 5): is there a unit, and room in its task set, is a unit
 * attention pending, do we know the command, is the unit reserved, is SANITIZE
 * at work, is the CDB clean, is the port by which it came in a state for it, is
 * the unit stopped, write protected, does the command fit the medium, and last,
 * when all is well with it, are the unit's limits.
 */
#include "target/scsi/internal.h"

struct scsi_sense
scsi_invalid_cdb(unsigned byte, int bit)
{
	struct scsi_sense sense = SENSE_INVALID_FIELD_IN_CDB;

	sense.field_valid = true;
	sense.field_in_cdb = true;
	sense.field_byte = (uint16_t)byte;
	sense.field_bit = (int8_t)bit;
	return sense;
}

struct scsi_sense
scsi_invalid_parameter(unsigned byte, int bit)
{
	struct scsi_sense sense = SENSE_INVALID_FIELD_IN_PARAMETER_LIST;

	sense.field_valid = true;
	sense.field_byte = (uint16_t)byte;
	sense.field_bit = (int8_t)bit;
	return sense;
}

/* A bit set in the CDB but not in the row's mask is reserved: refuse it and
 * say which. */
static struct scsi_sense
check_reserved(const struct scsi_task *task)
{
	const struct scsi_op *op = task->op;

	if (task->cdb_length < op->length)
		return scsi_invalid_cdb(task->cdb_length, -1);
	for (unsigned byte = 1; byte < op->length; byte++) {
		uint8_t extra = task->cdb[byte] & (uint8_t)~op->mask[byte];
		if (extra != 0)
			return scsi_invalid_cdb(
			    byte, 31 - __builtin_clz(extra));
	}
	return SENSE_NONE;
}

static struct scsi_sense
unknown_operation(bool opcode_known)
{
	/* the operation code is fine, its service action is not */
	return opcode_known ? scsi_invalid_cdb(1, 4)
			    : SENSE_INVALID_COMMAND_OPERATION_CODE;
}

/* SAM-5 8.6.5: without an ACA there is no ACA task. */
static struct scsi_sense
check_attribute(const struct scsi_task *task)
{
	if (task->attribute > SCSI_HEAD_OF_QUEUE)
		return SENSE_INVALID_MESSAGE_ERROR;
	return SENSE_NONE;
}

static struct scsi_sense
check_unit(const struct scsi_task *task)
{
	uint32_t flags = task->op->flags;
	struct scsi_sense sense;

	if (task->lun == NULL)
		return SENSE_NONE;
	if (access_refuses(task->mapping, task->op, &sense))
		return sense;
	if (task->lun->stopped && !(flags & OP_STOPPED))
		return SENSE_LUN_NOT_READY_STOPPED;
	if ((flags & OP_WRITE) && mapping_is_protected(task->mapping, &sense))
		return sense;
	return SENSE_NONE;
}

static struct scsi_sense
find_operation(struct scsi_task *task, bool *ret_attention_exempt)
{
	bool known = false;

	task->op = scsi_op_find(task->cdb[0], task->cdb[1] & 0x1f, &known);
	if (task->op != NULL && task->lun != NULL &&
	    !scsi_op_on_lun(task->op, task->lun)) {
		task->op = NULL;
		known = false;
	}
	*ret_attention_exempt =
	    task->op != NULL && (task->op->flags & OP_ATTENTION);
	return task->op == NULL ? unknown_operation(known) : SENSE_NONE;
}

/* SBC-4 4.11.2: SANITIZE comes before whatever else may be wrong. */
static struct scsi_sense
check_operation(struct scsi_task *task)
{
	struct scsi_sense sense;

	if (task->lun != NULL && sanitize_refuses(task->lun, task->op, &sense))
		return sense;
	sense = check_reserved(task);
	if (sense_is_good(&sense))
		sense = check_attribute(task);
	if (sense_is_good(&sense))
		sense = check_unit(task);
	if (sense_is_good(&sense) && task->op->check != NULL)
		sense = task->op->check(task);
	return sense;
}

static enum scsi_status
dispatch(struct scsi_task *task, struct scsi_sense *ret_sense)
{
	bool exempt;
	struct scsi_sense unknown = find_operation(task, &exempt);

	if (task->lun != NULL && !exempt && attention_take(task, ret_sense))
		return SCSI_CHECK_CONDITION;
	*ret_sense = unknown;
	if (!sense_is_good(ret_sense))
		return SCSI_CHECK_CONDITION;
	if (reserve_conflicts(task))
		return SCSI_RESERVATION_CONFLICT;
	*ret_sense = check_operation(task);
	if (!sense_is_good(ret_sense))
		return SCSI_CHECK_CONDITION;
	if (task->lun != NULL && task->lun->throttle.on &&
	    !throttle_admits(task))
		return SCSI_TASK_SET_FULL;
	return SCSI_GOOD;
}

enum scsi_status
scsi_dispatch(struct scsi_task *task, struct scsi_sense *ret_sense)
{
	task->mapping = nexus_mapping(task->nexus, task->lun_field);
	if (task->mapping == NULL) {
		bool exempt;
		*ret_sense = find_operation(task, &exempt);
		if (task->op == NULL || !(task->op->flags & OP_ANY_LUN)) {
			*ret_sense = SENSE_LOGICAL_UNIT_NOT_SUPPORTED;
			return SCSI_CHECK_CONDITION;
		}
	} else {
		task->lun = task->mapping->lun;
		if (task->lun->task_count >= LUN_TASKS_MAX)
			return SCSI_TASK_SET_FULL;
	}
	return dispatch(task, ret_sense);
}
