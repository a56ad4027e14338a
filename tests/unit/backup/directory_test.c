/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a directory, who may be in it at once, and what is nobody's. */
#include "backup/directory.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "support/points.h"
#include "tests/unit/base/support/cmocka.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char path[64];

static int
setup(void **unused)
{
	(void)unused;
	strcpy(path, "/tmp/varve-directory-XXXXXX");
	return mkdtemp(path) != NULL ? 0 : -1;
}

static int
teardown(void **unused)
{
	char command[96];

	(void)unused;
	snprintf(command, sizeof(command), "rm -rf %s", path);
	return system(command);
}

static struct directory *
opened(enum directory_use use)
{
	struct directory *directory = NULL;

	assert_null(directory_open(path, use, true, &directory));
	return directory;
}

static void
refused(enum directory_use use, const char *code)
{
	struct directory *directory = NULL;
	json_t *problem = directory_open(path, use, false, &directory);

	assert_non_null(problem);
	assert_string_equal(varve_problem_code(problem), code);
	json_decref(problem);
}

static void
commit(struct directory *directory, uint64_t number, const char *name)
{
	struct backup_point point = point_of(number, name);

	point_commit(directory, &point);
}

static bool
is_there(const struct directory *directory, const char *name)
{
	return faccessat(directory->fd, name, F_OK, 0) == 0;
}

static const char *
finding(const struct directory *directory, size_t i, const char *member)
{
	return json_string_value(
	    json_object_get(json_array_get(directory->findings, i), member));
}

static void
what_is_committed_is_there(void **unused)
{
	struct directory *directory = opened(DIRECTORY_ADD);
	struct stat st;

	(void)unused;
	assert_int_equal(directory->points.count, 0);
	commit(directory, 2, "tue");
	commit(directory, 1, "mon");
	assert_int_equal(directory->points.count, 2);
	assert_string_equal(directory->points.list[0].name, "mon");
	assert_string_equal(directory->points.list[1].name, "tue");
	assert_int_equal(json_array_size(directory->findings), 0);
	assert_true(is_there(directory, "000002-tue.json"));
	assert_true(is_there(directory, "000002-tue.full.rbd-diff.zst"));
	assert_int_equal(fstatat(directory->fd, "000002-tue.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	directory_close(directory);
}

static void
what_is_removed_is_gone(void **unused)
{
	struct directory *directory = opened(DIRECTORY_REMOVE);

	(void)unused;
	commit(directory, 1, "mon");
	directory_remove(directory, &directory->points.list[0]);
	assert_null(directory_scan(directory));
	assert_int_equal(directory->points.count, 0);
	assert_int_equal(json_array_size(directory->findings), 0);
	directory_close(directory);
}

static void
a_manifest_that_is_damaged_is_a_finding(void **unused)
{
	struct directory *directory = opened(DIRECTORY_ADD);
	_cleanup_(closep) int fd = -1;

	(void)unused;
	commit(directory, 1, "mon");
	fd = openat(directory->fd, "000001-mon.json", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 30), 1);
	assert_null(directory_scan(directory));
	assert_int_equal(directory->points.count, 0);
	assert_string_equal(finding(directory, 0, "severity"), "damage");
	directory_close(directory);
}

/* A copy of a manifest by another name would be a backup twice. */
static void
a_manifest_under_anothers_name_is_a_finding(void **unused)
{
	struct directory *directory = opened(DIRECTORY_ADD);

	(void)unused;
	commit(directory, 1, "mon");
	assert_int_equal(linkat(directory->fd, "000001-mon.json", directory->fd,
			     "000009-mon.json", 0),
	    0);
	assert_null(directory_scan(directory));
	assert_int_equal(directory->points.count, 1);
	assert_string_equal(finding(directory, 0, "severity"), "damage");
	directory_close(directory);
}

static void
a_stream_without_a_manifest_is_swept_away(void **unused)
{
	struct directory *directory = opened(DIRECTORY_REMOVE);

	(void)unused;
	commit(directory, 1, "mon");
	close(file_make(directory, "000007-x.full.rbd-diff.zst"));
	close(file_make(directory, "000007-x.json.new"));
	close(file_make(directory, PARTIAL_STREAM));
	close(file_make(directory, "notes.txt"));
	assert_null(directory_scan(directory));
	assert_int_equal(json_array_size(directory->findings), 1);
	assert_string_equal(finding(directory, 0, "severity"), "note");
	assert_null(directory_sweep(directory));
	assert_false(is_there(directory, "000007-x.full.rbd-diff.zst"));
	assert_false(is_there(directory, "000007-x.json.new"));
	assert_true(is_there(directory, "000001-mon.full.rbd-diff.zst"));
	assert_true(is_there(directory, PARTIAL_STREAM));
	assert_true(is_there(directory, "notes.txt"));
	directory_close(directory);
}

/* By whom it is open: who else may come. */
static void
who_may_be_there_at_once(void **unused)
{
	static const bool together[][3] = {
	    /* READ, ADD, REMOVE beside */
	    [0] = {true, true, false},   /* READ */
	    [1] = {true, false, false},  /* ADD */
	    [2] = {false, false, false}, /* REMOVE */
	};

	(void)unused;
	for (unsigned a = 0; a < 3; a++) {
		for (unsigned b = 0; b < 3; b++) {
			struct directory *first = opened(DIRECTORY_READ + a);
			if (together[a][b])
				directory_close(opened(DIRECTORY_READ + b));
			else
				refused(DIRECTORY_READ + b, "backup.busy");
			directory_close(opened(DIRECTORY_LOOK));
			directory_close(first);
		}
	}
}

static void
one_that_is_not_there_is_empty_to_a_preview_only(void **unused)
{
	struct directory *directory = NULL;

	(void)unused;
	assert_int_equal(rmdir(path), 0);
	refused(DIRECTORY_LOOK, "backup.directory");
	refused(DIRECTORY_READ, "backup.directory");
	assert_null(directory_open(path, DIRECTORY_PREVIEW, false, &directory));
	assert_int_equal(directory->points.count, 0);
	directory_close(directory);
	assert_int_equal(access(path, F_OK), -1);
	directory_close(opened(DIRECTORY_ADD));
}

static void
a_file_that_is_too_long_for_a_manifest_is_not_read(void **unused)
{
	struct directory *directory = opened(DIRECTORY_ADD);
	_cleanup_(closep) int fd = file_make(directory, "000001-a.json");
	size_t length;

	(void)unused;
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	assert_null(directory_read(directory, "000001-a.json", &length));
	assert_null(directory_scan(directory));
	assert_string_equal(finding(directory, 0, "severity"), "damage");
	directory_close(directory);
}

int
main(void)
{
#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	    claim(what_is_committed_is_there),
	    claim(what_is_removed_is_gone),
	    claim(a_manifest_that_is_damaged_is_a_finding),
	    claim(a_manifest_under_anothers_name_is_a_finding),
	    claim(a_stream_without_a_manifest_is_swept_away),
	    claim(who_may_be_there_at_once),
	    claim(one_that_is_not_there_is_empty_to_a_preview_only),
	    claim(a_file_that_is_too_long_for_a_manifest_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
