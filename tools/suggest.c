/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/suggest.h"
#include "base/assert.h"
#include <string.h>

#define WORD_MAX 31

/* What other tools call it. */
/* clang-format off */
static const struct {
	const char *theirs, *ours;
} synonyms[] = {
	{ "ls", "list" }, { "rm", "delete" }, { "rm", "remove" },
	{ "del", "delete" }, { "destroy", "delete" }, { "remove", "delete" },
	{ "delete", "remove" }, { "mk", "create" }, { "new", "create" },
	{ "add", "create" }, { "create", "add" }, { "info", "show" },
	{ "get", "show" }, { "status", "show" }, { "grow", "resize" },
	{ "extend", "resize" }, { "map", "export" }, { "initiator", "host" },
	{ "client", "host" }, { "volume", "lun" }, { "vol", "lun" },
	{ "disk", "lun" }, { "target", "export" }, { "status", "health" },
	{ "mv", "rename" }, { "check", "health" }, { "kick", "drop" },
};
/* clang-format on */

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Damerau's: insert, delete, change a letter, or swap two neighbours. */
static unsigned
word_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	assert(a_length <= WORD_MAX && b_length <= WORD_MAX);
	for (unsigned i = 0; i <= a_length; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= b_length; j++)
		d[0][j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		for (unsigned j = 1; j <= b_length; j++) {
			unsigned change = a[i - 1] != b[j - 1];
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
			    d[i - 1][j - 1] + change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[a_length][b_length];
}

static unsigned
distance(const char *word, const char *candidate)
{
	size_t word_length = strlen(word), length = strlen(candidate);

	for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++) {
		if (strcmp(word, synonyms[i].theirs) == 0 &&
		    strcmp(candidate, synonyms[i].ours) == 0)
			return 1;
	}
	if (word_length > WORD_MAX || length > WORD_MAX)
		return WORD_MAX;
	/* "port" for "portal" */
	if (word_length >= 3 && strncmp(word, candidate, word_length) == 0)
		return 1;
	return word_distance(word, word_length, candidate, length);
}

void
suggest_offer(struct suggest *suggest, const char *candidate)
{
	size_t length = strlen(suggest->word);
	unsigned near = distance(suggest->word, candidate);
	unsigned limit = length <= 3 ? 1 : length <= 6 ? 2 : 3;

	if (near > limit)
		return;
	if (suggest->nearest != NULL && suggest->distance <= near)
		return;
	suggest->nearest = candidate;
	suggest->distance = near;
}
