/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/belt.h"
#include "base/assert.h"
#include "base/thread.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TAKEN UINT8_MAX

struct stage {
	struct belt *belt;
	struct belt_stage what;
	pthread_t threads[BELT_THREADS_MAX];
	unsigned started; /* threads */

	unsigned numbered; /* threads that know which they are */
	unsigned next;     /* parcel that is its turn */
	unsigned waiting;  /* parcels */
	pthread_cond_t wake;
};

struct belt {
	struct belt_params params;

	pthread_mutex_t mutex; /* of all below */
	bool stopped;
	uint8_t *at; /* the stage that a parcel is at, or TAKEN */
	struct stage stages[BELT_STAGES_MAX];
};

static unsigned
number_of(const struct belt *belt, const void *parcel)
{
	size_t offset =
	    (size_t)((const char *)parcel - (const char *)belt->params.parcels);

	assert(offset % belt->params.parcel_size == 0);
	assert(offset / belt->params.parcel_size < belt->params.parcel_count);
	return (unsigned)(offset / belt->params.parcel_size);
}

void *
belt_take(struct belt *belt, unsigned number)
{
	struct stage *stage = &belt->stages[number];
	unsigned turn = 0;
	bool stopped;

	pthread_mutex_lock(&belt->mutex);
	while (!belt->stopped && belt->at[stage->next] != number)
		pthread_cond_wait(&stage->wake, &belt->mutex);
	stopped = belt->stopped;
	if (!stopped) {
		turn = stage->next;
		stage->next = (turn + 1) % belt->params.parcel_count;
		stage->waiting--;
		belt->at[turn] = TAKEN;
	}
	pthread_mutex_unlock(&belt->mutex);
	return stopped ? NULL
		       : (char *)belt->params.parcels +
			     turn * belt->params.parcel_size;
}

void
belt_pass(struct belt *belt, unsigned number, void *parcel)
{
	unsigned to = (number + 1) % belt->params.stage_count;
	struct stage *stage = &belt->stages[to];

	pthread_mutex_lock(&belt->mutex);
	assert(belt->at[number_of(belt, parcel)] == TAKEN);
	belt->at[number_of(belt, parcel)] = (uint8_t)to;
	stage->waiting++;
	/* its turn may be another's than that of the one that would wake */
	pthread_cond_broadcast(&stage->wake);
	pthread_mutex_unlock(&belt->mutex);
}

bool
belt_drain(struct belt *belt)
{
	struct stage *first = &belt->stages[0];
	bool stopped;

	pthread_mutex_lock(&belt->mutex);
	while (!belt->stopped && first->waiting < belt->params.parcel_count)
		pthread_cond_wait(&first->wake, &belt->mutex);
	stopped = belt->stopped;
	pthread_mutex_unlock(&belt->mutex);
	return !stopped;
}

unsigned
belt_waiting(struct belt *belt, unsigned number)
{
	unsigned waiting;

	pthread_mutex_lock(&belt->mutex);
	waiting = belt->stages[number].waiting;
	pthread_mutex_unlock(&belt->mutex);
	return waiting;
}

void
belt_stop(struct belt *belt)
{
	pthread_mutex_lock(&belt->mutex);
	belt->stopped = true;
	for (unsigned i = 0; i < belt->params.stage_count; i++)
		pthread_cond_broadcast(&belt->stages[i].wake);
	pthread_mutex_unlock(&belt->mutex);
}

static void *
stage_main(void *argument)
{
	struct stage *stage = argument;
	struct belt *belt = stage->belt;
	unsigned number = (unsigned)(stage - belt->stages), thread;
	void *parcel;

	pthread_mutex_lock(&belt->mutex);
	thread = stage->numbered++;
	pthread_mutex_unlock(&belt->mutex);
	/* of this thread alone, by Linux; who may not, does not */
	if (stage->what.nice != 0)
		setpriority(PRIO_PROCESS, 0,
		    getpriority(PRIO_PROCESS, 0) + stage->what.nice);
	while ((parcel = belt_take(belt, number)) != NULL) {
		stage->what.work(belt->params.arg, thread, parcel);
		belt_pass(belt, number, parcel);
	}
	return NULL;
}

/* One thread of a stage is enough, as few as there are. */
static bool
stage_start(struct stage *stage)
{
	while (stage->started < stage->what.threads &&
	       thread_start(&stage->threads[stage->started], stage->what.name,
		   stage_main, stage) == 0)
		stage->started++;
	return stage->started > 0 || stage->what.threads == 0;
}

struct belt *
belt_new(const struct belt_params *params)
{
	struct belt *belt = calloc(1, sizeof(*belt));
	bool started = true;

	assert(params->stage_count >= 2);
	assert(params->stage_count <= BELT_STAGES_MAX);
	assert(belt != NULL);
	belt->params = *params;
	belt->at = calloc(params->parcel_count, sizeof(*belt->at));
	assert(belt->at != NULL);
	pthread_mutex_init(&belt->mutex, NULL);
	for (unsigned i = 0; i < params->stage_count; i++) {
		assert(params->stages[i].threads <= BELT_THREADS_MAX);
		belt->stages[i].belt = belt;
		belt->stages[i].what = params->stages[i];
		pthread_cond_init(&belt->stages[i].wake, NULL);
	}
	belt->stages[0].waiting = params->parcel_count;
	for (unsigned i = 0; i < params->stage_count && started; i++)
		started = stage_start(&belt->stages[i]);
	if (started)
		return belt;
	belt_free(belt);
	return NULL;
}

static void
stage_join(struct stage *stage)
{
	for (unsigned i = 0; i < stage->started; i++)
		pthread_join(stage->threads[i], NULL);
}

void
belt_free(struct belt *belt)
{
	if (belt == NULL)
		return;
	belt_stop(belt);
	/* the last of them may still wake the first */
	for (unsigned i = 0; i < belt->params.stage_count; i++)
		stage_join(&belt->stages[i]);
	for (unsigned i = 0; i < belt->params.stage_count; i++)
		pthread_cond_destroy(&belt->stages[i].wake);
	pthread_mutex_destroy(&belt->mutex);
	free(belt->at);
	free(belt);
}
