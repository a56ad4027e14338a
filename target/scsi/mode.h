/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mode pages as bytes, for MODE SENSE and MODE SELECT (mode.c): mode_page.c has
 * the table of pages and of what can be changed in them, threshold.c the
 * thresholds of thin provisioning.
 */
#ifndef TARGET_SCSI_MODE_H
#define TARGET_SCSI_MODE_H

#include "target/scsi/internal.h"

#define MODE_PAGE_MAX     40u
#define MODE_PAGE_ALL     0x3f
#define MODE_SUBPAGE_ALL  0xff
#define MODE_THRESHOLDS   0x1c /* with subpage 2 */
#define MODE_THRESHOLD_AT 16u  /* of the first descriptor in its page */

enum page_control {
	PC_CURRENT,
	PC_CHANGEABLE,
	PC_DEFAULT,
	PC_SAVED,
};

struct mode_page {
	uint8_t code, subpage;
	uint8_t length; /* in all */
	bool thin;      /* only of a thin unit */
	bool changes;   /* something in it can be changed, and saved */
	uint8_t bytes[MODE_PAGE_MAX];
};

extern const struct mode_page mode_pages[];
extern const unsigned mode_page_count;

bool mode_page_is_there(const struct mode_page *page, const struct lun *lun);
/* NULL: the unit has none. */
const struct mode_page *mode_page_find(
    const struct lun *lun, uint8_t code, uint8_t subpage);
/* 4 with a subpage, else 2: of what comes before the first parameter. */
size_t mode_page_header(const struct mode_page *page);
/* page->length bytes; mode is not looked at for PC_CHANGEABLE. */
void mode_page_build(const struct mode_page *page, const struct lun *lun,
    const struct lun_mode *mode, enum page_control control, uint8_t *to);
/* What page says, as MODE SELECT sends it. */
void mode_page_take(const struct mode_page *page, const struct lun *lun,
    struct lun_mode *mode, const uint8_t *from);

/* All that is saved, by name; and back, what is not there left as it is. */
void mode_to_saved(const struct lun_mode *mode, struct lun_saved *saved);
void mode_from_saved(const struct lun_saved *saved, struct lun_mode *mode);

/* In force from now on. */
void mode_put(struct lun *lun, const struct lun_mode *mode);
/* The administrator has said what the write cache is to be: also in what a MODE
 * SELECT is saving. */
void mode_cache_said(struct lun *lun, bool on);

/* ---- threshold.c ---- */

void threshold_build(const struct lun *lun, const struct lun_mode *mode,
    enum page_control control, uint8_t *page);
void threshold_take(
    const struct lun *lun, struct lun_mode *mode, const uint8_t *page);

#endif
