/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request to a pool, and the closing of a backstore, that a test waits for.
 * How the loop is run until then is the test's own matter.
 *
 *	struct waited made = WAITED(made);
 *
 *	volume_create(pool, &params, &made.request);
 *	... until made.done ...
 *	made.result, made.request.volume
 */
#ifndef TESTS_WAITED_H
#define TESTS_WAITED_H

#include "base/assert.h"
#include "snapshot/pool.h"
#include <string.h>

struct waited {
	struct pool_request request;
	bool done;
	int result;
};

#define WAITED(waited)                                                         \
	{                                                                      \
		.request = {.done = waited_done, .arg = &(waited) }            \
	}

/* By arg, so that it also serves requests that lie in something else. */
static inline void
waited_done(struct pool_request *request, int result)
{
	struct waited *waited = request->arg;

	assert(memchr(request->problem, 0, sizeof(request->problem)) != NULL);
	waited->done = true;
	waited->result = result;
}

/* For bs_close(): arg is a bool. */
static inline void
waited_closed(void *arg)
{
	*(bool *)arg = true;
}

#endif
