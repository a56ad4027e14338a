/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of a pool, opened to be read without varved.
 */
#include "backstores/stores.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "target/findings.h"
#include "tools/problem.h"
#include "tools/rescue_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LINGER_PAUSE_NS (20 * 1000 * 1000)
#define LINGER_PAUSES   100

/* ---- what the check says while it runs ---- */

/* A page that is damaged in all copies, and no other is made of it by a mere
 * repair: the first says what may. */
static bool
names_scan(struct rescue *rescue, const char *code, const char *text)
{
	if (rescue->scan_named || strcmp(code, "meta.page") != 0 ||
	    strncmp(text, "bitmap:", strlen("bitmap:")) == 0)
		return false;
	rescue->scan_named = true;
	return true;
}

void
rescue_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct rescue *rescue = arg;
	json_t *item = finding_json(severity, code, text);

	if (names_scan(rescue, code, text))
		json_object_set_new(item, "fix",
		    json_string(
			"varve rescue check DEVICE... --repair --scan"));
	json_array_append_new(rescue->findings, item);
}

static void
on_family(void *arg, const struct check_family *family)
{
	struct rescue *rescue = arg;

	json_array_append_new(rescue->families, findings_family(family));
}

static void
on_progress(void *arg, uint64_t pages_done, uint64_t pages_all)
{
	struct rescue *rescue = arg;
	uint64_t now = loop_now(rescue->loop);

	if (!rescue->progress || now - rescue->shown_ns < NSEC_PER_SEC / 10)
		return;
	rescue->shown_ns = now;
	fprintf(stderr, "\r%3u%%  %" PRIu64 "/%" PRIu64 " pages ",
	    pages_all > 0 ? (unsigned)(pages_done * 100 / pages_all) : 0,
	    pages_done, pages_all);
}

/* ---- problems ---- */

static json_t *
open_problem(int error, const char *path)
{
	json_t *problem;

	if (error == -EBUSY)
		return problem_fix(problem_new(API_CONFLICT, "rescue.in-use",
				       "%s is in use", path),
		    "stop varved first: systemctl stop varved");
	problem = problem_new(API_FAILED, "rescue.unreadable",
	    "cannot open %s: %s", path, strerror(-error));
	if (error == -EINVAL)
		problem_why(problem, "it is neither a file nor a block device "
				     "of whole blocks");
	if (error == -EACCES || error == -EPERM)
		problem_fix(problem, "sudo varve rescue check %s", path);
	return problem;
}

static json_t *
work_problem(int error)
{
	/* clang-format off */
	static const struct {
		int error;
		enum api_exit exit;
		const char *code, *what;
	} rows[] = {
		{ -ENOENT,  API_NOT_FOUND, "rescue.no-pool",
		    "there is no pool here" },
		{ -ENODEV,  API_FAILED, "rescue.device-missing",
		    "the pool has further devices, which were not given" },
		{ -EBADMSG, API_FINDINGS, "rescue.damaged",
		    "no copy of the pool's superblock can be read" },
		{ -EPROTO,  API_FAILED, "rescue.newer-format",
		    "the pool was written by a newer varve" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].error == error)
			return problem_new(
			    rows[i].exit, rows[i].code, "%s", rows[i].what);
	}
	return problem_new(API_FAILED, "rescue.unreadable",
	    "cannot read the pool: %s", strerror(-error));
}

static json_t *
loop_problem(int error)
{
	json_t *problem = problem_new(API_FAILED, "internal.io-uring",
	    "cannot set up io_uring: %s", strerror(-error));

	if (error == -EPERM)
		problem_fix(problem, "sysctl kernel.io_uring_disabled=0");
	return problem;
}

/* ---- the run, on the loop ---- */

void
rescue_step(void *arg)
{
	struct rescue *rescue = arg;

	loop_turn(rescue->loop);
}

/* A store that is opened to be read takes no lock and heeds none, for the sake
 * of tools that look at a live one; a check of a live pool would find what is
 * just being written.  Block devices are opened exclusively in any case. */
static bool
file_is_locked(const char *path)
{
	_cleanup_(closep) int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int
open_one(struct rescue *rescue, const char *path, struct backstore **ret_bs)
{
	if (file_is_locked(path))
		return -EBUSY;
	return bs_path_open(rescue->loop, path, !rescue->write, ret_bs);
}

/* What a killed varved held is free only when the kernel has taken its rings
 * down, a moment after the process is gone. */
static int
open_patiently(
    struct rescue *rescue, const char *path, struct backstore **ret_bs)
{
	const struct timespec pause = {.tv_nsec = LINGER_PAUSE_NS};
	int ret = open_one(rescue, path, ret_bs);

	for (int i = 0; i < LINGER_PAUSES && ret == -EBUSY; i++) {
		nanosleep(&pause, NULL);
		ret = open_one(rescue, path, ret_bs);
	}
	return ret;
}

static json_t *
open_all(struct rescue *rescue)
{
	const json_t *path;
	size_t i;

	json_array_foreach(rescue->paths, i, path)
	{
		const char *text = json_string_value(path);
		int ret;
		if (rescue->count == POOL_DEVICE_MAX)
			return problem_new(API_USAGE, "usage.argument",
			    "a pool has at most %d devices", POOL_DEVICE_MAX);
		ret = open_patiently(
		    rescue, text, &rescue->stores[rescue->count]);
		if (ret < 0)
			return open_problem(ret, text);
		rescue->count++;
	}
	return NULL;
}

static void
on_closed(void *arg)
{
	struct rescue *rescue = arg;

	rescue->closed++;
}

static void
close_all(struct rescue *rescue)
{
	for (unsigned i = 0; i < rescue->count; i++)
		bs_close(rescue->stores[i], on_closed, rescue);
	while (rescue->closed < rescue->count)
		loop_turn(rescue->loop);
}

static void
run(struct loop_task *task)
{
	struct rescue *rescue = container_of(task, struct rescue, begin);
	int ret;

	rescue->problem = open_all(rescue);
	if (rescue->problem == NULL) {
		ret = rescue->work(rescue);
		if (ret < 0 && rescue->problem == NULL)
			rescue->problem = work_problem(ret);
	}
	close_all(rescue);
	loop_stop(rescue->loop);
}

json_t *
rescue_run(struct rescue *rescue)
{
	const struct loop_params params = {.cpu = -1, .name = "varve"};
	int ret = loop_new(&params, &rescue->loop);

	rescue->findings = json_array();
	rescue->families = json_array();
	if (ret < 0)
		return loop_problem(ret);
	rescue->begin.run = run;
	rescue->report.finding = rescue_finding;
	rescue->report.family = on_family;
	rescue->report.progress = on_progress;
	rescue->report.arg = rescue;
	loop_post(rescue->loop, &rescue->begin);
	loop_run(rescue->loop);
	loop_free(rescue->loop);
	if (rescue->progress)
		fputs("\r\033[K", stderr);
	return rescue->problem;
}

void
rescue_done(struct rescue *rescue)
{
	json_decref(rescue->findings);
	json_decref(rescue->families);
}
