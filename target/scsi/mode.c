/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MODE SENSE and MODE SELECT, SPC-4 6.11 to 6.14: lists of the pages that
 * mode_page.c has.  What MODE SELECT changes is gone with a reset, which brings
 * back what was saved; with SP it is saved, durably, before it is changed and
 * the status sent, so that what a host was told it can rely on.
 */
#include "target/scsi/mode.h"
#include "target/scsi/handlers.h"
#include <stdlib.h>
#include <string.h>

#define PARAMETER_MAX 4096u
#define SP            0x01u
#define SPF           0x40u

/* ---- MODE SENSE ---- */

static bool
is_asked_for(const struct scsi_task *task, const struct mode_page *page)
{
	uint8_t code = task->cdb[2] & 0x3f, subpage = task->cdb[3];

	return mode_page_is_there(page, task->lun) &&
	       (code == MODE_PAGE_ALL || code == page->code) &&
	       (subpage == MODE_SUBPAGE_ALL || subpage == page->subpage);
}

struct scsi_sense
mode_sense_check(struct scsi_task *task)
{
	uint8_t code = task->cdb[2] & 0x3f, subpage = task->cdb[3];

	if (task->cdb[2] >> 6 == PC_SAVED && !lun_saves(task->lun))
		return SENSE_SAVING_PARAMETERS_NOT_SUPPORTED;
	if (code != MODE_PAGE_ALL && mode_page_find(task->lun, code, 0) == NULL)
		return scsi_invalid_cdb(2, 5);
	if (subpage == 0 || subpage == MODE_SUBPAGE_ALL)
		return SENSE_NONE;
	if (code == MODE_PAGE_ALL ||
	    mode_page_find(task->lun, code, subpage) == NULL)
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

static const struct lun_mode *
mode_of(const struct lun *lun, enum page_control control)
{
	switch (control) {
	case PC_DEFAULT: return &lun->mode_default;
	case PC_SAVED: return &lun->mode_saved;
	default: return &lun->mode;
	}
}

static size_t
put_pages(const struct scsi_task *task, uint8_t *to)
{
	enum page_control control = task->cdb[2] >> 6;
	size_t at = 0;

	for (unsigned i = 0; i < mode_page_count; i++) {
		if (!is_asked_for(task, &mode_pages[i]))
			continue;
		mode_page_build(&mode_pages[i], task->lun,
		    mode_of(task->lun, control), control, to + at);
		at += mode_pages[i].length;
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
	threshold_show(task->lun);

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

	if ((task->cdb[1] & SP) && !lun_saves(task->lun))
		return scsi_invalid_cdb(1, 0);
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
check_page(const struct lun *lun, const struct lun_mode *mode,
    const struct mode_page *page, const uint8_t *list, size_t at)
{
	uint8_t current[MODE_PAGE_MAX], changeable[MODE_PAGE_MAX];

	mode_page_build(page, lun, mode, PC_CURRENT, current);
	mode_page_build(page, lun, mode, PC_CHANGEABLE, changeable);
	for (size_t i = mode_page_header(page); i < page->length; i++) {
		uint8_t wrong =
		    (list[at + i] ^ current[i]) & (uint8_t)~changeable[i];
		if (wrong != 0)
			return scsi_invalid_parameter(
			    (unsigned)(at + i), 31 - __builtin_clz(wrong));
	}
	return SENSE_NONE;
}

/* The page that begins there, if it is there and whole. */
static struct scsi_sense
find_page(const struct lun *lun, const uint8_t *list, size_t at, size_t length,
    const struct mode_page **ret_page)
{
	bool sub = list[at] & SPF;
	const struct mode_page *page;
	size_t wanted;

	if (length - at < (sub ? 4u : 2u))
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	if (mode_page_find(lun, list[at] & 0x3f, 0) == NULL)
		return scsi_invalid_parameter((unsigned)at, 5);
	page = mode_page_find(lun, list[at] & 0x3f, sub ? list[at + 1] : 0);
	if (page == NULL)
		return scsi_invalid_parameter((unsigned)at + 1, -1);
	if (sub != (page->subpage != 0))
		return scsi_invalid_parameter((unsigned)at, 6);
	wanted = page->length - mode_page_header(page);
	if (sub ? load_be16(list + at + 2) != wanted : list[at + 1] != wanted)
		return scsi_invalid_parameter((unsigned)at + (sub ? 2 : 1), -1);
	if (length - at < page->length)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	*ret_page = page;
	return SENSE_NONE;
}

static struct scsi_sense
parse_pages(const struct lun *lun, struct lun_mode *mode, const uint8_t *list,
    size_t at, size_t length)
{
	while (at < length) {
		const struct mode_page *page = NULL;
		struct scsi_sense sense =
		    find_page(lun, list, at, length, &page);
		if (sense_is_good(&sense))
			sense = check_page(lun, mode, page, list, at);
		if (!sense_is_good(&sense))
			return sense;
		mode_page_take(page, lun, mode, list + at);
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
	return parse_pages(
	    task->lun, ret_mode, list, header + descriptor, length);
}

/* Thresholds that are others, or begin to be told, are told anew. */
void
mode_put(struct lun *lun, const struct lun_mode *mode)
{
	if (mode->tells_thresholds != lun->mode.tells_thresholds ||
	    memcmp(mode->threshold, lun->mode.threshold,
		sizeof(mode->threshold)) != 0)
		memset(lun->threshold_told, 0, sizeof(lun->threshold_told));
	lun->mode = *mode;
}

static void
mode_apply(
    struct lun *lun, const struct lun_mode *mode, const struct scsi_mapping *by)
{
	if (memcmp(mode, &lun->mode, sizeof(*mode)) == 0)
		return;
	mode_put(lun, mode);
	attention_set_lun(lun, ATTENTION_MODE, by);
}

/* SPC-4 7.5.8 SWP and SBC-3 6.4.5 WCE: it is not good before what is in the
 * cache is on the medium.  First the mode, then the flush: what is being
 * written flushes itself at its end (scsi_task_end).  If the flush fails the
 * mode stays, which loses nothing, and saying it again flushes again. */
static void
mode_take(struct scsi_task *task, const struct lun_mode *mode)
{
	mode_apply(task->lun, mode, task->mapping);
	if (mode->software_protect || !mode->write_cache)
		scsi_task_flush(task, scsi_task_end_good);
	else
		scsi_task_end_good(task);
}

/* ---- saving ---- */

struct mode_keep {
	struct lun_keep keep;
	struct scsi_task *task;
	struct lun_mode mode;
	struct lun_saved saved;
	bool again; /* it is another than the one on its way */
};

static void
mode_keep(struct mode_keep *mk)
{
	struct lun *lun = mk->task->lun;

	mk->again = false;
	mk->saved.count = 0;
	mode_to_saved(&mk->mode, &mk->saved);
	lun->keeper->saved(lun->keeper_arg, &mk->keep);
}

/* What could not be kept has not happened. */
static void
mode_kept(struct lun_keep *keep, int result)
{
	struct mode_keep *mk = container_of(keep, struct mode_keep, keep);
	struct scsi_task *task = mk->task;
	struct lun *lun = task->lun;

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	if (result == 0 && mk->again) {
		mode_keep(mk);
		return;
	}
	lun->mode_saving = NULL;
	if (result == 0) {
		lun->mode_saved = mk->mode;
		mode_take(task, &mk->mode);
	} else {
		scsi_task_end(task, &SENSE_INTERNAL_TARGET_FAILURE);
	}
	free(mk);
}

static void
mode_save(struct scsi_task *task, const struct lun_mode *mode)
{
	struct mode_keep *mk = calloc(1, sizeof(*mk));

	if (mk == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	task->lun->mode_saving = mk;
	mk->task = task;
	mk->mode = *mode;
	mk->keep = (struct lun_keep){
	    .saved = &mk->saved,
	    .done = mode_kept,
	    .arg = task->lun->keeper_arg,
	};
	mode_keep(mk);
}

void
mode_cache_said(struct lun *lun, bool on)
{
	lun->mode_default.write_cache = on;
	lun->mode_saved.write_cache = on;
	lun->mode.write_cache = on;
	if (lun->mode_saving == NULL)
		return;
	lun->mode_saving->mode.write_cache = on;
	lun->mode_saving->again = true;
}

/* SPC-4 6.11: SP saves all that can be saved, sent or not.  While that is done
 * nothing else changes, or one of the two would be lost. */
void
mode_select(struct scsi_task *task)
{
	struct lun_mode mode;
	struct scsi_sense sense;

	if (task->data_length == 0) {
		scsi_task_end_good(task);
		return;
	}
	if (task->lun->mode_saving != NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	sense = parse_parameters(task, &mode);
	if (!sense_is_good(&sense))
		scsi_task_end(task, &sense);
	else if (task->cdb[1] & SP)
		mode_save(task, &mode);
	else
		mode_take(task, &mode);
}
