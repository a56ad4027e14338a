/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a request is about, and the event that a change is (target/event.h): its
 * kind is the method, its data say who asked, and which pool, LUN, snapshot,
 * host, group or policy it names first.
 */
#ifndef TARGET_REQUEST_EVENT_H
#define TARGET_REQUEST_EVENT_H

#include "target/event.h"
#include "target/request.h"

/* Its first argument, or the first of those; the noun of one that has none. */
const char *request_subject(const struct request *request);

struct change_event {
	struct state_event event;
	char *text;
};
/* Lives as long as the request. */
void change_event_init(
    struct change_event *change, const struct request *request);
void change_event_done(struct change_event *change);

#endif
