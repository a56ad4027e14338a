/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Did you mean ...?": the nearest of a few words.
 */
#ifndef TOOLS_SUGGEST_H
#define TOOLS_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *word;    /* what was typed; also "rm" for "delete" */
	const char *nearest; /* NULL: none is near */
	unsigned distance;
};

static inline void
suggest_init(struct suggest *suggest, const char *word)
{
	*suggest = (struct suggest){.word = word};
}

/* Considers candidate; it must outlive suggest.  O(length^2). */
void suggest_offer(struct suggest *suggest, const char *candidate);

#endif
