/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * INQUIRY, SPC-4 6.6: standard data here, vital product data in vpd.c.
 */
#include "target/scsi/handlers.h"
#include <string.h>

#define STANDARD_LENGTH 96u

struct inquiry_standard {
	uint8_t peripheral;
	uint8_t removable;
	uint8_t version;
	uint8_t format;
	uint8_t additional_length;
	uint8_t flags[3];
	char vendor[8], product[16], revision[4];
	uint8_t vendor_specific[20];
	uint8_t reserved[2];
	struct be16 version_descriptor[8];
	uint8_t reserved2[22];
};
static_assert(sizeof(struct inquiry_standard) == STANDARD_LENGTH, "SPC-4");
static_assert(offsetof(struct inquiry_standard, version_descriptor) == 58,
    "SPC-4 table 163");

#define NO_UNIT     0x7f /* qualifier 011b: no unit can be there; type 1Fh */
#define SPC_4       0x06
#define HISUP       0x10 /* REPORT LUNS has the hierarchical form */
#define FORMAT_SPC2 0x02
#define CMDQUE      0x02
#define TPGS        0x30 /* asymmetric access: implicit and explicit */
#define MULTIP      0x10 /* more than one target port */
#define THIRD_PARTY 0x08 /* 3PC: EXTENDED COPY is there */

/* SPC-4 annex D; no version of them is claimed */
static const uint16_t version_descriptors[] = {
    0x00a0, /* SAM-5 */
    0x0460, /* SPC-4 */
    0x04c0, /* SBC-3 */
};

static void
put_text(char *to, size_t size, const char *text)
{
	size_t length = strlen(text);

	assert(length <= size);
	memset(to, ' ', size);
	memcpy(to, text, length);
}

static void
standard_data(const struct lun *lun, struct inquiry_standard *data)
{
	data->version = SPC_4;
	data->format = HISUP | FORMAT_SPC2;
	data->additional_length = STANDARD_LENGTH - 5;
	data->flags[0] = THIRD_PARTY;
	data->flags[0] |= TPGS;
	data->flags[2] = CMDQUE;
	if (lun == NULL) {
		data->peripheral = NO_UNIT;
		data->flags[0] = 0;
		put_text(data->vendor, sizeof(data->vendor), "");
		put_text(data->product, sizeof(data->product), "");
		put_text(data->revision, sizeof(data->revision), "");
		return;
	}
	const struct lun_identity *identity = &lun->identity;
	if (lun->ports.count > 1)
		data->flags[1] = MULTIP;
	put_text(data->vendor, sizeof(data->vendor), identity->vendor);
	put_text(data->product, sizeof(data->product), identity->product);
	put_text(data->revision, sizeof(data->revision), identity->revision);
	for (size_t i = 0; i < ARRAY_SIZE(version_descriptors); i++)
		be16_set(&data->version_descriptor[i], version_descriptors[i]);
}

struct scsi_sense
inquiry_check(struct scsi_task *task)
{
	bool vital = task->cdb[1] & 0x01;
	uint8_t page = task->cdb[2];

	if (!vital && page != 0)
		return scsi_invalid_cdb(2, -1);
	if (vital && !vpd_page_exists(task->lun, page))
		return scsi_invalid_cdb(2, -1);
	return SENSE_NONE;
}

struct scsi_sense
inquiry_answer(struct scsi_task *task, struct scsi_answer *answer)
{
	if (task->cdb[1] & 0x01)
		return vpd_answer(task, answer);
	standard_data(task->lun, (struct inquiry_standard *)answer->data);
	answer->length = STANDARD_LENGTH;
	return SENSE_NONE;
}
