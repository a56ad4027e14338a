/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/book.h"
#include "base/assert.h"
#include "base/list.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct promise {
	struct list link;
	char name[SHARE_VOLUME_MAX];
	int number;
	uint64_t until_ms;
	bool broken;
};

struct entry {
	struct list link;
	unsigned char uuid[BOOK_UUID_BYTES];
	bool written; /* page is valid */
	struct book_page page;
	struct share_view view;
	struct list promises;
};

static struct {
	pthread_mutex_t lock;
	struct list entries;
} book = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .entries = LIST_INIT(book.entries)};

/* Under the lock.  Entries stay: there are as many as libvirt has had pools. */
static struct entry *
entry_find(const unsigned char *uuid)
{
	struct entry *entry;

	list_for_each (entry, &book.entries, link) {
		if (memcmp(entry->uuid, uuid, BOOK_UUID_BYTES) == 0)
			return entry;
	}
	return NULL;
}

static struct entry *
entry_get(const unsigned char *uuid)
{
	struct entry *entry = entry_find(uuid);

	if (entry != NULL)
		return entry;
	entry = calloc(1, sizeof(*entry));
	assert(entry != NULL);
	memcpy(entry->uuid, uuid, BOOK_UUID_BYTES);
	list_init(&entry->promises);
	list_add_tail(&book.entries, &entry->link);
	return entry;
}

/* ---- pages ---- */

bool
book_read(const unsigned char *uuid, struct book_page *ret_page)
{
	const struct entry *entry;
	bool found;

	pthread_mutex_lock(&book.lock);
	entry = entry_find(uuid);
	found = entry != NULL && entry->written;
	if (found)
		*ret_page = entry->page;
	pthread_mutex_unlock(&book.lock);
	return found;
}

void
book_write(const unsigned char *uuid, const struct book_page *page)
{
	struct entry *entry;

	pthread_mutex_lock(&book.lock);
	entry = entry_get(uuid);
	entry->page = *page;
	entry->written = true;
	pthread_mutex_unlock(&book.lock);
}

void
book_tear(const unsigned char *uuid)
{
	struct entry *entry;

	pthread_mutex_lock(&book.lock);
	entry = entry_find(uuid);
	if (entry != NULL) {
		entry->written = false;
		share_view_done(&entry->view);
	}
	pthread_mutex_unlock(&book.lock);
}

/* ---- views ---- */

static void
view_copy(struct share_view *to, const struct share_view *from)
{
	*to = *from;
	to->volumes = calloc(from->count + 1, sizeof(*to->volumes));
	assert(to->volumes != NULL);
	if (from->count > 0)
		memcpy(to->volumes, from->volumes,
		    from->count * sizeof(*to->volumes));
}

void
book_set_view(const unsigned char *uuid, const struct share_view *view)
{
	struct entry *entry;

	pthread_mutex_lock(&book.lock);
	entry = entry_get(uuid);
	share_view_done(&entry->view);
	view_copy(&entry->view, view);
	pthread_mutex_unlock(&book.lock);
}

void
book_view(const unsigned char *uuid, struct share_view *ret_view)
{
	pthread_mutex_lock(&book.lock);
	view_copy(ret_view, &entry_get(uuid)->view);
	pthread_mutex_unlock(&book.lock);
}

static bool
entry_has(const struct entry *entry, const char *name)
{
	const struct promise *promise;

	for (size_t i = 0; i < entry->view.count; i++) {
		if (strcmp(entry->view.volumes[i].name, name) == 0)
			return true;
	}
	list_for_each (promise, &entry->promises, link) {
		if (strcmp(promise->name, name) == 0)
			return true;
	}
	return false;
}

bool
book_is_elsewhere(const unsigned char *uuid, const char *name)
{
	const struct entry *entry;
	bool found = false;

	pthread_mutex_lock(&book.lock);
	list_for_each (entry, &book.entries, link) {
		if (memcmp(entry->uuid, uuid, BOOK_UUID_BYTES) != 0 &&
		    entry->written && entry_has(entry, name))
			found = true;
	}
	pthread_mutex_unlock(&book.lock);
	return found;
}

/* ---- promises ---- */

static uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
promise_forget(struct promise *promise)
{
	list_del(&promise->link);
	free(promise);
}

static void
forget_old(struct entry *entry)
{
	struct promise *promise, *next;
	uint64_t now = clock_ms();

	list_for_each_safe (promise, next, &entry->promises, link) {
		if (promise->until_ms <= now)
			promise_forget(promise);
	}
}

static struct promise *
promise_find(const struct entry *entry, const char *name)
{
	struct promise *promise;

	if (entry == NULL)
		return NULL;
	list_for_each (promise, &entry->promises, link) {
		if (strcmp(promise->name, name) == 0)
			return promise;
	}
	return NULL;
}

static bool
number_is_free(const struct entry *entry, int number, const bool *taken)
{
	const struct promise *promise;

	if (number < 0 || number > SHARE_NUMBER_MAX || taken[number])
		return false;
	/* kept since the caller has asked what is taken, maybe */
	for (size_t i = 0; i < entry->view.count; i++) {
		if (entry->view.volumes[i].number == (unsigned)number)
			return false;
	}
	list_for_each (promise, &entry->promises, link) {
		if (promise->number == number && !promise->broken)
			return false;
	}
	return true;
}

static int
lowest_free(const struct entry *entry, const bool *taken)
{
	for (int number = 0; number <= SHARE_NUMBER_MAX; number++) {
		if (number_is_free(entry, number, taken))
			return number;
	}
	return -ENOSPC;
}

static void
promise_add(struct entry *entry, const char *name, int number)
{
	struct promise *promise = calloc(1, sizeof(*promise));

	assert(promise != NULL);
	snprintf(promise->name, sizeof(promise->name), "%s", name);
	promise->number = number;
	promise->until_ms = clock_ms() + BOOK_PROMISE_MS;
	list_add_tail(&entry->promises, &promise->link);
}

int
book_promise(
    const unsigned char *uuid, const char *name, int number, const bool *taken)
{
	struct entry *entry;

	pthread_mutex_lock(&book.lock);
	entry = entry_get(uuid);
	forget_old(entry);
	if (number < 0)
		number = lowest_free(entry, taken);
	else if (!number_is_free(entry, number, taken))
		number = -EEXIST;
	if (number >= 0 && promise_find(entry, name) != NULL)
		number = -EEXIST;
	if (number >= 0)
		promise_add(entry, name, number);
	pthread_mutex_unlock(&book.lock);
	return number;
}

/* Under the lock. */
static void
view_add(struct share_view *view, const struct share_volume *volume)
{
	struct share_volume *volumes =
	    realloc(view->volumes, (view->count + 1) * sizeof(*view->volumes));

	assert(volumes != NULL);
	volumes[view->count++] = *volume;
	view->volumes = volumes;
}

static void
view_remove(struct share_view *view, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < view->count; i++) {
		if (strcmp(view->volumes[i].name, name) != 0)
			view->volumes[kept++] = view->volumes[i];
	}
	view->count = kept;
}

static void
forget(struct entry *entry, const char *name)
{
	struct promise *promise = promise_find(entry, name);

	if (promise != NULL)
		promise_forget(promise);
}

void
book_keep(const unsigned char *uuid, const struct share_volume *volume)
{
	struct entry *entry;

	pthread_mutex_lock(&book.lock);
	entry = entry_get(uuid);
	forget(entry, volume->name);
	view_remove(&entry->view, volume->name);
	view_add(&entry->view, volume);
	pthread_mutex_unlock(&book.lock);
}

void
book_drop(const unsigned char *uuid, const char *name)
{
	pthread_mutex_lock(&book.lock);
	view_remove(&entry_get(uuid)->view, name);
	pthread_mutex_unlock(&book.lock);
}

void
book_forget(const unsigned char *uuid, const char *name)
{
	pthread_mutex_lock(&book.lock);
	forget(entry_find(uuid), name);
	pthread_mutex_unlock(&book.lock);
}

void
book_break(const unsigned char *uuid, const char *name)
{
	struct promise *promise;

	pthread_mutex_lock(&book.lock);
	promise = promise_find(entry_find(uuid), name);
	if (promise != NULL)
		promise->broken = true;
	pthread_mutex_unlock(&book.lock);
}

bool
book_was_broken(const unsigned char *uuid, const char *name)
{
	struct promise *promise;
	bool broken;

	pthread_mutex_lock(&book.lock);
	promise = promise_find(entry_find(uuid), name);
	broken = promise != NULL && promise->broken;
	if (broken)
		promise_forget(promise);
	pthread_mutex_unlock(&book.lock);
	return broken;
}
