/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the greeting to the transmission, option by option.
 */
#include "backup/nbd_talk.h"
#include "base/assert.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX     64 /* who has not chosen by then never will */
#define ZEROES          124
#define BLOCK_PREFERRED 4096

/* ---- answers ---- */

static int
reply(struct nbd_talk *talk, uint32_t option, uint32_t type, const void *data,
    size_t length)
{
	struct nbd_option_reply head;
	int ret;

	be64_set(&head.magic, NBD_OPTION_REPLY);
	be32_set(&head.option, option);
	be32_set(&head.type, type);
	be32_set(&head.length, (uint32_t)length);
	ret = talk->wire->write(talk->wire, &head, sizeof(head));
	if (ret == 0 && length > 0)
		ret = talk->wire->write(talk->wire, data, length);
	return ret;
}

static int
refuse(struct nbd_talk *talk, uint32_t option, uint32_t type)
{
	return reply(talk, option, type, NULL, 0);
}

uint16_t
nbd_flags(const struct nbd_talk *talk)
{
	return (uint16_t)(NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY |
			  NBD_FLAG_CAN_MULTI_CONN |
			  (talk->structured ? NBD_FLAG_SEND_DF : 0));
}

/* ---- what an option's data say ---- */

/* Goes through them; anything past their end is wrong. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool wrong;
};

static const uint8_t *
take(struct reader *reader, size_t length)
{
	const uint8_t *at = reader->at;

	if (length > reader->left) {
		reader->wrong = true;
		return NULL;
	}
	reader->at += length;
	reader->left -= length;
	return at;
}

static uint32_t
take_be32(struct reader *reader)
{
	const uint8_t *at = take(reader, 4);

	return at != NULL ? load_be32(at) : 0;
}

static uint16_t
take_be16(struct reader *reader)
{
	const uint8_t *at = take(reader, 2);

	return at != NULL ? load_be16(at) : 0;
}

/* Is it that text? */
static bool
is_text(const uint8_t *at, size_t length, const char *text)
{
	return at != NULL && length == strlen(text) &&
	       memcmp(at, text, length) == 0;
}

static bool
takes_our_name(const struct nbd_talk *talk, struct reader *reader)
{
	size_t length = take_be32(reader);
	const uint8_t *name = take(reader, length);

	/* "" is a server's default export, if it has one */
	return is_text(name, length, talk->export->name) ||
	       (talk->export->listed && name != NULL && length == 0);
}

/* ---- contexts ---- */

static const char *
context_name(
    const struct nbd_talk *talk, enum nbd_map map, char *buf, size_t room)
{
	if (map == NBD_MAP_DATA)
		return "base:allocation";
	snprintf(buf, room, "qemu:dirty-bitmap:%s", talk->export->bitmap);
	return buf;
}

static bool
context_exists(const struct nbd_talk *talk, enum nbd_map map)
{
	return map == NBD_MAP_DATA || talk->export->bitmap != NULL;
}

/* "base:" and "qemu:" alone ask for all in them, in a list only. */
static bool
query_matches(const uint8_t *query, size_t length, const char *name, bool list)
{
	if (is_text(query, length, name))
		return true;
	return list && query != NULL && length > 0 &&
	       query[length - 1] == ':' && length < strlen(name) &&
	       memcmp(query, name, length) == 0;
}

static void
take_query(const struct nbd_talk *talk, struct reader *reader, bool list,
    bool *matched)
{
	size_t length = take_be32(reader);
	const uint8_t *query = take(reader, length);
	char buf[NBD_STRING_MAX];

	for (unsigned map = 0; map < NBD_CONTEXTS; map++) {
		if (context_exists(talk, map) &&
		    query_matches(query, length,
			context_name(talk, map, buf, sizeof(buf)), list))
			matched[map] = true;
	}
}

static int
reply_context(struct nbd_talk *talk, uint32_t option, enum nbd_map map)
{
	uint8_t data[4 + NBD_STRING_MAX];
	char buf[NBD_STRING_MAX];
	const char *name = context_name(talk, map, buf, sizeof(buf));
	size_t length = strlen(name);

	assert(length < NBD_STRING_MAX);
	store_be32(data,
	    option == NBD_OPT_LIST_META_CONTEXT ? 0 : nbd_context_id(map));
	memcpy(&data[4], name, length);
	return reply(talk, option, NBD_REP_META_CONTEXT, data, 4 + length);
}

/* LIST_META_CONTEXT and SET_META_CONTEXT. */
static int
do_meta_context(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	bool list = option == NBD_OPT_LIST_META_CONTEXT;
	bool known = takes_our_name(talk, reader);
	uint32_t queries = take_be32(reader);
	bool matched[NBD_CONTEXTS] = {false};
	int ret = 0;

	for (unsigned map = 0; map < NBD_CONTEXTS && !list; map++)
		talk->contexts[map] = false;
	if (!talk->structured)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	for (uint32_t i = 0; i < queries && !reader->wrong; i++)
		take_query(talk, reader, list, matched);
	if (reader->wrong || reader->left > 0)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	if (!known)
		return refuse(talk, option, NBD_REP_ERR_UNKNOWN);
	for (unsigned map = 0; map < NBD_CONTEXTS && ret == 0; map++) {
		if (list && queries == 0)
			matched[map] = context_exists(talk, map);
		if (matched[map])
			ret = reply_context(talk, option, map);
		if (!list)
			talk->contexts[map] = matched[map];
	}
	return ret < 0 ? ret : reply(talk, option, NBD_REP_ACK, NULL, 0);
}

/* ---- the export ---- */

static int
reply_info(struct nbd_talk *talk, uint32_t option)
{
	uint8_t data[12];

	store_be16(data, NBD_INFO_EXPORT);
	store_be64(&data[2], talk->export->disk->size);
	store_be16(&data[10], nbd_flags(talk));
	return reply(talk, option, NBD_REP_INFO, data, sizeof(data));
}

static int
reply_block_size(struct nbd_talk *talk, uint32_t option)
{
	uint8_t data[14];

	store_be16(data, NBD_INFO_BLOCK_SIZE);
	store_be32(&data[2], 1);
	store_be32(&data[6], BLOCK_PREFERRED);
	store_be32(&data[10], NBD_PAYLOAD_MAX);
	return reply(talk, option, NBD_REP_INFO, data, sizeof(data));
}

/* INFO and GO.  1: transmission begins. */
static int
do_go(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	bool known = takes_our_name(talk, reader), block_size = false;
	unsigned infos = take_be16(reader);
	int ret;

	for (unsigned i = 0; i < infos && !reader->wrong; i++)
		block_size |= take_be16(reader) == NBD_INFO_BLOCK_SIZE;
	if (reader->wrong || reader->left > 0)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	if (!known)
		return refuse(talk, option, NBD_REP_ERR_UNKNOWN);
	ret = reply_info(talk, option);
	if (ret == 0 && block_size)
		ret = reply_block_size(talk, option);
	if (ret == 0)
		ret = reply(talk, option, NBD_REP_ACK, NULL, 0);
	return ret < 0 ? ret : option == NBD_OPT_GO;
}

/* The oldest way, which has no answer for a name that is not known. */
static int
do_export_name(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	uint8_t data[10 + ZEROES] = {0};
	size_t length = sizeof(data) - (talk->no_zeroes ? ZEROES : 0);
	bool known = is_text(reader->at, reader->left, talk->export->name) ||
		     (talk->export->listed && reader->left == 0);
	int ret;

	(void)option;
	if (!known)
		return -EACCES;
	store_be64(data, talk->export->disk->size);
	store_be16(&data[8], nbd_flags(talk));
	ret = talk->wire->write(talk->wire, data, length);
	return ret < 0 ? ret : 1;
}

/* ---- the others ---- */

static int
do_abort(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	(void)reader;
	reply(talk, option, NBD_REP_ACK, NULL, 0);
	return -ECONNABORTED;
}

static int
do_list(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	uint8_t data[4 + NBD_STRING_MAX];
	const char *name = talk->export->name;
	int ret = 0;

	if (reader->left > 0)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	store_be32(data, (uint32_t)strlen(name));
	memcpy(&data[4], name, strlen(name));
	if (talk->export->listed)
		ret =
		    reply(talk, option, NBD_REP_SERVER, data, 4 + strlen(name));
	return ret < 0 ? ret : reply(talk, option, NBD_REP_ACK, NULL, 0);
}

/* What was settled in the clear is forgotten. */
static int
do_starttls(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	int ret;

	if (talk->wire->start_tls == NULL)
		return refuse(talk, option, NBD_REP_ERR_UNSUP);
	if (reader->left > 0 || talk->secure)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	ret = reply(talk, option, NBD_REP_ACK, NULL, 0);
	if (ret == 0)
		ret = talk->wire->start_tls(talk->wire);
	talk->secure = ret == 0;
	talk->structured = false;
	memset(talk->contexts, 0, sizeof(talk->contexts));
	return ret;
}

static int
do_structured(struct nbd_talk *talk, uint32_t option, struct reader *reader)
{
	if (reader->left > 0)
		return refuse(talk, option, NBD_REP_ERR_INVALID);
	talk->structured = true;
	return reply(talk, option, NBD_REP_ACK, NULL, 0);
}

/* clang-format off */
static const struct option_row {
	int (*run)(struct nbd_talk *talk, uint32_t option, struct reader *reader);
	bool in_clear; /* also where TLS is required and not there yet */
} options[] = {
	[NBD_OPT_EXPORT_NAME]       = { do_export_name,  false },
	[NBD_OPT_ABORT]             = { do_abort,        true },
	[NBD_OPT_LIST]              = { do_list,         false },
	[NBD_OPT_STARTTLS]          = { do_starttls,     true },
	[NBD_OPT_INFO]              = { do_go,           false },
	[NBD_OPT_GO]                = { do_go,           false },
	[NBD_OPT_STRUCTURED_REPLY]  = { do_structured,   false },
	[NBD_OPT_LIST_META_CONTEXT] = { do_meta_context, false },
	[NBD_OPT_SET_META_CONTEXT]  = { do_meta_context, false },
};
/* clang-format on */

static int
do_option(struct nbd_talk *talk, uint32_t option, size_t length)
{
	struct reader reader = {talk->option, length, false};
	const struct option_row *row =
	    option < ARRAY_SIZE(options) ? &options[option] : NULL;

	if (row == NULL || row->run == NULL)
		return refuse(talk, option, NBD_REP_ERR_UNSUP);
	if (talk->export->tls_required && !talk->secure && !row->in_clear)
		return option == NBD_OPT_EXPORT_NAME
			   ? -EACCES
			   : refuse(talk, option, NBD_REP_ERR_TLS_REQD);
	return row->run(talk, option, &reader);
}

static int
next_option(struct nbd_talk *talk)
{
	struct nbd_option head;
	int ret = talk->wire->read(talk->wire, &head, sizeof(head));
	uint32_t length;

	if (ret < 0)
		return ret;
	length = be32_get(&head.length);
	if (be64_get(&head.magic) != NBD_IHAVEOPT ||
	    length > sizeof(talk->option))
		return -EBADMSG;
	ret = talk->wire->read(talk->wire, talk->option, length);
	return ret < 0 ? ret : do_option(talk, be32_get(&head.option), length);
}

int
nbd_negotiate(struct nbd_talk *talk)
{
	struct nbd_greeting greeting;
	struct be32 raw;
	uint32_t flags;
	int ret;

	be64_set(&greeting.magic, NBD_MAGIC);
	be64_set(&greeting.option_magic, NBD_IHAVEOPT);
	be16_set(&greeting.flags, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	ret = talk->wire->write(talk->wire, &greeting, sizeof(greeting));
	if (ret == 0)
		ret = talk->wire->read(talk->wire, &raw, sizeof(raw));
	if (ret < 0)
		return ret;
	flags = be32_get(&raw);
	/* a flag that is not known here may change what follows */
	if (flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
		return -EBADMSG;
	talk->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	for (unsigned i = 0; i < OPTIONS_MAX && ret == 0; i++)
		ret = next_option(talk);
	return ret;
}
