/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/extents.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include <string.h>

#define PAGE_EXTENTS 8192

struct extents {
	struct varve *varve;
	json_t *params; /* of the next page */
	json_t *items;
	size_t next;
	bool last_page;
	struct extent pending; /* may go on in what comes */
};

struct extents *
extents_new(const struct extents_params *params)
{
	struct extents *extents = calloc(1, sizeof(*extents));

	assert(extents != NULL);
	extents->varve = params->varve;
	extents->params = json_pack("{s:s, s:s, s:I, s:i}", "from",
	    params->from, "to", params->to, "cursor",
	    (json_int_t)params->offset, "limit", PAGE_EXTENTS);
	assert(extents->params != NULL);
	if (params->bookmark != NULL && params->bookmark[0] != '\0')
		json_object_set_new(
		    extents->params, "since", json_string(params->bookmark));
	return extents;
}

void
extents_free(struct extents *extents)
{
	if (extents == NULL)
		return;
	json_decref(extents->params);
	json_decref(extents->items);
	free(extents);
}

static json_t *
page_ask(struct extents *extents)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem =
	    varve_ask(extents->varve, "snap.diff", extents->params, &result);
	json_t *cursor;

	if (problem != NULL)
		return problem;
	json_decref(extents->items);
	extents->items = json_incref(json_object_get(result, "items"));
	extents->next = 0;
	cursor = json_object_get(result, "cursor");
	extents->last_page = !json_is_integer(cursor);
	if (!extents->last_page)
		json_object_set(extents->params, "cursor", cursor);
	return NULL;
}

/* As varved has it; length 0: there is no more. */
static json_t *
raw_next(struct extents *extents, struct extent *ret)
{
	const json_t *item;
	const char *kind;

	while (extents->next >= json_array_size(extents->items)) {
		json_t *problem;
		*ret = (struct extent){.length = 0};
		if (extents->items != NULL && extents->last_page)
			return NULL;
		problem = page_ask(extents);
		if (problem != NULL)
			return problem;
	}
	item = json_array_get(extents->items, extents->next++);
	kind = json_string_value(json_object_get(item, "kind"));
	*ret = (struct extent){
	    .offset =
		(uint64_t)json_integer_value(json_object_get(item, "offset")),
	    .length =
		(uint64_t)json_integer_value(json_object_get(item, "length")),
	    .data = kind != NULL && strcmp(kind, "data") == 0,
	};
	if (ret->length == 0 || ret->length % 512 != 0 ||
	    ret->offset % 512 != 0)
		return problem_new(VARVE_FAILED, "daemon.protocol",
		    "varved answers a difference that cannot be");
	return NULL;
}

json_t *
extents_next(struct extents *extents, struct extent *ret_extent)
{
	struct extent *pending = &extents->pending;
	struct extent more;

	for (;;) {
		json_t *problem = raw_next(extents, &more);
		if (problem != NULL)
			return problem;
		if (more.length > 0 && pending->length > 0 &&
		    more.data == pending->data &&
		    more.offset == pending->offset + pending->length) {
			pending->length += more.length;
			continue;
		}
		*ret_extent = *pending;
		*pending = more;
		if (ret_extent->length > 0 || more.length == 0)
			return NULL;
	}
}

json_t *
extents_total(
    const struct extents_params *params, uint64_t *ret_data, uint64_t *ret_zero)
{
	struct extents *extents = extents_new(params);
	struct extent extent;
	json_t *problem;

	*ret_data = *ret_zero = 0;
	while ((problem = extents_next(extents, &extent)) == NULL &&
	       extent.length > 0)
		*(extent.data ? ret_data : ret_zero) += extent.length;
	extents_free(extents);
	return problem;
}
