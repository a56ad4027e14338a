/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sense data on the wire, and the one place where errno becomes sense.
 */
#include "target/scsi/sense.h"
#include "base/assert.h"
#include "base/endian.h"
#include <errno.h>
#include <string.h>

#define FIXED_LENGTH       18u
#define SKSV               0x80u
#define SKS_CD             0x40u
#define SKS_BPV            0x08u
#define VALID              0x80u
#define INFORMATION_LENGTH 12u
#define SKS_LENGTH         8u

static_assert(8 + INFORMATION_LENGTH + SKS_LENGTH <= SENSE_DATA_MAX, "room");

/* SPC-4 4.5.2.4: which field of the CDB or parameter list is wrong, or how far
 * something has come. */
static void
encode_key_specific(const struct scsi_sense *sense, uint8_t sks[3])
{
	sks[0] = SKSV;
	if (sense->progress_valid) {
		store_be16(&sks[1], sense->progress);
		return;
	}
	if (sense->field_in_cdb)
		sks[0] |= SKS_CD;
	if (sense->field_bit >= 0)
		sks[0] |= SKS_BPV | (uint8_t)sense->field_bit;
	store_be16(&sks[1], sense->field_byte);
}

/* SPC-4 4.5.3; INFORMATION has 32 bits here, a larger value leaves VALID 0. */
static size_t
encode_fixed(const struct scsi_sense *sense, uint8_t *data)
{
	data[0] = 0x70;
	data[2] = sense->key;
	if (sense->information_valid && sense->information <= UINT32_MAX) {
		data[0] |= VALID;
		store_be32(&data[3], (uint32_t)sense->information);
	}
	data[7] = FIXED_LENGTH - 8;
	data[12] = sense->asc;
	data[13] = sense->ascq;
	if (sense->field_valid || sense->progress_valid)
		encode_key_specific(sense, &data[15]);
	return FIXED_LENGTH;
}

/* SPC-4 4.5.2 */
static size_t
encode_descriptors(const struct scsi_sense *sense, uint8_t *data)
{
	size_t length = 8;

	data[0] = 0x72;
	data[1] = sense->key;
	data[2] = sense->asc;
	data[3] = sense->ascq;
	if (sense->information_valid) {
		data[length] = 0x00;
		data[length + 1] = INFORMATION_LENGTH - 2;
		data[length + 2] = VALID;
		store_be64(&data[length + 4], sense->information);
		length += INFORMATION_LENGTH;
	}
	if (sense->field_valid || sense->progress_valid) {
		data[length] = 0x02;
		data[length + 1] = SKS_LENGTH - 2;
		encode_key_specific(sense, &data[length + 4]);
		length += SKS_LENGTH;
	}
	data[7] = (uint8_t)(length - 8);
	return length;
}

size_t
sense_encode(const struct scsi_sense *sense, bool descriptor,
    uint8_t data[SENSE_DATA_MAX])
{
	assert(sense->key <= 0xf);
	if (sense->field_valid)
		assert(sense->field_bit >= -1 && sense->field_bit <= 7);

	memset(data, 0, SENSE_DATA_MAX);
	if (descriptor)
		return encode_descriptors(sense, data);
	return encode_fixed(sense, data);
}

static const struct {
	int error;
	const struct scsi_sense *reading, *writing;
} error_table[] = {
    /* clang-format off */
    {-EIO,       &SENSE_UNRECOVERED_READ_ERROR, &SENSE_WRITE_ERROR},
    {-ENODATA,   &SENSE_UNRECOVERED_READ_ERROR, &SENSE_WRITE_ERROR},
    {-ENOSPC,    &SENSE_SPACE_ALLOCATION_FAILED, &SENSE_SPACE_ALLOCATION_FAILED},
    {-EROFS,     &SENSE_WRITE_PROTECTED, &SENSE_WRITE_PROTECTED},
    {-ECANCELED, &SENSE_COMMAND_ABORTED, &SENSE_COMMAND_ABORTED},
    /* clang-format on */
};

struct scsi_sense
sense_from_errno(int error, bool writing)
{
	assert(error < 0);

	for (size_t i = 0; i < ARRAY_SIZE(error_table); i++) {
		if (error_table[i].error == error)
			return writing ? *error_table[i].writing
				       : *error_table[i].reading;
	}
	return SENSE_INTERNAL_TARGET_FAILURE;
}

const char *
sense_text(const struct scsi_sense *sense)
{
	static const struct {
		uint8_t key, asc, ascq;
		const char *text;
	} table[] = {
#define SENSE(name, key_, asc_, ascq_, text_) {key_, asc_, ascq_, text_},
#include "target/scsi/sense.def"
#undef SENSE
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].key == sense->key && table[i].asc == sense->asc &&
		    table[i].ascq == sense->ascq)
			return table[i].text;
	}
	return "UNKNOWN";
}
