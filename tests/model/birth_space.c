/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space of the model: chunks and pages are numbers that are handed out, most of
 * them again and again; sub-blocks belong to whoever owns them, once.
 */
#include "tests/model/birth.h"

void
numbers_init(struct numbers *numbers, unsigned room)
{
	numbers->live = model_alloc(room * sizeof(*numbers->live));
	numbers->free = model_alloc(room * sizeof(*numbers->free));
	numbers->room = room;
}

int
number_take(struct pool *pool, struct numbers *numbers)
{
	int number;

	if (numbers->free_count > 0 && model_chance(pool->seed, 80)) {
		unsigned i = model_below(pool->seed, numbers->free_count);
		number = numbers->free[i];
		numbers->free[i] = numbers->free[--numbers->free_count];
	} else {
		assert(numbers->next < numbers->room);
		number = (int)numbers->next++;
	}
	numbers->live[number] = true;
	return number;
}

static void
number_give(
    struct pool *pool, struct numbers *numbers, int number, const char *what)
{
	if (!numbers->live[number])
		model_fail(pool->seed, "%s %d freed twice", what, number);
	numbers->live[number] = false;
	numbers->free[numbers->free_count++] = number;
}

/* ---- space ---- */

int
chunk_take(struct pool *pool)
{
	int chunk = number_take(pool, &pool->chunks);
	for (int i = 0; i < SUBS; i++) {
		assert(!pool->sub_live[chunk * SUBS + i]);
		pool->sub_live[chunk * SUBS + i] = true;
	}
	return chunk;
}

/* Any unused sub-block of a chunk in use, or one of a fresh chunk. */
int
sub_take(struct pool *pool)
{
	int choice = NONE;
	unsigned seen = 0;

	if (model_chance(pool->seed, 70))
		for (unsigned i = 0; i < pool->chunks.next * SUBS; i++)
			if (pool->chunks.live[i / SUBS] && !pool->sub_live[i] &&
			    model_below(pool->seed, ++seen) == 0)
				choice = (int)i;
	if (choice == NONE)
		choice = number_take(pool, &pool->chunks) * SUBS +
			 (int)model_below(pool->seed, SUBS);
	pool->sub_live[choice] = true;
	return choice;
}

void
sub_free(struct pool *pool, int address)
{
	if (!pool->sub_live[address])
		model_fail(pool->seed, "sub-block %d freed twice", address);
	pool->sub_live[address] = false;
	pool->data[address] = POISON;

	int chunk = address / SUBS;
	for (int i = 0; i < SUBS; i++)
		if (pool->sub_live[chunk * SUBS + i])
			return;
	number_give(pool, &pool->chunks, chunk, "chunk");
}

int
page_new(struct pool *pool)
{
	int number = number_take(pool, &pool->pages);
	struct page *page = &pool->page[number];

	*page = (struct page){.birth = pool->epoch};
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		page->child[i] = NONE;
	return number;
}

void
page_free(struct pool *pool, int number)
{
	number_give(pool, &pool->pages, number, "page");
}
