/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format byte by byte, as Ceph's manual has it, and what is no such stream.
 * That Ceph itself takes it is a claim of tests/ceph.
 */
#include "backup/rbd_diff.h"
#include "base/assert.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>

struct memory {
	struct bytes bytes;
	const uint8_t *data;
	size_t length, at;
	size_t most; /* bytes in one read */
};

static struct rbd_diff diff;
static struct memory memory;

static ssize_t
memory_read(struct bytes *bytes, void *to, size_t length)
{
	struct memory *m = container_of(bytes, struct memory, bytes);

	if (length > m->most)
		length = m->most;
	if (length > m->length - m->at)
		length = m->length - m->at;
	memcpy(to, m->data + m->at, length);
	m->at += length;
	return (ssize_t)length;
}

static int
open_of(const void *data, size_t length)
{
	memory = (struct memory){.bytes.read = memory_read,
	    .data = data,
	    .length = length,
	    .most = SIZE_MAX};
	return rbd_diff_open(&diff, &memory.bytes);
}

/* Everything up to its end. */
static int
read_of(const void *data, size_t length)
{
	struct piece piece;
	int ret = open_of(data, length);

	while (ret == 0 && (ret = rbd_diff_next(&diff, &piece)) > 0)
		ret = 0;
	return ret;
}

#define HEAD     "rbd diff v1\nf\3\0\0\0mont\3\0\0\0tues\0\0\1\0\0\0\0\0"
#define W        "w\0\20\0\0\0\0\0\0\4\0\0\0\0\0\0\0abcd"
#define Z        "z\0\40\0\0\0\0\0\0\0\20\0\0\0\0\0\0"
#define of(text) text, sizeof(text) - 1

static void
it_is_written_as_ceph_says(void **unused)
{
	const struct rbd_diff_head head = {"mon", "tue", 65536};
	uint8_t out[RBD_DIFF_HEAD_MAX], record[RBD_DIFF_RECORD_MAX];
	const uint8_t *data = (const uint8_t *)"abcd";

	(void)unused;
	assert_int_equal(rbd_diff_write_head(&head, out), sizeof(HEAD) - 1);
	assert_memory_equal(out, HEAD, sizeof(HEAD) - 1);
	assert_int_equal(
	    rbd_diff_write_record(&(struct piece){4096, 4, data}, record), 17);
	assert_memory_equal(record, W, 17);
	assert_int_equal(
	    rbd_diff_write_record(&(struct piece){8192, 4096, NULL}, record),
	    17);
	assert_memory_equal(record, Z, 17);
	assert_int_equal(rbd_diff_write_end(record), 1);
	assert_memory_equal(record, "e", 1);
}

static void
it_is_read_as_it_is_written(void **unused)
{
	struct piece piece;

	(void)unused;
	for (size_t most = 1; most < 40; most++) {
		assert_int_equal(open_of(of(HEAD W Z "e")), 0);
		memory.most = most;
		assert_string_equal(diff.head.from, "mon");
		assert_string_equal(diff.head.to, "tue");
		assert_int_equal(diff.head.size, 65536);
		assert_int_equal(rbd_diff_next(&diff, &piece), 1);
		assert_int_equal(piece.offset, 4096);
		assert_int_equal(piece.length, 4);
		assert_memory_equal(piece.data, "abcd", 4);
		assert_int_equal(rbd_diff_next(&diff, &piece), 1);
		assert_int_equal(piece.offset, 8192);
		assert_int_equal(piece.length, 4096);
		assert_null(piece.data);
		assert_int_equal(rbd_diff_next(&diff, &piece), 0);
		assert_int_equal(rbd_diff_next(&diff, &piece), 0);
		assert_int_equal(diff.data, 4);
		assert_int_equal(diff.zero, 4096);
	}
}

static void
a_full_one_has_no_base(void **unused)
{
	(void)unused;
	assert_int_equal(open_of(of("rbd diff v1\ns\0\0\1\0\0\0\0\0e")), 0);
	assert_string_equal(diff.head.from, "");
	assert_string_equal(diff.head.to, "");
}

/* Every beginning of a stream is no stream. */
static void
one_that_was_cut_off_is_found(void **unused)
{
	const char whole[] = HEAD W Z "e";

	(void)unused;
	for (size_t length = 0; length < sizeof(whole) - 1; length++) {
		assert_int_equal(read_of(whole, length), -EBADMSG);
		assert_non_null(diff.wrong);
	}
	assert_int_equal(read_of(whole, sizeof(whole) - 1), 0);
}

static void
what_cannot_be_is_refused(void **unused)
{
#define REFUSED(text, why)                                                     \
	do {                                                                   \
		assert_int_equal(read_of(of(text)), -EBADMSG);                 \
		assert_string_equal(diff.wrong, why);                          \
	} while (0)
	(void)unused;
	REFUSED("rbd diff v2\n", "it is no RBD difference of version 1");
	REFUSED("rbd diff v1\ne", "it does not say the image's size");
	REFUSED(HEAD W Z "ee", "something follows its end");
	REFUSED(HEAD Z W "e", "records are not in order");
	REFUSED(HEAD W W "e", "records are not in order");
	REFUSED(HEAD "x", "a record is of no type that is known here");
	REFUSED(HEAD W "s\0\0\1\0\0\0\0\0e",
	    "a record is of no type that is known here");
	REFUSED(HEAD "z\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0e",
	    "a record is of no length");
	REFUSED(HEAD "z\0\0\0\0\0\0\0\0\1\0\1\0\0\0\0\0e",
	    "a record lies outside of the image");
	REFUSED(HEAD "w\377\377\377\377\377\377\377\377\1\0\0\0\0\0\0\0a",
	    "a record lies outside of the image");
	REFUSED("rbd diff v1\nf\0\0\0\0",
	    "a snapshot's name is too long, or empty");
	REFUSED("rbd diff v1\nf\377\377\377\377",
	    "a snapshot's name is too long, or empty");
	REFUSED(
	    "rbd diff v1\nf\2\0\0\0a\0", "a snapshot's name has a zero in it");
	REFUSED(
	    "rbd diff v1\nf\1\0\0\0af\1\0\0\0a", "a snapshot is named twice");
	REFUSED("rbd diff v1\ns\0\0\1\0\0\0\0\0s\0\0\1\0\0\0\0\0",
	    "the size is said twice");
	REFUSED("rbd diff v1\ns\0\0\0\0\0\0\0\200", "the image is too large");
}

/* A record of Ceph's may be as long as an object. */
static void
a_long_record_comes_in_pieces(void **unused)
{
	static uint8_t stream[64 + 3 * PIECE_MAX];
	const struct rbd_diff_head head = {"", "x", 8 * PIECE_MAX};
	struct piece whole = {PIECE_MAX, 2 * PIECE_MAX + 5, stream}, piece;
	size_t length = rbd_diff_write_head(&head, stream);
	uint64_t at = PIECE_MAX;

	(void)unused;
	length += rbd_diff_write_record(&whole, &stream[length]);
	memset(&stream[length], 7, whole.length);
	length += whole.length;
	length += rbd_diff_write_end(&stream[length]);
	assert_int_equal(open_of(stream, length), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rbd_diff_next(&diff, &piece), 1);
		assert_int_equal(piece.offset, at);
		assert_true(piece.length <= PIECE_MAX);
		at += piece.length;
	}
	assert_int_equal(at, piece_end(&whole));
	assert_int_equal(rbd_diff_next(&diff, &piece), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_written_as_ceph_says),
	    cmocka_unit_test(it_is_read_as_it_is_written),
	    cmocka_unit_test(a_full_one_has_no_base),
	    cmocka_unit_test(one_that_was_cut_off_is_found),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(a_long_record_comes_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
