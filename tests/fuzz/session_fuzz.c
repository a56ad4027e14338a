/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions side by side and connections in them, against the whole stack.  The
 * input is a program: a byte says what is done (its low four bits, rows of the
 * table below) and on which connection (the two bits above), the bytes after it
 * how.  Bit 6: of the PDU only half goes out, the rest before the next one on
 * that connection, or when we wait for the server.
 *
 * Two hosts share two units, so reservations of one are met by the other;
 * commands of a session may come ahead of their turn on any connection of it.
 * Beside what sanitizers and assertions find, the server is held to its numbers
 * (stack/session.c).
 */
#include "tests/fuzz/stack/session.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200

static struct {
	const uint8_t *at, *end;
	struct session sessions[SESSIONS];
	struct slot slots[SLOTS];
	bool read_only;
	uint32_t itt;
} f;

static uint8_t
take(void)
{
	return f.at < f.end ? *f.at++ : 0;
}

/* Up to n bytes of the input. */
static const uint8_t *
take_bytes(size_t *n)
{
	const uint8_t *bytes = f.at;

	if (*n > (size_t)(f.end - f.at))
		*n = (size_t)(f.end - f.at);
	f.at += *n;
	return bytes;
}

/* how: bits 0-1 the turn, bit 2 immediate. */
static void
number(struct slot *slot, struct iscsi_bhs *bhs, uint8_t how)
{
	if ((how & 4) != 0) {
		bhs->opcode |= ISCSI_IMMEDIATE;
		be32_set(&bhs->number[0], slot->session->cmdsn);
	} else {
		be32_set(&bhs->number[0],
		    session_number(slot->session, (enum turn)(how & 3)));
	}
	be32_set(&bhs->number[1], slot->statsn);
}

/* ---- What is done ---- */

static const char pair_of_digests[] = "HeaderDigest=CRC32C\0DataDigest=CRC32C";
static const char keys[] =
    "MaxConnections=4\0InitialR2T=No\0FirstBurstLength=2048"
    "\0MaxBurstLength=4096\0MaxRecvDataSegmentLength=4096"
    "\0iSCSIProtocolLevel=2\0MaxOutstandingR2T=2";

/* bit 0: the session; bit 1: joins; bit 2: digests; bits 3-4: CID */
static void
do_login(struct slot *slot)
{
	const uint8_t how = take();
	char text[512];
	size_t length = 0;

	if ((how & 4) != 0) {
		memcpy(text, pair_of_digests, sizeof(pair_of_digests));
		length = sizeof(pair_of_digests);
	}
	if ((how & 2) == 0) {
		memcpy(text + length, keys, sizeof(keys));
		length += sizeof(keys);
	}
	slot_login(slot, &f.sessions[how & 1], how >> 3 & 3, (how & 2) != 0,
	    text, length);
}

/* Text of the input in a login that joins or leads. */
static void
do_login_text(struct slot *slot)
{
	const uint8_t how = take();
	size_t length = take();
	const uint8_t *text = take_bytes(&length);

	slot_login(slot, &f.sessions[how & 1], how >> 3 & 3, (how & 2) != 0,
	    (const char *)text, length);
}

static void
command(struct slot *slot, uint8_t how, uint8_t flags, const uint8_t *cdb,
    uint32_t expected, const uint8_t *data, uint32_t length)
{
	struct iscsi_bhs bhs = {.opcode = ISCSI_SCSI_COMMAND, .flags = flags};

	bhs.lun[1] = how >> 3 & 1;
	number(slot, &bhs, how);
	be32_set(&bhs.itt, ++f.itt & 63);
	be32_set(&bhs.ttt, expected);
	memcpy(&bhs.number[2], cdb, 4);
	memcpy(bhs.rest, cdb + 4, 12);
	slot_send(slot, &bhs, data, length);
}

static void
do_read(struct slot *slot)
{
	const uint8_t how = take(), blocks = take() & 15;
	const uint8_t cdb[16] = {0x28, [5] = take(), [8] = blocks};

	/* bits 5-7: task attribute */
	command(slot, how, 0xc0 | how >> 5, cdb, blocks * 512u, NULL, 0);
}

/* Immediate data, unsolicited data to come, or all by R2T. */
static void
do_write(struct slot *slot)
{
	static const uint8_t zeroes[STACK_DATA_MAX];
	const uint8_t how = take(), blocks = take() & 15, what = take();
	const uint8_t data = what & 3;
	const uint8_t cdb[16] = {0x2a, [5] = take(), [8] = blocks};
	const uint32_t length = data < blocks ? data * 512u : 0;
	const bool final = (how & 0x10) == 0;

	slot->c.corrupt = (what & 4) != 0;
	command(slot, how, (final ? 0xa0 : 0x20) | how >> 5, cdb, blocks * 512u,
	    zeroes, length);
}

static void
do_data(struct slot *slot)
{
	static const uint8_t zeroes[STACK_DATA_MAX];
	const uint8_t how = take();
	uint32_t length, offset;
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_DATA_OUT, .flags = how & 1 ? 0 : 0x80};

	slot_look(slot);
	length = slot->r2t_length;
	offset = slot->r2t_offset;
	slot->c.corrupt = (how & 0xc) == 0xc;
	be32_set(&bhs.itt, how & 2 ? f.itt & 63 : slot->itt);
	be32_set(&bhs.ttt, how & 2 ? ISCSI_TAG_NONE : slot->ttt);
	if ((how & 2) != 0) {
		offset = (how >> 4) * 512u;
		length = 512;
	}
	if (length > STACK_DATA_MAX)
		length = STACK_DATA_MAX;
	store_be32(&bhs.rest[0], how >> 2 & 3);
	store_be32(&bhs.rest[4], offset);
	slot_send(slot, &bhs, zeroes, length);
}

/* PERSISTENT RESERVE OUT: service action, type, key and new key. */
static void
do_persist(struct slot *slot)
{
	const uint8_t how = take(), what = take(), key = take();
	const uint8_t cdb[16] = {0x5f, what & 7, what >> 3 & 15, [8] = 24};
	uint8_t list[24] = {[7] = key & 15, [15] = key >> 4, [20] = what >> 7};

	command(slot, how, 0xa0, cdb, sizeof(list), list, sizeof(list));
}

/* Any CDB. */
static void
do_cdb(struct slot *slot)
{
	static const uint8_t opcodes[] = {
	    0x00, 0x03, 0x12, 0x16, 0x17, 0x5e, 0x89, 0x42};
	const uint8_t how = take();
	uint8_t cdb[16] = {opcodes[take() & 7]};
	size_t n = 9;
	const uint8_t *more = take_bytes(&n);

	memcpy(cdb + 1, more, n);
	command(slot, how, 0xc0, cdb, 512, NULL, 0);
}

static void
do_task(struct slot *slot)
{
	const uint8_t how = take(), function = take(), ref = take();
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_TASK_REQUEST, .flags = 0x80 | (function & 15)};

	bhs.lun[1] = how >> 3 & 1;
	number(slot, &bhs, how);
	be32_set(&bhs.itt, ++f.itt & 63);
	be32_set(&bhs.ttt, (f.itt - (ref & 15)) & 63);
	be32_set(&bhs.number[2], slot->session->cmdsn - (ref >> 4));
	slot_send(slot, &bhs, NULL, 0);
}

static void
do_logout(struct slot *slot)
{
	const uint8_t how = take(), what = take();
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_LOGOUT_REQUEST, .flags = 0x80 | (what & 3)};

	number(slot, &bhs, how);
	be32_set(&bhs.itt, ++f.itt & 63);
	store_be16((uint8_t *)&bhs.ttt, what >> 2 & 3);
	slot_send(slot, &bhs, NULL, 0);
}

static void
do_ping(struct slot *slot)
{
	const uint8_t how = take();
	uint8_t data[64] = {0};
	struct iscsi_bhs bhs = {.opcode = ISCSI_NOP_OUT, .flags = 0x80};

	number(slot, &bhs, how);
	be32_set(&bhs.itt, ++f.itt & 63);
	be32_set(&bhs.ttt, ISCSI_TAG_NONE);
	slot_send(slot, &bhs, data, how >> 3 & 31);
}

static void
do_pong(struct slot *slot)
{
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_NOP_OUT | ISCSI_IMMEDIATE, .flags = 0x80};

	slot_look(slot);
	be32_set(&bhs.itt, ISCSI_TAG_NONE);
	be32_set(&bhs.ttt, slot->ping);
	be32_set(&bhs.number[0], slot->session->cmdsn);
	be32_set(&bhs.number[1], slot->statsn);
	slot_send(slot, &bhs, NULL, 0);
}

static void
do_text(struct slot *slot)
{
	const uint8_t how = take();
	size_t length = take();
	const uint8_t *text = take_bytes(&length);
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_TEXT_REQUEST, .flags = how & 8 ? 0x40 : 0x80};

	slot->c.corrupt = (how & 0x20) != 0;
	number(slot, &bhs, how);
	be32_set(&bhs.itt, ++f.itt & 63);
	be32_set(&bhs.ttt, how & 0x10 ? 1 : ISCSI_TAG_NONE);
	slot_send(slot, &bhs, text, (uint32_t)length);
}

/* A header of the input. */
static void
do_header(struct slot *slot)
{
	struct iscsi_bhs bhs = {.opcode = 0};
	size_t n = sizeof(bhs), length = take();
	const uint8_t *header = take_bytes(&n), *data;

	memcpy(&bhs, header, n);
	data = take_bytes(&length);
	slot_send(slot, &bhs, data, (uint32_t)length);
}

static void
do_publish(struct slot *slot)
{
	(void)slot;
	f.read_only = !f.read_only;
	stack_publish(f.read_only);
}

static const struct {
	void (*run)(struct slot *slot);
	bool anywhere; /* also on a connection that is not open */
	bool waits;    /* for the server */
} steps[16] = {
    {do_login, true, true},
    {do_login_text, true, true},
    {do_read, false, false},
    {do_write, false, false},
    {do_data, false, false},
    {do_persist, false, false},
    {do_cdb, false, false},
    {do_task, false, false},
    {do_logout, false, false},
    {do_ping, false, false},
    {do_pong, false, false},
    {do_text, false, false},
    {do_header, false, false},
    {slot_look, false, false},
    {slot_close, false, true},
    {do_publish, true, true},
};

/* A reset, say, goes on only when data that is coming in has come: the server
 * would wait for it as long as for any silent peer, and we for the server. */
static void
rests_send(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (f.slots[i].open)
			initiator_rest(&f.slots[i].c);
	}
}

static void
step_run(uint8_t step)
{
	struct slot *slot = &f.slots[step >> 4 & (SLOTS - 1)];

	if (!slot->open && !steps[step & 15].anywhere)
		return;
	if (steps[step & 15].waits)
		rests_send();
	slot->c.half = (step & 0x40) != 0;
	steps[step & 15].run(slot);
	slot->c.half = false;
}

/* ---- The input ---- */

static void
begin(const uint8_t *data, size_t size)
{
	memset(&f, 0, sizeof(f));
	f.at = data;
	f.end = data + size;
	f.sessions[0] = (struct session){
	    .initiator = STACK_INITIATOR, .isid = 1, .cmdsn = 1};
	f.sessions[1] =
	    (struct session){.initiator = STACK_OTHER, .isid = 1, .cmdsn = 1};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	stack_new();
	begin(data, size);
	for (unsigned i = 0; i < STEPS_MAX && f.at < f.end; i++)
		step_run(take());
	rests_send();
	for (unsigned i = 0; i < SLOTS; i++)
		slot_look(&f.slots[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		slot_close(&f.slots[i]);
	if (f.read_only)
		stack_publish(false);
	stack_wait_until_quiet();
	return 0;
}
