/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mode pages, SPC-4 7.5 and SBC-3 6.4.  A page is a row of constant bytes;
 * what can be changed is a row of the table of bits, each of which is a flag in
 * struct lun_mode, and of the thresholds (threshold.c).  All of it can be
 * saved, where the unit has a keeper that does.
 */
#include "target/scsi/mode.h"
#include <string.h>

#define PAGE_RECOVERY 0x01
#define PAGE_CACHING  0x08
#define PAGE_CONTROL  0x0a
#define PS            0x80u
#define SPF           0x40u

const struct mode_page mode_pages[] = {
    {PAGE_RECOVERY, 0, 12, false, true, {0x01, 10}}, /* error recovery */
    {0x02, 0, 16, false, false, {0x02, 14}},         /* reconnect */
    {PAGE_CACHING, 0, 20, false, true, {0x08, 18}},  /* caching */
    {PAGE_CONTROL, 0, 12, false, true,
	{
	    0x0a, 10, [2] = 0x02,   /* GLTSD: no log pages are saved */
	    [3] = 0x10,             /* unrestricted reordering */
	    [8] = 0xff, [9] = 0xff, /* busy as long as it takes */
	}},
    {PAGE_CONTROL, 1, 32, false, false,
	{
	    SPF | 0x0a,
	    1,
	    0,
	    28,
	    [4] = 0x01, /* IALUAE: see alua.c */
	    [6] = SENSE_DATA_MAX,
	}},
    {0x1a, 0, 40, false, false, {0x1a, 38}}, /* power condition: no timers */
    {0x1c, 0, 12, false, false, {0x1c, 10}}, /* exceptions: none */
    {MODE_THRESHOLDS, 2, MODE_THRESHOLD_AT + 8 * LUN_THRESHOLDS, true, true,
	{SPF | 0x1c, 2, 0, MODE_THRESHOLD_AT + 8 * LUN_THRESHOLDS - 4}},
};
const unsigned mode_page_count = ARRAY_SIZE(mode_pages);

static const struct mode_bit {
	uint8_t page, byte, mask;
	size_t flag; /* in struct lun_mode */
	char name[LUN_SAVED_NAME_MAX];
} bits[] = {
    /* clang-format off */
    {PAGE_RECOVERY, 7, 0x80, offsetof(struct lun_mode, tells_thresholds), "lbpere"},
    {PAGE_CACHING, 2, 0x04, offsetof(struct lun_mode, write_cache), LUN_CACHE_SAVED},
    {PAGE_CONTROL, 2, 0x04, offsetof(struct lun_mode, d_sense), "d_sense"},
    {PAGE_CONTROL, 4, 0x08, offsetof(struct lun_mode, software_protect), LUN_PROTECT_SAVED},
    {PAGE_CONTROL, 5, 0x40, offsetof(struct lun_mode, task_aborted_status), "tas"},
    /* clang-format on */
};

static_assert(
    ARRAY_SIZE(bits) + LUN_THRESHOLDS + PORT_GROUPS_MAX <= LUN_SAVED_MAX,
    "room, with what alua.c keeps");

static bool
mode_flag(const struct lun_mode *mode, const struct mode_bit *bit)
{
	return *(const bool *)((const char *)mode + bit->flag);
}

static void
mode_set_flag(struct lun_mode *mode, const struct mode_bit *bit, bool value)
{
	*(bool *)((char *)mode + bit->flag) = value;
}

/* A thick unit has no thresholds to tell of. */
static bool
bit_is_of(const struct mode_bit *bit, const struct mode_page *page,
    const struct lun *lun)
{
	return page->subpage == 0 && bit->page == page->code &&
	       (bit->page != PAGE_RECOVERY || lun->bs->thin);
}

bool
mode_page_is_there(const struct mode_page *page, const struct lun *lun)
{
	return !page->thin || (lun->bs->thin && lun->bs->ops->usage != NULL);
}

const struct mode_page *
mode_page_find(const struct lun *lun, uint8_t code, uint8_t subpage)
{
	for (unsigned i = 0; i < mode_page_count; i++) {
		const struct mode_page *page = &mode_pages[i];
		if (page->code == code && page->subpage == subpage &&
		    mode_page_is_there(page, lun))
			return page;
	}
	return NULL;
}

size_t
mode_page_header(const struct mode_page *page)
{
	return page->bytes[0] & SPF ? 4 : 2;
}

void
mode_page_build(const struct mode_page *page, const struct lun *lun,
    const struct lun_mode *mode, enum page_control control, uint8_t *to)
{
	size_t header = mode_page_header(page);

	memcpy(to, page->bytes, page->length);
	if (page->changes && lun_saves(lun))
		to[0] |= PS;
	if (control == PC_CHANGEABLE)
		memset(to + header, 0, page->length - header);
	if (page->code == MODE_THRESHOLDS && page->subpage != 0)
		threshold_build(lun, mode, control, to);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (!bit_is_of(&bits[i], page, lun))
			continue;
		if (control == PC_CHANGEABLE || mode_flag(mode, &bits[i]))
			to[bits[i].byte] |= bits[i].mask;
	}
}

void
mode_page_take(const struct mode_page *page, const struct lun *lun,
    struct lun_mode *mode, const uint8_t *from)
{
	if (page->code == MODE_THRESHOLDS && page->subpage != 0)
		threshold_take(lun, mode, from);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (bit_is_of(&bits[i], page, lun))
			mode_set_flag(
			    mode, &bits[i], from[bits[i].byte] & bits[i].mask);
	}
}

/* ---- as saved ---- */

static const char *const threshold_names[LUN_THRESHOLDS] = {
    "threshold.available", "threshold.used"};

#define FOLLOWS (-1) /* in place of a count */
#define ENABLED (1ll << 32)

void
mode_to_saved(const struct lun_mode *mode, struct lun_saved *saved)
{
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		lun_saved_add(saved, bits[i].name, mode_flag(mode, &bits[i]));
	for (size_t i = 0; i < LUN_THRESHOLDS; i++) {
		const struct lun_threshold *t = &mode->threshold[i];
		lun_saved_add(saved, threshold_names[i],
		    t->own ? (t->enabled ? ENABLED : 0) | t->count : FOLLOWS);
	}
}

static void
threshold_from(struct lun_threshold *t, int64_t value)
{
	*t = (struct lun_threshold){.own = value >= 0};
	if (!t->own)
		return;
	t->enabled = value & ENABLED;
	t->count = (uint32_t)value;
}

void
mode_from_saved(const struct lun_saved *saved, struct lun_mode *mode)
{
	int64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (lun_saved_get(saved, bits[i].name, &value))
			mode_set_flag(mode, &bits[i], value != 0);
	}
	for (size_t i = 0; i < LUN_THRESHOLDS; i++) {
		if (lun_saved_get(saved, threshold_names[i], &value))
			threshold_from(&mode->threshold[i], value);
	}
}
