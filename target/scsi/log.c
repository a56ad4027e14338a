/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LOG SENSE, SPC-4 6.6 and 7.3, SBC-3 6.5: a table of pages, of cumulative
 * values only, of which nothing is saved and nothing can be reset.  What is not
 * measured says so where the standard has a value for that, and is not there
 * where it has none.
 */
#include "target/scsi/handlers.h"
#include <string.h>

#define CUMULATIVE   1u /* PC */
#define SUBPAGE_ALL  0xffu
#define SPF          0x40u
#define BINARY_LIST  0x03u /* FORMAT AND LINKING: binary, of a list */
#define NOT_MEASURED 0xffu

struct log_page {
	uint8_t code;
	bool thin_only;
	/* Fills in the parameters; returns their length. */
	size_t (*build)(const struct lun *lun, uint8_t *body);
};

static uint8_t *
put_parameter(uint8_t *to, uint16_t code, uint8_t length)
{
	store_be16(to, code);
	to[2] = BINARY_LIST;
	to[3] = length;
	return to + 4;
}

/* ---- 0Ch logical block provisioning, SBC-3 6.5.3 ---- */

enum {
	SCOPE_UNIT = 1, /* dedicated to the unit */
	SCOPE_POOL = 2, /* others may take it */
};

/* In threshold sets, as VPD B2h has their size. */
static size_t
put_resources(uint8_t *to, uint16_t code, uint64_t bytes, uint8_t scope)
{
	uint64_t sets = bytes >> THRESHOLD_SHIFT;
	uint8_t *value = put_parameter(to, code, 8);

	store_be32(value, sets < UINT32_MAX ? (uint32_t)sets : UINT32_MAX);
	value[4] = scope;
	return 12;
}

static size_t
provisioning(const struct lun *lun, uint8_t *body)
{
	struct bs_usage usage;
	size_t at = 0;

	lun->bs->ops->usage(lun->bs, &usage);
	at += put_resources(
	    body + at, THRESHOLD_AVAILABLE, usage.free, SCOPE_POOL);
	at += put_resources(body + at, THRESHOLD_USED, usage.used, SCOPE_UNIT);
	return at;
}

/* ---- 0Dh temperature, SPC-4 7.3.21 ---- */

static size_t
temperature(const struct lun *lun, uint8_t *body)
{
	(void)lun;
	for (uint16_t code = 0; code < 2; code++) /* now, and the highest */
		put_parameter(body + 6 * code, code, 2)[1] = NOT_MEASURED;
	return 12;
}

/* ---- 19h general statistics and performance, SPC-4 7.3.9 ---- */

enum {
	STATISTICS = 0x0001,
	IDLE_TIME = 0x0002,
	TIME_INTERVAL = 0x0003,
};

/* Processing intervals: the time of all such commands together. */
static uint64_t
milliseconds(const struct lun *lun, enum latency_class class)
{
	return lun->latency.of[class].total_ns / NSEC_PER_MSEC;
}

static size_t
statistics(const struct lun *lun, uint8_t *body)
{
	const struct lun_stat *stat = &lun->stat;
	uint8_t *value = put_parameter(body, STATISTICS, 64);

	store_be64(value, stat->reads);
	store_be64(value + 8, stat->writes);
	store_be64(value + 16, stat->write_bytes >> lun->block_shift);
	store_be64(value + 24, stat->read_bytes >> lun->block_shift);
	store_be64(value + 32, milliseconds(lun, LATENCY_READ));
	store_be64(value + 40, milliseconds(lun, LATENCY_WRITE));
	value = put_parameter(body + 68, IDLE_TIME, 8);
	store_be64(value, lun->idle_ns / NSEC_PER_MSEC);
	/* what an interval is: 1 / 10^3 s */
	value = put_parameter(body + 80, TIME_INTERVAL, 8);
	store_be32(value, 3);
	store_be32(value + 4, 1);
	return 68 + 12 + 12;
}

/* ---- 2Fh informational exceptions, SPC-4 7.3.12 ---- */

static size_t
informational_exceptions(const struct lun *lun, uint8_t *body)
{
	(void)lun;
	put_parameter(body, 0, 4)[2] = NOT_MEASURED; /* temperature */
	return 8;
}

/* ---- the table, in ascending order ---- */

static size_t supported_pages(const struct lun *lun, uint8_t *body);

static const struct log_page pages[] = {
    {0x00, false, supported_pages},
    {0x0c, true, provisioning},
    {0x0d, false, temperature},
    {0x19, false, statistics},
    {0x2f, false, informational_exceptions},
};

static bool
page_is_there(const struct log_page *page, const struct lun *lun)
{
	return !page->thin_only ||
	       (lun->bs->thin && lun->bs->ops->usage != NULL);
}

static size_t
supported_pages(const struct lun *lun, uint8_t *body)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (page_is_there(&pages[i], lun))
			body[at++] = pages[i].code;
	return at;
}

/* SPC-4 7.3.18: the page of all pages and subpages */
static size_t
supported_subpages(const struct lun *lun, uint8_t *body)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (!page_is_there(&pages[i], lun))
			continue;
		body[at] = pages[i].code;
		at += 2;
		if (pages[i].code != 0)
			continue;
		body[at + 1] = SUBPAGE_ALL;
		at += 2;
	}
	return at;
}

static const struct log_page *
page_find(const struct scsi_task *task)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i].code == (task->cdb[2] & 0x3f) &&
		    page_is_there(&pages[i], task->lun))
			return &pages[i];
	return NULL;
}

struct scsi_sense
log_sense_check(struct scsi_task *task)
{
	uint8_t subpage = task->cdb[3];

	if (task->cdb[2] >> 6 != CUMULATIVE)
		return scsi_invalid_cdb(2, 7);
	if (page_find(task) == NULL)
		return scsi_invalid_cdb(2, 5);
	if (subpage != 0 &&
	    !((task->cdb[2] & 0x3f) == 0 && subpage == SUBPAGE_ALL))
		return scsi_invalid_cdb(3, -1);
	return SENSE_NONE;
}

struct scsi_sense
log_sense(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct log_page *page = page_find(task);
	uint8_t *data = answer->data;
	size_t length;

	if (page == NULL)
		return scsi_invalid_cdb(2, 5);
	data[0] = page->code;
	data[1] = task->cdb[3];
	if (data[1] != 0) {
		data[0] |= SPF;
		length = supported_subpages(task->lun, data + 4);
	} else {
		length = page->build(task->lun, data + 4);
	}
	store_be16(&data[2], (uint16_t)length);
	answer->length = 4 + length;
	return SENSE_NONE;
}
