/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file behind an ack ring.  What the engine does with it is the
 * simulator's scenario "kill"; that it helps, tests/integration/kill9.py.
 */
#include "target/ack_file.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
enter_directory(void **state)
{
	char name[] = "/tmp/varve-acks-XXXXXX";

	assert_non_null(mkdtemp(name));
	*state = strdup(name);
	return *state == NULL;
}

static int
leave_directory(void **state)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/a.acks", (char *)*state);
	unlink(path);
	snprintf(path, sizeof(path), "%s/b.acks", (char *)*state);
	unlink(path);
	rmdir(*state);
	free(*state);
	return 0;
}

static void
the_next_process_finds_what_the_last_one_wrote(void **state)
{
	struct ack_file first, second;

	assert_int_equal(ack_file_open(&first, *state, "a"), 0);
	memcpy(first.memory, "acknowledged", 12);
	ack_file_close(&first, false);
	assert_int_equal(ack_file_open(&second, *state, "a"), 0);
	assert_memory_equal(second.memory, "acknowledged", 12);
	assert_memory_equal(second.boot_id, first.boot_id, 16);
	ack_file_close(&second, true);
	assert_int_not_equal(access(second.path, F_OK), 0);
}

static void
a_command_that_may_come_again_keeps_it(void **state)
{
	const struct compare_key key = {.length = 512};
	struct ack_file file;
	struct compare_memory *compares;

	assert_int_equal(ack_file_open(&file, *state, "a"), 0);
	compares = ack_file_compares(&file, 0);
	assert_non_null(compares);
	assert_non_null(compare_memory_begin(compares, &key));
	/* it does not reach into the ring */
	memset(file.memory, 0xff, file.bytes);
	ack_file_close(&file, true);
	assert_null(ack_file_compares(&file, 0));
	assert_int_equal(ack_file_open(&file, *state, "a"), 0);
	compares = ack_file_compares(&file, 1);
	assert_true(compare_memory_recall(compares, &key, 2));
	ack_file_close(&file, true);
	assert_int_not_equal(access(file.path, F_OK), 0);
}

static void
its_space_is_taken_and_nobody_else_reads_it(void **state)
{
	struct ack_file file;
	struct stat st;

	assert_int_equal(ack_file_open(&file, *state, "a"), 0);
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, file.bytes + COMPARE_MEMORY_BYTES);
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_int_equal(st.st_mode & 0777, 0600);
	ack_file_close(&file, true);
}

static void
a_new_name_takes_the_place_of_an_old_file(void **state)
{
	struct ack_file old, new;

	assert_int_equal(ack_file_open(&old, *state, "b"), 0);
	memcpy(old.memory, "old", 4);
	ack_file_close(&old, false);
	assert_int_equal(ack_file_open(&new, *state, "a"), 0);
	memcpy(new.memory, "new", 4);
	assert_int_equal(ack_file_rename(&new, *state, "b"), 0);
	ack_file_close(&new, false);
	assert_int_equal(ack_file_open(&old, *state, "b"), 0);
	assert_string_equal(old.memory, "new");
	ack_file_close(&old, true);
}

static void
without_a_directory_there_is_none(void **state)
{
	struct pool_limits limits = {.ack_ring = state};
	struct ack_file file;

	assert_int_equal(ack_file_open(&file, "/nonexistent", "a"), -ENOENT);
	assert_null(file.memory);
	ack_file_give(&file, &limits);
	assert_null(limits.ack_ring);
	assert_int_equal(ack_file_rename(&file, *state, "b"), 0);
	ack_file_close(&file, true);
}

static void
a_link_is_not_followed(void **state)
{
	struct ack_file file;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/a.acks", (char *)*state);
	assert_int_equal(symlink("/tmp/elsewhere", path), 0);
	assert_int_equal(ack_file_open(&file, *state, "a"), -ELOOP);
}

#define test(name)                                                             \
	cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(the_next_process_finds_what_the_last_one_wrote),
	    test(a_command_that_may_come_again_keeps_it),
	    test(its_space_is_taken_and_nobody_else_reads_it),
	    test(a_new_name_takes_the_place_of_an_old_file),
	    test(without_a_directory_there_is_none),
	    test(a_link_is_not_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
