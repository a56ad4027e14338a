/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/offer.h"
#include "backup/piece.h"
#include "backup/words.h"
#include "base/assert.h"
#include <stdlib.h>
#include <string.h>

#define UNIT 4096 /* of what varved says differs */

/* ---- members ---- */

/* A text that fits and is what it has to be. */
static bool
text_take(const json_t *json, const char *member, char *to, size_t room,
    bool (*is_right)(const char *text))
{
	const json_t *value = json_object_get(json, member);
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) != json_string_length(value) ||
	    strlen(text) >= room || !is_right(text))
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool
number_take(const json_t *json, const char *member, uint64_t *ret_number)
{
	const json_t *value = json_object_get(json, member);

	*ret_number = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && *ret_number < IMAGE_MAX;
}

static bool
is_uuid_or_empty(const char *text)
{
	return text[0] == '\0' || word_is_uuid(text);
}

static bool
is_any(const char *text)
{
	(void)text;
	return true;
}

static json_t *
snap_write(const struct offer_snap *snap)
{
	return json_pack("{s:s, s:s}", "name", snap->name, "uuid", snap->uuid);
}

static bool
snap_take(const json_t *json, struct offer_snap *ret_snap)
{
	return text_take(json, "name", ret_snap->name, POINT_NAME_MAX,
		   word_is_name) &&
	       text_take(
		   json, "uuid", ret_snap->uuid, POINT_UUID_MAX, word_is_uuid);
}

/* ---- the offer ---- */

void
offer_done(struct offer *offer)
{
	free(offer->snaps);
	offer->snaps = NULL;
	offer->count = 0;
}

const struct offer_snap *
offer_find(const struct offer *offer, const char *uuid)
{
	for (size_t i = offer->count; i-- > 0;) {
		if (strcmp(offer->snaps[i].uuid, uuid) == 0)
			return &offer->snaps[i];
	}
	return NULL;
}

json_t *
offer_write(const struct offer *offer)
{
	json_t *snaps = json_array(), *json;

	for (size_t i = 0; i < offer->count; i++)
		json_array_append_new(snaps, snap_write(&offer->snaps[i]));
	json = json_pack("{s:o, s:o, s:s, s:I, s:I, s:o, s:b, s:s, s:b}", "lun",
	    json_string(offer->lun), "snap", snap_write(&offer->snap),
	    "consistency", consistency_text(offer->consistency), "size",
	    (json_int_t)offer->size, "block_size",
	    (json_int_t)offer->block_size, "snaps", snaps, "one_way",
	    offer->one_way, "since", offer->since, "dry_run", offer->dry_run);
	assert(json != NULL);
	return json;
}

static bool
snaps_take(const json_t *json, struct offer *offer)
{
	const json_t *snaps = json_object_get(json, "snaps");
	size_t count = json_array_size(snaps);

	if (!json_is_array(snaps) || count > OFFER_SNAPS_MAX)
		return false;
	offer->snaps = calloc(count + 1, sizeof(*offer->snaps));
	assert(offer->snaps != NULL);
	for (offer->count = 0; offer->count < count; offer->count++) {
		if (!snap_take(json_array_get(snaps, offer->count),
			&offer->snaps[offer->count]))
			return false;
	}
	return true;
}

const char *
offer_read(const json_t *json, struct offer *ret)
{
	char consistency[CONSISTENCY_TEXT_MAX];

	*ret = (struct offer){.count = 0};
	if (!text_take(json, "lun", ret->lun, sizeof(ret->lun), is_any) ||
	    !snap_take(json_object_get(json, "snap"), &ret->snap))
		return "it does not say what it sends";
	if (!text_take(json, "consistency", consistency, sizeof(consistency),
		is_any) ||
	    !consistency_parse(consistency, &ret->consistency))
		return "no snapshot is consistent in that way";
	if (!number_take(json, "size", &ret->size) || ret->size == 0 ||
	    ret->size % UNIT != 0)
		return "no LUN is that large";
	if (!number_take(json, "block_size", &ret->block_size) ||
	    (ret->block_size != 512 && ret->block_size != 4096))
		return "no LUN has such blocks";
	if (!snaps_take(json, ret))
		return "it does not say what snapshots there are";
	if (!text_take(json, "since", ret->since, sizeof(ret->since),
		is_uuid_or_empty) ||
	    (ret->since[0] != '\0' && offer_find(ret, ret->since) == NULL))
		return "its base is none of its snapshots";
	ret->one_way = json_is_true(json_object_get(json, "one_way"));
	ret->dry_run = json_is_true(json_object_get(json, "dry_run"));
	return NULL;
}

/* ---- the answer ---- */

json_t *
agreed_write(const struct agreed *agreed)
{
	json_t *json = json_pack("{s:b, s:b, s:o, s:I}", "there", agreed->there,
	    "resumed", agreed->resumed, "base",
	    agreed->base.uuid[0] != '\0' ? snap_write(&agreed->base)
					 : json_null(),
	    "offset", (json_int_t)agreed->offset);

	assert(json != NULL);
	return json;
}

const char *
agreed_read(const json_t *json, const struct offer *offer, struct agreed *ret)
{
	const json_t *base = json_object_get(json, "base");
	const struct offer_snap *snap;

	*ret = (struct agreed){
	    .there = json_is_true(json_object_get(json, "there")),
	    .resumed = json_is_true(json_object_get(json, "resumed"))};
	if (!number_take(json, "offset", &ret->offset) ||
	    ret->offset > offer->size || ret->offset % UNIT != 0)
		return "it wants to go on where nothing is";
	if (json_is_null(base))
		return NULL;
	if (!snap_take(base, &ret->base))
		return "it does not say what base it has";
	snap = offer_find(offer, ret->base.uuid);
	if (snap == NULL || strcmp(snap->name, ret->base.name) != 0)
		return "it has a base that was not offered";
	return NULL;
}

json_t *
offer_item(
    const struct offer *offer, const struct agreed *agreed, const char *to)
{
	const char *base = agreed->base.name;
	json_t *item = json_pack("{s:s, s:s, s:s, s:o, s:I, s:b}", "name",
	    offer->snap.name, "to", to, "kind",
	    base[0] != '\0' ? "increment" : "full", "base",
	    base[0] != '\0' ? json_string(base) : json_null(), "size",
	    (json_int_t)offer->size, "resumed", agreed->resumed);

	assert(item != NULL);
	return item;
}
