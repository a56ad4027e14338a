/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/scsi/compare_memory.h"
#include "base/loop.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

#define MAGIC 0x56435752004d0001ull /* and the version of the layout */
/* Longer than an initiator sends a command again (Linux: three minutes). */
#define RECALL_NS (600 * NSEC_PER_SEC)

enum { FREE, BEGUN, INTERRUPTED };

struct compare_slot {
	struct compare_key key;
	uint32_t state;
	uint64_t since_ns; /* interrupted */
};

struct compare_memory {
	uint64_t magic;
	uint8_t boot_id[16];
	struct compare_slot slots[];
};

#define SLOTS                                                                  \
	((COMPARE_MEMORY_BYTES - offsetof(struct compare_memory, slots)) /     \
	    sizeof(struct compare_slot))

static bool
can_come_again(const struct compare_slot *slot, uint64_t now_ns)
{
	return slot->state == INTERRUPTED &&
	       now_ns - slot->since_ns < RECALL_NS;
}

struct compare_memory *
compare_memory_open(void *memory, const uint8_t boot_id[16], uint64_t now_ns)
{
	struct compare_memory *m = memory;

	if (m->magic != MAGIC ||
	    memcmp(m->boot_id, boot_id, sizeof(m->boot_id)) != 0) {
		memset(memory, 0, COMPARE_MEMORY_BYTES);
		memcpy(m->boot_id, boot_id, sizeof(m->boot_id));
		m->magic = MAGIC;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		struct compare_slot *slot = &m->slots[i];
		if (slot->state == BEGUN)
			compare_memory_end(slot, false, now_ns);
		else if (!can_come_again(slot, now_ns))
			slot->state = FREE;
	}
	return m;
}

bool
compare_memory_is_idle(const void *memory)
{
	const struct compare_memory *m = memory;

	for (unsigned i = 0; i < SLOTS; i++)
		if (m->slots[i].state != FREE)
			return false;
	return true;
}

static bool
is_same(const struct compare_key *a, const struct compare_key *b)
{
	return memcmp(a->naa, b->naa, sizeof(a->naa)) == 0 &&
	       a->offset == b->offset && a->length == b->length &&
	       a->expected_sum == b->expected_sum &&
	       a->written_sum == b->written_sum;
}

/* The one that was interrupted is the one that begins now, or the oldest makes
 * room. */
static struct compare_slot *
slot_for(struct compare_memory *memory, const struct compare_key *key)
{
	struct compare_slot *best = NULL;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct compare_slot *slot = &memory->slots[i];
		if (slot->state == INTERRUPTED && is_same(&slot->key, key))
			return slot;
		if (slot->state == BEGUN || (best && best->state == FREE))
			continue;
		if (best == NULL || slot->state == FREE ||
		    slot->since_ns < best->since_ns)
			best = slot;
	}
	return best;
}

/* A kill between two stores finds them in this order. */
static void
state_set(struct compare_slot *slot, uint32_t state)
{
	__atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
}

struct compare_slot *
compare_memory_begin(
    struct compare_memory *memory, const struct compare_key *key)
{
	struct compare_slot *slot = slot_for(memory, key);

	if (slot == NULL)
		return NULL;
	state_set(slot, FREE);
	slot->key = *key;
	state_set(slot, BEGUN);
	return slot;
}

void
compare_memory_end(struct compare_slot *slot, bool answered, uint64_t now_ns)
{
	assert(slot->state == BEGUN);
	slot->since_ns = now_ns;
	state_set(slot, answered ? FREE : INTERRUPTED);
}

bool
compare_memory_recall(struct compare_memory *memory,
    const struct compare_key *key, uint64_t now_ns)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct compare_slot *slot = &memory->slots[i];
		if (slot->state != INTERRUPTED || !is_same(&slot->key, key))
			continue;
		bool recalled = can_come_again(slot, now_ns);
		state_set(slot, FREE);
		return recalled;
	}
	return false;
}
