/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NBD byte by byte, against a disk in memory.  What qemu-img, nbdinfo and
 * nbdcopy make of it is a claim of tests/integration/nbd.sh.
 */
#include "backup/nbd.h"
#include "backup/nbd_wire.h"
#include "base/assert.h"
#include "base/endian.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISK (1u << 20)

/* ---- a disk: 64 KiB data, 64 KiB hole, and so on; dirty by 32 KiB ---- */

static uint8_t
byte_at(uint64_t offset)
{
	return offset / 65536 % 2 ? 0 : (uint8_t)(offset * 7 + 1);
}

static struct {
	uint64_t offset;
	uint32_t length;
	uint8_t *to;
} begun[NBD_READS_MAX];
static unsigned begun_first, begun_count, begun_most;
static uint64_t begun_bytes, begun_bytes_most;
static bool disk_broken;

static void
disk_begin(struct nbd_disk *disk, uint64_t offset, uint32_t length, uint8_t *to)
{
	unsigned at = (begun_first + begun_count++) % NBD_READS_MAX;

	assert_true(begun_count <= NBD_READS_MAX);
	assert_true(offset + length <= disk->size);
	begun[at].offset = offset;
	begun[at].length = length;
	begun[at].to = to;
	begun_bytes += length;
	if (begun_count > begun_most)
		begun_most = begun_count;
	if (begun_bytes > begun_bytes_most)
		begun_bytes_most = begun_bytes;
}

static int
disk_end(struct nbd_disk *disk)
{
	unsigned at = begun_first++ % NBD_READS_MAX;

	(void)disk;
	assert_true(begun_count-- > 0);
	begun_bytes -= begun[at].length;
	for (uint32_t i = 0; i < begun[at].length; i++)
		begun[at].to[i] = byte_at(begun[at].offset + i);
	return disk_broken ? -EIO : 0;
}

static int
disk_map(struct nbd_disk *disk, enum nbd_map map, uint64_t offset,
    uint64_t length, struct nbd_extent *ret_extents, unsigned max)
{
	uint64_t unit = map == NBD_MAP_DATA ? 65536 : 32768;
	unsigned count = 0;

	assert_true(offset + length <= disk->size);
	for (; count < max && offset < disk->size; count++) {
		uint64_t end = (offset / unit + 1) * unit;
		ret_extents[count].length = end - offset;
		ret_extents[count].set = offset / unit % 2 == 0;
		offset = end;
	}
	return (int)count;
}

static struct nbd_disk disk;
static struct nbd_export export;

/* ---- a wire: what the client says is written first, then all is run ---- */

static uint8_t said[1 << 20], heard[32 << 20];
static size_t said_length, said_at, heard_length, heard_at;
static unsigned tls_started;

static int
wire_read(struct nbd_wire *wire, void *to, size_t length)
{
	(void)wire;
	if (length > said_length - said_at)
		return -EPIPE;
	memcpy(to, &said[said_at], length);
	said_at += length;
	return 0;
}

static int
wire_write(struct nbd_wire *wire, const void *from, size_t length)
{
	(void)wire;
	assert_true(heard_length + length <= sizeof(heard));
	memcpy(&heard[heard_length], from, length);
	heard_length += length;
	return 0;
}

/* All that is said is there at once. */
static bool
wire_ready(struct nbd_wire *wire)
{
	(void)wire;
	return said_at < said_length;
}

static int
wire_tls(struct nbd_wire *wire)
{
	(void)wire;
	tls_started++;
	return 0;
}

static struct nbd_wire wire;

static int
setup(void **unused)
{
	(void)unused;
	disk = (struct nbd_disk){.size = DISK,
	    .begin = disk_begin,
	    .end = disk_end,
	    .map = disk_map};
	begun_first = begun_count = begun_most = 0;
	begun_bytes = begun_bytes_most = 0;
	disk_broken = false;
	export = (struct nbd_export){
	    .name = "ticket", .bitmap = "since-mon", .disk = &disk};
	wire = (struct nbd_wire){.read = wire_read, .write = wire_write};
	said_length = said_at = heard_length = heard_at = tls_started = 0;
	return 0;
}

static void
say(const void *data, size_t length)
{
	memcpy(&said[said_length], data, length);
	said_length += length;
}

static void
say32(uint32_t value)
{
	uint8_t raw[4];

	store_be32(raw, value);
	say(raw, 4);
}

static void
say64(uint64_t value)
{
	say32((uint32_t)(value >> 32));
	say32((uint32_t)value);
}

static void
say_option(uint32_t option, const void *data, size_t length)
{
	say64(NBD_IHAVEOPT);
	say32(option);
	say32((uint32_t)length);
	say(data, length);
}

static void
say_hello(void)
{
	say32(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
}

#define GO(name)    "\0\0\0\6" name "\0\0"
#define bytes(text) text, sizeof(text) - 1

static void
say_go(void)
{
	say_option(NBD_OPT_GO, bytes(GO("ticket")));
}

static void
say_request(uint16_t flags, uint16_t type, uint64_t offset, uint32_t length)
{
	uint8_t raw[4];

	say32(NBD_REQUEST);
	store_be16(raw, flags);
	store_be16(&raw[2], type);
	say(raw, 4);
	say64(0x0102030405060708);
	say64(offset);
	say32(length);
}

static void
run(void)
{
	nbd_talk(&export, &wire);
	assert_true(heard_length >= 18);
	assert_memory_equal(heard, "NBDMAGICIHAVEOPT\0\3", 18);
	heard_at = 18;
}

static const uint8_t *
hear(size_t length)
{
	const uint8_t *at = &heard[heard_at];

	assert_true(heard_length - heard_at >= length);
	heard_at += length;
	return at;
}

/* An option's reply: its type; its data are left to hear. */
static uint32_t
hear_reply(uint32_t option, uint32_t *ret_length)
{
	const uint8_t *at = hear(20);

	assert_int_equal(load_be64(at), NBD_OPTION_REPLY);
	assert_int_equal(load_be32(&at[8]), option);
	*ret_length = load_be32(&at[16]);
	return load_be32(&at[12]);
}

static void
hears_only(uint32_t option, uint32_t type)
{
	uint32_t length;

	assert_int_equal(hear_reply(option, &length), type);
	assert_int_equal(length, 0);
}

static void
hears_gone(void)
{
	assert_int_equal(heard_at, heard_length);
}

static void
hear_export(uint16_t flags)
{
	const uint8_t *at;
	uint32_t length;

	assert_int_equal(hear_reply(NBD_OPT_GO, &length), NBD_REP_INFO);
	assert_int_equal(length, 12);
	at = hear(12);
	assert_int_equal(load_be16(at), NBD_INFO_EXPORT);
	assert_int_equal(load_be64(&at[2]), DISK);
	assert_int_equal(load_be16(&at[10]), flags);
	hears_only(NBD_OPT_GO, NBD_REP_ACK);
}

static const uint8_t *
hear_chunk(uint16_t type, bool done, uint32_t *ret_length)
{
	const uint8_t *at = hear(20);

	assert_int_equal(load_be32(at), NBD_CHUNK);
	assert_int_equal(load_be16(&at[4]), done);
	assert_int_equal(load_be16(&at[6]), type);
	assert_int_equal(load_be64(&at[8]), 0x0102030405060708);
	*ret_length = load_be32(&at[16]);
	return hear(*ret_length);
}

static void
hear_simple(uint32_t error)
{
	const uint8_t *at = hear(16);

	assert_int_equal(load_be32(at), NBD_SIMPLE_REPLY);
	assert_int_equal(load_be32(&at[4]), error);
	assert_int_equal(load_be64(&at[8]), 0x0102030405060708);
}

static void
hear_error(uint32_t error)
{
	uint32_t length;
	const uint8_t *at =
	    hear_chunk((uint16_t)NBD_CHUNK_ERROR, true, &length);

	assert_int_equal(length, 6);
	assert_int_equal(load_be32(at), error);
}

/* ---- negotiation ---- */

static void
a_client_goes_and_reads(void **unused)
{
	(void)unused;
	say_hello();
	say_go();
	say_request(0, NBD_CMD_READ, 100, 3);
	say_request(0, NBD_CMD_DISC, 0, 0);
	run();
	hear_export(0x103);
	hear_simple(0);
	for (uint64_t i = 100; i < 103; i++)
		assert_int_equal(*hear(1), byte_at(i));
	hears_gone();
}

static void
who_does_not_know_the_name_gets_nothing(void **unused)
{
	(void)unused;
	say_hello();
	say_option(NBD_OPT_GO, bytes(GO("ticker")));
	say_option(NBD_OPT_INFO, bytes("\0\0\0\0\0\0"));
	say_option(NBD_OPT_LIST, "", 0);
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(NBD_OPT_LIST_META_CONTEXT, bytes("\0\0\0\3abc\0\0\0\0"));
	say_option(NBD_OPT_EXPORT_NAME, bytes("ticke"));
	run();
	hears_only(NBD_OPT_GO, NBD_REP_ERR_UNKNOWN);
	hears_only(NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN);
	hears_only(NBD_OPT_LIST, NBD_REP_ACK);
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hears_only(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ERR_UNKNOWN);
	hears_gone();
}

static void
a_name_that_is_no_secret_is_listed_and_is_the_default(void **unused)
{
	uint32_t length;

	(void)unused;
	export.listed = true;
	say_hello();
	say_option(NBD_OPT_LIST, "", 0);
	say_option(NBD_OPT_GO, bytes("\0\0\0\0\0\0"));
	run();
	assert_int_equal(hear_reply(NBD_OPT_LIST, &length), NBD_REP_SERVER);
	assert_memory_equal(hear(length), "\0\0\0\6ticket", 10);
	hears_only(NBD_OPT_LIST, NBD_REP_ACK);
	hear_export(0x103);
}

static void
the_oldest_way_works_too(void **unused)
{
	const uint8_t *at;

	(void)unused;
	say32(NBD_FLAG_FIXED_NEWSTYLE);
	say_option(NBD_OPT_EXPORT_NAME, bytes("ticket"));
	say_request(0, NBD_CMD_READ, 0, 1);
	run();
	at = hear(134);
	assert_int_equal(load_be64(at), DISK);
	assert_int_equal(load_be16(&at[8]), 0x103);
	hear_simple(0);
}

static void
without_tls_nothing_is_said_where_it_is_required(void **unused)
{
	(void)unused;
	export.tls_required = true;
	wire.start_tls = wire_tls;
	say_hello();
	say_go();
	say_option(NBD_OPT_LIST, "", 0);
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(99, "", 0);
	say_option(NBD_OPT_STARTTLS, "", 0);
	say_option(NBD_OPT_STARTTLS, "", 0);
	say_go();
	run();
	hears_only(NBD_OPT_GO, NBD_REP_ERR_TLS_REQD);
	hears_only(NBD_OPT_LIST, NBD_REP_ERR_TLS_REQD);
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_TLS_REQD);
	hears_only(99, NBD_REP_ERR_UNSUP);
	hears_only(NBD_OPT_STARTTLS, NBD_REP_ACK);
	hears_only(NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID);
	hear_export(0x103);
	assert_int_equal(tls_started, 1);
}

static void
the_oldest_way_in_the_clear_is_the_end_where_tls_is_required(void **unused)
{
	(void)unused;
	export.tls_required = true;
	wire.start_tls = wire_tls;
	say_hello();
	say_option(NBD_OPT_EXPORT_NAME, bytes("ticket"));
	run();
	hears_gone();
}

/* What was settled before TLS could be another's words. */
static void
tls_begins_anew(void **unused)
{
	(void)unused;
	wire.start_tls = wire_tls;
	say_hello();
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(NBD_OPT_STARTTLS, "", 0);
	say_go();
	run();
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hears_only(NBD_OPT_STARTTLS, NBD_REP_ACK);
	hear_export(0x103);
}

static void
without_a_certificate_there_is_no_tls(void **unused)
{
	(void)unused;
	say_hello();
	say_option(NBD_OPT_STARTTLS, "", 0);
	run();
	hears_only(NBD_OPT_STARTTLS, NBD_REP_ERR_UNSUP);
}

static void
options_that_lie_about_their_length_are_refused(void **unused)
{
	static const char *const go[] = {"", "\0\0\0", "\0\0\0\7ticket",
	    "\377\377\377\377ticket\0\0", "\0\0\0\6ticket\0\1"};
	static const size_t length[] = {0, 3, 10, 12, 12};

	(void)unused;
	say_hello();
	for (size_t i = 0; i < ARRAY_SIZE(go); i++)
		say_option(NBD_OPT_GO, go[i], length[i]);
	say_option(NBD_OPT_GO, bytes(GO("ticket") "more"));
	say_option(NBD_OPT_LIST, "x", 1);
	run();
	for (size_t i = 0; i <= ARRAY_SIZE(go); i++)
		hears_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	hears_only(NBD_OPT_LIST, NBD_REP_ERR_INVALID);
	hears_gone();
}

static void
what_is_no_option_is_the_end(void **unused)
{
	(void)unused;
	say_hello();
	say64(NBD_IHAVEOPT + 1);
	say32(NBD_OPT_LIST);
	say32(0);
	say_option(NBD_OPT_LIST, "", 0);
	run();
	hears_gone();
}

static void
an_option_that_is_too_long_is_the_end(void **unused)
{
	(void)unused;
	say_hello();
	say64(NBD_IHAVEOPT);
	say32(NBD_OPT_LIST);
	say32(UINT32_MAX);
	say_option(NBD_OPT_LIST, "", 0);
	run();
	hears_gone();
}

static void
a_flag_that_is_not_known_is_the_end(void **unused)
{
	(void)unused;
	say32(NBD_FLAG_FIXED_NEWSTYLE | 4);
	say_option(NBD_OPT_LIST, "", 0);
	run();
	hears_gone();
}

static void
who_never_chooses_is_sent_away(void **unused)
{
	(void)unused;
	say_hello();
	for (unsigned i = 0; i < 1000; i++)
		say_option(NBD_OPT_LIST, "", 0);
	run();
	assert_true(said_at < 100 * 16);
}

/* ---- contexts ---- */

#define CONTEXTS(count, queries) "\0\0\0\6ticket\0\0\0" count queries
#define BASE                     "\0\0\0\17base:allocation"
#define DIRTY                    "\0\0\0\33qemu:dirty-bitmap:since-mon"

static void
hear_context(uint32_t option, uint32_t id, const char *name)
{
	uint32_t length;
	const uint8_t *at;

	assert_int_equal(hear_reply(option, &length), NBD_REP_META_CONTEXT);
	at = hear(length);
	assert_int_equal(load_be32(at), id);
	assert_int_equal(length, 4 + strlen(name));
	assert_memory_equal(&at[4], name, strlen(name));
}

static void
contexts_are_listed(void **unused)
{
	const uint32_t list = NBD_OPT_LIST_META_CONTEXT;

	(void)unused;
	say_hello();
	say_option(list, bytes(CONTEXTS("\0", "")));
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(list, bytes(CONTEXTS("\0", "")));
	say_option(list, bytes(CONTEXTS("\1", "\0\0\0\5qemu:")));
	say_option(list, bytes(CONTEXTS("\1", "\0\0\0\4x:y:")));
	run();
	hears_only(list, NBD_REP_ERR_INVALID);
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hear_context(list, 0, "base:allocation");
	hear_context(list, 0, "qemu:dirty-bitmap:since-mon");
	hears_only(list, NBD_REP_ACK);
	hear_context(list, 0, "qemu:dirty-bitmap:since-mon");
	hears_only(list, NBD_REP_ACK);
	hears_only(list, NBD_REP_ACK);
}

static void
without_a_base_nothing_is_dirty(void **unused)
{
	(void)unused;
	export.bitmap = NULL;
	say_hello();
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(NBD_OPT_SET_META_CONTEXT, bytes(CONTEXTS("\1", DIRTY)));
	run();
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hears_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	hears_gone();
}

static void
hear_descriptors(uint32_t id, bool done, const uint32_t *pairs, unsigned count)
{
	uint32_t length;
	const uint8_t *at = hear_chunk(NBD_CHUNK_BLOCK_STATUS, done, &length);

	assert_int_equal(length, 4 + 8 * count);
	assert_int_equal(load_be32(at), id);
	for (unsigned i = 0; i < 2 * count; i++)
		assert_int_equal(load_be32(&at[4 + 4 * i]), pairs[i]);
}

static void
say_contexts_and_go(void)
{
	say_hello();
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_option(NBD_OPT_SET_META_CONTEXT, bytes(CONTEXTS("\2", BASE DIRTY)));
	say_go();
}

static void
hear_contexts_and_go(void)
{
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hear_context(NBD_OPT_SET_META_CONTEXT, 1, "base:allocation");
	hear_context(
	    NBD_OPT_SET_META_CONTEXT, 2, "qemu:dirty-bitmap:since-mon");
	hears_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	hear_export(0x183);
}

/* All that was asked for behind say_contexts_and_go(). */
static void
runs_and_is_refused(unsigned count)
{
	run();
	hear_contexts_and_go();
	for (unsigned i = 0; i < count; i++)
		hear_error(NBD_EINVAL);
	hears_gone();
}

static void
blocks_have_a_status_in_each_context(void **unused)
{
	const uint32_t base[] = {16384, 0, 49152, 3};
	const uint32_t dirty[] = {16384, 0, 32768, 1, 16384, 0};
	const uint32_t one[] = {16384, 0}, one_dirty[] = {16384, 0};

	(void)unused;
	say_contexts_and_go();
	say_request(0, NBD_CMD_BLOCK_STATUS, 49152, 65536);
	say_request(NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, 49152, 65536);
	run();
	hear_contexts_and_go();
	hear_descriptors(1, false, base, 2);
	hear_descriptors(2, true, dirty, 3);
	hear_descriptors(1, false, one, 1);
	hear_descriptors(2, true, one_dirty, 1);
	hears_gone();
}

static void
a_status_that_cannot_be_asked_for_is_refused(void **unused)
{
	(void)unused;
	say_contexts_and_go();
	say_request(0, NBD_CMD_BLOCK_STATUS, 0, 0);
	say_request(0, NBD_CMD_BLOCK_STATUS, DISK - 1, 2);
	say_request(0, NBD_CMD_BLOCK_STATUS, UINT64_MAX, 2);
	say_request(0x80, NBD_CMD_BLOCK_STATUS, 0, 1);
	runs_and_is_refused(4);
}

static void
a_status_without_a_context_is_refused(void **unused)
{
	(void)unused;
	say_hello();
	say_go();
	say_request(0, NBD_CMD_BLOCK_STATUS, 0, 4096);
	run();
	hear_export(0x103);
	hear_simple(NBD_EINVAL);
}

/* ---- transmission ---- */

static void
reads_come_in_one_chunk(void **unused)
{
	const uint8_t *at;
	uint32_t length;

	(void)unused;
	say_contexts_and_go();
	say_request(NBD_CMD_FLAG_DF, NBD_CMD_READ, 65530, 12);
	say_request(0, NBD_CMD_READ, DISK - 1, 1);
	run();
	hear_contexts_and_go();
	at = hear_chunk(NBD_CHUNK_OFFSET_DATA, true, &length);
	assert_int_equal(length, 8 + 12);
	assert_int_equal(load_be64(at), 65530);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(at[8 + i], byte_at(65530 + i));
	hear_chunk(NBD_CHUNK_OFFSET_DATA, true, &length);
	assert_int_equal(length, 9);
	hears_gone();
}

static void
what_lies_outside_is_not_read(void **unused)
{
	(void)unused;
	say_contexts_and_go();
	say_request(0, NBD_CMD_READ, DISK, 1);
	say_request(0, NBD_CMD_READ, DISK - 1, 2);
	say_request(0, NBD_CMD_READ, UINT64_MAX, UINT32_MAX);
	say_request(0, NBD_CMD_READ, 0, UINT32_MAX);
	runs_and_is_refused(4);
}

static void
nothing_is_written_and_what_follows_is_understood(void **unused)
{
	uint32_t length;

	(void)unused;
	say_contexts_and_go();
	say_request(0, NBD_CMD_WRITE, 0, 100);
	memset(&said[said_length], 'w', 100);
	said_length += 100;
	say_request(0, NBD_CMD_TRIM, 0, 4096);
	say_request(0, NBD_CMD_WRITE_ZEROES, 0, 4096);
	say_request(0, NBD_CMD_FLUSH, 0, 0);
	say_request(0, 77, 0, 0);
	say_request(0, NBD_CMD_READ, 0, 1);
	run();
	hear_contexts_and_go();
	for (unsigned i = 0; i < 3; i++)
		hear_error(NBD_EPERM);
	hear_error(NBD_EINVAL);
	hear_error(NBD_EINVAL);
	assert_int_equal(
	    hear_chunk(NBD_CHUNK_OFFSET_DATA, true, &length)[8], byte_at(0));
	hears_gone();
}

static void
a_disk_that_cannot_be_read_is_an_error(void **unused)
{
	(void)unused;
	disk_broken = true;
	say_contexts_and_go();
	say_request(0, NBD_CMD_READ, 0, 1);
	run();
	hear_contexts_and_go();
	hear_error(NBD_EIO);
}

static void
hear_read(uint64_t offset, uint32_t length)
{
	uint32_t got;
	const uint8_t *at = hear_chunk(NBD_CHUNK_OFFSET_DATA, true, &got);

	assert_int_equal(got, 8 + length);
	assert_int_equal(load_be64(at), offset);
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(at[8 + i], byte_at(offset + i));
}

static void
reads_are_under_way_at_once_and_what_is_known_is_said_at_once(void **unused)
{
	(void)unused;
	wire.ready = wire_ready;
	say_contexts_and_go();
	for (uint64_t i = 0; i < 10; i++)
		say_request(0, NBD_CMD_READ, 5000 * i, 4000);
	say_request(0, NBD_CMD_TRIM, 0, 1);
	say_request(0, NBD_CMD_DISC, 0, 0);
	run();
	hear_contexts_and_go();
	hear_error(NBD_EPERM);
	for (uint64_t i = 0; i < 10; i++)
		hear_read(5000 * i, 4000);
	hears_gone();
	assert_int_equal(begun_most, 10);
}

static void
no_more_are_under_way_than_may_be(void **unused)
{
	(void)unused;
	wire.ready = wire_ready;
	say_contexts_and_go();
	for (uint64_t i = 0; i < 3 * NBD_READS_MAX; i++)
		say_request(0, NBD_CMD_READ, i, 1);
	say_request(0, NBD_CMD_DISC, 0, 0);
	run();
	hear_contexts_and_go();
	for (uint64_t i = 0; i < 3 * NBD_READS_MAX; i++)
		hear_read(i, 1);
	assert_int_equal(begun_most, NBD_READS_MAX);
}

/* Nobody can tell the server to hold more for him than that. */
static void
what_they_hold_is_bounded(void **unused)
{
	static const uint32_t lengths[] = {
	    3u << 20, 1, 4u << 20, 900000, 5u << 20, 9u << 20, 7, 2u << 20};
	size_t all = 0;

	(void)unused;
	wire.ready = wire_ready;
	disk.size = 16u << 20;
	say_hello();
	say_option(NBD_OPT_STRUCTURED_REPLY, "", 0);
	say_go();
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		say_request(0, NBD_CMD_READ, 100 * i, lengths[i]);
		all += lengths[i] + 28;
	}
	say_request(0, NBD_CMD_DISC, 0, 0);
	run();
	assert_true(all < sizeof(heard));
	hears_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	hear(20 + 12 + 20);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		hear_read(100 * i, lengths[i]);
	hears_gone();
	assert_true(begun_most > 1);
	assert_true(begun_bytes_most <= 9u << 20);
}

/* One that asks for what is known, again and again, gets what it read too. */
static void
a_read_does_not_wait_for_ever(void **unused)
{
	(void)unused;
	wire.ready = wire_ready;
	say_contexts_and_go();
	say_request(0, NBD_CMD_READ, 0, 1);
	for (unsigned i = 0; i < 2 * NBD_READS_MAX; i++)
		say_request(0, NBD_CMD_FLUSH, 0, 0);
	run();
	hear_contexts_and_go();
	for (unsigned i = 0; i < NBD_READS_MAX; i++)
		hear_error(NBD_EINVAL);
	hear_read(0, 1);
	for (unsigned i = 0; i < NBD_READS_MAX; i++)
		hear_error(NBD_EINVAL);
	hears_gone();
}

static void
what_is_no_request_is_the_end(void **unused)
{
	(void)unused;
	say_hello();
	say_go();
	say32(NBD_REQUEST + 1);
	memset(&said[said_length], 0, 24);
	said_length += 24;
	say_request(0, NBD_CMD_READ, 0, 1);
	run();
	hear_export(0x103);
	hears_gone();
}

int
main(void)
{
#define claim(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
	    claim(a_client_goes_and_reads),
	    claim(who_does_not_know_the_name_gets_nothing),
	    claim(a_name_that_is_no_secret_is_listed_and_is_the_default),
	    claim(the_oldest_way_works_too),
	    claim(without_tls_nothing_is_said_where_it_is_required),
	    claim(the_oldest_way_in_the_clear_is_the_end_where_tls_is_required),
	    claim(tls_begins_anew),
	    claim(without_a_certificate_there_is_no_tls),
	    claim(options_that_lie_about_their_length_are_refused),
	    claim(what_is_no_option_is_the_end),
	    claim(an_option_that_is_too_long_is_the_end),
	    claim(a_flag_that_is_not_known_is_the_end),
	    claim(who_never_chooses_is_sent_away),
	    claim(contexts_are_listed),
	    claim(without_a_base_nothing_is_dirty),
	    claim(blocks_have_a_status_in_each_context),
	    claim(a_status_that_cannot_be_asked_for_is_refused),
	    claim(a_status_without_a_context_is_refused),
	    claim(reads_come_in_one_chunk),
	    claim(what_lies_outside_is_not_read),
	    claim(nothing_is_written_and_what_follows_is_understood),
	    claim(a_disk_that_cannot_be_read_is_an_error),
	    claim(
		reads_are_under_way_at_once_and_what_is_known_is_said_at_once),
	    claim(no_more_are_under_way_than_may_be),
	    claim(what_they_hold_is_bounded),
	    claim(a_read_does_not_wait_for_ever),
	    claim(what_is_no_request_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
