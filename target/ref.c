/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/ref.h"
#include "base/assert.h"
#include <string.h>

/* Copies length bytes; false when that is no name. */
static bool
part_take(const char *text, size_t length, char ret_part[REF_NAME_MAX])
{
	if (length >= REF_NAME_MAX)
		return false;
	memcpy(ret_part, text, length);
	ret_part[length] = '\0';
	return pool_name_valid(ret_part);
}

enum ref_form
ref_parse(const char *text, struct ref *ret_ref)
{
	size_t head = strcspn(text, "@"), pool = strcspn(text, "/@");
	bool lun = text[pool] == '/', snap = text[head] == '@';

	*ret_ref = (struct ref){.pool = ""};
	if (snap &&
	    !part_take(text + head + 1, strlen(text + head + 1), ret_ref->snap))
		return 0;
	if (snap && head == 0)
		return REF_AT;
	if (!part_take(text, pool, ret_ref->pool))
		return 0;
	if (!lun)
		return snap ? 0 : REF_POOL;
	if (!part_take(text + pool + 1, head - pool - 1, ret_ref->lun))
		return 0;
	return snap ? REF_SNAP : REF_LUN;
}

unsigned
ref_forms(enum api_type type)
{
	/* clang-format off */
	static const unsigned char forms[] = {
		[API_POOL]        = REF_POOL,
		[API_NEW_POOL]    = REF_POOL,
		[API_LUN]         = REF_LUN,
		[API_NEW_LUN]     = REF_LUN,
		[API_SNAP]        = REF_SNAP,
		[API_NEW_SNAP]    = REF_LUN | REF_SNAP | REF_AT,
		[API_SNAP_AT]     = REF_SNAP | REF_AT,
		[API_LUN_OR_SNAP] = REF_LUN | REF_SNAP,
		[API_POOL_OR_LUN] = REF_POOL | REF_LUN,
		[API_GROUP]       = REF_POOL | REF_LUN,
		[API_TRASHED]     = REF_LUN | REF_SNAP,
	};
	/* clang-format on */

	return (size_t)type < ARRAY_SIZE(forms) ? forms[type] : 0;
}
