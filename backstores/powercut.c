/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's disk.
 *
 * There are two images of it: `newest`, what a READ returns, and `platter`,
 * what is durable.  A mutation takes effect when it completes, after a random
 * latency, so operations in flight together take effect in any order.  If it
 * is durable then (FUA, or no volatile cache), it goes to both images;
 * otherwise to `newest`, and each sector it wrote is kept as a version:
 *
 *     slots[sector] -> version (newest) -> version -> ... -> platter
 *
 * A FLUSH remembers the sequence number of its submission; when it completes,
 * each sector's newest version up to that number becomes the platter's.
 *
 * At a cut, what is in flight is added as versions, then for each version it is
 * drawn whether it ever reached the platter, and the newest that did is what
 * the sector holds.  Three writes of four are kept or lost whole and the fourth
 * is torn sector by sector: if all were torn, hardly any block of eight sectors
 * would survive, and what a program does with old blocks that are whole would
 * never be tried.
 *
 * Costs: a cut or a flush is proportional to the unflushed sectors, never to
 * the size of the disk, and the images are sparse.
 */
#include "backstores/sparse.h"
#include "backstores/testing.h"
#include "base/simloop.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR  512u
#define MAX_IO  (1u << 20)
#define GARBAGE 0xd5 /* what a discarded sector may read as */

/* slots[]: no versions; on the dirty list or not */
#define SLOT_CLEAN  0u
#define SLOT_LISTED UINT32_MAX

struct version {
	uint32_t older; /* 1 + index, or 0 */
	uint64_t sequence;
	uint64_t salt; /* one for all sectors of a write */
	uint8_t data[SECTOR];
};

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

	uint8_t *newest, *platter;
	uint32_t *slots; /* per sector: 1 + index of the newest version */

	uint64_t *dirty; /* sectors that may have versions, in any order */
	uint64_t dirty_count, dirty_max;

	struct version *versions;
	uint32_t version_count, version_max;
	uint32_t version_free; /* 1 + index, linked by older */
	uint64_t sequence;     /* of mutations that took effect */

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
	assert(pc->newest != NULL);
	return pc;
}

static void *
grow(void *array, uint64_t count, size_t element)
{
	array = realloc(array, count * element);
	assert(array != NULL);
	return array;
}

/* ---- versions ---- */

static uint32_t
version_take(struct powercut *pc)
{
	uint32_t index;

	if (pc->version_free != 0) {
		index = pc->version_free;
		pc->version_free = pc->versions[index - 1].older;
		return index;
	}
	if (pc->version_count == pc->version_max) {
		pc->version_max = pc->version_max ? 2 * pc->version_max : 256;
		pc->versions =
		    grow(pc->versions, pc->version_max, sizeof(struct version));
	}
	return ++pc->version_count;
}

/* Frees index and all older ones. */
static void
versions_drop(struct powercut *pc, uint32_t index)
{
	while (index != 0) {
		struct version *version = &pc->versions[index - 1];
		uint32_t older = version->older;
		version->older = pc->version_free;
		pc->version_free = index;
		index = older;
	}
}

static uint32_t
slot_newest(const struct powercut *pc, uint64_t sector)
{
	uint32_t slot = pc->slots[sector];

	return slot == SLOT_LISTED ? 0 : slot;
}

static void
dirty_add(struct powercut *pc, uint64_t sector)
{
	if (pc->dirty_count == pc->dirty_max) {
		pc->dirty_max = pc->dirty_max ? 2 * pc->dirty_max : 256;
		pc->dirty = grow(pc->dirty, pc->dirty_max, sizeof(uint64_t));
	}
	pc->dirty[pc->dirty_count++] = sector;
}

/* Remembers what newest holds now as a version of the sector. */
static void
version_add(struct powercut *pc, uint64_t sector, uint64_t salt)
{
	uint32_t index = version_take(pc);
	struct version *version = &pc->versions[index - 1];

	if (pc->slots[sector] == SLOT_CLEAN)
		dirty_add(pc, sector);
	version->older = slot_newest(pc, sector);
	version->sequence = pc->sequence;
	version->salt = salt;
	memcpy(version->data, pc->newest + sector * SECTOR, SECTOR);
	pc->slots[sector] = index;
}

/* What newest holds is durable: nothing older can come back. */
static void
sector_harden(struct powercut *pc, uint64_t sector)
{
	versions_drop(pc, slot_newest(pc, sector));
	if (pc->slots[sector] != SLOT_CLEAN)
		pc->slots[sector] = SLOT_LISTED;
	memcpy(pc->platter + sector * SECTOR, pc->newest + sector * SECTOR,
	    SECTOR);
}

/* The version at *from, if any, is durable, and older ones are gone. */
static void
version_harden(struct powercut *pc, uint64_t sector, uint32_t *from)
{
	uint32_t index = *from;

	if (index == 0)
		return;
	memcpy(pc->platter + sector * SECTOR, pc->versions[index - 1].data,
	    SECTOR);
	*from = 0;
	versions_drop(pc, index);
}

/* ---- effects ---- */

static void
discard_newest(struct powercut *pc, const struct bs_io *io)
{
	switch (sim_below(&pc->random, 3)) {
	case 0: break;
	case 1: memset(pc->newest + io->offset, 0, io->length); break;
	case 2: memset(pc->newest + io->offset, GARBAGE, io->length); break;
	}
}

static void
change_newest(struct powercut *pc, const struct bs_io *io)
{
	if (io->op == BS_WRITE)
		sparse_gather(pc->newest + io->offset, io->iov, io->iov_count);
	else if (io->op == BS_ZERO)
		memset(pc->newest + io->offset, 0, io->length);
	else
		discard_newest(pc, io);
}

/* A WRITE, ZERO or DISCARD takes effect. */
static void
mutate(struct powercut *pc, const struct bs_io *io, bool durable)
{
	uint64_t sector = io->offset / SECTOR;
	uint64_t end = (io->offset + io->length) / SECTOR;
	uint64_t salt = sim_random(&pc->random);

	pc->sequence++;
	change_newest(pc, io);
	for (; sector < end; sector++) {
		if (durable)
			sector_harden(pc, sector);
		else
			version_add(pc, sector, salt);
	}
}

static void
flush(struct powercut *pc, uint64_t sequence)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < pc->dirty_count; i++) {
		uint64_t sector = pc->dirty[i];
		uint32_t head = slot_newest(pc, sector), *at = &head;

		while (*at != 0 && pc->versions[*at - 1].sequence > sequence)
			at = &pc->versions[*at - 1].older;
		version_harden(pc, sector, at);
		pc->slots[sector] = head == 0 ? SLOT_CLEAN : head;
		if (head != 0)
			pc->dirty[kept++] = sector;
	}
	pc->dirty_count = kept;
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
		flush(pc, flight->flush_sequence);
	else if (io->op == BS_READ)
		sparse_scatter(pc->newest + io->offset, io->iov, io->iov_count);
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
	flight->flush_sequence = pc->sequence;
	list_add_tail(&pc->in_flight, &flight->link);
	loop_timer_arm(bs->loop, &flight->timer, draw_latency(pc));
	if (is_mutation(io) || io->op == BS_FLUSH)
		tick(pc);
}

/* ---- the cut ---- */

/* Any function that spreads its input over its output will do (the finalizer
 * of splitmix64, Steele et al. 2014). */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Did this version of the sector ever reach the platter? */
static bool
version_survives(const struct powercut *pc, const struct version *version,
    uint64_t sector, uint64_t cut_salt)
{
	uint64_t draw = mix(version->salt ^ cut_salt);

	if (draw % 4 == 0) /* torn */
		draw = mix(draw + sector);
	return (draw >> 8) % 100 < pc->params.keep_percent;
}

static void
cut_sector(struct powercut *pc, uint64_t sector, uint64_t cut_salt)
{
	uint32_t head = slot_newest(pc, sector), at = head;

	while (at != 0 &&
	       !version_survives(pc, &pc->versions[at - 1], sector, cut_salt))
		at = pc->versions[at - 1].older;
	if (at != 0)
		memcpy(pc->platter + sector * SECTOR, pc->versions[at - 1].data,
		    SECTOR);
	versions_drop(pc, head);
	pc->slots[sector] = SLOT_CLEAN;
	memcpy(pc->newest + sector * SECTOR, pc->platter + sector * SECTOR,
	    SECTOR);
}

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
	uint64_t cut_salt;

	assert(bs->loop != NULL);
	cut_in_flight(pc);
	cut_salt = sim_random(&pc->random);
	for (uint64_t i = 0; i < pc->dirty_count; i++)
		cut_sector(pc, pc->dirty[i], cut_salt);
	pc->dirty_count = 0;
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

/* Calls change() on every copy of the sector there is. */
static void
sector_change_all(struct powercut *pc, uint64_t sector,
    void (*change)(uint8_t *data, const void *arg), const void *arg)
{
	uint32_t at = slot_newest(pc, sector);

	change(pc->newest + sector * SECTOR, arg);
	change(pc->platter + sector * SECTOR, arg);
	for (; at != 0; at = pc->versions[at - 1].older)
		change(pc->versions[at - 1].data, arg);
}

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
	sector_change_all(
	    powercut_of(bs), bit_offset / (SECTOR * 8), flip, &bit);
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
	memcpy(buf, pc->newest + offset, length);
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
		sector_change_all(
		    powercut_of(bs), offset / SECTOR, poke_sector, &poke);
		poke.from += poke.length;
		offset += poke.length;
		length -= poke.length;
	}
}

/* ---- life ---- */

static uint64_t
slots_bytes(uint64_t size)
{
	return size / SECTOR * sizeof(uint32_t);
}

static void
powercut_free(struct powercut *pc)
{
	struct list *link;

	while ((link = list_pop(&pc->idle)) != NULL)
		free(list_entry(link, struct flight, link));
	sparse_unmap(pc->newest, pc->bs.size);
	sparse_unmap(pc->platter, pc->bs.size);
	sparse_unmap(pc->slots, slots_bytes(pc->bs.size));
	free(pc->versions);
	free(pc->dirty);
	free(pc);
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
	pc->random = mix(params->seed + 1);
	list_init(&pc->in_flight);
	list_init(&pc->idle);
	pc->newest = sparse_map(params->size);
	pc->platter = sparse_map(params->size);
	pc->slots = sparse_map(slots_bytes(params->size));
	if (pc->newest == NULL || pc->platter == NULL || pc->slots == NULL) {
		powercut_free(pc);
		return -ENOMEM;
	}
	*ret_bs = &pc->bs;
	return 0;
}
