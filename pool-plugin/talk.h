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

/* Of a talk under libvirt's lock, and of one without; a connection that breaks
 * is made again for a part of it. */
#define TALK_SHORT_MS 3000u
/* Of the start of a pool, which nobody asks for in passing: never hasty. */
#define TALK_START_MS 4000u
#define TALK_LONG_MS  60000u
/* Of one with a varved that was silent less than TALK_SILENCE_MS ago. */
#define TALK_HASTY_MS   500u
#define TALK_SILENCE_MS 5000u

struct talk {
	struct varve *varve;
	uint64_t deadline_ms;
	bool hasty;
};

/* For this thread; talk_close in any case.  Nothing is connected yet.
 *   daemon.address   url is none */
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
