/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lun create and lun set share: limits of space, and settings.
 */
#ifndef TARGET_LUN_CHANGE_H
#define TARGET_LUN_CHANGE_H

#include "target/change.h"
#include "target/settings.h"

#define LUN_UNIT 4096ull

/* Quota and reservation of the request; or, where it says nothing, those. */
struct lun_space {
	uint64_t quota, reserve;
};
struct lun_space lun_space_asked(
    const struct request *request, struct lun_space otherwise);
/* False: the request has failed. */
bool lun_space_check(
    struct request *request, uint64_t size, struct lun_space limits);

/* ---- settings ---- */

/* False: the request has failed, since another has the serial number. */
bool lun_serial_check(struct request *request, const char *doing);
/* They cannot be read: of a LUN that method_pool has.  NULL: they can. */
json_t *lun_settings_fault(
    const struct request *request, const struct survey_lun *sl);
/* A change_op's record. */
int lun_settings_record(struct state *state, const struct change *change);

#endif
