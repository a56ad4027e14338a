/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a varved leaves open for the next arrives, each by its name and once;
 * and what is no open file is nothing.
 */
#include "target/handover.h"
#include "tests/unit/base/support/cmocka.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "VARVED_HANDOVER"

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool
is_same(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 &&
	       one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

static void
what_is_left_open_arrives(void **unused)
{
	struct handover left = {.files = NULL}, got = {.files = NULL};
	int a[2], b[2], fd;

	(void)unused;
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(handover_add(&left, "a", a[0]), 0);
	assert_int_equal(handover_add(&left, "b", b[0]), 0);
	close(a[0]);
	close(b[0]);
	assert_int_equal(handover_send(&left), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fcntl(left.files[i].fd, F_GETFD), 0);
	/* exec would be here */
	handover_receive(&got);
	assert_null(getenv(VARIABLE));
	assert_int_equal(got.count, 2);
	fd = handover_find(&got, "b");
	assert_true(fd >= 0 && is_same(fd, b[1]));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_find(&got, "b"), -1);
	assert_int_equal(handover_find(&got, "c"), -1);
	close(fd);
	/* a is still there, and nobody wants it */
	fd = got.files[0].fd;
	assert_true(is_same(fd, a[1]));
	handover_drop(&got);
	assert_false(is_open(fd));
	assert_int_equal(got.count, 0);
	free(left.files);
	close(a[1]);
	close(b[1]);
}

static void
nothing_left_is_nothing(void **unused)
{
	struct handover left = {.files = NULL}, got = {.files = NULL};

	(void)unused;
	unsetenv(VARIABLE);
	handover_receive(&got);
	assert_int_equal(got.count, 0);
	assert_int_equal(handover_send(&left), 0);
	handover_receive(&got);
	assert_int_equal(got.count, 0);
	handover_drop(&got);
}

static void
what_is_no_open_file_is_not_taken(void **unused)
{
	static const char *const bad[] = {"", " ", "a", "a=", "=9", "a=x",
	    "a=1000", "a=0", "a=1", "a=2", "a=-1", "a=99999999999999999999",
	    "a=3x", "a-name-of-forty-characters-and-no-fewer==3"};
	struct handover got = {.files = NULL};

	(void)unused;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv(VARIABLE, bad[i], 1);
		handover_receive(&got);
		assert_int_equal(got.count, 0);
		assert_null(getenv(VARIABLE));
	}
	assert_true(is_open(STDIN_FILENO) && is_open(STDERR_FILENO));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_left_open_arrives),
	    cmocka_unit_test(nothing_left_is_nothing),
	    cmocka_unit_test(what_is_no_open_file_is_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
