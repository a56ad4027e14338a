/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream of PDUs against the whole stack, over a socket pair.
 *
 * The first byte says where the stream begins:
 *
 *	0  a new connection
 *	1  after a login to a target
 *	2  the same with digests
 *	3  after a login for discovery
 *	4  a second session beside a live one
 *	5  a login that reinstates a live session, whose commands execute
 *
 * In 1 to 5 the rest is records of a header (48 bytes), a length (2 bytes) and
 * data; a length with its top bit clear is put into the header, with CmdSN and
 * digests as they should be.  What is left over goes out as it is.  What goes
 * on between connections and sessions is session_fuzz.c's.
 */
#include "tests/fuzz/stack/stack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Logins ---- */

/* The fixture always gets in: else nothing would be fuzzed. */
static void
client_login(struct initiator *c, const char *text, size_t length, uint8_t isid)
{
	const struct login login = {.isid = isid, .cmdsn = 1};
	struct iscsi_bhs response;
	uint8_t data[1024];

	initiator_login(c, &login, text, length);
	initiator_receive(c, &response, sizeof(response));
	assert(response.rest[0] == 0 && response.rest[1] == 0);
	length = be24_get(&response.data_length);
	length += iscsi_pad((uint32_t)length);
	assert(length <= sizeof(data));
	initiator_receive(c, data, length);
}

#define NORMAL "InitiatorName=" STACK_INITIATOR "\0TargetName=" STACK_TARGET
#define OPTIONS                                                                \
	"\0InitialR2T=No\0FirstBurstLength=4096\0MaxBurstLength=8192"          \
	"\0MaxRecvDataSegmentLength=4096\0iSCSIProtocolLevel=2"                \
	"\0MaxOutstandingR2T=2"

static void
login_normal(struct initiator *c, uint8_t isid)
{
	client_login(c, NORMAL OPTIONS, sizeof(NORMAL OPTIONS), isid);
}

static void
login_digests(struct initiator *c)
{
	static const char text[] =
	    NORMAL "\0HeaderDigest=CRC32C\0DataDigest=CRC32C" OPTIONS;

	client_login(c, text, sizeof(text), 1);
	c->digests = true;
}

static void
login_discovery(struct initiator *c)
{
	static const char text[] =
	    "InitiatorName=" STACK_INITIATOR "\0SessionType=Discovery";

	client_login(c, text, sizeof(text), 1);
}

/* ---- The stream ---- */

static bool
takes_cmdsn(const struct iscsi_bhs *bhs)
{
	const uint8_t opcode = iscsi_opcode(bhs);

	return opcode < ISCSI_SNACK && opcode != ISCSI_DATA_OUT &&
	       opcode != ISCSI_LOGIN_REQUEST;
}

static size_t
record_send(struct initiator *c, const uint8_t *data, size_t size)
{
	const unsigned length = load_be16(data + ISCSI_BHS_LENGTH);
	const uint8_t *payload = data + ISCSI_BHS_LENGTH + 2;
	struct iscsi_bhs bhs;
	size_t n = length & (STACK_DATA_MAX - 1);

	size -= ISCSI_BHS_LENGTH + 2;
	if (n > size)
		n = size;
	memcpy(&bhs, data, sizeof(bhs));
	if (length & 0x8000) {
		initiator_send(c, &bhs, sizeof(bhs));
		initiator_send(c, payload, n);
	} else {
		if (takes_cmdsn(&bhs))
			be32_set(&bhs.number[0], c->cmdsn);
		if (takes_cmdsn(&bhs) && !iscsi_is_immediate(&bhs))
			c->cmdsn++;
		initiator_pdu(c, &bhs, payload, (uint32_t)n);
	}
	return ISCSI_BHS_LENGTH + 2 + n;
}

static void
records_send(struct initiator *c, const uint8_t *data, size_t size)
{
	while (size >= ISCSI_BHS_LENGTH + 2) {
		size_t n = record_send(c, data, size);
		data += n;
		size -= n;
	}
	initiator_send(c, data, size);
}

/* A session with commands on the LUN that is slow: the first one takes the unit
 * attention, the others execute. */
static void
other_begin(struct initiator *other)
{
	struct iscsi_bhs read = {.opcode = ISCSI_SCSI_COMMAND,
	    .flags = 0xc0,
	    .lun = {0, 1},
	    .ttt = {{0, 0, 2, 0}},
	    .number = {{{0}}, {{0}}, {{0x28, 0, 0, 0}}},
	    .rest = {[4] = 1}};

	initiator_connect(other);
	login_normal(other, 1);
	for (uint32_t i = 1; i <= 4; i++) {
		be32_set(&read.itt, i);
		be32_set(&read.number[0], i);
		initiator_send(other, &read, sizeof(read));
	}
}

static void
client_begin(struct initiator *c, unsigned mode)
{
	initiator_connect(c);
	switch (mode) {
	case 1: login_normal(c, 1); break;
	case 2: login_digests(c); break;
	case 3: login_discovery(c); break;
	case 4: login_normal(c, 2); break;
	case 5: login_normal(c, 1); break;
	default: break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct initiator c, other;
	unsigned mode;

	if (size < 1)
		return 0;
	mode = data[0] % 6;
	stack_new();
	if (mode >= 4)
		other_begin(&other);
	client_begin(&c, mode);
	if (mode == 0)
		initiator_send(&c, data + 1, size - 1);
	else
		records_send(&c, data + 1, size - 1);
	initiator_finish(&c);
	if (mode >= 4)
		initiator_finish(&other);
	stack_wait_until_quiet();
	return 0;
}
