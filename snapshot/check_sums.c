/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each page of a map comes to, by its address: versions share pages, and a
 * subtree that was walked for one is not walked again for the next.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>

#define SLOTS_MIN 1024u

int
sums_init(struct check_sums *sums)
{
	sums->slots = SLOTS_MIN;
	sums->slot = calloc(sums->slots, sizeof(sums->slot[0]));
	return sums->slot == NULL ? -ENOMEM : 0;
}

void
sums_free(struct check_sums *sums)
{
	free(sums->slot);
}

/* The one with that address, or the free one where it belongs. */
static struct check_sum_slot *
slot_find(const struct check_sums *sums, uint64_t address)
{
	uint64_t at = address * 0x9e3779b97f4a7c15ull >> 20;

	for (;; at++) {
		struct check_sum_slot *slot =
		    &sums->slot[at & (sums->slots - 1)];
		if (slot->address == address || slot->address == 0)
			return slot;
	}
}

static bool
sums_grow(struct check_sums *sums)
{
	struct check_sums grown = {.slots = 2 * sums->slots};

	grown.slot = calloc(grown.slots, sizeof(grown.slot[0]));
	if (grown.slot == NULL)
		return false;
	for (uint64_t i = 0; i < sums->slots; i++)
		if (sums->slot[i].address != 0)
			*slot_find(&grown, sums->slot[i].address) =
			    sums->slot[i];
	grown.used = sums->used;
	free(sums->slot);
	*sums = grown;
	return true;
}

bool
sums_put(struct check_sums *sums, uint64_t address, struct check_sum sum)
{
	struct check_sum_slot *slot;

	assert(address != 0);
	assert(sum.known);
	if (sums->used * 4 >= sums->slots * 3 && !sums_grow(sums))
		return false;
	slot = slot_find(sums, address);
	sums->used += slot->address == 0;
	*slot = (struct check_sum_slot){address, sum.live, sum.held};
	return true;
}

struct check_sum
sums_get(const struct check_sums *sums, uint64_t address)
{
	const struct check_sum_slot *slot = slot_find(sums, address);

	assert(address != 0);
	return (struct check_sum){
	    slot->address == address, slot->live, slot->held};
}

void
sum_add(struct check_sum *sum, struct check_sum more)
{
	sum->known &= more.known;
	sum->live += more.live;
	sum->held += more.held;
}
