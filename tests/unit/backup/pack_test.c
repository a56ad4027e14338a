/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of a stream: what goes in comes out, however it was written, and a
 * file that was cut off at a mark is gone on with.
 */
#include "backup/backup.h"
#include "backup/pack.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE (3u << 20)
#define LONG 12 /* times SIZE */

static uint8_t data[SIZE], out[SIZE + 1];

static int
setup(void **unused)
{
	(void)unused;
	srandom(3);
	/* half of it can be compressed */
	for (size_t i = 0; i < SIZE; i++)
		data[i] = i / 65536 % 2 ? (uint8_t)random() : 'x';
	return 0;
}

static int
file_new(void)
{
	int fd = memfd_create("pack", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* On a disk, most likely: what is written past the page cache has rules. */
static int
disk_file_new(void)
{
	char name[] = P_tmpdir "/pack.XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	return fd;
}

static struct pack *
pack_of_level(int fd, int level, const struct pack_mark *mark)
{
	struct pack *pack = NULL;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_null(pack_new(fd, "it", level, mark, &pack));
	return pack;
}

static struct pack *
pack_of(int fd, const struct pack_mark *mark)
{
	return pack_of_level(fd, 1, mark);
}

/* How much comes out, and what is wrong. */
static ssize_t
unpacked(int fd, size_t most, struct pack_mark *ret_mark)
{
	struct unpack unpack;
	ssize_t got = 0;
	size_t length = 0;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	unpack_init(&unpack, fd);
	do {
		size_t want = sizeof(out) - length;
		got = unpack.bytes.read(
		    &unpack.bytes, &out[length], want < most ? want : most);
		length += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	unpack_mark(&unpack, ret_mark);
	unpack_done(&unpack);
	return got < 0 ? got : (ssize_t)length;
}

static void
same_mark(const struct pack_mark *a, const struct pack_mark *b)
{
	assert_int_equal(a->file_bytes, b->file_bytes);
	assert_int_equal(a->stream_bytes, b->stream_bytes);
	assert_string_equal(a->sha256, b->sha256);
}

static void
what_goes_in_comes_out(void **unused)
{
	_cleanup_(closep) int fd = file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark written, read;
	size_t at = 0;

	(void)unused;
	srandom(4);
	while (at < SIZE) {
		size_t length = 1 + (size_t)random() % 100000;
		if (length > SIZE - at)
			length = SIZE - at;
		assert_null(pack_write(pack, &data[at], length));
		at += length;
		if (random() % 8 == 0)
			assert_null(pack_mark(pack, &written));
	}
	assert_null(pack_mark(pack, &written));
	assert_int_equal(written.file_bytes, lseek(fd, 0, SEEK_END));
	pack_free(pack);
	for (size_t most = 1 << 20; most > 100; most /= 7) {
		assert_int_equal(unpacked(fd, most, &read), SIZE);
		assert_memory_equal(out, data, SIZE);
		same_mark(&read, &written);
	}
}

/* Much more than is on its way at once, at levels of all kinds. */
static void
a_long_stream_comes_out(void **unused)
{
	static const int levels[] = {BACKUP_LEVEL_AUTO, 1, 4};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		_cleanup_(closep) int fd = disk_file_new();
		struct pack *pack = pack_of_level(fd, levels[i], NULL);
		struct pack_mark written, read;
		struct unpack unpack;
		for (unsigned n = 0; n < LONG; n++)
			assert_null(pack_write(pack, data, SIZE));
		assert_null(pack_mark(pack, &written));
		pack_free(pack);
		assert_int_equal(written.file_bytes, lseek(fd, 0, SEEK_END));
		if (levels[i] != BACKUP_LEVEL_AUTO)
			assert_true(
			    written.file_bytes < LONG * SIZE * 6ull / 10);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		unpack_init(&unpack, fd);
		for (size_t at = 0; at < LONG * (size_t)SIZE;) {
			ssize_t got = unpack.bytes.read(
			    &unpack.bytes, out, SIZE - at % SIZE);
			assert_true(got > 0);
			assert_memory_equal(out, &data[at % SIZE], (size_t)got);
			at += (size_t)got;
		}
		assert_int_equal(unpack.bytes.read(&unpack.bytes, out, 1), 0);
		unpack_mark(&unpack, &read);
		unpack_done(&unpack);
		same_mark(&read, &written);
	}
}

/* Whoever reads is not kept waiting for it, and it is true when it comes. */
static void
a_mark_that_was_asked_for_comes(void **unused)
{
	_cleanup_(closep) int fd = disk_file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark mark, end, read;

	(void)unused;
	assert_false(pack_reached(pack, &mark));
	assert_null(pack_write(pack, data, SIZE / 2));
	assert_null(pack_ask(pack));
	while (!pack_reached(pack, &mark))
		assert_null(pack_write(pack, data, SIZE));
	assert_int_equal(mark.stream_bytes, SIZE / 2);
	assert_false(pack_reached(pack, &end));
	assert_null(pack_write(pack, data, 1000));
	pack_free(pack);
	pack = pack_of(fd, &mark);
	assert_null(pack_write(pack, data, 5));
	assert_null(pack_mark(pack, &end));
	pack_free(pack);
	assert_int_equal(end.stream_bytes, SIZE / 2 + 5);
	assert_int_equal(unpacked(fd, SIZE, &read), SIZE / 2 + 5);
	same_mark(&read, &end);
}

/* As varve made them before: frames that begin anywhere. */
static void
an_older_file_is_gone_on_with(void **unused)
{
	static const char frame[] = "\x28\xb5\x2f\xfd\x20\x03\x19\x00\x00xyz";
	_cleanup_(closep) int fd = disk_file_new();
	struct pack_mark mark = {sizeof(frame) - 1, 3, ""}, end, read;
	struct sha256 *sha256 = sha256_new();
	struct pack *pack;

	(void)unused;
	assert_int_equal(
	    write(fd, frame, sizeof(frame) - 1), (ssize_t)sizeof(frame) - 1);
	sha256_add(sha256, frame, sizeof(frame) - 1);
	sha256_text(sha256, mark.sha256);
	sha256_free(sha256);
	pack = pack_of(fd, &mark);
	assert_null(pack_write(pack, data, SIZE - 3));
	assert_null(pack_mark(pack, &end));
	pack_free(pack);
	assert_int_equal(unpacked(fd, SIZE, &read), SIZE);
	assert_memory_equal(out, "xyz", 3);
	assert_memory_equal(&out[3], data, SIZE - 3);
	same_mark(&read, &end);
}

static void
it_goes_on_from_a_mark(void **unused)
{
	_cleanup_(closep) int fd = file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark mark, end, read;

	(void)unused;
	assert_null(pack_write(pack, data, SIZE / 2));
	assert_null(pack_mark(pack, &mark));
	/* killed somewhere behind */
	assert_null(pack_write(pack, data, SIZE / 2));
	pack_free(pack);
	pack = pack_of(fd, &mark);
	assert_null(pack_write(pack, &data[SIZE / 2], SIZE - SIZE / 2));
	assert_null(pack_mark(pack, &end));
	pack_free(pack);
	assert_int_equal(unpacked(fd, SIZE, &read), SIZE);
	assert_memory_equal(out, data, SIZE);
	same_mark(&read, &end);
}

static void
it_does_not_go_on_from_something_else(void **unused)
{
	_cleanup_(closep) int fd = file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark mark;
	json_t *problem;

	(void)unused;
	assert_null(pack_write(pack, data, SIZE));
	assert_null(pack_mark(pack, &mark));
	pack_free(pack);
	assert_int_equal(pwrite(fd, "?", 1, 1000), 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	problem = pack_new(fd, "it", 1, &mark, &pack);
	assert_string_equal(varve_problem_code(problem), "backup.resume");
	json_decref(problem);
	/* nor from less */
	assert_int_equal(ftruncate(fd, 999), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	problem = pack_new(fd, "it", 1, &mark, &pack);
	assert_string_equal(varve_problem_code(problem), "backup.resume");
	json_decref(problem);
}

/* A limit of file sizes is met as the end of a disk is. */
static void
limit_files(rlim_t bytes, struct rlimit *ret_before)
{
	struct rlimit small;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, ret_before), 0);
	small = (struct rlimit){bytes, ret_before->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

/* Wherever it comes, and however much is on its way behind it: nobody waits for
 * ever, each call says so, and what was marked can be gone on with. */
static void
a_full_disk_is_a_problem_of_its_own(void **unused)
{
	static const rlim_t limits[] = {1000, 4096, 500001, 1u << 20, 5u << 20};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		_cleanup_(closep) int fd = disk_file_new();
		struct pack *pack = pack_of(fd, NULL);
		struct pack_mark mark, none;
		struct rlimit before;
		json_t *problem = NULL;
		assert_null(pack_write(pack, data, 10));
		assert_null(pack_mark(pack, &mark));
		limit_files(limits[i], &before);
		while (problem == NULL)
			problem = pack_write(pack, data, SIZE);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_string_equal(
		    varve_problem_code(problem), "backup.no-space");
		assert_int_equal(varve_problem_exit(problem), VARVE_NO_SPACE);
		json_decref(problem);
		problem = pack_mark(pack, &none);
		assert_string_equal(
		    varve_problem_code(problem), "backup.no-space");
		json_decref(problem);
		pack_free(pack);
		pack = pack_of(fd, &mark);
		assert_null(pack_write(pack, data, SIZE - 10));
		assert_null(pack_mark(pack, &mark));
		pack_free(pack);
		assert_int_equal(unpacked(fd, SIZE, &none), SIZE);
		same_mark(&none, &mark);
	}
}

/* Nobody has to be told before it is given up. */
static void
it_can_be_given_up_at_any_time(void **unused)
{
	(void)unused;
	for (unsigned count = 0; count < 16; count++) {
		_cleanup_(closep) int fd = disk_file_new();
		struct pack *pack = pack_of_level(fd, BACKUP_LEVEL_AUTO, NULL);
		for (unsigned i = 0; i < count; i++)
			assert_null(pack_write(pack, data, 300000));
		if (count % 2 != 0)
			assert_null(pack_ask(pack));
		pack_free(pack);
	}
	pack_free(NULL);
}

/* The stream comes out short, or differs, or cannot be unpacked; it is never
 * taken for what it was. */
static void
a_flipped_bit_is_found(void **unused)
{
	_cleanup_(closep) int fd = file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark written, read;
	uint8_t byte, flipped;

	(void)unused;
	assert_null(pack_write(pack, data, 200000));
	assert_null(pack_mark(pack, &written));
	pack_free(pack);
	for (off_t at = 0; at < (off_t)written.file_bytes; at += 997) {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		flipped = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
		unpacked(fd, SIZE, &read);
		assert_true(strcmp(read.sha256, written.sha256) != 0);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_int_equal(unpacked(fd, SIZE, &read), 200000);
}

static void
a_file_that_ends_within_a_frame_is_damaged(void **unused)
{
	_cleanup_(closep) int fd = file_new();
	struct pack *pack = pack_of(fd, NULL);
	struct pack_mark mark;

	(void)unused;
	assert_null(pack_write(pack, data, 200000));
	assert_null(pack_mark(pack, &mark));
	pack_free(pack);
	assert_int_equal(ftruncate(fd, (off_t)mark.file_bytes - 1), 0);
	assert_int_equal(unpacked(fd, SIZE, &mark), -EBADMSG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(unpacked(fd, SIZE, &mark), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_goes_in_comes_out),
	    cmocka_unit_test(a_long_stream_comes_out),
	    cmocka_unit_test(a_mark_that_was_asked_for_comes),
	    cmocka_unit_test(an_older_file_is_gone_on_with),
	    cmocka_unit_test(it_goes_on_from_a_mark),
	    cmocka_unit_test(it_does_not_go_on_from_something_else),
	    cmocka_unit_test(a_full_disk_is_a_problem_of_its_own),
	    cmocka_unit_test(it_can_be_given_up_at_any_time),
	    cmocka_unit_test(a_flipped_bit_is_found),
	    cmocka_unit_test(a_file_that_ends_within_a_frame_is_damaged),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
