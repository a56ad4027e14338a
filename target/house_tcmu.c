/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A round brings the kernel to what the state says:
 *
 *	for each LUN that is wanted and not served
 *		make        the device, or take over the one that is there
 *		open        its ring, on the LUN's loop
 *		resume      one that was taken over
 *	apply               fabrics: what hosts see
 *	for each device that is not wanted
 *		close       its ring
 *		remove      the device
 *
 * A device whose LUN is not served (its pool is not there) stays as it is, and
 * so does what exports it.
 */
#include "target/house_tcmu.h"
#include "base/log.h"
#include "target/kernel_view.h"
#include "target/tcmu/device.h"
#include "target/tcmu/release.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_HANDED "tcmu-lock"

/* For what is under way when a ring is closed, before it ends with BUSY. */
#define PATIENCE_NS (2 * NSEC_PER_SEC)

struct kernel_lun {
	struct list link;
	struct house_tcmu *tcmu;
	uuid_t uuid;
	char name[LIO_DEVICE_MAX];
	struct loop *loop;
	struct tcmu_device *device; /* the loop's; NULL: not served */
	bool made;                  /* the kernel has it */
	bool wanted, tried;
	bool lost; /* its ring is to be closed */
	const char *lost_why;
	struct loop_task lost_task;
	char problem[LIO_PROBLEM_MAX];
};

struct house_tcmu {
	struct house *house;
	struct lio *lio;
	struct list luns;
	int lock_fd; /* -1: the kernel's target is not ours */
	bool looked; /* for devices of a varved before us */
	bool mending;
	struct publish_wait mend;
	/* ---- the round, or whatever is being done ---- */
	bool busy, stopping, applied;
	struct kernel_lun *at;
	const struct house_lun *hl; /* of at */
	struct found {
		char (*names)[LIO_DEVICE_MAX];
		unsigned count;
	} found;
	struct kernel_view view;
	struct lio_device device;
	char uio[LIO_UIO_MAX];
	int handed; /* its ring, of the varved before us; -1 */
	bool resumed;
	int result;
	char problem[LIO_PROBLEM_MAX];
	struct loop_work work;
	struct call call;
	struct loop_task later;
	int round_result;
	void (*done)(void *arg, int result);
	void *arg;
};

static void round_next(struct house_tcmu *tcmu);
static void round_end(struct house_tcmu *tcmu);

/* ---- life ---- */

struct house_tcmu *
house_tcmu_new(struct house *house)
{
	struct house_tcmu *tcmu = calloc(1, sizeof(*tcmu));

	if (tcmu == NULL)
		return NULL;
	tcmu->house = house;
	tcmu->lock_fd = -1;
	list_init(&tcmu->luns);
	tcmu->lio = lio_new(NULL);
	if (tcmu->lio == NULL) {
		free(tcmu);
		return NULL;
	}
	return tcmu;
}

static void
lun_forget(struct kernel_lun *lun)
{
	assert(lun->device == NULL && !lun->lost_task.queued);
	list_del(&lun->link);
	free(lun);
}

void
house_tcmu_free(struct house_tcmu *tcmu)
{
	struct kernel_lun *lun;

	if (tcmu == NULL)
		return;
	assert(!tcmu->busy);
	while ((lun = list_first(&tcmu->luns, struct kernel_lun, link)) != NULL)
		lun_forget(lun);
	lio_free(tcmu->lio);
	if (tcmu->lock_fd >= 0)
		close(tcmu->lock_fd);
	free(tcmu);
}

static struct kernel_lun *
lun_find(const struct house_tcmu *tcmu, const char *name)
{
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		if (strcmp(lun->name, name) == 0)
			return lun;
	}
	return NULL;
}

static struct kernel_lun *
lun_add(struct house_tcmu *tcmu, const char *name)
{
	struct kernel_lun *lun = calloc(1, sizeof(*lun));

	assert(lun != NULL); /* as everywhere on the control path */
	lun->tcmu = tcmu;
	snprintf(lun->name, sizeof(lun->name), "%s", name);
	if (uuid_parse(lun->name, lun->uuid) < 0)
		uuid_clear(lun->uuid);
	list_add_tail(&tcmu->luns, &lun->link);
	return lun;
}

const char *
house_tcmu_problem(const struct house_tcmu *tcmu, const uuid_t uuid)
{
	char name[LIO_DEVICE_MAX];
	const struct kernel_lun *lun;

	uuid_unparse_lower(uuid, name);
	lun = lun_find(tcmu, name);
	return lun != NULL ? lun->problem : "";
}

/* The first varved that exports by the kernel has it, until it ends. */
static int
lock_take(struct house_tcmu *tcmu)
{
	if (tcmu->lock_fd < 0)
		tcmu->lock_fd =
		    handover_find(&tcmu->house->inherited, LOCK_HANDED);
	return tcmu->lock_fd >= 0 ? 0 : tcmu_lock(&tcmu->lock_fd);
}

/* ---- work on a helper thread ---- */

static void
work_begin(struct house_tcmu *tcmu, void (*run)(struct loop_work *work),
    void (*done)(struct loop_work *work))
{
	tcmu->work.run = run;
	tcmu->work.done = done;
	loop_offload(tcmu->house->home, &tcmu->work);
}

static struct house_tcmu *
tcmu_of_work(struct loop_work *work)
{
	return container_of(work, struct house_tcmu, work);
}

static void
worked(struct house_tcmu *tcmu, int result)
{
	tcmu->result = result;
	snprintf(tcmu->problem, sizeof(tcmu->problem), "%s",
	    result < 0 ? lio_problem(tcmu->lio) : "");
}

/* Said once, and again when it is another. */
static void
lun_fail(struct kernel_lun *lun, const char *problem)
{
	if (strcmp(lun->problem, problem) != 0)
		log_error("LUN %s: the kernel does not export it: %s",
		    lun->name, problem);
	snprintf(lun->problem, sizeof(lun->problem), "%s", problem);
}

/* ---- a device comes ---- */

static void
resume_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_device_resume(tcmu->lio, tcmu->at->name));
}

static void
resume_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	if (tcmu->result < 0) {
		lun_fail(tcmu->at, tcmu->problem);
		tcmu->at->lost = true; /* and taken over anew */
	}
	round_next(tcmu);
}

static void
lost_run(struct loop_task *task)
{
	struct kernel_lun *lun =
	    container_of(task, struct kernel_lun, lost_task);

	lun->lost = true;
	lun_fail(lun, lun->lost_why);
	house_tcmu_mend(lun->tcmu);
}

/* On the LUN's loop. */
static void
device_lost(void *arg, const char *why)
{
	struct kernel_lun *lun = arg;

	lun->lost_why = why;
	lun->lost_task.run = lost_run;
	loop_post(lun->tcmu->house->home, &lun->lost_task);
}

static bool
is_same_file(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_rdev == b.st_rdev;
}

static int
ring_open(struct house_tcmu *tcmu, struct tcmu_ring **ret_ring)
{
	enum tcmu_driver driver = tcmu->house->config->lio_ring;
	int fd = tcmu->handed;

	if (fd < 0)
		return tcmu_ring_open(driver, tcmu->uio, ret_ring);
	if (is_same_file(fd, tcmu->uio))
		return tcmu_ring_inherit(driver, fd, ret_ring);
	close(fd); /* of a device that somebody removed */
	return tcmu_ring_open(driver, tcmu->uio, ret_ring);
}

static void
open_run(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);
	struct kernel_lun *lun = tcmu->at;
	struct tcmu_device_params params = {.loop = lun->loop,
	    .lun = tcmu->hl->lun,
	    .target_name = lun->name,
	    .lost = device_lost,
	    .arg = lun};
	int ret = ring_open(tcmu, &params.ring);

	if (ret == 0)
		ret = tcmu_device_new(&params, &lun->device);
	call_finish(call, ret);
}

static void
open_done(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);
	char problem[LIO_PROBLEM_MAX];

	if (call->result < 0) {
		snprintf(problem, sizeof(problem), "cannot open %s: %s",
		    tcmu->uio, strerror(-call->result));
		lun_fail(tcmu->at, problem);
		round_next(tcmu);
	} else if (tcmu->resumed) {
		work_begin(tcmu, resume_run, resume_done);
	} else {
		round_next(tcmu);
	}
}

static void
make_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_device_make(
			 tcmu->lio, &tcmu->device, tcmu->uio, &tcmu->resumed));
}

static void
make_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	if (tcmu->result < 0) {
		if (tcmu->handed >= 0)
			close(tcmu->handed);
		lun_fail(tcmu->at, tcmu->problem);
		round_next(tcmu);
		return;
	}
	tcmu->at->made = true;
	tcmu->call.run = open_run;
	tcmu->call.done = open_done;
	call_start(&tcmu->call, tcmu->house->home, tcmu->at->loop);
}

/* Size and block length are told by the LUN's own loop first. */
static void
measure_run(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);

	tcmu->device.size = tcmu->hl->bs->size;
	tcmu->device.block_size = tcmu->hl->bs->block_size;
	call_finish(call, 0);
}

static void
measure_done(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);

	work_begin(tcmu, make_run, make_done);
}

static void
lun_serve(struct kernel_lun *lun, const struct house_lun *hl)
{
	struct house_tcmu *tcmu = lun->tcmu;

	lun->tried = true;
	lun->loop = hl->pool->loop;
	tcmu->hl = hl;
	memcpy(tcmu->device.name, lun->name, sizeof(tcmu->device.name));
	tcmu->handed = handover_find(&tcmu->house->inherited, lun->name);
	tcmu->device.is_open = tcmu->handed >= 0;
	tcmu->device.tells_aborts =
	    tcmu->house->config->lio_ring == TCMU_NATIVE;
	tcmu->call.run = measure_run;
	tcmu->call.done = measure_done;
	call_start(&tcmu->call, tcmu->house->home, lun->loop);
}

/* ---- a device goes ---- */

static void
remove_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_device_remove(tcmu->lio, tcmu->at->name));
}

static void
remove_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	if (tcmu->result < 0)
		lun_fail(tcmu->at, tcmu->problem);
	else
		lun_forget(tcmu->at);
	round_next(tcmu);
}

static void
ring_closed(void *arg)
{
	call_finish(arg, 0);
}

static void
close_run(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);

	tcmu_device_close(tcmu->at->device, tcmu->at->lost ? 0 : PATIENCE_NS,
	    ring_closed, call);
}

static void
close_done(struct call *call)
{
	struct house_tcmu *tcmu = container_of(call, struct house_tcmu, call);

	tcmu->at->device = NULL;
	tcmu->at->lost = false;
	round_next(tcmu);
}

static void
bequeath(const struct house_tcmu *tcmu, const char *name, int fd)
{
	struct handover *bequest = tcmu->house->bequest;
	int ret =
	    bequest != NULL && fd >= 0 ? handover_add(bequest, name, fd) : 0;

	if (ret < 0)
		log_warn("%s is not handed over: %s", name, strerror(-ret));
}

static void
lun_close(struct kernel_lun *lun)
{
	struct house_tcmu *tcmu = lun->tcmu;

	if (tcmu->stopping && !lun->lost)
		bequeath(tcmu, lun->name, tcmu_device_fd(lun->device));
	tcmu->call.run = close_run;
	tcmu->call.done = close_done;
	call_start(&tcmu->call, tcmu->house->home, lun->loop);
}

/* ---- what hosts see ---- */

static enum kernel_device
look_at(void *arg, const char *uuid)
{
	const struct kernel_lun *lun = lun_find(arg, uuid);

	if (lun == NULL || !lun->made)
		return KERNEL_DEVICE_ABSENT;
	return lun->device != NULL ? KERNEL_DEVICE_SERVED : KERNEL_DEVICE_WAITS;
}

static void
apply_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_apply(tcmu->lio, &tcmu->view.config));
}

/* Each LUN that somebody was to see has it as its problem, until it is solved.
 */
static void
apply_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		if (!lun->wanted || lun->device == NULL)
			continue;
		if (tcmu->result < 0)
			lun_fail(lun, tcmu->problem);
		else
			lun->problem[0] = '\0';
	}
	tcmu->at = NULL;
	round_next(tcmu);
}

/* ---- the round ---- */

static void
later_run(struct loop_task *task)
{
	struct house_tcmu *tcmu = container_of(task, struct house_tcmu, later);

	tcmu->busy = false;
	tcmu->done(tcmu->arg, tcmu->round_result);
}

static void
guard_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_guard(tcmu->lio));
}

static void
guard_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	if (tcmu->result < 0)
		log_warn("kernel devices are not blocked: %s", tcmu->problem);
	round_end(tcmu);
}

/* What was left to us and is not served is let go of, and held. */
static void
round_end(struct house_tcmu *tcmu)
{
	kernel_view_free(&tcmu->view);
	if (tcmu->house->inherited.count > 0) {
		handover_drop(&tcmu->house->inherited);
		work_begin(tcmu, guard_run, guard_done);
		return;
	}
	tcmu->later.run = later_run;
	loop_defer(tcmu->house->home, &tcmu->later);
}

static const struct house_lun *
served_as(const struct kernel_lun *lun)
{
	return house_lun_find(lun->tcmu->house, lun->uuid);
}

/* False: there is none to be served. */
static bool
one_comes(struct house_tcmu *tcmu)
{
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		tcmu->at = lun;
		if (lun->device != NULL && lun->lost)
			lun_close(lun);
		else if (lun->wanted && lun->device == NULL && !lun->tried &&
			 served_as(lun) != NULL)
			lun_serve(lun, served_as(lun));
		else
			continue;
		return true;
	}
	return false;
}

static bool
one_goes(struct house_tcmu *tcmu)
{
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		if (lun->wanted || lun->tried)
			continue;
		tcmu->at = lun;
		if (lun->device != NULL) {
			lun_close(lun);
			return true;
		}
		lun->tried = true;
		work_begin(tcmu, remove_run, remove_done);
		return true;
	}
	return false;
}

static bool
one_stops(struct house_tcmu *tcmu)
{
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		if (lun->device == NULL)
			continue;
		tcmu->at = lun;
		lun_close(lun);
		return true;
	}
	return false;
}

/* One step; each ends in another call, until there is none left. */
static void
round_next(struct house_tcmu *tcmu)
{
	if (tcmu->stopping) {
		if (one_stops(tcmu))
			return;
		if (tcmu->house->bequest != NULL)
			round_end(tcmu);
		else
			work_begin(tcmu, guard_run, guard_done);
	} else if (one_comes(tcmu)) {
		/* and on */
	} else if (!tcmu->applied) {
		tcmu->applied = true;
		kernel_view_build(
		    &tcmu->view, tcmu->house->config, look_at, tcmu);
		work_begin(tcmu, apply_run, apply_done);
	} else if (!one_goes(tcmu)) {
		round_end(tcmu);
	}
}

/* A device of ours from before. */
static void
found(void *arg, const char *name)
{
	struct found *all = arg;
	void *more =
	    realloc(all->names, (all->count + 1) * sizeof(*all->names));

	assert(more != NULL);
	all->names = more;
	snprintf(all->names[all->count++], sizeof(*all->names), "%s", name);
}

static void
look_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_devices(tcmu->lio, found, &tcmu->found));
}

static void
round_refuse(struct house_tcmu *tcmu, int error)
{
	char problem[LIO_PROBLEM_MAX];
	struct kernel_lun *lun;

	if (error == -EAGAIN)
		snprintf(problem, sizeof(problem),
		    "another varved has the kernel's target (" TCMU_LOCK ")");
	else
		snprintf(problem, sizeof(problem),
		    "cannot open " TCMU_LOCK ": %s", strerror(-error));
	list_for_each (lun, &tcmu->luns, link)
		lun_fail(lun, problem);
	round_end(tcmu);
}

static void
round_begin(struct house_tcmu *tcmu)
{
	const struct kernel_view *view = &tcmu->view;
	struct kernel_lun *lun;
	int ret = 0;

	list_for_each (lun, &tcmu->luns, link)
		lun->wanted = lun->tried = false;
	for (unsigned i = 0; i < view->export_count; i++) {
		const struct state_export *row = &view->exports[i];
		if (row->carrier == CARRIER_ISCSI)
			continue;
		lun = lun_find(tcmu, row->lun_uuid);
		if (lun == NULL)
			lun = lun_add(tcmu, row->lun_uuid);
		lun->wanted = true;
	}
	/* a machine that never exports so is not looked at */
	tcmu->applied = list_empty(&tcmu->luns);
	if (!tcmu->applied)
		ret = lock_take(tcmu);
	if (ret < 0)
		round_refuse(tcmu, ret);
	else
		round_next(tcmu);
}

static void
found_take(struct house_tcmu *tcmu)
{
	for (unsigned i = 0; i < tcmu->found.count; i++)
		lun_add(tcmu, tcmu->found.names[i])->made = true;
	free(tcmu->found.names);
	tcmu->found = (struct found){.names = NULL};
}

/* Without knowing them all, what leads to the others would be taken away. */
static void
look_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	if (tcmu->result < 0) {
		log_error("kernel devices are not known: %s", tcmu->problem);
		free(tcmu->found.names);
		tcmu->found = (struct found){.names = NULL};
		tcmu->round_result = tcmu->result;
		round_end(tcmu);
		return;
	}
	tcmu->looked = true;
	found_take(tcmu);
	round_begin(tcmu);
}

void
house_tcmu_publish(
    struct house_tcmu *tcmu, void (*done)(void *arg, int result), void *arg)
{
	assert(!tcmu->busy);
	tcmu->busy = true;
	tcmu->done = done;
	tcmu->arg = arg;
	tcmu->round_result = kernel_view_read(&tcmu->view, tcmu->house->state);
	if (tcmu->round_result < 0) {
		log_error("what the kernel is to export cannot be read");
		round_end(tcmu);
	} else if (!tcmu->looked && !tcmu->house->config->private_dir) {
		work_begin(tcmu, look_run, look_done);
	} else {
		round_begin(tcmu);
	}
}

void
house_tcmu_stop(
    struct house_tcmu *tcmu, void (*done)(void *arg, int result), void *arg)
{
	assert(!tcmu->busy);
	tcmu->busy = tcmu->stopping = true;
	tcmu->done = done;
	tcmu->arg = arg;
	if (tcmu->lock_fd < 0) { /* nothing there is ours */
		round_end(tcmu);
		return;
	}
	bequeath(tcmu, LOCK_HANDED, tcmu->lock_fd);
	round_next(tcmu);
}

static void
mended(struct publish_wait *wait)
{
	container_of(wait, struct house_tcmu, mend)->mending = false;
}

void
house_tcmu_mend(struct house_tcmu *tcmu)
{
	if (tcmu->mending || list_empty(&tcmu->luns))
		return;
	tcmu->mending = true;
	tcmu->mend.done = mended;
	house_publish(tcmu->house, &tcmu->mend);
}
