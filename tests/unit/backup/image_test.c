/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw images in files.  Block devices and pipes are covered by
 * tests/integration/backup.py.
 */
#include "backup/image.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "tests/unit/base/support/cmocka.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 65536u

static char directory[64], path[96], part[112];
static uint8_t data[SIZE], got[SIZE + 1];

static int
setup(void **unused)
{
	(void)unused;
	strcpy(directory, "/tmp/varve-image-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/image", directory);
	snprintf(part, sizeof(part), "%s.part", path);
	memset(data, 0, sizeof(data));
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	unlink(path);
	unlink(part);
	return rmdir(directory);
}

static void
put(struct image *image, uint64_t offset, uint64_t length, int byte)
{
	static uint8_t bytes[SIZE];
	struct sink *sink = image_sink(image);
	const struct piece piece = {offset, length, byte != 0 ? bytes : NULL};

	memset(bytes, byte, sizeof(bytes));
	memset(&data[offset], byte, length);
	assert_null(sink->put(sink, &piece));
}

static void
is_data(void)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), SIZE);
	assert_memory_equal(got, data, SIZE);
}

static struct image *
image_of(bool overwrite)
{
	struct image *image = NULL;

	assert_null(image_new(path, SIZE, overwrite, &image));
	return image;
}

static void
pieces_and_what_is_between_them_make_the_image(void **unused)
{
	struct image *image = image_of(false);

	(void)unused;
	put(image, 100, 1, 'a');
	put(image, 4096, 8192, 'b');
	put(image, 20000, 5000, 0);
	put(image, 25000, 3, 'c');
	assert_null(image_finish(image));
	image_free(image);
	is_data();
}

static void
what_is_zeros_takes_no_space(void **unused)
{
	static uint8_t mixed[32768];
	struct image *image = image_of(false);
	struct sink *sink = image_sink(image);
	const struct piece piece = {0, sizeof(mixed), mixed};
	struct stat st;

	(void)unused;
	/* a block of data between zeros that were told as data */
	memset(&mixed[8192], 'm', 4096);
	memcpy(data, mixed, sizeof(mixed));
	assert_null(sink->put(sink, &piece));
	assert_null(image_finish(image));
	image_free(image);
	is_data();
	assert_int_equal(stat(path, &st), 0);
	assert_true((unsigned)st.st_blocks * 512 <= 2 * 4096);
}

static void
it_has_its_name_when_it_is_whole(void **unused)
{
	struct image *image = image_of(false);

	(void)unused;
	put(image, 0, 4096, 'a');
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(part, F_OK), 0);
	image_free(image);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(part, F_OK), -1);
}

static void
one_that_is_there_is_left_alone_until_another_is_whole(void **unused)
{
	struct image *image = image_of(false);
	json_t *problem;

	(void)unused;
	put(image, 0, 4096, 'a');
	assert_null(image_finish(image));
	image_free(image);
	problem = image_new(path, SIZE, false, &image);
	assert_string_equal(
	    varve_problem_code(problem), "backup.target-exists");
	json_decref(problem);
	is_data();
	image = image_of(true);
	is_data();
	put(image, 0, 4096, 0);
	put(image, 8192, 4096, 'z');
	assert_null(image_finish(image));
	image_free(image);
	is_data();
}

static void
where_nothing_can_be_made_is_a_problem(void **unused)
{
	struct image *image = NULL;
	json_t *problem = image_new("/nowhere/at/all", SIZE, false, &image);

	(void)unused;
	assert_string_equal(varve_problem_code(problem), "backup.unwritable");
	json_decref(problem);
	problem = image_new(directory, SIZE, true, &image);
	assert_string_equal(
	    varve_problem_code(problem), "backup.target-exists");
	json_decref(problem);
}

int
main(void)
{
#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	    claim(pieces_and_what_is_between_them_make_the_image),
	    claim(what_is_zeros_takes_no_space),
	    claim(it_has_its_name_when_it_is_whole),
	    claim(one_that_is_there_is_left_alone_until_another_is_whole),
	    claim(where_nothing_can_be_made_is_a_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
