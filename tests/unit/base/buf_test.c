/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The buddy allocator and its queue; registration is in loop_io_test.c. */
#include "base/buf.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/dies.h"
#include <stdlib.h>
#include <string.h>

#define MIB (1u << 20)

static struct buf_pool *pool;

static int
setup(void **state)
{
	(void)state;
	pool = buf_pool_new(4 * MIB);
	return pool == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_pool_free(pool);
	return 0;
}

static void
a_pool_is_rounded_up_to_whole_mebibytes(void **state)
{
	struct buf_pool *odd = buf_pool_new(MIB + 1);

	(void)state;
	assert_int_equal(buf_pool_arena(odd).iov_len, 2 * MIB);
	assert_int_equal(buf_pool_free_bytes(odd), 2 * MIB);
	buf_pool_free(odd);
}

static void
the_arena_begins_at_a_huge_page(void **state)
{
	(void)state;
	assert_int_equal(
	    (uintptr_t)buf_pool_arena(pool).iov_base % (2 * MIB), 0);
}

struct fit {
	size_t length;
	uint64_t taken;
};

static const struct fit fits[] = {
    {1, BUF_MIN},
    {BUF_MIN, BUF_MIN},
    {BUF_MIN + 1, 2 * BUF_MIN},
    {3 * BUF_MIN, 4 * BUF_MIN},
    {64 << 10, 64 << 10},
    {(64 << 10) + 1, 128 << 10},
    {BUF_MAX / 2 + 1, BUF_MAX},
    {BUF_MAX, BUF_MAX},
};

static void
a_buffer_takes_the_next_power_of_two_and_is_aligned_to_it(void **state)
{
	uint8_t *arena = buf_pool_arena(pool).iov_base;

	(void)state;
	for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
		uint8_t *buf = buf_get(pool, fits[i].length);
		assert_non_null(buf);
		assert_int_equal((size_t)(buf - arena) % fits[i].taken, 0);
		assert_int_equal(
		    buf_pool_free_bytes(pool), 4 * MIB - fits[i].taken);
		memset(buf, 0xa5, fits[i].length);
		buf_put(pool, buf);
	}
}

static void
all_of_the_pool_can_be_taken_and_not_a_byte_more(void **state)
{
	const size_t count = 4 * MIB / BUF_MIN;
	void *bufs[4 * MIB / BUF_MIN];

	(void)state;
	for (size_t i = 0; i < count; i++) {
		bufs[i] = buf_get(pool, BUF_MIN);
		assert_non_null(bufs[i]);
		memset(bufs[i], (int)i, BUF_MIN);
	}
	assert_int_equal(buf_pool_free_bytes(pool), 0);
	assert_null(buf_get(pool, 1));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(*(uint8_t *)bufs[i], i % 256);
		buf_put(pool, bufs[i]);
	}
	assert_int_equal(buf_pool_free_bytes(pool), 4 * MIB);
}

static void
what_came_back_is_joined_again(void **state)
{
	void *small[256], *large[4];

	(void)state;
	for (int i = 0; i < 3; i++)
		large[i] = buf_get(pool, BUF_MAX);
	for (int i = 0; i < 256; i++)
		small[i] = buf_get(pool, BUF_MIN);
	assert_null(buf_get(pool, 1));
	for (int i = 0; i < 256; i += 2)
		buf_put(pool, small[i]);
	assert_null(buf_get(pool, 2 * BUF_MIN)); /* 512 KiB, in crumbs */
	for (int i = 1; i < 256; i += 2)
		buf_put(pool, small[i]);
	large[3] = buf_get(pool, BUF_MAX);
	assert_non_null(large[3]);
	for (int i = 0; i < 4; i++)
		buf_put(pool, large[i]);
}

/* ---- a long random walk ---- */

#define HELD_MAX 600

struct held {
	uint8_t *buf;
	size_t length;
	uint8_t mark;
};

static struct held held[HELD_MAX];
static unsigned held_count;
static unsigned seed;

static void
walk_take(void)
{
	size_t limit = (size_t)BUF_MIN << (rand_r(&seed) % 9);
	size_t length = (size_t)rand_r(&seed) % limit + 1;
	struct held *h = &held[held_count];

	if (held_count == HELD_MAX)
		return;
	h->buf = buf_get(pool, length);
	if (h->buf == NULL) {
		assert_true(held_count > 0);
		return;
	}
	h->length = length;
	h->mark = (uint8_t)rand_r(&seed);
	memset(h->buf, h->mark, length);
	held_count++;
}

/* Nobody else wrote into it while it was ours. */
static void
walk_give(void)
{
	struct held *h;

	if (held_count == 0)
		return;
	h = &held[(unsigned)rand_r(&seed) % held_count];
	assert_int_equal(h->buf[0], h->mark);
	assert_int_equal(h->buf[h->length - 1], h->mark);
	assert_int_equal(h->buf[h->length / 2], h->mark);
	buf_put(pool, h->buf);
	*h = held[--held_count];
}

static void
any_order_of_takes_and_gives_ends_whole(void **state)
{
	void *large[4];

	(void)state;
	seed = 2;
	held_count = 0;
	for (int step = 0; step < 20000; step++) {
		if (rand_r(&seed) % 2 == 0)
			walk_take();
		else
			walk_give();
	}
	while (held_count > 0)
		walk_give();
	assert_int_equal(buf_pool_free_bytes(pool), 4 * MIB);
	for (int i = 0; i < 4; i++)
		assert_non_null(large[i] = buf_get(pool, BUF_MAX));
	for (int i = 0; i < 4; i++)
		buf_put(pool, large[i]);
}

/* ---- waiters ---- */

struct hungry {
	struct buf_waiter waiter;
	size_t length;
	void *buf;
	char name;
	struct hungry *gives; /* puts its buffer when served */
};

static char served[16];

static void
hungry_ready(struct buf_waiter *waiter)
{
	struct hungry *h = container_of(waiter, struct hungry, waiter);

	h->buf = buf_get(pool, h->length);
	if (h->buf == NULL) {
		buf_wait(pool, waiter);
		return;
	}
	strncat(served, &h->name, 1);
	if (h->gives != NULL)
		buf_put(pool, h->gives->buf);
}

static struct hungry
hungry(char name, size_t length)
{
	return (struct hungry){
	    .waiter = {.ready = hungry_ready}, .length = length, .name = name};
}

static void *large[4];

static void
take_all(void)
{
	served[0] = '\0';
	for (int i = 0; i < 4; i++)
		assert_non_null(large[i] = buf_get(pool, BUF_MAX));
}

static void
waiters_are_served_in_the_order_they_came(void **state)
{
	struct hungry a = hungry('a', BUF_MAX / 2),
		      b = hungry('b', BUF_MAX / 2),
		      c = hungry('c', BUF_MAX / 2);

	(void)state;
	take_all();
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	buf_wait(pool, &c.waiter);
	buf_put(pool, large[0]);
	assert_string_equal(served, "ab");
	buf_put(pool, large[1]);
	assert_string_equal(served, "abc");
	buf_put(pool, a.buf);
	buf_put(pool, b.buf);
	buf_put(pool, c.buf);
	buf_put(pool, large[2]);
	buf_put(pool, large[3]);
}

static void
who_is_not_served_keeps_his_place(void **state)
{
	struct hungry a = hungry('a', BUF_MAX), b = hungry('b', BUF_MAX);
	void *crumb;

	(void)state;
	take_all();
	buf_put(pool, large[0]);
	crumb = buf_get(pool, BUF_MIN); /* the free MiB is now broken */
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	large[0] = buf_get(pool, BUF_MIN);
	buf_put(pool, large[0]); /* wakes both in vain */
	assert_string_equal(served, "");
	buf_put(pool, crumb);
	assert_string_equal(served, "a");
	buf_put(pool, large[1]);
	assert_string_equal(served, "ab");
	buf_put(pool, a.buf);
	buf_put(pool, b.buf);
	buf_put(pool, large[2]);
	buf_put(pool, large[3]);
}

static void
a_small_request_passes_a_large_one_that_cannot_be_served(void **state)
{
	struct hungry a = hungry('a', BUF_MAX), b = hungry('b', BUF_MIN);
	void *crumbs[256];

	(void)state;
	take_all();
	buf_put(pool, large[0]);
	for (int i = 0; i < 256; i++)
		crumbs[i] = buf_get(pool, BUF_MIN);
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	buf_put(pool, crumbs[0]);
	assert_string_equal(served, "b");
	buf_put(pool, large[1]);
	assert_string_equal(served, "ba");
	for (int i = 1; i < 256; i++)
		buf_put(pool, crumbs[i]);
	buf_put(pool, a.buf);
	buf_put(pool, b.buf);
	buf_put(pool, large[2]);
	buf_put(pool, large[3]);
}

static void
a_waiter_that_gives_back_wakes_the_next(void **state)
{
	struct hungry a = hungry('a', BUF_MAX), b = hungry('b', BUF_MAX);
	struct hungry giver = {.buf = NULL};

	(void)state;
	take_all();
	giver.buf = large[1];
	a.gives = &giver;
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	buf_put(pool, large[0]);
	assert_string_equal(served, "ab");
	buf_put(pool, a.buf);
	buf_put(pool, b.buf);
	buf_put(pool, large[2]);
	buf_put(pool, large[3]);
}

static void
what_a_waiter_gives_back_serves_one_that_tried_before(void **state)
{
	struct hungry a = hungry('a', BUF_MAX), b = hungry('b', BUF_MIN);
	struct hungry giver = {.buf = NULL};
	void *crumbs[2];

	(void)state;
	take_all();
	buf_put(pool, large[0]);
	crumbs[0] = buf_get(pool, BUF_MAX / 2);
	crumbs[1] = buf_get(pool, BUF_MAX / 2);
	giver.buf = large[1];
	b.gives = &giver;
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	buf_put(pool, crumbs[0]);
	assert_string_equal(served, "ba");
	buf_put(pool, crumbs[1]);
	buf_put(pool, a.buf);
	buf_put(pool, b.buf);
	buf_put(pool, large[2]);
	buf_put(pool, large[3]);
}

static void
a_cancelled_waiter_is_not_called(void **state)
{
	struct hungry a = hungry('a', BUF_MAX), b = hungry('b', BUF_MAX);

	(void)state;
	buf_wait_cancel(pool, &a.waiter); /* never waited */
	take_all();
	buf_wait(pool, &a.waiter);
	buf_wait(pool, &b.waiter);
	buf_wait_cancel(pool, &a.waiter);
	buf_wait_cancel(pool, &a.waiter);
	buf_put(pool, large[0]);
	assert_string_equal(served, "b");
	buf_put(pool, b.buf);
	for (int i = 1; i < 4; i++)
		buf_put(pool, large[i]);
}

/* ---- the rest ---- */

static void
a_pool_that_cannot_be_mapped_is_null(void **state)
{
	(void)state;
	assert_null(buf_pool_new(1ull << 47));
}

static void
fixed_is_what_lies_wholly_in_a_registered_arena(void **state)
{
	struct iovec arena = buf_pool_arena(pool);
	uint8_t *base = arena.iov_base;
	int elsewhere;

	(void)state;
	assert_false(buf_is_fixed(pool, base, BUF_MIN));
	buf_pool_set_registered(pool, true);
	assert_true(buf_is_fixed(pool, base, arena.iov_len));
	assert_true(buf_is_fixed(pool, base + 512, 512));
	assert_false(buf_is_fixed(pool, base + 1, arena.iov_len));
	assert_false(buf_is_fixed(pool, base + arena.iov_len, 1));
	assert_false(buf_is_fixed(pool, base - 1, 1));
	assert_false(buf_is_fixed(pool, &elsewhere, sizeof(elsewhere)));
	assert_false(buf_is_fixed(pool, base + BUF_MIN, SIZE_MAX));
}

static void
zeros_are_zero_and_shared(void **state)
{
	const uint8_t *zeros = buf_zeros();

	(void)state;
	assert_int_equal((uintptr_t)zeros % BUF_MIN, 0);
	assert_ptr_equal(zeros, buf_zeros());
	for (size_t i = 0; i < BUF_MAX; i++)
		assert_int_equal(zeros[i], 0);
}

static void
put_twice(void *unused)
{
	void *buf = buf_get(pool, BUF_MIN);

	(void)unused;
	buf_put(pool, buf);
	buf_put(pool, buf);
}

static void
put_inside(void *unused)
{
	uint8_t *buf = buf_get(pool, 2 * BUF_MIN);

	(void)unused;
	buf_put(pool, buf + BUF_MIN);
}

static void
put_unaligned(void *unused)
{
	uint8_t *buf = buf_get(pool, BUF_MIN);

	(void)unused;
	buf_put(pool, buf + 8);
}

static void
put_foreign(void *foreign)
{
	buf_put(pool, foreign);
}

static void
free_with_one_out(void *unused)
{
	(void)unused;
	if (buf_get(pool, 1) != NULL)
		buf_pool_free(pool);
}

static void
get_too_much(void *unused)
{
	(void)unused;
	buf_get(pool, BUF_MAX + 1);
}

static void
misuse_is_noticed(void **state)
{
	(void)state;
	assert_true(dies(put_twice, NULL));
	assert_true(dies(put_inside, NULL));
	assert_true(dies(put_unaligned, NULL));
	assert_true(dies(put_foreign, state));
	assert_true(dies(put_foreign, NULL));
	assert_true(dies(
	    put_foreign, (uint8_t *)buf_pool_arena(pool).iov_base + 4 * MIB));
	assert_true(dies(free_with_one_out, NULL));
	assert_true(dies(get_too_much, NULL));
}

#define pool_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Wants two at once, or none. */
static unsigned pair_tries;

static void
pair_ready(struct buf_waiter *waiter)
{
	void *one = buf_get(pool, MIB);

	assert_true(++pair_tries < 100);
	assert_non_null(one);
	assert_null(buf_get(pool, MIB));
	buf_unget(pool, one);
	buf_wait(pool, waiter);
}

static void
one_that_ungets_what_does_not_suffice_does_not_wake_itself(void **state)
{
	struct buf_waiter waiter = {.ready = pair_ready};
	void *all[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		all[i] = buf_get(pool, MIB);
	pair_tries = 0;
	buf_wait(pool, &waiter);
	buf_put(pool, all[0]);
	assert_int_equal(pair_tries, 1);
	assert_int_equal(buf_pool_free_bytes(pool), MIB);
	buf_wait_cancel(pool, &waiter);
	for (unsigned i = 1; i < 4; i++)
		buf_put(pool, all[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pool_is_rounded_up_to_whole_mebibytes),
	    pool_test(the_arena_begins_at_a_huge_page),
	    pool_test(
		a_buffer_takes_the_next_power_of_two_and_is_aligned_to_it),
	    pool_test(all_of_the_pool_can_be_taken_and_not_a_byte_more),
	    pool_test(what_came_back_is_joined_again),
	    pool_test(any_order_of_takes_and_gives_ends_whole),
	    pool_test(waiters_are_served_in_the_order_they_came),
	    pool_test(who_is_not_served_keeps_his_place),
	    pool_test(a_small_request_passes_a_large_one_that_cannot_be_served),
	    pool_test(a_waiter_that_gives_back_wakes_the_next),
	    pool_test(what_a_waiter_gives_back_serves_one_that_tried_before),
	    pool_test(
		one_that_ungets_what_does_not_suffice_does_not_wake_itself),
	    pool_test(a_cancelled_waiter_is_not_called),
	    pool_test(fixed_is_what_lies_wholly_in_a_registered_arena),
	    cmocka_unit_test(a_pool_that_cannot_be_mapped_is_null),
	    cmocka_unit_test(zeros_are_zero_and_shared),
	    pool_test(misuse_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
