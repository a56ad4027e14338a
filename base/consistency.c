/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/consistency.h"
#include "base/assert.h"
#include <string.h>

static const char *const texts[CONSISTENCY_COUNT] = {
    [CONSISTENCY_CRASH] = "crash",
    [CONSISTENCY_FS] = "fs",
    [CONSISTENCY_APP] = "app",
};

const char *
consistency_text(enum consistency consistency)
{
	assert(consistency < CONSISTENCY_COUNT);
	return texts[consistency];
}

bool
consistency_parse(const char *text, enum consistency *ret_consistency)
{
	for (unsigned i = 0; i < CONSISTENCY_COUNT; i++) {
		if (strcmp(texts[i], text) == 0) {
			*ret_consistency = (enum consistency)i;
			return true;
		}
	}
	return false;
}
