/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vital product data, SPC-4 7.8 and SBC-3 6.6: a table of pages; the first
 * lists the others.
 */
#include "target/scsi/alua.h"
#include "target/scsi/handlers.h"
#include <stdio.h>
#include <string.h>

struct page_header {
	uint8_t peripheral;
	uint8_t code;
	struct be16 length;
};
static_assert(sizeof(struct page_header) == 4, "SPC-4 7.8.1");

struct page {
	uint8_t code;
	/* Fills in what follows the header; returns its length. */
	size_t (*build)(const struct scsi_task *task, uint8_t *body);
};

static const struct page *page_at(size_t index);

/* ---- 00h supported pages ---- */

static size_t
supported_pages(const struct scsi_task *task, uint8_t *body)
{
	const struct page *page;
	size_t count = 0;

	(void)task;
	while ((page = page_at(count)) != NULL)
		body[count++] = page->code;
	return count;
}

/* ---- 80h unit serial number ---- */

static size_t
unit_serial_number(const struct scsi_task *task, uint8_t *body)
{
	const char *serial = task->lun->identity.serial;
	size_t length = strlen(serial);

	memcpy(body, serial, length);
	return length;
}

/* ---- 83h device identification ---- */

enum {
	CODE_BINARY = 1,
	CODE_ASCII = 2,
	CODE_UTF8 = 3,
	OF_UNIT = 0 << 4,
	OF_PORT = 1 << 4,
	OF_TARGET = 2 << 4,
	TYPE_VENDOR_SPECIFIC = 0,
	TYPE_T10_VENDOR = 1,
	TYPE_NAA = 3,
	TYPE_RELATIVE_PORT = 4,
	TYPE_PORT_GROUP = 5,
	TYPE_SCSI_NAME = 8,
};

struct designator {
	uint8_t code_set;
	uint8_t association_type;
	uint8_t reserved;
	uint8_t length;
};
static_assert(sizeof(struct designator) == 4, "SPC-4 7.8.6.1");

static size_t
put_designator(uint8_t *to, uint8_t code_set, uint8_t association_type,
    const void *value, size_t length)
{
	assert(length <= UINT8_MAX);

	*(struct designator *)to = (struct designator){
	    .code_set = code_set,
	    .association_type = association_type,
	    .length = (uint8_t)length,
	};
	memcpy(to + sizeof(struct designator), value, length);
	return sizeof(struct designator) + length;
}

/* SPC-4 7.8.6.11: UTF-8, ends with zeros, length a multiple of 4 */
static size_t
put_scsi_name(uint8_t *to, uint8_t association, const char *name)
{
	char padded[256] = {0};
	size_t length = strlen(name);

	if (length == 0 || length + 4 >= sizeof(padded))
		return 0;
	memcpy(padded, name, length);
	return put_designator(to, CODE_UTF8, association | TYPE_SCSI_NAME,
	    padded, (length + 4) / 4 * 4);
}

/* SPC-4 7.8.6.4: eight characters of vendor, then what is unique with it */
static size_t
put_t10_vendor(uint8_t *to, const struct lun *lun)
{
	const struct lun_identity *identity = &lun->identity;
	char value[8 + sizeof(identity->serial)];
	size_t vendor = strlen(identity->vendor);
	size_t serial = strlen(identity->serial);

	memset(value, ' ', 8);
	memcpy(value, identity->vendor, vendor);
	memcpy(value + 8, identity->serial, serial);
	return put_designator(
	    to, CODE_ASCII, OF_UNIT | TYPE_T10_VENDOR, value, 8 + serial);
}

static size_t
device_identification(const struct scsi_task *task, uint8_t *body)
{
	const struct lun *lun = task->lun;
	const struct scsi_nexus *nexus = task->nexus;
	uint8_t port[4] = {0};
	size_t at = 0;

	store_be16(&port[2], nexus->relative_port);
	at += put_designator(body + at, CODE_BINARY, OF_UNIT | TYPE_NAA,
	    lun->naa, sizeof(lun->naa));
	at += put_t10_vendor(body + at, lun);
	if (lun->label[0] != '\0')
		at += put_designator(body + at, CODE_ASCII,
		    OF_UNIT | TYPE_VENDOR_SPECIFIC, lun->label,
		    strlen(lun->label));
	if (nexus->relative_port != 0) {
		/* a target portal group is one target port (alua.c) */
		at += put_designator(body + at, CODE_BINARY,
		    OF_PORT | TYPE_RELATIVE_PORT, port, sizeof(port));
		at += put_designator(body + at, CODE_BINARY,
		    OF_PORT | TYPE_PORT_GROUP, port, sizeof(port));
	}
	at += put_scsi_name(body + at, OF_PORT, nexus->target_port);
	at += put_scsi_name(body + at, OF_TARGET, nexus->target_name);
	return at;
}

/* ---- 86h extended INQUIRY data ---- */

static size_t
extended_inquiry(const struct scsi_task *task, uint8_t *body)
{
	body[5 - 4] = 0x07; /* HEADSUP, ORDSUP, SIMPSUP */
	if (task->lun->bs->volatile_cache)
		body[6 - 4] = 0x01; /* V_SUP */
	body[7 - 4] = 0x01;         /* LUICLR: UAs per nexus are cleared so */
	body[13 - 4] = SENSE_DATA_MAX;
	return 0x3c;
}

/* ---- 88h SCSI ports, SPC-4 7.8.15: of the target, as RTPG has them ---- */

#define PORT_MAX (12 + 4 + 256 + 8)
static_assert(4 + (PORT_GROUPS_MAX + 1) * PORT_MAX <= SCSI_ANSWER_SIZE, "room");

static size_t
put_port(uint8_t *to, const char *target, uint16_t tag)
{
	uint8_t group[4] = {0};
	char name[sizeof(((struct scsi_nexus *)NULL)->target_port)];
	size_t at = 12; /* with no initiator port's name */

	/* as the session that comes in there is called */
	snprintf(name, sizeof(name), "%s,t,0x%04x", target, tag);
	store_be16(to + 2, tag);
	at += put_scsi_name(to + at, OF_PORT, name);
	store_be16(group + 2, tag);
	at += put_designator(to + at, CODE_BINARY, OF_PORT | TYPE_PORT_GROUP,
	    group, sizeof(group));
	store_be16(to + 10, (uint16_t)(at - 12));
	return at;
}

static size_t
scsi_ports(const struct scsi_task *task, uint8_t *body)
{
	uint16_t tags[PORT_GROUPS_MAX + 1];
	unsigned count =
	    ports_tags(task->lun, task->nexus->relative_port, tags);
	size_t at = 0;

	for (unsigned i = 0; i < count; i++)
		at += put_port(body + at, task->nexus->target_name, tags[i]);
	return at;
}

/* ---- B0h block limits ---- */

static uint32_t
blocks_of(const struct lun *lun, uint64_t bytes)
{
	uint64_t blocks = bytes >> lun->block_shift;

	return blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks;
}

/* The unmap limits are zero where there is no UNMAP (SBC-3 6.6.3). */
static void
unmap_limits(const struct lun *lun, uint8_t *body)
{
	store_be32(&body[20 - 4], UINT32_MAX); /* LBA count: no limit */
	store_be32(&body[24 - 4], SBC_UNMAP_DESCRIPTORS_MAX);
	store_be32(&body[28 - 4], blocks_of(lun, SBC_UNMAP_GRANULARITY));
	store_be32(&body[32 - 4], 1u << 31); /* UGAVALID, alignment 0 */
}

/* SBC-4 6.6.4: no ATOMIC BOUNDARY, so both of its limits stay zero */
static void
atomic_limits(const struct lun *lun, uint8_t *body)
{
	uint32_t unit = blocks_of(lun, lun->bs->atomic_unit);

	store_be32(&body[44 - 4], blocks_of(lun, lun->bs->atomic_max));
	if (unit <= 1)
		return;                  /* any: said by zeros */
	store_be32(&body[48 - 4], unit); /* ATOMIC ALIGNMENT */
	store_be32(
	    &body[52 - 4], unit); /* ATOMIC TRANSFER LENGTH GRANULARITY */
}

static size_t
block_limits(const struct scsi_task *task, uint8_t *body)
{
	const struct lun *lun = task->lun;
	const struct backstore *bs = lun->bs;
	uint32_t granularity = blocks_of(lun, bs->physical_block_size);

	body[4 - 4] = 0x01; /* WSNZ: see sbc_write_same_check() */
	body[5 - 4] = SBC_COMPARE_AND_WRITE_MAX;
	store_be16(&body[6 - 4], (uint16_t)granularity);
	store_be32(&body[8 - 4], blocks_of(lun, SCSI_TRANSFER_MAX));
	if (bs->optimal_io <= SCSI_TRANSFER_MAX)
		store_be32(&body[12 - 4], blocks_of(lun, bs->optimal_io));
	if (bs->thin)
		unmap_limits(lun, body);
	store_be64(&body[36 - 4], SBC_WRITE_SAME_MAX);
	if (bs->atomic_max > 0)
		atomic_limits(lun, body);
	return 0x3c;
}

/* ---- B1h block device characteristics ---- */

static size_t
block_characteristics(const struct scsi_task *task, uint8_t *body)
{
	uint16_t rotation = task->lun->identity.rotation;

	if (rotation == 0) /* 0 on the wire: not reported, 1: none */
		rotation = task->lun->bs->rotational ? 0 : 1;
	store_be16(&body[4 - 4], rotation);
	if (lun_sanitizes(task->lun))
		body[7 - 4] = 0x40; /* WABEREQ: reads are good after an erase */
	body[8 - 4] = 0x01;         /* VBULS: VERIFY of unmapped blocks works */
	return 0x3c;
}

/* ---- B2h logical block provisioning ---- */

#define LBPU        0x80u
#define LBPWS       0x40u
#define LBPWS10     0x20u
#define LBPRZ_ZEROS 0x04u
#define TYPE_THIN   0x02u

static size_t
provisioning(const struct scsi_task *task, uint8_t *body)
{
	const struct lun *lun = task->lun;

	if (!lun->bs->thin)
		return 4;
	body[4 - 4] = (uint8_t)(THRESHOLD_SHIFT - lun->block_shift);
	body[5 - 4] = LBPU | LBPWS | LBPWS10 | LBPRZ_ZEROS;
	body[6 - 4] = TYPE_THIN;
	return 4;
}

/* ---- the table, in ascending order as SPC-4 7.8.13 demands ---- */

static const struct page pages[] = {
    {0x00, supported_pages},
    {0x80, unit_serial_number},
    {0x83, device_identification},
    {0x86, extended_inquiry},
    {0x88, scsi_ports},
    {0x8f, vpd_third_party_copy},
    {0xb0, block_limits},
    {0xb1, block_characteristics},
    {0xb2, provisioning},
};

static const struct page *
page_at(size_t index)
{
	return index < ARRAY_SIZE(pages) ? &pages[index] : NULL;
}

static const struct page *
page_find(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (pages[i].code == code)
			return &pages[i];
	}
	return NULL;
}

bool
vpd_page_exists(const struct lun *lun, uint8_t code)
{
	return lun != NULL && page_find(code) != NULL;
}

struct scsi_sense
vpd_answer(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct page *page = page_find(task->cdb[2]);
	struct page_header *header = (struct page_header *)answer->data;

	assert(page != NULL);
	size_t length = page->build(task, answer->data + sizeof(*header));
	assert(sizeof(*header) + length <= answer->size);
	header->code = page->code;
	be16_set(&header->length, (uint16_t)length);
	answer->length = sizeof(*header) + length;
	return SENSE_NONE;
}
