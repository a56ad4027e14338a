/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/manifest.h"
#include "backup/piece.h"
#include "backup/words.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include <inttypes.h>
#include <string.h>

#define VERSION   1
#define FORMAT    "varve_backup"
#define SUM_BEGIN "\n  \"sum\": \""
#define SUM_END   "\",\n"

/* ---- what a value may be ---- */

static bool
is_name_or_empty(const char *text)
{
	return text[0] == '\0' || word_is_name(text);
}

static bool
is_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static bool
is_uuid_or_empty(const char *text)
{
	return text[0] == '\0' || word_is_uuid(text);
}

static bool
is_sha256(const char *text)
{
	return sha256_is_text(text);
}

static bool
is_consistency(const char *text)
{
	enum consistency consistency;

	return consistency_parse(text, &consistency);
}

/* ---- members ---- */

static const struct member {
	const char *name;
	size_t offset, room;             /* of a text, with its 0 */
	bool (*text)(const char *value); /* NULL: a number */
	const char *otherwise; /* what it is in one that does not have it; NULL:
				* all have */
} members[] = {
#define NUMBER(name, field)                                                    \
	{                                                                      \
		name, offsetof(struct backup_point, field), 0, NULL, NULL      \
	}
/* 0 in one that does not have it */
#define LATE(name, field)                                                      \
	{                                                                      \
		name, offsetof(struct backup_point, field), 0, NULL, ""        \
	}
#define TEXT(name, field, check) SINCE(name, field, check, NULL)
#define SINCE(name, field, check, otherwise)                                   \
	{                                                                      \
		name, offsetof(struct backup_point, field),                    \
		    sizeof(((struct backup_point *)0)->field), check,          \
		    otherwise                                                  \
	}
    NUMBER("number", number),
    TEXT("set", set, word_is_uuid),
    TEXT("name", name, word_is_name),
    TEXT("lun", lun, is_text),
    TEXT("lun_uuid", lun_uuid, word_is_uuid),
    TEXT("uuid", uuid, word_is_uuid),
    NUMBER("created", created),
    LATE("epoch", epoch),
    SINCE("consistency", consistency, is_consistency, "crash"),
    TEXT("base", base, is_name_or_empty),
    TEXT("base_uuid", base_uuid, is_uuid_or_empty),
    LATE("base_epoch", base_epoch),
    TEXT("bookmark", bookmark, is_name_or_empty),
    TEXT("bookmark_uuid", bookmark_uuid, is_uuid_or_empty),
    NUMBER("block_size", block_size),
    NUMBER("size", size),
    NUMBER("covers", covers),
    NUMBER("data_bytes", data),
    NUMBER("zero_bytes", zero),
    TEXT("file", file, word_is_name),
    NUMBER("file_bytes", file_bytes),
    NUMBER("stream_bytes", stream_bytes),
    TEXT("sha256", sha256, is_sha256),
    NUMBER("finished", finished),
    TEXT("full_because", full_because, is_text),
#undef NUMBER
#undef LATE
#undef TEXT
#undef SINCE
};

static const uint64_t *
number_of(const struct backup_point *point, const struct member *member)
{
	return (const void *)((const char *)point + member->offset);
}

static const char *
text_of(const struct backup_point *point, const struct member *member)
{
	return (const char *)point + member->offset;
}

/* ---- the sum ---- */

/* Of text without the line from sum to rest. */
static void
sum_of(const char *text, size_t before, const char *rest, size_t after,
    char ret_sum[SHA256_TEXT])
{
	struct sha256 *sha256 = sha256_new();

	sha256_add(sha256, text, before);
	sha256_add(sha256, rest, after);
	sha256_text(sha256, ret_sum);
	sha256_free(sha256);
}

static const char *
sum_check(const char *text, size_t length)
{
	const char *line = memmem(text, length, SUM_BEGIN, strlen(SUM_BEGIN));
	char sum[SHA256_TEXT];
	const char *digits, *rest;

	if (line == NULL)
		return "it has no sum";
	line++; /* the newline is the line's before */
	digits = line + strlen(SUM_BEGIN) - 1;
	rest = digits + SHA256_TEXT - 1 + strlen(SUM_END);
	if ((size_t)(rest - text) > length ||
	    memcmp(rest - strlen(SUM_END), SUM_END, strlen(SUM_END)) != 0)
		return "its sum cannot be read";
	sum_of(text, (size_t)(line - text), rest,
	    length - (size_t)(rest - text), sum);
	return memcmp(sum, digits, SHA256_TEXT - 1) == 0
		   ? NULL
		   : "its sum is not that of what it says";
}

/* ---- the whole ---- */

static char *
dump(const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS), *line;

	assert(text != NULL);
	if (asprintf(&line, "%s\n", text) < 0)
		abort();
	free(text);
	return line;
}

char *
manifest_write(const struct backup_point *point)
{
	_cleanup_(json_decrefpp) json_t *json = json_object();
	_cleanup_(freep) char *without = NULL;
	char sum[SHA256_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct member *m = &members[i];
		json_object_set_new(json, m->name,
		    m->text != NULL
			? json_string_lossy(text_of(point, m))
			: json_integer((json_int_t)*number_of(point, m)));
	}
	json_object_set_new(json, FORMAT, json_integer(VERSION));
	without = dump(json);
	sum_of(without, strlen(without), "", 0, sum);
	json_object_set_new(json, "sum", json_string(sum));
	return dump(json);
}

static const char *
member_read(
    const json_t *json, const struct member *m, struct backup_point *point)
{
	const json_t *value = json_object_get(json, m->name);
	const char *text = json_string_value(value);
	uint64_t number = (uint64_t)json_integer_value(value);

	if (value == NULL && m->otherwise != NULL) {
		if (m->text != NULL)
			strcpy((char *)point + m->offset, m->otherwise);
		return NULL;
	}
	if (m->text == NULL) {
		if (!json_is_integer(value) || number >= IMAGE_MAX)
			return "a number is missing, or cannot be";
		memcpy((char *)point + m->offset, &number, sizeof(number));
		return NULL;
	}
	if (text == NULL || strlen(text) != json_string_length(value) ||
	    strlen(text) >= m->room || !m->text(text))
		return "a text is missing, or cannot be";
	memcpy((char *)point + m->offset, text, strlen(text) + 1);
	return NULL;
}

const char *
manifest_read(const char *text, size_t length, struct backup_point *ret_point)
{
	_cleanup_(json_decrefpp) json_t *json =
	    json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const char *wrong = NULL;

	*ret_point = (struct backup_point){.number = 0};
	if (!json_is_object(json))
		return "it is no JSON object";
	wrong = sum_check(text, length);
	if (wrong == NULL &&
	    json_integer_value(json_object_get(json, FORMAT)) != VERSION)
		wrong = "it is of another version, or no manifest of a backup";
	for (size_t i = 0; i < ARRAY_SIZE(members) && wrong == NULL; i++)
		wrong = member_read(json, &members[i], ret_point);
	if (wrong == NULL && ret_point->block_size != 512 &&
	    ret_point->block_size != 4096)
		wrong = "no LUN has such blocks";
	if (wrong == NULL &&
	    (ret_point->base[0] == '\0') != (ret_point->base_uuid[0] == '\0'))
		wrong = "its base has a name or a uuid, and not both";
	return wrong;
}
