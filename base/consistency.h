/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the programs that write to a LUN had done before a snapshot of it: the
 * words of the control API, of pools and of backups.
 *
 *	crash   nothing: what a power cut would leave, all of one instant
 *	fs      its file systems were frozen: nothing to recover when mounted
 *	app     so were the programs: a database has nothing to recover either
 *
 * Each is worth more than the one before it, and has its number on the disk.
 */
#ifndef BASE_CONSISTENCY_H
#define BASE_CONSISTENCY_H

#include <stdbool.h>

enum consistency {
	CONSISTENCY_CRASH,
	CONSISTENCY_FS,
	CONSISTENCY_APP,
	CONSISTENCY_COUNT,
};

#define CONSISTENCY_CHOICES  "crash|fs|app" /* of an API_CHOICE */
#define CONSISTENCY_TEXT_MAX 6              /* with its 0 */

const char *consistency_text(enum consistency consistency);
/* False: no such word. */
bool consistency_parse(const char *text, enum consistency *ret_consistency);

#endif
