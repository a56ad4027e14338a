/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an administrator has set of a LUN: a JSON object of just that, so that
 * what was never set is as usual.  So it goes into the state, into the
 * configuration's document, and comes from there and from lun create and lun
 * set; members and their values are the same everywhere.
 */
#ifndef TARGET_SETTINGS_H
#define TARGET_SETTINGS_H

#include "target/scsi/lun.h"
#include <jansson.h>

/* What mends a LUN whose settings in the database cannot be read: format, of
 * the state directory and the LUN's uuid. */
#define SETTINGS_RESCUE                                                        \
	"see it, and delete it if it is lost, while varved does not run:   "   \
	"sqlite3 %s/varve.db \"SELECT * FROM lun_settings WHERE lun_uuid "     \
	"= '%s'\""

/* Does lun.create or lun.set ask for any? */
bool settings_asked(const json_t *params);
/* before, which may be NULL, with what params set and unset: a new object; or
 * a fault, and none. */
json_t *settings_change(
    const json_t *before, const json_t *params, json_t **ret_after);
/* Is a member another? */
bool settings_differ(const json_t *a, const json_t *b, const char *name);
/* Those that entry says and differ in before, for lun.set; NULL: none. */
json_t *settings_beside(const json_t *entry, const json_t *before);

/* All of them as an answer has them, but for the serial number when that is as
 * usual.  settings may be NULL. */
void settings_item(json_t *item, const json_t *settings);
/* What params has of them; its strings are those of settings. */
void settings_params(const json_t *settings, struct lun_params *params);

#endif
