/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MODE SENSE and MODE SELECT, SPC-4 6.11 to 6.14 and 7.5.  A page is a row of
 * constant bytes; what can be changed is a row of the table of bits, each of
 * which is a flag in struct lun_mode.  Nothing is saved: a reset brings the
 * defaults back.
 */
#include "target/scsi/handlers.h"
#include <string.h>

#define PAGE_MAX      40u
#define PAGE_ALL      0x3f
#define SUBPAGE_ALL   0xff
#define PAGE_CACHING  0x08
#define PAGE_CONTROL  0x0a
#define PARAMETER_MAX 4096u

static const struct mode_page {
	uint8_t code;
	uint8_t length; /* in all */
	uint8_t bytes[PAGE_MAX];
} pages[] = {
    {0x01, 12, {0x01, 10}},         /* read-write error recovery */
    {0x02, 16, {0x02, 14}},         /* disconnect-reconnect */
    {PAGE_CACHING, 20, {0x08, 18}}, /* caching */
    {PAGE_CONTROL, 12,
	{
	    0x0a, 10, [2] = 0x02,   /* GLTSD: no log pages are saved */
	    [3] = 0x10,             /* unrestricted reordering */
	    [8] = 0xff, [9] = 0xff, /* busy as long as it takes */
	}},
    {0x1a, 40, {0x1a, 38}}, /* power condition: no timers */
    {0x1c, 12, {0x1c, 10}}, /* informational exceptions: none */
};

static const struct mode_bit {
	uint8_t page, byte, mask;
	size_t flag; /* in struct lun_mode */
} bits[] = {
    {PAGE_CACHING, 2, 0x04, offsetof(struct lun_mode, write_cache)},
    {PAGE_CONTROL, 2, 0x04, offsetof(struct lun_mode, d_sense)},
    {PAGE_CONTROL, 4, 0x08, offsetof(struct lun_mode, software_protect)},
    {PAGE_CONTROL, 5, 0x40, offsetof(struct lun_mode, task_aborted_status)},
};

static bool *
mode_flag(struct lun_mode *mode, const struct mode_bit *bit)
{
	return (bool *)((char *)mode + bit->flag);
}

static const struct mode_page *
page_find(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (pages[i].code == code)
			return &pages[i];
	}
	return NULL;
}

/* ---- MODE SENSE ---- */

enum page_control {
	PC_CURRENT,
	PC_CHANGEABLE,
	PC_DEFAULT,
	PC_SAVED,
};

static void
page_build(const struct mode_page *page, struct lun_mode *mode,
    enum page_control control, uint8_t *to)
{
	memcpy(to, page->bytes, page->length);
	if (control == PC_CHANGEABLE)
		memset(to + 2, 0, page->length - 2u);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (bits[i].page != page->code)
			continue;
		if (control == PC_CHANGEABLE || *mode_flag(mode, &bits[i]))
			to[bits[i].byte] |= bits[i].mask;
	}
}

struct scsi_sense
mode_sense_check(struct scsi_task *task)
{
	uint8_t code = task->cdb[2] & 0x3f, subpage = task->cdb[3];

	if (task->cdb[2] >> 6 == PC_SAVED)
		return SENSE_SAVING_PARAMETERS_NOT_SUPPORTED;
	if (code != PAGE_ALL && page_find(code) == NULL)
		return scsi_invalid_cdb(2, 5);
	if (subpage != 0 && subpage != SUBPAGE_ALL)
		return scsi_invalid_cdb(3, -1);
	return SENSE_NONE;
}

/* SBC-3 6.4.2: WP and DPOFUA */
static uint8_t
device_specific(const struct scsi_task *task)
{
	struct scsi_sense why;

	return 0x10 | (mapping_is_protected(task->mapping, &why) ? 0x80 : 0);
}

/* SBC-3 6.4.2.2 */
static size_t
put_short_descriptor(const struct lun *lun, uint8_t *to)
{
	uint64_t blocks = lun_blocks(lun);

	store_be32(to, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
	store_be24(to + 5, lun->bs->block_size);
	return 8;
}

/* SBC-3 6.4.2.3 */
static size_t
put_long_descriptor(const struct lun *lun, uint8_t *to)
{
	store_be64(to, lun_blocks(lun));
	store_be32(to + 12, lun->bs->block_size);
	return 16;
}

static size_t
put_pages(const struct scsi_task *task, uint8_t *to)
{
	uint8_t code = task->cdb[2] & 0x3f;
	enum page_control control = task->cdb[2] >> 6;
	struct lun_mode mode =
	    control == PC_DEFAULT ? task->lun->mode_default : task->lun->mode;
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (code != PAGE_ALL && code != pages[i].code)
			continue;
		page_build(&pages[i], &mode, control, to + at);
		at += pages[i].length;
	}
	return at;
}

struct scsi_sense
mode_sense(struct scsi_task *task, struct scsi_answer *answer)
{
	bool ten = task->cdb[0] == 0x5a;
	bool no_descriptor = task->cdb[1] & 0x08;
	bool long_lba = ten && (task->cdb[1] & 0x10);
	size_t header = ten ? 8 : 4, descriptor = 0;
	uint8_t *data = answer->data;

	if (!no_descriptor && long_lba)
		descriptor = put_long_descriptor(task->lun, data + header);
	else if (!no_descriptor)
		descriptor = put_short_descriptor(task->lun, data + header);
	answer->length = header + descriptor;
	answer->length += put_pages(task, data + answer->length);

	if (ten) {
		store_be16(data, (uint16_t)(answer->length - 2));
		data[3] = device_specific(task);
		data[4] = descriptor == 16;
		store_be16(data + 6, (uint16_t)descriptor);
	} else {
		data[0] = (uint8_t)(answer->length - 1);
		data[2] = device_specific(task);
		data[3] = (uint8_t)descriptor;
	}
	return SENSE_NONE;
}

/* ---- MODE SELECT ---- */

struct scsi_sense
mode_select_check(struct scsi_task *task)
{
	bool ten = task->cdb[0] == 0x55;
	uint16_t length = ten ? load_be16(&task->cdb[7]) : task->cdb[4];

	if (length > PARAMETER_MAX)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	if (length > 0 && !(task->cdb[1] & 0x10)) /* PF */
		return scsi_invalid_cdb(1, 4);
	return scsi_task_want_list(task, length);
}

/* The medium cannot be formatted this way: the block descriptor says what is,
 * or leaves the number of blocks open. */
static struct scsi_sense
check_descriptor(
    const struct lun *lun, const uint8_t *list, size_t at, size_t length)
{
	uint64_t blocks;
	uint32_t block_size, open = UINT32_MAX;

	if (length == 0)
		return SENSE_NONE;
	if (length == 8) {
		blocks = load_be32(list + at);
		block_size = load_be24(list + at + 5);
	} else {
		blocks = load_be64(list + at);
		block_size = load_be32(list + at + 12);
	}
	if (blocks != 0 && blocks != open && blocks != lun_blocks(lun))
		return scsi_invalid_parameter((unsigned)at, -1);
	if (block_size != lun->bs->block_size)
		return scsi_invalid_parameter(
		    (unsigned)(at + (length == 8 ? 5 : 12)), -1);
	return SENSE_NONE;
}

/* SPC-4 6.11: a field that is not changeable and does not have its present
 * value is an error, and nothing is changed. */
static struct scsi_sense
check_page(struct lun_mode *mode, const struct mode_page *page,
    const uint8_t *list, size_t at)
{
	uint8_t current[PAGE_MAX], changeable[PAGE_MAX];

	page_build(page, mode, PC_CURRENT, current);
	page_build(page, mode, PC_CHANGEABLE, changeable);
	for (size_t i = 2; i < page->length; i++) {
		uint8_t wrong =
		    (list[at + i] ^ current[i]) & (uint8_t)~changeable[i];
		if (wrong != 0)
			return scsi_invalid_parameter(
			    (unsigned)(at + i), 31 - __builtin_clz(wrong));
	}
	return SENSE_NONE;
}

static void
take_page(
    struct lun_mode *mode, const struct mode_page *page, const uint8_t *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (bits[i].page == page->code)
			*mode_flag(mode, &bits[i]) =
			    (from[bits[i].byte] & bits[i].mask) != 0;
	}
}

static struct scsi_sense
parse_pages(
    struct lun_mode *mode, const uint8_t *list, size_t at, size_t length)
{
	while (at < length) {
		if (length - at < 2)
			return SENSE_PARAMETER_LIST_LENGTH_ERROR;
		if (list[at] & 0x40) /* SPF: no subpages here */
			return scsi_invalid_parameter((unsigned)at, 6);
		const struct mode_page *page = page_find(list[at] & 0x3f);
		if (page == NULL)
			return scsi_invalid_parameter((unsigned)at, 5);
		if (list[at + 1] != page->length - 2)
			return scsi_invalid_parameter((unsigned)at + 1, -1);
		if (length - at < page->length)
			return SENSE_PARAMETER_LIST_LENGTH_ERROR;
		struct scsi_sense sense = check_page(mode, page, list, at);
		if (!sense_is_good(&sense))
			return sense;
		take_page(mode, page, list + at);
		at += page->length;
	}
	return SENSE_NONE;
}

/* The mode the unit would have after this parameter list. */
static struct scsi_sense
parse_parameters(struct scsi_task *task, struct lun_mode *ret_mode)
{
	bool ten = task->cdb[0] == 0x55;
	const uint8_t *list = scsi_task_parameters(task);
	size_t length = task->data_length, header = ten ? 8 : 4;

	*ret_mode = task->lun->mode;
	if (length < header)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	bool long_lba = ten && (list[4] & 0x01);
	size_t descriptor = ten ? load_be16(list + 6) : list[3];
	if (descriptor != 0 && descriptor != (long_lba ? 16u : 8u))
		return scsi_invalid_parameter(ten ? 6 : 3, -1);
	if (length < header + descriptor)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	struct scsi_sense sense =
	    check_descriptor(task->lun, list, header, descriptor);
	if (!sense_is_good(&sense))
		return sense;
	return parse_pages(ret_mode, list, header + descriptor, length);
}

static void
mode_apply(struct scsi_task *task)
{
	struct lun *lun = task->lun;
	struct lun_mode mode;
	struct scsi_sense sense = parse_parameters(task, &mode);

	if (sense_is_good(&sense) &&
	    memcmp(&mode, &lun->mode, sizeof(mode)) != 0) {
		lun->mode = mode;
		attention_set_lun(lun, ATTENTION_MODE, task->mapping);
	}
	scsi_task_end(task, &sense);
}

/* SPC-4 7.5.8 SWP and SBC-3 6.4.5 WCE: what is in the cache goes to the medium
 * before it is write protected, or promises to be no cache. */
void
mode_select(struct scsi_task *task)
{
	const struct lun_mode *old = &task->lun->mode;
	struct lun_mode mode;

	if (task->data_length == 0) {
		scsi_task_end_good(task);
		return;
	}
	struct scsi_sense sense = parse_parameters(task, &mode);
	if (!sense_is_good(&sense))
		scsi_task_end(task, &sense);
	else if ((mode.software_protect && !old->software_protect) ||
		 (!mode.write_cache && old->write_cache))
		scsi_task_flush(task, mode_apply);
	else
		mode_apply(task);
}
