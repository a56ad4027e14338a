/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks of chunks.  All holders and waiters of a chunk are in one bucket in
 * the order they came; a lock is granted when nothing before it is in its way.
 */
#include "snapshot/engine.h"

static struct list *
bucket_of(struct pool *pool, const struct volume *volume, uint64_t chunk)
{
	uint64_t key = (chunk + (uint64_t)volume->id * 0x9e3779b9u) *
		       0x9e3779b97f4a7c15ull;

	return &pool->vio.lock[key >> 52 & (LOCK_HASH - 1)];
}

static bool
same_chunk(const struct chunk_lock *a, const struct chunk_lock *b)
{
	return a->chunk == b->chunk && a->volume == b->volume;
}

static bool
in_the_way(const struct chunk_lock *before, const struct chunk_lock *lock)
{
	return before != lock && same_chunk(before, lock) &&
	       (before->exclusive || lock->exclusive || !before->granted);
}

/* Is lock, which is in its bucket or to be its last, free to go? */
static bool
grantable(struct list *bucket, const struct chunk_lock *lock)
{
	const struct chunk_lock *before;

	list_for_each (before, bucket, link) {
		if (before == lock)
			return true;
		if (in_the_way(before, lock))
			return false;
	}
	return true;
}

static void
lock_fill(struct chunk_lock *lock, struct volume *volume, uint64_t chunk,
    bool exclusive)
{
	lock->volume = volume;
	lock->chunk = chunk;
	lock->exclusive = exclusive;
	lock->address = 0;
	lock->granted = lock->installed = lock->busy = false;
}

bool
chunk_lock_take(struct pool *pool, struct chunk_lock *lock,
    struct volume *volume, uint64_t chunk, bool exclusive)
{
	struct list *bucket = bucket_of(pool, volume, chunk);

	lock_fill(lock, volume, chunk, exclusive);
	lock->granted = grantable(bucket, lock);
	list_add_tail(bucket, &lock->link);
	return lock->granted;
}

bool
chunk_lock_try(struct pool *pool, struct chunk_lock *lock,
    struct volume *volume, uint64_t chunk, bool exclusive)
{
	struct list *bucket = bucket_of(pool, volume, chunk);

	lock_fill(lock, volume, chunk, exclusive);
	if (!grantable(bucket, lock))
		return false;
	lock->granted = true;
	list_add_tail(bucket, &lock->link);
	return true;
}

void
chunk_lock_share(
    struct pool *pool, struct chunk_lock *lock, struct chunk_lock *held)
{
	(void)pool;
	assert(held->granted);
	lock_fill(lock, held->volume, held->chunk, held->exclusive);
	lock->granted = true;
	list_insert_before(&held->link, &lock->link);
}

static struct chunk_lock *
next_to_grant(struct list *bucket, const struct chunk_lock *dropped)
{
	struct chunk_lock *lock;

	list_for_each (lock, bucket, link)
		if (!lock->granted && same_chunk(lock, dropped) &&
		    grantable(bucket, lock))
			return lock;
	return NULL;
}

bool
chunk_lock_drop(struct pool *pool, struct chunk_lock *lock)
{
	struct list *bucket = bucket_of(pool, lock->volume, lock->chunk);
	struct chunk_lock key = *lock, *other;
	bool last = true;

	assert(lock->granted);
	list_del(&lock->link);
	lock->granted = false;
	pool->vio.busy -= lock->busy;
	lock->busy = false;
	list_for_each (other, bucket, link)
		if (other->granted && same_chunk(other, &key) &&
		    other->address == key.address)
			last = false;
	while ((other = next_to_grant(bucket, &key)) != NULL) {
		other->granted = true;
		other->grant(other);
	}
	return last;
}

bool
chunk_lock_busy(struct pool *pool, struct volume *volume, uint64_t chunk)
{
	struct chunk_lock *other;

	list_for_each (other, bucket_of(pool, volume, chunk), link)
		if (other->chunk == chunk && other->volume == volume)
			return true;
	return false;
}

void
chunk_lock_mark(struct pool *pool, struct chunk_lock *lock)
{
	assert(lock->granted);
	assert(lock->exclusive);
	assert(!lock->busy);
	lock->busy = true;
	pool->vio.busy++;
}

bool
chunk_lock_marked(struct pool *pool, struct volume *volume, uint64_t chunk)
{
	struct chunk_lock *other;

	list_for_each (other, bucket_of(pool, volume, chunk), link)
		if (other->busy && other->chunk == chunk &&
		    other->volume == volume)
			return true;
	return false;
}

uint64_t
chunk_lock_address(struct pool *pool, struct volume *volume, uint64_t chunk)
{
	struct chunk_lock *other;

	list_for_each (other, bucket_of(pool, volume, chunk), link)
		if (other->chunk == chunk && other->volume == volume &&
		    other->address != 0 && !other->installed)
			return other->address;
	return 0;
}

void
chunk_lock_installed(struct pool *pool, struct chunk_lock *lock)
{
	struct chunk_lock *other;

	list_for_each (other, bucket_of(pool, lock->volume, lock->chunk), link)
		if (same_chunk(other, lock) && other->address == lock->address)
			other->installed = true;
}

void
chunk_locks_init(struct volume_io *vios)
{
	for (unsigned i = 0; i < LOCK_HASH; i++)
		list_init(&vios->lock[i]);
}
