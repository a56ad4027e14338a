/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/offload.h"
#include "base/thread.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct offload {
	unsigned thread_count; /* the loop's thread only, like the next */
	pthread_t threads[OFFLOAD_THREADS_MAX];

	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t wake;
	struct loop_work *first, **last_next; /* waiting, oldest first */
	unsigned waiting;
	unsigned busy;
	bool ending;
};

/* Under the mutex: the next work, or NULL when the helpers end. */
static struct loop_work *
offload_take(struct offload *offload)
{
	struct loop_work *work;

	while (offload->first == NULL && !offload->ending)
		pthread_cond_wait(&offload->wake, &offload->mutex);
	work = offload->first;
	if (work == NULL)
		return NULL;
	offload->first = work->next;
	if (offload->first == NULL)
		offload->last_next = &offload->first;
	offload->waiting--;
	return work;
}

static void *
offload_main(void *argument)
{
	struct offload *offload = argument;
	struct loop_work *work;

	pthread_mutex_lock(&offload->mutex);
	while ((work = offload_take(offload)) != NULL) {
		offload->busy++;
		pthread_mutex_unlock(&offload->mutex);

		work->run(work);
		loop_post(work->loop, &work->task);

		pthread_mutex_lock(&offload->mutex);
		offload->busy--;
	}
	pthread_mutex_unlock(&offload->mutex);
	return NULL;
}

/* A thread more, if all there are will be busy.  Failing is no error as long
 * as there is one. */
static void
offload_grow(struct offload *offload)
{
	unsigned wanted;

	pthread_mutex_lock(&offload->mutex);
	wanted = offload->busy + offload->waiting + 1;
	pthread_mutex_unlock(&offload->mutex);
	if (offload->thread_count >= wanted)
		return;
	if (offload->thread_count == OFFLOAD_THREADS_MAX)
		return;
	if (thread_start(&offload->threads[offload->thread_count],
		"varve-helper", offload_main, offload) == 0)
		offload->thread_count++;
}

int
offload_submit(struct offload *offload, struct loop_work *work)
{
	assert(work->loop != NULL);
	assert(work->task.run != NULL);
	offload_grow(offload);
	if (offload->thread_count == 0)
		return -EAGAIN;
	work->next = NULL;
	pthread_mutex_lock(&offload->mutex);
	*offload->last_next = work;
	offload->last_next = &work->next;
	offload->waiting++;
	pthread_cond_signal(&offload->wake);
	pthread_mutex_unlock(&offload->mutex);
	return 0;
}

struct offload *
offload_new(void)
{
	struct offload *offload = calloc(1, sizeof(*offload));

	if (offload == NULL)
		return NULL;
	pthread_mutex_init(&offload->mutex, NULL);
	pthread_cond_init(&offload->wake, NULL);
	offload->last_next = &offload->first;
	return offload;
}

void
offload_free(struct offload *offload)
{
	pthread_mutex_lock(&offload->mutex);
	assert(offload->first == NULL);
	offload->ending = true;
	pthread_cond_broadcast(&offload->wake);
	pthread_mutex_unlock(&offload->mutex);
	for (unsigned i = 0; i < offload->thread_count; i++)
		pthread_join(offload->threads[i], NULL);
	pthread_cond_destroy(&offload->wake);
	pthread_mutex_destroy(&offload->mutex);
	free(offload);
}
