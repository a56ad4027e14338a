/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Negotiation of keys by the table keys.def.  We are always the responder: an
 * initiator proposes or declares, we answer with the result (RFC 7143 6.2.2:
 * for numbers and booleans the responder computes it).
 */
#include "target/iscsi/keys.h"
#include <errno.h>
#include <string.h>

enum key_kind {
	MIN,
	MAX,
	OR,
	AND,
	DIGEST,
	REPORTING,
	DECLARE,
	STRING,
	MARKER,
	MARKINT,
	SECURITY,
	TARGET,
	SENDTARGETS,
};

enum {
	S = ISCSI_WHEN_SECURITY,
	O = ISCSI_WHEN_OPERATIONAL,
	F = ISCSI_WHEN_FULL_FEATURE,
	N = 1,
	L = 2,
};

struct key_row {
	const char *name;
	enum key_kind kind;
	uint32_t minimum, maximum, initial;
	unsigned when, flags;
};

static const struct key_row rows[ISCSI_KEY_COUNT] = {
#define KEY(name, kind, min, max, default_, when, flags)                       \
	{#name, (kind), (min), (max), (default_), (when), (flags)},
#include "target/iscsi/keys.def"
#undef KEY
};

void
iscsi_negotiation_init(
    struct iscsi_negotiation *negotiation, const struct iscsi_limits *limits)
{
	struct iscsi_params *ours = &negotiation->ours;

	memset(negotiation, 0, sizeof(*negotiation));
	for (unsigned i = 0; i < ISCSI_KEY_COUNT; i++)
		negotiation->result.value[i] = rows[i].initial;
	*ours = negotiation->result;
	ISCSI_PARAM(ours, HeaderDigest) = 1;
	ISCSI_PARAM(ours, DataDigest) = 1;
	ISCSI_PARAM(ours, MaxConnections) = limits->session_connections;
	ISCSI_PARAM(ours, InitialR2T) = 0;
	ISCSI_PARAM(ours, MaxRecvDataSegmentLength) = limits->max_recv_segment;
	ISCSI_PARAM(ours, MaxBurstLength) = limits->max_burst;
	ISCSI_PARAM(ours, FirstBurstLength) = limits->first_burst;
	ISCSI_PARAM(ours, MaxOutstandingR2T) = 8;
	/* a lost connection is a lost session (ErrorRecoveryLevel 0): nothing
	 * is kept that would be worth waiting for */
	ISCSI_PARAM(ours, DefaultTime2Wait) = 0;
	ISCSI_PARAM(ours, DefaultTime2Retain) = 0;
	ISCSI_PARAM(ours, TaskReporting) = 2;
	ISCSI_PARAM(ours, iSCSIProtocolLevel) = 2; /* RFC 7144 */
}

void
iscsi_params_join(
    struct iscsi_params *params, const struct iscsi_params *session)
{
	for (unsigned i = 0; i < ISCSI_KEY_COUNT; i++) {
		if ((rows[i].flags & L) != 0)
			params->value[i] = session->value[i];
	}
}

static const struct key_row *
key_find(const char *name)
{
	for (unsigned i = 0; i < ISCSI_KEY_COUNT; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* 6.2.2: a number outside its range is answered Reject, and what was in effect
 * stays. */
static int
negotiate_number(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	const size_t key = (size_t)(row - rows);
	uint32_t *result = &negotiation->result.value[key];
	const uint32_t ours = negotiation->ours.value[key];
	uint32_t theirs;

	if (!iscsi_text_number(value, &theirs) || theirs < row->minimum ||
	    theirs > row->maximum) {
		iscsi_text_add(text, row->name, "Reject");
		return 0;
	}
	*result =
	    row->kind == MIN ? smaller(ours, theirs) : larger(ours, theirs);
	iscsi_text_addf(text, row->name, "%u", *result);
	return 0;
}

static int
negotiate_boolean(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	const size_t key = (size_t)(row - rows);
	uint32_t *result = &negotiation->result.value[key];
	const uint32_t ours = negotiation->ours.value[key];
	const bool yes = strcmp(value, "Yes") == 0;

	if (!yes && strcmp(value, "No") != 0) {
		iscsi_text_add(text, row->name, "Reject");
		return 0;
	}
	*result = row->kind == OR ? (ours || yes) : (ours && yes);
	iscsi_text_add(text, row->name, *result ? "Yes" : "No");
	return 0;
}

/* 6.2.1: the responder takes the first value of the list it can do. */
static int
negotiate_list(struct iscsi_negotiation *negotiation, const struct key_row *row,
    const char *value, struct iscsi_text *text)
{
	static const char *const digests[] = {"None", "CRC32C", NULL};
	static const char *const reporting[] = {
	    "RFC3720", "ResponseFence", "FastAbort", NULL};
	const char *const *names = row->kind == DIGEST ? digests : reporting;
	const size_t key = (size_t)(row - rows);
	char word[32];

	while (iscsi_text_list_next(&value, word, sizeof(word))) {
		for (uint32_t i = 0; names[i] != NULL; i++) {
			if (i > negotiation->ours.value[key] ||
			    strcmp(word, names[i]) != 0)
				continue;
			negotiation->result.value[key] = i;
			iscsi_text_add(text, row->name, word);
			return 0;
		}
	}
	iscsi_text_add(text, row->name, "Reject");
	return 0;
}

/* A declaration has no answer, so a bad one cannot be refused by one; the
 * result keeps what the initiator can receive. */
static int
negotiate_declaration(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	const size_t key = (size_t)(row - rows);
	uint32_t theirs;

	if (!iscsi_text_number(value, &theirs) || theirs < row->minimum ||
	    theirs > row->maximum) {
		iscsi_text_add(text, row->name, "Reject");
		return 0;
	}
	negotiation->result.value[key] = theirs;
	return 0;
}

static int
copy_string(char *to, size_t size, const char *value)
{
	const size_t length = strlen(value);

	if (length == 0 || length >= size)
		return -EPROTO;
	memcpy(to, value, length + 1);
	return 0;
}

static int
negotiate_string(struct iscsi_negotiation *n, const struct key_row *row,
    const char *value, struct iscsi_text *text)
{
	(void)text;
	switch (row - rows) {
	case ISCSI_KEY_InitiatorName:
		return copy_string(
		    n->initiator_name, sizeof(n->initiator_name), value);
	case ISCSI_KEY_TargetName:
		return copy_string(
		    n->target_name, sizeof(n->target_name), value);
	case ISCSI_KEY_InitiatorAlias:
		/* empty is legal: the alias is withdrawn */
		if (value[0] == '\0')
			return 0;
		return copy_string(
		    n->initiator_alias, sizeof(n->initiator_alias), value);
	default:
		assert(row - rows == ISCSI_KEY_SessionType);
		/* more than 15 characters can be neither of the two: kept
		 * short, refused by who looks at it */
		strncpy(n->session_type, value, sizeof(n->session_type) - 1);
		n->discovery = strcmp(value, "Discovery") == 0;
		return 0;
	}
}

/* RFC 7143 13.25: IFMarker and OFMarker are answered Reject or No, IFMarkInt
 * and OFMarkInt Reject, and none of them NotUnderstood. */
static int
negotiate_marker(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	(void)negotiation, (void)value;
	iscsi_text_add(text, row->name, row->kind == MARKER ? "No" : "Reject");
	return 0;
}

static int
negotiate_never(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	(void)negotiation, (void)row, (void)value, (void)text;
	return -EPROTO;
}

static int
negotiate_elsewhere(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text)
{
	(void)negotiation, (void)row, (void)value, (void)text;
	return 0;
}

static int (*const negotiate_kind[])(struct iscsi_negotiation *negotiation,
    const struct key_row *row, const char *value, struct iscsi_text *text) = {
    [MIN] = negotiate_number,
    [MAX] = negotiate_number,
    [OR] = negotiate_boolean,
    [AND] = negotiate_boolean,
    [DIGEST] = negotiate_list,
    [REPORTING] = negotiate_list,
    [DECLARE] = negotiate_declaration,
    [STRING] = negotiate_string,
    [MARKER] = negotiate_marker,
    [MARKINT] = negotiate_marker,
    [SECURITY] = negotiate_elsewhere,
    [TARGET] = negotiate_never,
    [SENDTARGETS] = negotiate_elsewhere,
};

/* 13.14: FirstBurstLength is irrelevant too when there is nothing to send
 * unsolicited. */
static bool
is_irrelevant(
    const struct iscsi_negotiation *negotiation, const struct key_row *row)
{
	const struct iscsi_params *result = &negotiation->result;

	if (negotiation->discovery && (row->flags & N) != 0)
		return true;
	/* 13: "LO", leading only: nothing is left to be agreed on */
	if (negotiation->joining && (row->flags & L) != 0)
		return true;
	return row - rows == ISCSI_KEY_FirstBurstLength &&
	       iscsi_key_seen(negotiation, ISCSI_KEY_InitialR2T) &&
	       iscsi_key_seen(negotiation, ISCSI_KEY_ImmediateData) &&
	       ISCSI_PARAM(result, InitialR2T) &&
	       !ISCSI_PARAM(result, ImmediateData);
}

/* 6.2: values that are answers, never proposals. */
static bool
is_reserved(const char *value)
{
	return strcmp(value, "Reject") == 0 ||
	       strcmp(value, "Irrelevant") == 0 ||
	       strcmp(value, "NotUnderstood") == 0;
}

/* 6.3, 13: "Neither the initiator nor the target should attempt to declare or
 * negotiate a parameter more than once during login"; in full feature phase a
 * new declaration replaces the old one, and the caller forgets what was seen
 * with each new sequence. */
static int
key_admit(struct iscsi_negotiation *negotiation, const struct key_row *row,
    enum iscsi_key_when when)
{
	const uint64_t bit = 1ull << (row - rows);

	if ((negotiation->seen & bit) != 0)
		return -EPROTO;
	negotiation->seen |= bit;
	return (row->when & when) == 0 ? -EACCES : 0;
}

int
iscsi_negotiate(struct iscsi_negotiation *negotiation, enum iscsi_key_when when,
    const char *key, const char *value, struct iscsi_text *text,
    enum iscsi_key *ret_key)
{
	const struct key_row *row = key_find(key);
	int ret;

	*ret_key = ISCSI_KEY_COUNT;
	if (row == NULL) {
		if (!is_reserved(value))
			iscsi_text_add(text, key, "NotUnderstood");
		return 0;
	}
	ret = key_admit(negotiation, row, when);
	if (ret == -EACCES && when == ISCSI_WHEN_FULL_FEATURE) {
		/* 6.4: fixed for the life of the connection */
		iscsi_text_add(text, row->name, "Reject");
		return 0;
	}
	if (ret < 0 || (is_reserved(value) && row->kind != STRING))
		return -EPROTO;
	if (is_irrelevant(negotiation, row)) {
		iscsi_text_add(text, row->name, "Irrelevant");
		return 0;
	}
	if (row->kind == SECURITY || row->kind == SENDTARGETS)
		*ret_key = (enum iscsi_key)(row - rows);
	return negotiate_kind[row->kind](negotiation, row, value, text);
}
