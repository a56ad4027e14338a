/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/backstores/support/contract.h"
#include "base/simloop.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024ull
#define MIB (1024 * KIB)

static const struct contract_store *current_store;

static int
setup(void **state)
{
	static struct contract c;

	memset(&c, 0, sizeof(c));
	if (current_store->simulated)
		drive_open_sim(&c.drive, 42);
	else
		drive_open_real(&c.drive);
	*state = &c;
	if (current_store->make(&c) == 0) {
		assert(c.bs->size >= 8 * MIB);
		return 0;
	}
	c.bs = NULL;
	return 0;
}

static int
teardown(void **state)
{
	struct contract *c = *state;

	if (c->bs != NULL) {
		drive_close_store(&c->drive, c->bs);
		if (current_store->unmake != NULL)
			current_store->unmake(c);
	}
	drive_close(&c->drive);
	return 0;
}

/* The store under test, or the test ends here. */
static struct contract *
begin(void **state)
{
	struct contract *c = *state;

	if (c->bs == NULL)
		skip();
	return c;
}

/* ---- shorter ---- */

static void
put(struct contract *c, uint64_t offset, uint64_t length, uint64_t number)
{
	void *buf = drive_memory(length);

	pattern_fill(buf, length, offset, number);
	assert_int_equal(
	    drive_write(&c->drive, c->bs, offset, buf, length, false), 0);
	free(buf);
}

static void
expect_pattern(
    struct contract *c, uint64_t offset, uint64_t length, uint64_t number)
{
	void *buf = drive_memory(length);

	assert_int_equal(drive_read(&c->drive, c->bs, offset, buf, length), 0);
	assert_true(pattern_is(buf, length, offset, number));
	free(buf);
}

static void
expect_zeros(struct contract *c, uint64_t offset, uint64_t length)
{
	void *buf = drive_memory(length);

	assert_int_equal(drive_read(&c->drive, c->bs, offset, buf, length), 0);
	assert_true(all_zeros(buf, length));
	free(buf);
}

/* ---- tests ---- */

static void
test_says_what_it_is(void **state)
{
	const struct backstore *bs = begin(state)->bs;

	assert_non_null(bs->ops->name);
	assert_true(bs->name[0] != '\0');
	assert_true(bs->block_size >= 512 && bs->block_size <= 4096);
	assert_int_equal(bs->block_size & (bs->block_size - 1), 0);
	assert_int_equal(bs->physical_block_size % bs->block_size, 0);
	assert_int_equal(bs->size % bs->block_size, 0);
	assert_true(bs->mem_align >= 1 && bs->mem_align <= 4096);
	assert_int_equal(bs->mem_align & (bs->mem_align - 1), 0);
	assert_true(bs->max_io >= MIB);
	assert_int_equal(bs->in_flight, 0);
}

static void
test_a_new_store_reads_zeros(void **state)
{
	struct contract *c = begin(state);

	if (current_store->dirty_at_birth)
		return;
	expect_zeros(c, 0, 64 * KIB);
	expect_zeros(c, c->bs->size - 64 * KIB, 64 * KIB);
}

static void
test_reads_what_was_written(void **state)
{
	struct contract *c = begin(state);
	uint64_t block = c->bs->block_size;

	put(c, 0, block, 1);
	put(c, c->bs->size - block, block, 2);
	put(c, MIB - block, 2 * block, 3);
	expect_pattern(c, 0, block, 1);
	expect_pattern(c, c->bs->size - block, block, 2);
	expect_pattern(c, MIB - block, 2 * block, 3);
	put(c, MIB, block, 4); /* over a half of it */
	expect_pattern(c, MIB - block, block, 3);
	expect_pattern(c, MIB, block, 4);
}

static void
test_takes_its_largest_io(void **state)
{
	struct contract *c = begin(state);
	uint64_t length = c->bs->max_io;

	if (length > c->bs->size)
		length = c->bs->size;
	put(c, c->bs->size - length, length, 5);
	expect_pattern(c, c->bs->size - length, length, 5);
}

static void
scattered(struct contract *c, enum bs_op op, uint8_t *buf, uint64_t offset)
{
	/* elements of 4 KiB, in memory from the last to the first */
	struct iovec iov[BS_IOV_MAX];
	struct bs_io io;

	bs_io_init(&io);
	io.op = op;
	io.offset = offset;
	io.length = BS_IOV_MAX * 4 * KIB;
	io.iov = iov;
	io.iov_count = BS_IOV_MAX;
	for (unsigned i = 0; i < BS_IOV_MAX; i++)
		iov[i] = (struct iovec){
		    buf + (BS_IOV_MAX - 1 - i) * 4 * KIB, 4 * KIB};
	assert_int_equal(drive_io(&c->drive, c->bs, &io), 0);
}

static void
test_scatters_and_gathers(void **state)
{
	struct contract *c = begin(state);
	uint64_t length = BS_IOV_MAX * 4 * KIB;
	uint8_t *out = drive_memory(length), *in = drive_memory(length);

	pattern_fill(out, length, 0, 6);
	scattered(c, BS_WRITE, out, 64 * KIB);
	scattered(c, BS_READ, in, 64 * KIB);
	assert_memory_equal(in, out, length);
	/* the first on the store is the last in memory */
	assert_int_equal(
	    drive_read(&c->drive, c->bs, 64 * KIB, in, 4 * KIB), 0);
	assert_memory_equal(in, out + length - 4 * KIB, 4 * KIB);
	free(out);
	free(in);
}

static void
zero_once(struct contract *c, bool may_unmap, bool fua)
{
	uint64_t block = c->bs->block_size;

	put(c, MIB, MIB, 7);
	assert_int_equal(drive_zero(&c->drive, c->bs, MIB + block,
			     MIB - 2 * block, may_unmap, fua),
	    0);
	expect_pattern(c, MIB, block, 7);
	expect_zeros(c, MIB + block, MIB - 2 * block);
	expect_pattern(c, 2 * MIB - block, block, 7);
}

static void
test_zero_reads_as_zeros_and_nothing_else_does(void **state)
{
	struct contract *c = begin(state);

	zero_once(c, false, false);
	zero_once(c, false, true);
	zero_once(c, true, false);
	zero_once(c, true, true);
}

static void
test_zero_of_everything(void **state)
{
	struct contract *c = begin(state);

	put(c, 0, 64 * KIB, 8);
	put(c, c->bs->size - 64 * KIB, 64 * KIB, 8);
	assert_int_equal(
	    drive_zero(&c->drive, c->bs, 0, c->bs->size, true, false), 0);
	expect_zeros(c, 0, 64 * KIB);
	expect_zeros(c, c->bs->size - 64 * KIB, 64 * KIB);
}

static void
test_discard_leaves_the_neighbours(void **state)
{
	struct contract *c = begin(state);

	put(c, 0, 256 * KIB, 9);
	assert_int_equal(
	    drive_discard(&c->drive, c->bs, 64 * KIB, 128 * KIB), 0);
	expect_pattern(c, 0, 64 * KIB, 9);
	expect_pattern(c, 192 * KIB, 64 * KIB, 9);
	put(c, 64 * KIB, 128 * KIB, 10);
	expect_pattern(c, 64 * KIB, 128 * KIB, 10);
}

static void
test_flush_and_fua_succeed(void **state)
{
	struct contract *c = begin(state);
	void *buf = drive_memory(64 * KIB);

	assert_int_equal(drive_flush(&c->drive, c->bs), 0);
	put(c, 0, 64 * KIB, 11);
	assert_int_equal(drive_flush(&c->drive, c->bs), 0);
	assert_int_equal(drive_flush(&c->drive, c->bs), 0);
	pattern_fill(buf, 64 * KIB, 128 * KIB, 12);
	assert_int_equal(
	    drive_write(&c->drive, c->bs, 128 * KIB, buf, 64 * KIB, true), 0);
	expect_pattern(c, 0, 64 * KIB, 11);
	expect_pattern(c, 128 * KIB, 64 * KIB, 12);
	assert_false(c->bs->suspect);
	free(buf);
}

/* ---- many in flight ---- */

#define MANY 64

struct many {
	struct bs_io io[MANY];
	struct iovec iov[MANY];
	uint8_t *buf;
};

static void
many_submit(struct contract *c, struct many *many, enum bs_op op)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct bs_io *io = &many->io[i];
		bs_io_init(io);
		io->op = i % 8 == 7 ? BS_FLUSH : op;
		if (io->op == BS_FLUSH)
			continue;
		many->iov[i] = (struct iovec){many->buf + i * 4 * KIB, 4 * KIB};
		io->offset = (MANY - 1 - i) * 12 * KIB;
		io->length = 4 * KIB;
		io->iov = &many->iov[i];
		io->iov_count = 1;
		io->fua = op == BS_WRITE && i % 4 == 1;
	}
	drive_ios(&c->drive, c->bs, many->io, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(many->io[i].result, 0);
	assert_int_equal(c->bs->in_flight, 0);
}

static void
test_many_in_flight(void **state)
{
	struct contract *c = begin(state);
	static struct many many;
	uint64_t reads = c->bs->ops_done[BS_READ];

	many.buf = drive_memory(MANY * 4 * KIB);
	pattern_fill(many.buf, MANY * 4 * KIB, 0, 13);
	many_submit(c, &many, BS_WRITE);
	memset(many.buf, 0, MANY * 4 * KIB);
	many_submit(c, &many, BS_READ);
	for (unsigned i = 0; i < MANY; i++)
		if (i % 8 != 7)
			assert_true(pattern_is(
			    many.buf + i * 4 * KIB, 4 * KIB, i * 4 * KIB, 13));
	assert_int_equal(c->bs->ops_done[BS_READ] - reads, MANY - MANY / 8);
	assert_int_equal(c->bs->errors, 0);
	free(many.buf);
}

/* ---- extents ---- */

#define EXTENTS_MAX 256

static unsigned
extents_of(struct contract *c, uint64_t offset, uint64_t length,
    struct bs_extent *extents, unsigned max)
{
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_EXTENTS;
	io.offset = offset;
	io.length = length;
	io.extents = extents;
	io.extent_max = max;
	assert_int_equal(drive_io(&c->drive, c->bs, &io), 0);
	return io.extent_count;
}

/* Is the whole range of that kind?  Asked one extent at a time. */
static bool
range_is(struct contract *c, uint64_t offset, uint64_t length,
    enum bs_extent_kind kind)
{
	uint64_t end = offset + length;
	struct bs_extent extent;

	while (offset < end) {
		extents_of(c, offset, end - offset, &extent, 1);
		if (extent.kind != kind)
			return false;
		offset += extent.length;
	}
	return true;
}

static void
test_extents_tell_data_from_holes(void **state)
{
	struct contract *c = begin(state);

	put(c, 2 * MIB, MIB, 14);
	assert_true(range_is(c, 2 * MIB, MIB, BS_EXTENT_DATA));
	if (!c->bs->thin)
		return; /* does not promise to tell */
	assert_int_equal(
	    drive_zero(&c->drive, c->bs, 0, c->bs->size, true, false), 0);
	assert_true(range_is(c, 0, c->bs->size, BS_EXTENT_HOLE));
	put(c, 2 * MIB, MIB, 15);
	put(c, 5 * MIB, MIB, 15);
	assert_true(range_is(c, 0, 2 * MIB, BS_EXTENT_HOLE));
	assert_true(range_is(c, 2 * MIB, MIB, BS_EXTENT_DATA));
	assert_true(range_is(c, 3 * MIB, 2 * MIB, BS_EXTENT_HOLE));
	assert_true(range_is(c, 5 * MIB, MIB, BS_EXTENT_DATA));
	expect_zeros(c, 3 * MIB, MIB);
}

static void
test_extents_may_be_asked_for_from_anywhere(void **state)
{
	struct contract *c = begin(state);
	static struct bs_extent extents[EXTENTS_MAX];
	uint64_t block = c->bs->block_size, covered = 0;
	unsigned count;

	put(c, MIB + 3 * block, block, 16);
	count = extents_of(c, MIB + block, 5 * block, extents, EXTENTS_MAX);
	for (unsigned i = 0; i < count; i++)
		covered += extents[i].length;
	assert_int_equal(covered, 5 * block);
	assert_true(range_is(c, MIB + 3 * block, block, BS_EXTENT_DATA));
}

/* ---- resize, reserve ---- */

static void
test_grows_by_zeros_and_shrinks(void **state)
{
	struct contract *c = begin(state);
	uint64_t size = c->bs->size;
	int error;

	put(c, size - 64 * KIB, 64 * KIB, 17);
	error = drive_resize(&c->drive, c->bs, size + 4 * MIB);
	if (error == -EOPNOTSUPP || error == -ENOSPC) {
		assert_int_equal(c->bs->size, size);
		return; /* of one size */
	}
	assert_int_equal(error, 0);
	assert_int_equal(c->bs->size, size + 4 * MIB);
	expect_pattern(c, size - 64 * KIB, 64 * KIB, 17);
	expect_zeros(c, size, MIB);
	put(c, size + 4 * MIB - 64 * KIB, 64 * KIB, 18);
	expect_pattern(c, size + 4 * MIB - 64 * KIB, 64 * KIB, 18);

	assert_int_equal(drive_resize(&c->drive, c->bs, size), 0);
	assert_int_equal(drive_resize(&c->drive, c->bs, size + 4 * MIB), 0);
	expect_pattern(c, size - 64 * KIB, 64 * KIB, 17);
	/* what was cut off does not come back */
	expect_zeros(c, size + 4 * MIB - 64 * KIB, 64 * KIB);
}

static void
test_reserve_keeps_what_is_there(void **state)
{
	struct contract *c = begin(state);
	uint64_t block = c->bs->block_size;

	assert_int_equal(
	    drive_zero(&c->drive, c->bs, 0, 4 * MIB, true, false), 0);
	put(c, MIB + block, block, 19);
	put(c, 2 * MIB - block, 2 * block, 20);
	assert_int_equal(drive_reserve(&c->drive, c->bs, MIB, 2 * MIB), 0);
	expect_zeros(c, MIB, block);
	expect_pattern(c, MIB + block, block, 19);
	expect_zeros(c, MIB + 2 * block, MIB - 3 * block);
	expect_pattern(c, 2 * MIB - block, 2 * block, 20);
	expect_zeros(c, 2 * MIB + block, MIB - block);
	/* and can be written as before */
	put(c, MIB + 128 * KIB, 64 * KIB, 21);
	expect_pattern(c, MIB + 128 * KIB, 64 * KIB, 21);
	assert_int_equal(drive_flush(&c->drive, c->bs), 0);
}

/* ---- against a model ---- */

#define MODEL_BYTES (4 * MIB)
#define MODEL_STEPS 600

struct model {
	struct contract *c;
	uint8_t *expected, *buf;
	uint64_t random;
	uint64_t offset, length;
};

static void
model_draw_range(struct model *m)
{
	uint64_t block = m->c->bs->block_size;
	uint64_t blocks = MODEL_BYTES / block;
	uint64_t most = 128 * KIB / block;

	m->length = (1 + sim_below(&m->random, most)) * block;
	m->offset =
	    sim_below(&m->random, blocks - m->length / block + 1) * block;
}

static void
model_write(struct model *m)
{
	struct contract *c = m->c;

	pattern_fill(m->buf, m->length, m->offset, sim_random(&m->random));
	memcpy(m->expected + m->offset, m->buf, m->length);
	assert_int_equal(drive_write(&c->drive, c->bs, m->offset, m->buf,
			     m->length, sim_below(&m->random, 8) == 0),
	    0);
}

static void
model_zero(struct model *m)
{
	struct contract *c = m->c;

	memset(m->expected + m->offset, 0, m->length);
	assert_int_equal(
	    drive_zero(&c->drive, c->bs, m->offset, m->length,
		sim_below(&m->random, 2) == 0, sim_below(&m->random, 8) == 0),
	    0);
}

static void
model_read(struct model *m)
{
	struct contract *c = m->c;

	assert_int_equal(
	    drive_read(&c->drive, c->bs, m->offset, m->buf, m->length), 0);
	assert_memory_equal(m->buf, m->expected + m->offset, m->length);
}

/* A hole reads as zeros. */
static void
model_extents(struct model *m)
{
	static struct bs_extent extents[EXTENTS_MAX];
	unsigned count =
	    extents_of(m->c, m->offset, m->length, extents, EXTENTS_MAX);

	for (unsigned i = 0; i < count; i++)
		if (extents[i].kind == BS_EXTENT_HOLE)
			assert_true(all_zeros(m->expected + extents[i].offset,
			    extents[i].length));
}

static void
model_flush(struct model *m)
{
	assert_int_equal(drive_flush(&m->c->drive, m->c->bs), 0);
}

static void
model_reserve(struct model *m)
{
	struct contract *c = m->c;

	assert_int_equal(
	    drive_reserve(&c->drive, c->bs, m->offset, m->length), 0);
}

static void (*const model_steps[])(struct model *) = {model_write, model_write,
    model_write, model_write, model_write, model_write, model_read, model_read,
    model_read, model_read, model_zero, model_zero, model_extents, model_flush,
    model_reserve};

static void
test_random_operations_match_a_model(void **state)
{
	struct model m = {.c = begin(state), .random = 20260101};

	m.expected = calloc(1, MODEL_BYTES);
	m.buf = drive_memory(MODEL_BYTES);
	assert_non_null(m.expected);
	assert_int_equal(
	    drive_zero(&m.c->drive, m.c->bs, 0, MODEL_BYTES, true, false), 0);
	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		model_draw_range(&m);
		model_steps[sim_below(&m.random, ARRAY_SIZE(model_steps))](&m);
	}
	for (uint64_t at = 0; at < MODEL_BYTES; at += MIB)
		assert_int_equal(
		    drive_read(&m.c->drive, m.c->bs, at, m.buf + at, MIB), 0);
	assert_memory_equal(m.buf, m.expected, MODEL_BYTES);
	free(m.expected);
	free(m.buf);
}

int
contract_run(const struct contract_store *store)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_says_what_it_is),
	    T(test_a_new_store_reads_zeros),
	    T(test_reads_what_was_written),
	    T(test_takes_its_largest_io),
	    T(test_scatters_and_gathers),
	    T(test_zero_reads_as_zeros_and_nothing_else_does),
	    T(test_zero_of_everything),
	    T(test_discard_leaves_the_neighbours),
	    T(test_flush_and_fua_succeed),
	    T(test_many_in_flight),
	    T(test_extents_tell_data_from_holes),
	    T(test_extents_may_be_asked_for_from_anywhere),
	    T(test_grows_by_zeros_and_shrinks),
	    T(test_reserve_keeps_what_is_there),
	    T(test_random_operations_match_a_model),
	};
#undef T

	current_store = store;
	return cmocka_run_group_tests_name(store->name, tests, NULL, NULL);
}
