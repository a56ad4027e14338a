/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's disk: an image with unflushed versions (cut_image.h), and
 * what is in flight.
 *
 * A change takes effect when it completes, after a random latency, so
 * operations in flight together take effect in any order.  What is in flight
 * at a cut is added to the unflushed: it may have got anywhere.
 */
#include "backstores/cut_image.h"
#include "backstores/sparse.h"
#include "backstores/testing.h"
#include "base/simloop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IO  (1u << 20)
#define GARBAGE 0xd5 /* what a discarded sector may read as */

/* An operation in flight. */
struct flight {
	struct loop_timer timer;
	struct powercut *powercut;
	struct bs_io *io;
	uint64_t flush_sequence;
	struct list link;
};

struct powercut {
	struct backstore bs; /* first */
	struct bs_powercut_params params;
	uint64_t random;
	struct cut_image image;

	struct list in_flight, idle; /* struct flight */
	uint64_t ticks, cut_at;
	void (*hook)(void *arg);
	void *hook_arg;
	bool dead; /* the moment of the cut has passed */
	bool drop_next_write;
};

static_assert(offsetof(struct powercut, bs) == 0, "a backstore first");

static inline struct powercut *
powercut_of(struct backstore *bs)
{
	struct powercut *pc = container_of(bs, struct powercut, bs);

	assert(bs->ops != NULL);
	assert(pc->image.newest != NULL);
	return pc;
}

/* ---- effects ---- */

static void
discard_newest(struct powercut *pc, const struct bs_io *io)
{
	switch (sim_below(&pc->random, 3)) {
	case 0: break;
	case 1: memset(pc->image.newest + io->offset, 0, io->length); break;
	case 2:
		memset(pc->image.newest + io->offset, GARBAGE, io->length);
		break;
	}
}

static void
change_newest(struct powercut *pc, const struct bs_io *io)
{
	if (io->op == BS_WRITE)
		sparse_gather(
		    pc->image.newest + io->offset, io->iov, io->iov_count);
	else if (io->op == BS_ZERO)
		memset(pc->image.newest + io->offset, 0, io->length);
	else
		discard_newest(pc, io);
}

/* A WRITE, ZERO or DISCARD takes effect. */
static void
mutate(struct powercut *pc, const struct bs_io *io, bool durable)
{
	change_newest(pc, io);
	cut_image_changed(&pc->image, io->offset, io->length,
	    sim_random(&pc->random), durable);
}

static void
one_extent(struct bs_io *io)
{
	io->extents[0] = (struct bs_extent){
	    .offset = io->offset, .length = io->length, .kind = BS_EXTENT_DATA};
	io->extent_count = 1;
}

static bool
is_mutation(const struct bs_io *io)
{
	return io->op == BS_WRITE || io->op == BS_ZERO || io->op == BS_DISCARD;
}

static void
take_effect(struct powercut *pc, struct flight *flight)
{
	struct bs_io *io = flight->io;

	if (io->op == BS_WRITE && pc->drop_next_write)
		pc->drop_next_write = false;
	else if (is_mutation(io))
		mutate(pc, io, io->fua || !pc->params.volatile_cache);
	else if (io->op == BS_FLUSH)
		cut_image_flush(&pc->image, flight->flush_sequence);
	else if (io->op == BS_READ)
		sparse_scatter(
		    pc->image.newest + io->offset, io->iov, io->iov_count);
	else
		one_extent(io);
}

/* ---- in flight ---- */

static void
flight_expire(struct loop_timer *timer)
{
	struct flight *flight = container_of(timer, struct flight, timer);
	struct powercut *pc = flight->powercut;
	struct bs_io *io = flight->io;

	if (pc->dead)
		return; /* still in flight when the cut comes */
	take_effect(pc, flight);
	list_del(&flight->link);
	list_add_head(&pc->idle, &flight->link);
	bs_complete(io, 0);
}

static struct flight *
flight_take(struct powercut *pc)
{
	struct flight *flight = list_first(&pc->idle, struct flight, link);

	if (flight != NULL) {
		list_del(&flight->link);
		return flight;
	}
	flight = calloc(1, sizeof(*flight));
	assert(flight != NULL);
	flight->timer.expire = flight_expire;
	flight->powercut = pc;
	list_init(&flight->link);
	return flight;
}

static uint64_t
draw_latency(struct powercut *pc)
{
	const struct bs_powercut_params *p = &pc->params;

	return p->latency_min_ns +
	       sim_below(
		   &pc->random, p->latency_max_ns - p->latency_min_ns + 1);
}

/* Counts; the operation that the cut was armed for is in flight by now. */
static void
tick(struct powercut *pc)
{
	pc->ticks++;
	if (pc->ticks != pc->cut_at)
		return;
	pc->cut_at = 0;
	pc->dead = true;
	pc->hook(pc->hook_arg);
}

static void
powercut_submit(struct backstore *bs, struct bs_io *io)
{
	struct powercut *pc = powercut_of(bs);
	struct flight *flight;

	if (pc->dead)
		return; /* came after the cut: never happened */
	flight = flight_take(pc);
	flight->io = io;
	flight->flush_sequence = pc->image.sequence;
	list_add_tail(&pc->in_flight, &flight->link);
	loop_timer_arm(bs->loop, &flight->timer, draw_latency(pc));
	if (is_mutation(io) || io->op == BS_FLUSH)
		tick(pc);
}

/* ---- the cut ---- */

/* Those in flight may have got anywhere, in either order. */
static void
cut_in_flight(struct powercut *pc)
{
	bool backwards = sim_below(&pc->random, 2) == 0;

	while (!list_empty(&pc->in_flight)) {
		struct list *link =
		    backwards ? pc->in_flight.prev : pc->in_flight.next;
		struct flight *flight = list_entry(link, struct flight, link);
		if (is_mutation(flight->io))
			mutate(pc, flight->io, false);
		loop_timer_disarm(pc->bs.loop, &flight->timer);
		list_del(link);
		list_add_head(&pc->idle, link);
	}
}

void
bs_powercut_cut(struct backstore *bs)
{
	struct powercut *pc = powercut_of(bs);

	assert(bs->loop != NULL);
	cut_in_flight(pc);
	cut_image_cut(
	    &pc->image, pc->params.keep_percent, sim_random(&pc->random));
	pc->dead = true;
	pc->cut_at = 0;
	pc->drop_next_write = false;
	bs->loop = NULL;
	bs->in_flight = 0;
	bs->suspect = false; /* a reboot forgets */
}

void
bs_powercut_attach(struct backstore *bs, struct loop *loop)
{
	struct powercut *pc = powercut_of(bs);

	assert(bs->loop == NULL);
	assert(list_empty(&pc->in_flight));
	bs->loop = loop;
	pc->dead = false;
}

void
bs_powercut_arm(
    struct backstore *bs, uint64_t n, void (*hook)(void *arg), void *arg)
{
	struct powercut *pc = powercut_of(bs);

	if (n > 0)
		assert(hook != NULL);
	pc->cut_at = n > 0 ? pc->ticks + n : 0;
	pc->hook = hook;
	pc->hook_arg = arg;
}

uint64_t
bs_powercut_ticks(const struct backstore *bs)
{
	return ((const struct powercut *)(const void *)bs)->ticks;
}

/* ---- faults ---- */

static void
flip(uint8_t *data, const void *arg)
{
	uint64_t bit = *(const uint64_t *)arg;

	data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

void
bs_powercut_flip_bit(struct backstore *bs, uint64_t bit_offset)
{
	uint64_t bit = bit_offset % (SECTOR * 8);

	assert(bit_offset / 8 < bs->size);
	cut_image_change_all(
	    &powercut_of(bs)->image, bit_offset / (SECTOR * 8), flip, &bit);
}

void
bs_powercut_drop_next_write(struct backstore *bs)
{
	powercut_of(bs)->drop_next_write = true;
}

void
bs_powercut_peek(
    struct backstore *bs, uint64_t offset, void *buf, uint64_t length)
{
	struct powercut *pc = powercut_of(bs);

	assert(length <= bs->size);
	assert(offset <= bs->size - length);
	memcpy(buf, pc->image.newest + offset, length);
}

struct poke {
	const uint8_t *from;
	uint64_t at, length; /* inside the sector */
};

static void
poke_sector(uint8_t *data, const void *arg)
{
	const struct poke *poke = arg;

	memcpy(data + poke->at, poke->from, poke->length);
}

void
bs_powercut_poke(
    struct backstore *bs, uint64_t offset, const void *buf, uint64_t length)
{
	struct poke poke = {.from = buf};

	assert(length <= bs->size);
	assert(offset <= bs->size - length);
	while (length > 0) {
		poke.at = offset % SECTOR;
		poke.length =
		    SECTOR - poke.at < length ? SECTOR - poke.at : length;
		cut_image_change_all(&powercut_of(bs)->image, offset / SECTOR,
		    poke_sector, &poke);
		poke.from += poke.length;
		offset += poke.length;
		length -= poke.length;
	}
}

/* ---- life ---- */

static void
powercut_free(struct powercut *pc)
{
	struct list *link;

	while ((link = list_pop(&pc->idle)) != NULL)
		free(list_entry(link, struct flight, link));
	cut_image_done(&pc->image);
	free(pc);
}

static void
powercut_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	struct powercut *pc = powercut_of(bs);

	cut_image_resize(&pc->image, size);
	bs->size = size;
	done(arg, 0);
}

static void
powercut_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct powercut *pc = powercut_of(bs);

	assert(list_empty(&pc->in_flight));
	powercut_free(pc);
	done(arg);
}

static const struct backstore_ops powercut_ops = {
    .name = "powercut",
    .submit = powercut_submit,
    .resize = powercut_resize,
    .close = powercut_close,
};

static bool
params_valid(const struct bs_powercut_params *params)
{
	return (params->block_size == 512 || params->block_size == 4096) &&
	       params->size > 0 && params->size % params->block_size == 0 &&
	       params->latency_max_ns >= params->latency_min_ns &&
	       params->keep_percent <= 100;
}

int
bs_powercut_new(struct loop *loop, const struct bs_powercut_params *params,
    struct backstore **ret_bs)
{
	struct powercut *pc;

	if (!params_valid(params))
		return -EINVAL;
	pc = calloc(1, sizeof(*pc));
	if (pc == NULL)
		return -ENOMEM;
	pc->bs = (struct backstore){
	    .ops = &powercut_ops,
	    .loop = loop,
	    .name = "powercut",
	    .size = params->size,
	    .block_size = params->block_size,
	    .physical_block_size = params->block_size,
	    .mem_align = 1,
	    .max_io = MAX_IO,
	    .volatile_cache = params->volatile_cache,
	};
	pc->params = *params;
	pc->random = cut_image_mix(params->seed + 1);
	list_init(&pc->in_flight);
	list_init(&pc->idle);
	if (cut_image_init(&pc->image, params->size) < 0) {
		free(pc);
		return -ENOMEM;
	}
	*ret_bs = &pc->bs;
	return 0;
}
