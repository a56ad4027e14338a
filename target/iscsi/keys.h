/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Negotiation of keys: one row of keys.def each says what values are legal,
 * when, and how the two sides' values combine (RFC 7143 6.2, 13).
 */
#ifndef TARGET_ISCSI_KEYS_H
#define TARGET_ISCSI_KEYS_H

#include "target/iscsi/server.h"
#include "target/iscsi/text.h"

enum iscsi_key {
#define KEY(name, kind, min, max, default_, when, flags) ISCSI_KEY_##name,
#include "target/iscsi/keys.def"
#undef KEY
	ISCSI_KEY_COUNT
};
static_assert(ISCSI_KEY_COUNT <= 64, "one bit each in iscsi_negotiation.seen");

/* One number per key; of most interest are the operational ones. */
struct iscsi_params {
	uint32_t value[ISCSI_KEY_COUNT];
};

#define ISCSI_PARAM(params, name) ((params)->value[ISCSI_KEY_##name])

enum iscsi_key_when {
	ISCSI_WHEN_SECURITY = 1,
	ISCSI_WHEN_OPERATIONAL = 2,
	ISCSI_WHEN_FULL_FEATURE = 4,
};

struct iscsi_negotiation {
	struct iscsi_params ours;   /* what we would like */
	struct iscsi_params result; /* the defaults; then what was agreed */
	uint64_t seen;              /* keys received, a bit each */
	bool discovery;
	bool joining; /* a session that there is */
	char initiator_name[ISCSI_NAME_MAX + 1];
	char initiator_alias[ISCSI_VALUE_MAX + 1];
	char target_name[ISCSI_NAME_MAX + 1];
	char session_type[16];
};

void iscsi_negotiation_init(
    struct iscsi_negotiation *negotiation, const struct iscsi_limits *limits);

/* Of a connection that joins a session: what was agreed for the session. */
void iscsi_params_join(
    struct iscsi_params *params, const struct iscsi_params *session);

/* One pair from the initiator; the answer, if it takes one, is added to text.
 * Values of keys of kind SECURITY and SENDTARGETS are the caller's: *ret_key
 * says which, else ISCSI_KEY_COUNT.  0, or -EPROTO: repeated, not legal now,
 * or a declaration that makes no sense: the negotiation fails. */
int iscsi_negotiate(struct iscsi_negotiation *negotiation,
    enum iscsi_key_when when, const char *key, const char *value,
    struct iscsi_text *text, enum iscsi_key *ret_key);

static inline bool
iscsi_key_seen(const struct iscsi_negotiation *negotiation, enum iscsi_key key)
{
	return negotiation->seen >> key & 1;
}

#endif
