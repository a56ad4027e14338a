/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host that writes in order: number n to one volume, after its end n + 1 to
 * the other, and so on, always the same place.  Snapshots of both at one
 * instant hold two neighbours, the last two of some prefix.  The oracle knows
 * more, but this can be seen without it.
 */
#include "tests/sim/sim.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_OFFSET (4 * MiB)
#define PAIRS_MAX    64u

struct pair {
	struct sim_volume *snapshot[2];
};

struct number {
	uint64_t stamp, submitted;
};

struct order {
	struct number *numbers;
	uint64_t count, room;
	uint64_t since; /* the first number since the restart */
	uint64_t length;
	const struct slot *slot;
	struct pair pair[PAIRS_MAX];
	unsigned pairs, checked;
};

static struct order *
order_of(struct world *world)
{
	static const uint64_t lengths[] = {512, 4096, 4096, 65536};

	if (world->order != NULL)
		return world->order;
	world->order = calloc(1, sizeof(*world->order));
	assert(world->order != NULL);
	world->order->length = lengths[below(world, ARRAY_SIZE(lengths))];
	return world->order;
}

/* Volumes that are there from the start. */
static struct sim_volume *
order_volume(struct world *world, unsigned which)
{
	struct sim_volume *v = &world->volume[VOLUMES_MAX - 1 - which];

	return v->state == PRESENT && !v->quiet ? v : NULL;
}

static bool
is_in_flight(const struct order *order)
{
	return order->slot != NULL && order->slot->volume != NULL &&
	       order->slot->submitted ==
		   order->numbers[order->count - 1].submitted;
}

/* ---- writing ---- */

static void
order_number(struct order *order, uint64_t stamp, uint64_t submitted)
{
	if (order->count == order->room) {
		order->room = 2 * order->room + 64;
		order->numbers = realloc(
		    order->numbers, order->room * sizeof(order->numbers[0]));
		assert(order->numbers != NULL);
	}
	order->numbers[order->count++] = (struct number){stamp, submitted};
}

static void
order_write(struct world *world, struct sim_volume *volume)
{
	struct order *order = world->order;
	uint64_t length = order->length;

	if (length < volume->block_size)
		length = volume->block_size;
	volume_bring_up(world, volume);
	order->slot = work_submit(world, volume, BS_WRITE, ORDER_OFFSET, length,
	    chance(world, 50), false);
	order_number(order, world->stamp, order->slot->submitted);
}

void
order_restarted(struct world *world)
{
	struct order *order;

	if (!world->scenario->ordered)
		return;
	order = order_of(world);
	if ((order->count & 1) != 0) /* the first volume begins */
		order_number(order, 0, NEVER);
	order->since = order->count;
	order->slot = NULL;
}

/* ---- looking ---- */

/* The two have just been cut at one instant. */
void
order_cut(struct world *world, struct sim_volume *snapshot)
{
	struct order *order = order_of(world);
	struct pair *pair = &order->pair[order->pairs % PAIRS_MAX];
	uint64_t age = snapshot->age;

	/* both have been written to since the restart, for certain */
	if (order->count < order->since + 3 ||
	    order->numbers[order->since + 2].submitted >=
		world->control_started)
		return;
	*pair = (struct pair){{NULL, NULL}};
	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		for (unsigned i = 0; i < 2; i++)
			if (s->state == PRESENT && s->age == age &&
			    s->of == &world->volume[VOLUMES_MAX - 1 - i])
				pair->snapshot[i] = s;
	if (pair->snapshot[0] != NULL && pair->snapshot[1] != NULL)
		order->pairs++;
}

static bool
number_of(struct world *world, struct sim_volume *snapshot, uint64_t *ret)
{
	static _Alignas(4096) uint8_t block[4096];
	struct order *order = world->order;
	uint64_t stamp, n = order->count;

	if (!work_read_checked(world, snapshot, ORDER_OFFSET, 4096, block))
		return false;
	stamp = oracle_stamp(block);
	while (n > 0 && order->numbers[n - 1].stamp != stamp)
		n--;
	if (n == 0)
		sim_fail(world, "snapshot %s holds none of the ordered writes",
		    snapshot->name);
	*ret = n - 1;
	return true;
}

static bool
pair_check(struct world *world, const struct pair *pair)
{
	uint64_t a, b;

	if (pair->snapshot[0]->state != PRESENT ||
	    pair->snapshot[1]->state != PRESENT)
		return true;
	if (!number_of(world, pair->snapshot[0], &a) ||
	    !number_of(world, pair->snapshot[1], &b))
		return false;
	if (a != b + 1 && b != a + 1)
		sim_fail(world,
		    "group snapshot %s: write %" PRIu64
		    " of one volume, %" PRIu64 " of the other",
		    pair->snapshot[0]->name, a, b);
	world->tally->pairs++;
	return true;
}

/* All that are left, after a restart. */
bool
order_verify(struct world *world)
{
	struct order *order = world->order;
	unsigned first;

	if (order == NULL)
		return true;
	first = order->pairs > PAIRS_MAX ? order->pairs - PAIRS_MAX : 0;
	for (unsigned i = first; i < order->pairs; i++)
		if (!pair_check(world, &order->pair[i % PAIRS_MAX]))
			return false;
	order->checked = order->pairs;
	return true;
}

void
order_step(struct world *world)
{
	struct order *order = order_of(world);

	while (order->checked < order->pairs)
		if (!pair_check(
			world, &order->pair[order->checked++ % PAIRS_MAX]))
			return;
	if (is_in_flight(order) || world->reopen_wanted)
		return;
	struct sim_volume *next = order_volume(world, order->count & 1);
	if (next != NULL && world->in_flight < SLOTS_MAX)
		order_write(world, next);
}
