/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of PDUs and the one part of a header that needs decoding, the
 * additional header segments of a SCSI command.
 */
#include "target/iscsi/pdu.h"
#include <errno.h>

static const char *const opcode_names[ISCSI_OPCODE_MASK + 1] = {
    [ISCSI_NOP_OUT] = "NOP-Out",
    [ISCSI_SCSI_COMMAND] = "SCSI Command",
    [ISCSI_TASK_REQUEST] = "Task Management Request",
    [ISCSI_LOGIN_REQUEST] = "Login Request",
    [ISCSI_TEXT_REQUEST] = "Text Request",
    [ISCSI_DATA_OUT] = "Data-Out",
    [ISCSI_LOGOUT_REQUEST] = "Logout Request",
    [ISCSI_SNACK] = "SNACK Request",
    [ISCSI_NOP_IN] = "NOP-In",
    [ISCSI_SCSI_RESPONSE] = "SCSI Response",
    [ISCSI_TASK_RESPONSE] = "Task Management Response",
    [ISCSI_LOGIN_RESPONSE] = "Login Response",
    [ISCSI_TEXT_RESPONSE] = "Text Response",
    [ISCSI_DATA_IN] = "Data-In",
    [ISCSI_LOGOUT_RESPONSE] = "Logout Response",
    [ISCSI_R2T] = "R2T",
    [ISCSI_ASYNC] = "Asynchronous Message",
    [ISCSI_REJECT] = "Reject",
};

static const struct {
	enum iscsi_reject_reason reason;
	const char *text;
} reject_texts[] = {
#define REJECT(name, code, wording) {(code), (wording)},
#include "target/iscsi/reject.def"
#undef REJECT
};

const char *
iscsi_opcode_name(enum iscsi_opcode opcode)
{
	return opcode_names[opcode & ISCSI_OPCODE_MASK];
}

const char *
iscsi_reject_text(enum iscsi_reject_reason reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(reject_texts); i++) {
		if (reject_texts[i].reason == reason)
			return reject_texts[i].text;
	}
	return "unknown reason";
}

/* 11.2.2.3: AHSLength of an extended CDB counts the reserved byte and the
 * bytes of the CDB past the 16th. */
static int
ahs_extended_cdb(
    const uint8_t *ahs, unsigned length, uint8_t *cdb, unsigned size)
{
	if (length < 2)
		return -EINVAL;
	if (16 + length - 1 > size)
		return -E2BIG;
	memcpy(cdb + 16, ahs + sizeof(struct iscsi_ahs), length - 1);
	return (int)(16 + length - 1);
}

int
iscsi_command_cdb(const struct iscsi_command *command, const uint8_t *ahs,
    uint8_t *cdb, unsigned size, bool *ret_bidirectional)
{
	unsigned left = command->ahs_words * 4u;
	int cdb_length = 16;

	assert(size >= sizeof(command->cdb));
	memcpy(cdb, command->cdb, sizeof(command->cdb));
	memset(cdb + 16, 0, size - 16);
	*ret_bidirectional = false;
	while (left > 0) {
		const unsigned length = load_be16(ahs);
		/* length counts what follows the type byte, padded to words */
		const unsigned whole = (3 + length + 3) & ~3u;

		if (whole > left)
			return -EINVAL;
		if (ahs[2] == ISCSI_AHS_EXTENDED_CDB)
			cdb_length = ahs_extended_cdb(ahs, length, cdb, size);
		else if (ahs[2] == ISCSI_AHS_BIDI_LENGTH)
			*ret_bidirectional = true;
		if (cdb_length < 0)
			return cdb_length;
		ahs += whole;
		left -= whole;
	}
	return cdb_length;
}
