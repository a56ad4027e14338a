/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buddy allocator of buf.h.
 *
 * The arena is a row of 4 KiB pages.  A block of order n is 2^n pages, at a
 * multiple of 2^n: its buddy is the block whose page number differs in bit n
 * only.  To take, the smallest free block that is large enough is halved until
 * it fits; to give back, a block is joined with its buddy for as long as the
 * buddy is free as a whole.  With nine orders both end after eight steps.
 *
 * What is known of a block stands in a table beside the arena, at the block's
 * first page, so a stray write into a free buffer cannot damage the lists and
 * a free block's cache lines stay untouched.
 */
#include "base/buf.h"
#include "base/assert.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else /* a buffer used after buf_put() is found under SAN=asan only */
#define ASAN_POISON_MEMORY_REGION(p, length)   ((void)(p), (void)(length))
#define ASAN_UNPOISON_MEMORY_REGION(p, length) ((void)(p), (void)(length))
#endif

#define ORDERS      9u
#define ARENA_ALIGN (2u << 20) /* a huge page of x86-64 and arm64 */

static_assert(BUF_MIN << (ORDERS - 1) == BUF_MAX, "orders span the sizes");

enum page_state {
	PAGE_INSIDE, /* not the first page of its block */
	PAGE_FREE,   /* first page of a free block, on free[order] */
	PAGE_TAKEN,  /* first page of a block that somebody owns */
};

struct page {
	struct list link;
	uint8_t state;
	uint8_t order;
};

struct buf_pool {
	uint8_t *arena;
	uint64_t bytes;
	uint64_t free_bytes;
	struct page *pages;
	struct list free[ORDERS];
	unsigned free_orders; /* bit n: free[n] is not empty */
	bool registered;
	bool waking; /* waiters_wake() is running */
	bool again;  /* and has to go round once more */
	struct list waiters;
};

static void *
page_address(const struct buf_pool *pool, const struct page *page)
{
	return pool->arena + (size_t)(page - pool->pages) * BUF_MIN;
}

/* The page of a buffer that buf_get() gave out and nobody gave back. */
static struct page *
page_of_taken(const struct buf_pool *pool, const void *buf)
{
	size_t offset = (size_t)((const uint8_t *)buf - pool->arena);
	struct page *page;

	assert(buf != NULL);
	assert(offset < pool->bytes);
	assert(offset % BUF_MIN == 0);
	page = &pool->pages[offset / BUF_MIN];
	assert(page->state == PAGE_TAKEN);
	return page;
}

static struct page *
page_buddy(const struct buf_pool *pool, const struct page *page, unsigned order)
{
	size_t number = (size_t)(page - pool->pages);

	return &pool->pages[number ^ ((size_t)1 << order)];
}

static void
block_add(struct buf_pool *pool, struct page *page, unsigned order)
{
	page->state = PAGE_FREE;
	page->order = (uint8_t)order;
	list_add_head(&pool->free[order], &page->link);
	pool->free_orders |= 1u << order;
}

static void
block_remove(struct buf_pool *pool, struct page *page)
{
	assert(page->state == PAGE_FREE);
	page->state = PAGE_INSIDE;
	list_del(&page->link);
	if (list_empty(&pool->free[page->order]))
		pool->free_orders &= ~(1u << page->order);
}

static unsigned
order_of(size_t length)
{
	size_t pages = (length + BUF_MIN - 1) / BUF_MIN;

	/* the next power of two; clz(0) is undefined */
	return pages <= 1 ? 0 : 64u - (unsigned)__builtin_clzl(pages - 1);
}

void *
buf_get(struct buf_pool *pool, size_t length)
{
	unsigned wanted = order_of(length), order;
	struct page *page;

	assert(length > 0);
	assert(length <= BUF_MAX);
	if (pool->free_orders >> wanted == 0)
		return NULL;
	order = wanted + (unsigned)__builtin_ctz(pool->free_orders >> wanted);
	page = list_first(&pool->free[order], struct page, link);
	block_remove(pool, page);
	while (order > wanted) {
		order--;
		block_add(pool, page_buddy(pool, page, order), order);
	}
	page->state = PAGE_TAKEN;
	page->order = (uint8_t)wanted;
	pool->free_bytes -= (uint64_t)BUF_MIN << wanted;
	ASAN_UNPOISON_MEMORY_REGION(
	    page_address(pool, page), (size_t)BUF_MIN << wanted);
	return page_address(pool, page);
}

static void
block_put(struct buf_pool *pool, struct page *page)
{
	unsigned order = page->order;

	ASAN_POISON_MEMORY_REGION(
	    page_address(pool, page), (size_t)BUF_MIN << order);
	pool->free_bytes += (uint64_t)BUF_MIN << order;
	page->state = PAGE_INSIDE;
	for (; order + 1 < ORDERS; order++) {
		struct page *buddy = page_buddy(pool, page, order);
		if (buddy->state != PAGE_FREE || buddy->order != order)
			break;
		block_remove(pool, buddy);
		if (buddy < page)
			page = buddy;
	}
	block_add(pool, page, order);
}

/*
 * Everyone who waits may try, oldest first: whoever is still not served queues
 * again behind those that tried before him, so the order stays.  A large
 * request at the head must not hold up small ones behind it: their owners may
 * be what it waits for.
 */
static void
waiters_try(struct buf_pool *pool)
{
	struct list trying = LIST_INIT(trying);
	struct list *link;

	list_splice_tail(&trying, &pool->waiters);
	while (pool->free_orders != 0 && (link = list_pop(&trying)) != NULL) {
		struct buf_waiter *waiter =
		    list_entry(link, struct buf_waiter, link);
		waiter->ready(waiter);
	}
	list_splice_tail(&pool->waiters, &trying);
}

/* A waiter may give back one buffer when it gets another: that is for those
 * who have just tried in vain, but not from inside its ready(). */
static void
waiters_wake(struct buf_pool *pool)
{
	pool->again = true;
	if (pool->waking)
		return;
	pool->waking = true;
	while (pool->again) {
		pool->again = false;
		waiters_try(pool);
	}
	pool->waking = false;
}

void
buf_put(struct buf_pool *pool, void *buf)
{
	block_put(pool, page_of_taken(pool, buf));
	if (!list_empty(&pool->waiters))
		waiters_wake(pool);
}

void
buf_unget(struct buf_pool *pool, void *buf)
{
	block_put(pool, page_of_taken(pool, buf));
}

void
buf_wait(struct buf_pool *pool, struct buf_waiter *waiter)
{
	assert(waiter->ready != NULL);
	if (waiter->link.next != NULL)
		assert(list_empty(&waiter->link));
	list_add_tail(&pool->waiters, &waiter->link);
}

void
buf_wait_cancel(struct buf_pool *pool, struct buf_waiter *waiter)
{
	(void)pool;
	if (waiter->link.next != NULL)
		list_del(&waiter->link);
}

bool
buf_is_fixed(const struct buf_pool *pool, const void *p, size_t length)
{
	uintptr_t offset = (uintptr_t)p - (uintptr_t)pool->arena;

	return pool->registered && offset <= pool->bytes &&
	       length <= pool->bytes - offset;
}

void
buf_pool_set_registered(struct buf_pool *pool, bool registered)
{
	pool->registered = registered;
}

struct iovec
buf_pool_arena(const struct buf_pool *pool)
{
	return (struct iovec){pool->arena, pool->bytes};
}

uint64_t
buf_pool_free_bytes(const struct buf_pool *pool)
{
	return pool->free_bytes;
}

/* bytes at a multiple of ARENA_ALIGN, on huge pages if there are any. */
static uint8_t *
arena_map(uint64_t bytes)
{
	uint64_t mapped = bytes + ARENA_ALIGN, before;
	uint8_t *raw = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)raw % ARENA_ALIGN;
	if (before > 0)
		munmap(raw, before);
	munmap(raw + before + bytes, ARENA_ALIGN - before);
	madvise(raw + before, bytes, MADV_HUGEPAGE);
	/* a child must never copy a page under a device that writes to it */
	madvise(raw + before, bytes, MADV_DONTFORK);
	ASAN_POISON_MEMORY_REGION(raw + before, bytes);
	return raw + before;
}

void
buf_pool_reset(struct buf_pool *pool)
{
	const size_t step = BUF_MAX / BUF_MIN;

	while (list_pop(&pool->waiters) != NULL)
		;
	ASAN_POISON_MEMORY_REGION(pool->arena, pool->bytes);
	memset(pool->pages, 0, pool->bytes / BUF_MIN * sizeof(struct page));
	pool->free_bytes = pool->bytes;
	pool->free_orders = 0;
	for (unsigned order = 0; order < ORDERS; order++)
		list_init(&pool->free[order]);
	/* last first, so that the arena is used from its start */
	for (size_t page = pool->bytes / BUF_MIN; page > 0; page -= step)
		block_add(pool, &pool->pages[page - step], ORDERS - 1);
}

static int
buf_pool_init(struct buf_pool *pool, uint64_t bytes)
{
	pool->bytes = (bytes + BUF_MAX - 1) / BUF_MAX * BUF_MAX;
	list_init(&pool->waiters);
	pool->arena = arena_map(pool->bytes);
	if (pool->arena == NULL)
		return -ENOMEM;
	pool->pages = calloc(pool->bytes / BUF_MIN, sizeof(struct page));
	if (pool->pages == NULL)
		return -ENOMEM;
	buf_pool_reset(pool);
	return 0;
}

static void
buf_pool_release(struct buf_pool *pool)
{
	if (pool->arena != NULL) {
		ASAN_UNPOISON_MEMORY_REGION(pool->arena, pool->bytes);
		munmap(pool->arena, pool->bytes);
	}
	free(pool->pages);
	free(pool);
}

struct buf_pool *
buf_pool_new(uint64_t bytes)
{
	struct buf_pool *pool;

	assert(bytes > 0);
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	if (buf_pool_init(pool, bytes) < 0) {
		buf_pool_release(pool);
		return NULL;
	}
	return pool;
}

void
buf_pool_free(struct buf_pool *pool)
{
	assert(pool->free_bytes == pool->bytes);
	assert(list_empty(&pool->waiters));
	buf_pool_release(pool);
}

static void *zeros;

static void
zeros_map(void)
{
	/* the kernel backs what is only read with its one page of zeros */
	zeros =
	    mmap(NULL, BUF_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(zeros != MAP_FAILED);
}

const void *
buf_zeros(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, zeros_map);
	return zeros;
}
