/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a target tells of itself: REPORT LUNS (SPC-4 6.33), REPORT SUPPORTED
 * OPERATION CODES (6.35) from the opcode table, REPORT SUPPORTED TASK
 * MANAGEMENT FUNCTIONS (6.36).
 */
#include "target/scsi/handlers.h"
#include <string.h>

/* ---- REPORT LUNS ---- */

enum {
	SELECT_ADDRESSABLE = 0,
	SELECT_WELL_KNOWN = 1, /* there are none */
	SELECT_ALL = 2,
};

struct scsi_sense
report_luns_check(struct scsi_task *task)
{
	if (task->cdb[2] > SELECT_ALL)
		return scsi_invalid_cdb(2, -1);
	task->wanted = 8 + 8 * (uint64_t)task->nexus->mapping_count;
	return SENSE_NONE;
}

/* Whoever reads the list has seen that it changed. */
struct scsi_sense
report_luns(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct scsi_nexus *nexus = task->nexus;
	size_t at = 8;

	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		if (task->cdb[2] == SELECT_WELL_KNOWN)
			break;
		if (nexus->mappings[i] == NULL || answer->size - at < 8)
			continue;
		lun_number_encode(i, answer->data + at);
		at += 8;
	}
	store_be32(answer->data, (uint32_t)(at - 8));
	answer->length = at;
	attention_clear_nexus(task->nexus, ATTENTION_LUNS);
	return SENSE_NONE;
}

/* ---- REPORT SUPPORTED OPERATION CODES ---- */

#define RCTD     0x80u
#define SERVACTV 0x01u

enum {
	REPORT_ALL,
	REPORT_OPCODE, /* one without service actions */
	REPORT_ACTION, /* one with */
	REPORT_EITHER,
	REPORT_OPTIONS,
};

/* SPC-4 6.35.4: no time-outs are claimed */
static size_t
put_timeouts(uint8_t *to)
{
	store_be16(to, 10);
	return 12;
}

static void
report_all(const struct scsi_task *task, struct scsi_answer *answer)
{
	bool timeouts = task->cdb[2] & RCTD;
	uint8_t *data = answer->data;
	size_t at = 4;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		if (!scsi_op_on_lun(op, task->lun))
			continue;
		assert(answer->size - at >= 20);
		data[at] = op->opcode;
		store_be16(data + at + 2, op->action);
		data[at + 5] = op->flags & OP_ACTION ? SERVACTV : 0;
		data[at + 7] = op->length;
		if (timeouts)
			data[at + 5] |= 0x02; /* CTDP */
		at += 8;
		if (timeouts)
			at += put_timeouts(data + at);
	}
	store_be32(data, (uint32_t)(at - 4));
	answer->length = at;
}

static void
report_one(const struct scsi_task *task, const struct scsi_op *op,
    struct scsi_answer *answer)
{
	uint8_t *data = answer->data;

	data[1] = 0x01; /* not supported */
	answer->length = 4;
	if (op == NULL || !scsi_op_on_lun(op, task->lun))
		return;
	data[1] = 0x03; /* as the standard has it */
	data[3] = op->length;
	memcpy(data + 4, op->mask, op->length);
	answer->length += op->length;
	if (task->cdb[2] & RCTD) {
		data[1] |= 0x80; /* CTDP */
		answer->length += put_timeouts(data + answer->length);
	}
}

struct scsi_sense
report_operation_codes(struct scsi_task *task, struct scsi_answer *answer)
{
	unsigned options = task->cdb[2] & 0x07;
	uint8_t opcode = task->cdb[3];
	uint16_t action = load_be16(&task->cdb[4]);
	bool known = false;

	if (options == REPORT_ALL) {
		report_all(task, answer);
		return SENSE_NONE;
	}
	if (options >= REPORT_OPTIONS)
		return scsi_invalid_cdb(2, 2);

	const struct scsi_op *op = scsi_op_find(opcode, action, &known);
	bool has_actions =
	    known && (op == NULL || (op->flags & OP_ACTION) != 0);
	if (options == REPORT_OPCODE && has_actions)
		return scsi_invalid_cdb(2, 2);
	if (options == REPORT_ACTION && known && !has_actions)
		return scsi_invalid_cdb(2, 2);
	if (options == REPORT_EITHER && !has_actions && action != 0)
		op = NULL;
	report_one(task, op, answer);
	return SENSE_NONE;
}

/* ---- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS ---- */

#define REPD 0x80u

struct scsi_sense
report_tmf_check(struct scsi_task *task)
{
	if (load_be32(&task->cdb[6]) < 4)
		return scsi_invalid_cdb(6, -1);
	return SENSE_NONE;
}

struct scsi_sense
report_tmf(struct scsi_task *task, struct scsi_answer *answer)
{
	/* ATS, ATSS, CTSS, LURS, QTS, TRS; not CACAS: there is no ACA */
	answer->data[0] = 0x80 | 0x40 | 0x10 | 0x08 | 0x04 | 0x02;
	/* QAES, QTSS, ITNRS */
	answer->data[1] = 0x04 | 0x02 | 0x01;
	answer->length = 4;
	if (task->cdb[2] & REPD) {
		answer->data[3] = 12;
		answer->length = 16;
	}
	return SENSE_NONE;
}
