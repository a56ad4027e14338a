/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ROD tokens, SPC-4 5.17.6: a right to the data that some blocks of a unit held
 * at one point in time.  Whoever shows it may have them copied, from whatever
 * host: so it holds 32 random bytes, and nobody can make one up.
 *
 * The type is "point in time copy - change vulnerable": a token keeps nothing,
 * it is revoked when one of its blocks is written.  lun_submit() tells before
 * each write; a copy asks, when it has read a piece, whether the token is still
 * good, and so never writes what came later.  A copy to the unit is no task of
 * that unit, so POPULATE TOKEN, which no write of the unit's own runs beside,
 * may come while a piece is being written: copy_move.c tells after the write
 * as well.
 *
 * Tokens live in memory: after a restart they are unknown, and the host copies
 * by itself.
 */
#include "base/log.h"
#include "target/scsi/copy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOKENS_KEPT 256u
#define BODY        8u /* what ROD TOKEN LENGTH does not count */
#define SECRET_AT   256u

struct copy_manager {
	struct list tokens; /* used longest ago first */
	unsigned count;
	uint64_t last_id;
};

struct copy_manager *
copy_manager_new(void)
{
	struct copy_manager *manager = calloc(1, sizeof(*manager));

	if (manager != NULL)
		list_init(&manager->tokens);
	return manager;
}

void
copy_manager_free(struct copy_manager *manager)
{
	if (manager == NULL)
		return;
	assert(manager->count == 0);
	free(manager);
}

/* ---- the life of one ---- */

static void
token_check(struct token *token)
{
	if (token->revoked && token->users == 0)
		free(token);
}

void
token_revoke(struct token *token)
{
	if (token->revoked)
		return;
	token->revoked = true;
	list_del(&token->link);
	list_del(&token->lun_link);
	token->manager->count--;
	token_check(token);
}

static bool
is_expired(const struct token *token)
{
	return token->users == 0 &&
	       loop_now(token->lun->loop) - token->used_ns > token->patience_ns;
}

void
token_use(struct token *token)
{
	token->users++;
	token->lun->token_users++;
	token->used_ns = loop_now(token->lun->loop);
	list_del(&token->link);
	list_add_tail(&token->manager->tokens, &token->link);
}

void
token_leave(struct token *token)
{
	struct lun *lun = token->lun;

	assert(token->users > 0 && lun->token_users > 0);
	token->users--;
	token->used_ns = loop_now(lun->loop);
	lun->token_users--;
	token_check(token);
	lun_close_check(lun);
}

static void
forget_expired(struct copy_manager *manager)
{
	struct token *token, *tmp;

	list_for_each_safe (token, tmp, &manager->tokens, link) {
		if (is_expired(token))
			token_revoke(token);
	}
}

static void
token_measure(struct token *token)
{
	const struct token_ranges *ranges = &token->ranges;

	token->low = UINT64_MAX;
	for (unsigned i = 0; i < ranges->count; i++) {
		const struct token_range *range = &ranges->range[i];
		uint64_t end = range->offset + range->length;
		if (range->offset < token->low)
			token->low = range->offset;
		if (end > token->high)
			token->high = end;
	}
}

struct token *
token_new(
    struct lun *lun, const struct token_ranges *ranges, uint64_t patience_ns)
{
	struct copy_manager *manager = lun->manager;
	struct token *token = calloc(1, sizeof(*token));

	assert(ranges->count <= TOKEN_RANGES_MAX);
	if (token == NULL)
		return NULL;
	if (getrandom(token->secret, sizeof(token->secret), 0) !=
	    sizeof(token->secret)) {
		free(token);
		return NULL;
	}
	forget_expired(manager);
	if (manager->count == TOKENS_KEPT)
		token_revoke(
		    list_entry(manager->tokens.next, struct token, link));
	token->lun = lun;
	token->manager = manager;
	token->id = ++manager->last_id;
	token->used_ns = loop_now(lun->loop);
	token->patience_ns = patience_ns;
	token->ranges = *ranges;
	token_measure(token);
	list_add_tail(&manager->tokens, &token->link);
	list_add_tail(&lun->tokens, &token->lun_link);
	manager->count++;
	return token;
}

static struct token *
find(struct copy_manager *manager, uint64_t id)
{
	struct token *token;

	list_for_each (token, &manager->tokens, link) {
		if (token->id == id)
			return token;
	}
	return NULL;
}

struct token *
token_find(struct copy_manager *manager, uint64_t id)
{
	struct token *token = find(manager, id);

	return token != NULL && is_expired(token) ? NULL : token;
}

/* ---- when it is no longer good ---- */

bool
token_ranges_overlap(
    const struct token_ranges *ranges, uint64_t offset, uint64_t length)
{
	for (unsigned i = 0; i < ranges->count; i++) {
		const struct token_range *range = &ranges->range[i];
		if (range->offset < offset + length &&
		    offset < range->offset + range->length)
			return true;
	}
	return false;
}

/* Before each write, so most of the time it must be quick. */
void
token_revoke_range(struct lun *lun, uint64_t offset, uint64_t length)
{
	struct token *token, *tmp;

	list_for_each_safe (token, tmp, &lun->tokens, lun_link) {
		if (offset < token->high && token->low < offset + length &&
		    token_ranges_overlap(&token->ranges, offset, length))
			token_revoke(token);
	}
}

/* Also those of no blocks. */
void
token_revoke_all(struct lun *lun)
{
	struct token *token, *tmp;

	list_for_each_safe (token, tmp, &lun->tokens, lun_link)
		token_revoke(token);
}

/* ---- on the wire, SPC-4 tables 65 and 67, SBC-3 table 43 ---- */

void
token_encode(const struct token *token, uint8_t data[TOKEN_LENGTH])
{
	const struct lun *lun = token->lun;
	uint8_t *creator = &data[16];

	memset(data, 0, TOKEN_LENGTH);
	store_be32(&data[0], TOKEN_CHANGE_VULNERABLE);
	store_be16(&data[6], TOKEN_LENGTH - BODY);
	store_be64(&data[8], token->id);
	creator[0] = COPY_IDENTIFIED;
	creator[4] = 0x01; /* binary */
	creator[5] = 0x03; /* NAA */
	creator[7] = sizeof(lun->naa);
	memcpy(&creator[8], lun->naa, sizeof(lun->naa));
	store_be32(&creator[28], lun->bs->block_size);
	store_be64(&data[56], token->ranges.bytes);
	store_be32(&data[96], lun->bs->block_size);
	memcpy(&data[SECRET_AT], token->secret, sizeof(token->secret));
}

static bool
is_equal(const struct token *token, const uint8_t *data)
{
	uint8_t own[TOKEN_LENGTH], differs = 0;

	token_encode(token, own);
	for (unsigned i = 0; i < TOKEN_LENGTH; i++)
		differs |= own[i] ^ data[i]; /* in the same time always */
	return differs == 0;
}

/* SPC-4 5.17.6.4 and table 68 */
struct scsi_sense
token_decode(struct copy_manager *manager, const uint8_t data[TOKEN_LENGTH],
    struct token **ret_token)
{
	uint64_t id = load_be64(&data[8]);
	struct token *token;

	*ret_token = NULL;
	if (load_be16(&data[6]) != TOKEN_LENGTH - BODY)
		return SENSE_INVALID_TOKEN_LENGTH;
	switch (load_be32(&data[0])) {
	case TOKEN_ZERO: return SENSE_NONE;
	case TOKEN_CHANGE_VULNERABLE: break;
	default: return SENSE_TOKEN_TYPE_UNSUPPORTED;
	}
	token = find(manager, id);
	if (token != NULL && is_expired(token)) {
		token_revoke(token);
		return SENSE_TOKEN_EXPIRED;
	}
	if (token == NULL)
		return id > 0 && id <= manager->last_id ? SENSE_TOKEN_REVOKED
							: SENSE_TOKEN_UNKNOWN;
	if (!is_equal(token, data))
		return SENSE_TOKEN_CORRUPT;
	*ret_token = token;
	return SENSE_NONE;
}
