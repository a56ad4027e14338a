/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rescue check on pools in files, on a real loop: the answer, findings, and
 * what cannot be checked.  What the check itself finds is the matter of
 * tests/unit/snapshot/check_test.c.
 */
#include "backstores/stores.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "snapshot/pool.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/problem.h"
#include "tools/rescue.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/varve-rescue-XXXXXX";

/* ---- a pool with one LUN ---- */

struct maker {
	struct loop *loop;
	struct loop_task begin;
	struct backstore *bs;
	struct pool_request request;
};

static void
closed(struct pool_request *request, int result)
{
	struct maker *maker = request->arg;

	assert_int_equal(result, 0);
	loop_stop(maker->loop);
}

static void
lun_made(struct pool_request *request, int result)
{
	assert_int_equal(result, 0);
	request->done = closed;
	pool_close(request->pool, request);
}

static void
pool_made(struct pool_request *request, int result)
{
	const struct volume_params params = {
	    .name = "web01", .size = 1ull << 30};

	assert_int_equal(result, 0);
	request->done = lun_made;
	volume_create(request->pool, &params, request);
}

static void
make(struct loop_task *task)
{
	struct maker *maker = container_of(task, struct maker, begin);
	const struct bs_file_params file = {.path = path};
	const struct pool_params params = {.name = "vms"};
	const struct pool_limits limits = {0};

	assert_int_equal(bs_file_open(maker->loop, &file, &maker->bs), 0);
	maker->request.arg = maker;
	maker->request.done = pool_made;
	pool_create(maker->loop, &maker->bs, 1, &params, &limits, false,
	    &maker->request);
}

static int
make_pool(void **state)
{
	const struct loop_params params = {.cpu = -1};
	struct maker maker = {.begin.run = make};
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 256 << 20), 0);
	close(fd);
	assert_int_equal(loop_new(&params, &maker.loop), 0);
	loop_post(maker.loop, &maker.begin);
	loop_run(maker.loop);
	loop_free(maker.loop);
	return 0;
}

static int
remove_pool(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

/* ---- claims ---- */

static json_t *
check(const char *file, json_t **ret_result)
{
	_cleanup_(json_decrefpp) json_t *paths = json_pack("[s]", file);

	*ret_result = NULL;
	return rescue_check(paths, false, ret_result);
}

static void
problem_is(const char *file, const char *code)
{
	json_t *result;
	_cleanup_(json_decrefpp) json_t *problem = check(file, &result);

	assert_non_null(problem);
	assert_null(result);
	assert_string_equal(varve_problem_code(problem), code);
}

static void
a_sound_pool_has_no_findings(void **state)
{
	json_t *result;
	const json_t *item;

	(void)state;
	assert_null(check(path, &result));
	assert_int_equal(json_array_size(json_object_get(result, "items")), 0);
	item = json_object_get(result, "item");
	assert_string_equal(
	    json_string_value(json_object_get(item, "pool")), "vms");
	assert_int_equal(
	    json_integer_value(json_object_get(item, "volumes")), 1);
	json_decref(result);
}

static void
the_check_writes_nothing(void **state)
{
	struct stat before, after;
	json_t *result;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	assert_null(check(path, &result));
	assert_int_equal(stat(path, &after), 0);
	assert_memory_equal(
	    &before.st_mtim, &after.st_mtim, sizeof(after.st_mtim));
	json_decref(result);
}

static void
a_damaged_copy_is_a_finding_with_severity_code_and_text(void **state)
{
	/* the first label, and what stands beside it */
	static const char zeros[4096];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	const json_t *finding;
	json_t *result;

	(void)state;
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
	assert_null(check(path, &result));
	finding = json_array_get(json_object_get(result, "items"), 0);
	assert_non_null(finding);
	assert_true(json_is_string(json_object_get(finding, "severity")));
	assert_true(json_is_string(json_object_get(finding, "code")));
	assert_true(json_is_string(json_object_get(finding, "what")));
	json_decref(result);
}

static void
what_cannot_be_checked_is_said(void **state)
{
	char other[] = "/tmp/varve-nopool-XXXXXX";
	int fd = mkstemp(other);

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	problem_is(other, "rescue.no-pool");
	unlink(other);
	problem_is("/nowhere/at/all", "rescue.unreadable");
	problem_is("/dev/null", "rescue.unreadable");
	problem_is("/tmp", "rescue.unreadable");
}

static void
a_pool_that_is_open_is_left_alone(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	problem_is(path, "rescue.in-use");
	close(fd);
}

#define claim(f) cmocka_unit_test_setup_teardown(f, make_pool, remove_pool)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_sound_pool_has_no_findings),
	    claim(the_check_writes_nothing),
	    claim(a_damaged_copy_is_a_finding_with_severity_code_and_text),
	    claim(a_pool_that_is_open_is_left_alone),
	    cmocka_unit_test(what_cannot_be_checked_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
