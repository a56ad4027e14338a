/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of varved that take no longer than a given time all together.  libvirt
 * holds a pool's lock in most callbacks and whoever lists pools waits for it,
 * so a varved that is silent is not waited for again and again: for some
 * seconds after a time-out the next short talk with it is refused at once.
 */
#ifndef POOL_PLUGIN_TALK_H
#define POOL_PLUGIN_TALK_H

#include "client/problem.h"
#include <stdbool.h>
#include <stdint.h>

/* Of a talk under libvirt's lock, and of one without. */
#define TALK_SHORT_MS 4000u
#define TALK_LONG_MS  60000u
/* How long one that is silent is left alone. */
#define TALK_SILENCE_MS 5000u

struct talk {
	struct varve *varve;
	uint64_t deadline_ms;
};

/* For this thread.  Nothing is connected yet.
 *   daemon.address   url is none
 *   daemon.timeout   it was silent just now, and ms is TALK_SHORT_MS or less */
json_t *talk_open(struct talk *talk, const char *url, unsigned ms);
void talk_close(struct talk *talk);

/* As varve_ask and varve_change.  params: the callee's. */
json_t *talk_ask(
    struct talk *talk, const char *method, json_t *params, json_t **ret_result);
json_t *talk_change(
    struct talk *talk, const char *method, json_t *params, json_t **ret_result);

/* Is it that varved cannot be reached, and not that it refuses? */
bool talk_is_silence(const json_t *problem);

#endif
