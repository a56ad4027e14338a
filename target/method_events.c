/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events: what has happened, a page at a time.
 */
#include "target/event.h"
#include "target/method.h"
#include <syslog.h>

#define LIMIT_NEWEST  100  /* when nothing says from where on */
#define LIMIT_DEFAULT 1000 /* of a page */
#define LIMIT_MAX     10000

static json_t *
event_item(const struct state_event *event)
{
	json_t *item =
	    json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:O}", "number",
		(json_int_t)event->number, "at", json_time(event->at_unix),
		"severity", event_severity(event->level), "kind",
		json_text(event->kind), "subject", json_text(event->subject),
		"text", json_text(event->text), "data", event->data);

	assert(item != NULL);
	return item;
}

static struct event_query
query_of(const json_t *params)
{
	const char *severity = param_text(params, "severity");
	json_int_t after =
	    param_int(params, "cursor", param_int(params, "since", -1));

	return (struct event_query){
	    .newest = after < 0,
	    .after = after,
	    .kind = param_text(params, "kind"),
	    .subject = param_text(params, "subject"),
	    .level = severity != NULL ? event_level(severity) : LOG_INFO,
	    .limit = (unsigned)param_int(
		params, "limit", after < 0 ? LIMIT_NEWEST : LIMIT_DEFAULT),
	};
}

static bool
limit_check(struct request *request)
{
	json_int_t limit = param_int(request->params, "limit", 1);

	if (limit >= 1 && limit <= LIMIT_MAX)
		return true;
	request_fail(request, fault_new("request.argument",
				  "limit has to be from 1 to %d", LIMIT_MAX));
	return false;
}

void
method_events(struct request *request)
{
	const struct event_query query = query_of(request->params);
	struct state_event *events;
	json_t *items;
	int64_t reached = 0;
	unsigned count;
	int ret;

	if (!limit_check(request))
		return;
	ret = state_events(
	    request->house->state, &query, &events, &count, &reached);
	if (ret < 0) {
		state_events_free(events, count);
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
		return;
	}
	items = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(items, event_item(&events[i]));
	state_events_free(events, count);
	request->cursor = json_integer(reached);
	request_answer_items(request, items);
}
