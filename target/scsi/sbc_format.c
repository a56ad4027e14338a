/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FORMAT UNIT, SBC-3 5.3: the blocks stay as many and as large as they are, and
 * all of them are zeros afterwards; a thin unit gives its space back.  What it
 * held may still be on the medium: SANITIZE is for that.  The status comes when
 * all is done, with IMMED too: it takes seconds.
 */
#include "target/scsi/handlers.h"

#define FMTDATA      0x10u
#define LONGLIST     0x20u
#define SHORT_HEADER 4u
#define LONG_HEADER  8u

#define FIELD_USAGE  0x07u
#define INIT_PATTERN 0x08u
#define FLAGS_KNOWN  0xf2u /* FOV, DPRY, DCRT, STPF; IMMED */

struct scsi_sense
sbc_format_check(struct scsi_task *task)
{
	uint8_t flags = task->cdb[1];
	unsigned length = flags & LONGLIST ? LONG_HEADER : SHORT_HEADER;

	if (!(flags & FMTDATA))
		return flags != 0 ? scsi_invalid_cdb(1, -1) : SENSE_NONE;
	return scsi_task_want_list(task, length);
}

/* No protection information, no pattern, no list of defects. */
static struct scsi_sense
check_header(const struct scsi_task *task)
{
	const uint8_t *header = scsi_task_parameters(task);
	bool is_long = task->data_length == LONG_HEADER;
	uint32_t defects =
	    is_long ? load_be32(header + 4) : load_be16(header + 2);

	if (header[0] != 0)
		return scsi_invalid_parameter(
		    0, header[0] & FIELD_USAGE ? 2 : -1);
	if (header[1] & ~FLAGS_KNOWN)
		return scsi_invalid_parameter(
		    1, header[1] & INIT_PATTERN ? 3 : -1);
	if (is_long && (header[2] != 0 || header[3] != 0))
		return scsi_invalid_parameter(3, -1);
	if (defects != 0)
		return scsi_invalid_parameter(is_long ? 4 : 2, -1);
	return SENSE_NONE;
}

static void
format_step(struct scsi_task *task)
{
	uint64_t rest = task_offset(task, task->block_count) - task->cursor;
	uint64_t length = rest < SBC_STEP_MAX ? rest : SBC_STEP_MAX;
	struct bs_io *io;

	if (rest == 0) {
		scsi_task_flush(task, scsi_task_end_good);
		return;
	}
	io = scsi_task_io(task, BS_ZERO, task->cursor, length);
	io->may_unmap = task->lun->bs->thin;
	task->cursor += length;
	scsi_task_submit(task, format_step);
}

void
sbc_format(struct scsi_task *task)
{
	struct scsi_sense sense =
	    task->data_length > 0 ? check_header(task) : SENSE_NONE;

	if (!sense_is_good(&sense)) {
		scsi_task_end(task, &sense);
		return;
	}
	task->block_count = lun_blocks(task->lun);
	task->cursor = 0;
	format_step(task);
}
