/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text and its negotiation: the first byte chooses the stage, the rest is the
 * text.  Whatever comes, results stay in the ranges of keys.def, and nobody is
 * authenticated by chance.
 */
#include "target/iscsi/chap.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct iscsi_limits limits = {.max_recv_segment = 262144,
    .max_burst = 1u << 20,
    .first_burst = 262144,
    .session_connections = 4};

static const struct iscsi_host host = {
    .chap = {.user = "user", .secret = "a secret of some length"},
    .mutual = {.user = "target", .secret = "another secret"},
};

static const uint32_t minimum[] = {
#define KEY(name, kind, min, max, initial, when, flags) (min),
#include "target/iscsi/keys.def"
#undef KEY
};

static const uint32_t maximum[] = {
#define KEY(name, kind, min, max, initial, when, flags) (max),
#include "target/iscsi/keys.def"
#undef KEY
};

static void
check_ranges(const struct iscsi_negotiation *n)
{
	for (unsigned i = 0; i < ISCSI_KEY_COUNT; i++) {
		assert(n->result.value[i] >= minimum[i]);
		assert(n->result.value[i] <= maximum[i]);
	}
	assert(strnlen(n->initiator_name, sizeof(n->initiator_name)) <=
	       ISCSI_NAME_MAX);
	assert(
	    strnlen(n->target_name, sizeof(n->target_name)) <= ISCSI_NAME_MAX);
	assert(ISCSI_PARAM(&n->result, ErrorRecoveryLevel) == 0);
	assert(ISCSI_PARAM(&n->result, MaxConnections) >= 1 &&
	       ISCSI_PARAM(&n->result, MaxConnections) <=
		   limits.session_connections);
}

static void
play(char *text, size_t length, enum iscsi_key_when when)
{
	static char answer[ISCSI_TEXT_MAX];
	struct iscsi_text out = {.data = answer, .size = sizeof(answer)};
	struct iscsi_negotiation negotiation;
	struct chap chap = {0};
	const char *key, *value;
	char *at = text, *end = text + length;
	enum iscsi_key which;

	iscsi_negotiation_init(&negotiation, &limits);
	while (iscsi_text_next(&at, end, &key, &value) > 0) {
		assert(strlen(key) <= ISCSI_KEY_MAX);
		if (iscsi_negotiate(
			&negotiation, when, key, value, &out, &which) < 0)
			break;
		if (which < ISCSI_KEY_COUNT)
			chap_take(&chap, which, value);
		/* each CHAP_R ends a request */
		if (which == ISCSI_KEY_CHAP_A || which == ISCSI_KEY_CHAP_R)
			if (chap_step(&chap, &host, &out) < 0)
				break;
	}
	assert(chap.step != CHAP_DONE);
	assert(out.length <= out.size);
	check_ranges(&negotiation);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum iscsi_key_when when[] = {ISCSI_WHEN_SECURITY,
	    ISCSI_WHEN_OPERATIONAL, ISCSI_WHEN_FULL_FEATURE};
	uint8_t binary[64];
	char *text;

	if (size < 1 || size > ISCSI_TEXT_MAX)
		return 0;
	text = malloc(size);
	assert(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	assert(iscsi_text_binary(text, binary, sizeof(binary)) <=
	       (ssize_t)sizeof(binary));
	play(text, size, when[data[0] % ARRAY_SIZE(when)]);
	free(text);
	return 0;
}
