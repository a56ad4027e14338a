/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outcomes of SCSI commands as values: handlers return them, tests compare
 * them.  errno becomes sense here and nowhere else.  Key, ASC and ASCQ are
 * those of SPC-4 annex F; sense.def holds one row each with its wording.
 */
#ifndef TARGET_SCSI_SENSE_H
#define TARGET_SCSI_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SAM-5 5.3.1 */
enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_ACA_ACTIVE = 0x30,
	SCSI_TASK_ABORTED = 0x40,
};

struct scsi_sense {
	uint8_t key, asc, ascq;
	bool field_valid;  /* SPC-4 field pointer: illegal byte and bit */
	bool field_in_cdb; /* else in the parameter list */
	uint16_t field_byte;
	int8_t field_bit;    /* -1: the whole byte */
	bool progress_valid; /* SPC-4 4.5.2.4.4, instead of a field pointer */
	uint16_t progress;   /* of 65536 */
	bool information_valid;
	uint64_t information; /* an LBA, or the offset of a miscompare */
};

#define SENSE(name, key_, asc_, ascq_, text)                                   \
	static const struct scsi_sense SENSE_##name __attribute__((            \
	    unused)) = {.key = (key_), .asc = (asc_), .ascq = (ascq_)};
#include "target/scsi/sense.def"
#undef SENSE

static inline bool
sense_is_good(const struct scsi_sense *s)
{
	return s->key == 0 && s->asc == 0 && s->ascq == 0;
}

/* Sense data in fixed (70h) or descriptor (72h) format, SPC-4 4.5. */
#define SENSE_DATA_MAX 64
size_t sense_encode(const struct scsi_sense *sense, bool descriptor,
    uint8_t data[SENSE_DATA_MAX]);
struct scsi_sense sense_from_errno(int error, bool writing);
const char *sense_text(const struct scsi_sense *sense); /* for logs */

#endif
