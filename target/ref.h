/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names as people and the API write them: POOL, POOL/LUN, POOL/LUN@SNAP, and
 * @SNAP where the LUN is clear.  Each part is a name (pool_name_valid), so '/'
 * and '@' are in none.
 */
#ifndef TARGET_REF_H
#define TARGET_REF_H

#include "snapshot/pool.h"
#include "target/api.h"

#define REF_NAME_MAX (POOL_NAME_MAX + 1)
#define REF_TEXT_MAX (3 * REF_NAME_MAX)

struct ref { /* parts that are not there are "" */
	char pool[REF_NAME_MAX], lun[REF_NAME_MAX], snap[REF_NAME_MAX];
};

enum ref_form {
	REF_POOL = 1 << 0, /* POOL */
	REF_LUN = 1 << 1,  /* POOL/LUN */
	REF_SNAP = 1 << 2, /* POOL/LUN@SNAP */
	REF_AT = 1 << 3,   /* @SNAP */
};

/* Which of the forms text has; 0: none. */
enum ref_form ref_parse(const char *text, struct ref *ret_ref);

/* The forms that a value of that type may have; 0: it is no such name. */
unsigned ref_forms(enum api_type type);

#endif
