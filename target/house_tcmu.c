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
#include "target/method.h"
#include "target/tcmu/device.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK "/run/varve-tcmu.lock"

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
	struct loop_task lost_task;
	char problem[LIO_PROBLEM_MAX];
};

/* What apply needs, in one piece of memory each. */
struct wanted {
	struct state_host *hosts;
	struct state_export *exports;
	unsigned host_count, export_count;
	struct lio_loop *loops;
	char (*iqns)[NAMING_IQN_MAX + 8];
	struct lio_target *targets;
	struct lio_acl *acls;
	struct lio_lun *luns;
	const char *portals[CONFIG_PORTAL_MAX];
	struct lio_config config;
};

struct house_tcmu {
	struct house *house;
	struct lio *lio;
	struct list luns;
	int lock_fd; /* -1: the kernel's target is not ours */
	bool looked; /* for devices of a varved before us */
	/* ---- the round, or whatever is being done ---- */
	bool busy, stopping, applied;
	struct kernel_lun *at;
	const struct house_lun *hl; /* of at */
	struct found {
		char (*names)[LIO_DEVICE_MAX];
		unsigned count;
	} found;
	struct wanted wanted;
	struct lio_device device;
	char uio[LIO_UIO_MAX];
	bool resumed;
	int result;
	char problem[LIO_PROBLEM_MAX];
	struct loop_work work;
	struct call call;
	struct loop_task later;
	void (*done)(void *arg);
	void *arg;
};

static void round_next(struct house_tcmu *tcmu);

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

bool
house_tcmu_active(const struct house_tcmu *tcmu)
{
	return !list_empty(&tcmu->luns);
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

/* There is one kernel, and maybe more than one varved (varved --dir): the first
 * that exports by it has it, until it ends.  -EAGAIN: another has it. */
static int
lock_take(struct house_tcmu *tcmu)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int ret;

	if (tcmu->lock_fd >= 0)
		return 0;
	tcmu->lock_fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (tcmu->lock_fd < 0)
		return -errno;
	if (fcntl(tcmu->lock_fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	ret = errno == EACCES ? -EAGAIN : -errno;
	close(tcmu->lock_fd);
	tcmu->lock_fd = -1;
	return ret;
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
serve_done(struct kernel_lun *lun)
{
	lun->problem[0] = '\0';
	round_next(lun->tcmu);
}

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

	if (tcmu->result < 0)
		lun_fail(tcmu->at, tcmu->problem);
	else
		serve_done(tcmu->at);
	if (tcmu->result < 0)
		round_next(tcmu);
}

static void
lost_run(struct loop_task *task)
{
	struct kernel_lun *lun =
	    container_of(task, struct kernel_lun, lost_task);

	lun->lost = true;
	lun->made = false;
	lun_fail(lun, "somebody removed its kernel device");
}

/* On the LUN's loop. */
static void
device_lost(void *arg)
{
	struct kernel_lun *lun = arg;

	lun->lost_task.run = lost_run;
	loop_post(lun->tcmu->house->home, &lun->lost_task);
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
	int ret = tcmu_ring_open(tcmu->uio, &params.ring);

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
		serve_done(tcmu->at);
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

	tcmu_device_close(tcmu->at->device, ring_closed, call);
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
lun_close(struct kernel_lun *lun)
{
	struct house_tcmu *tcmu = lun->tcmu;

	tcmu->call.run = close_run;
	tcmu->call.done = close_done;
	call_start(&tcmu->call, tcmu->house->home, lun->loop);
}

/* ---- what hosts see ---- */

static void
wanted_free(struct wanted *wanted)
{
	state_hosts_free(wanted->hosts, wanted->host_count);
	free(wanted->exports);
	free(wanted->loops);
	free(wanted->iqns);
	free(wanted->targets);
	free(wanted->acls);
	free(wanted->luns);
	*wanted = (struct wanted){.hosts = NULL};
}

static struct lio_credentials
credentials_of(const struct state_credentials *from)
{
	if (from->user[0] == '\0')
		return (struct lio_credentials){NULL, NULL};
	return (struct lio_credentials){from->user, from->secret};
}

static const struct state_host *
host_of(const struct wanted *wanted, int64_t id)
{
	for (unsigned i = 0; i < wanted->host_count; i++)
		if (wanted->hosts[i].id == id)
			return &wanted->hosts[i];
	assert(false); /* a foreign key says so */
	return NULL;
}

static struct lio_target *
target_of(struct wanted *wanted, const struct state_export *row)
{
	char *iqn = wanted->iqns[wanted->config.target_count];
	struct lio_target *target;

	export_iqn(row, iqn);
	for (unsigned i = 0; i < wanted->config.target_count; i++)
		if (strcmp(wanted->targets[i].iqn, iqn) == 0)
			return &wanted->targets[i];
	target = &wanted->targets[wanted->config.target_count++];
	*target = (struct lio_target){.iqn = iqn, .portals = wanted->portals};
	return target;
}

/* Its exports of one target and host lie one behind the other: state_exports
 * has been sorted so. */
static void
acl_add_lun(struct wanted *wanted, unsigned at)
{
	const struct state_export *row = &wanted->exports[at];
	const struct state_host *host = host_of(wanted, row->host_id);
	struct lio_target *target = target_of(wanted, row);
	struct lio_acl *acl;

	if (target->acls == NULL)
		target->acls = &wanted->acls[at];
	acl = &wanted->acls[target->acls - wanted->acls + target->acl_count];
	if (target->acl_count > 0 && strcmp(acl[-1].iqn, host->iqn) == 0) {
		acl--;
	} else {
		target->acl_count++;
		*acl = (struct lio_acl){.iqn = host->iqn,
		    .chap = credentials_of(&host->chap),
		    .mutual = credentials_of(&host->mutual),
		    .luns = &wanted->luns[at]};
	}
	wanted->luns[acl->luns - wanted->luns + acl->lun_count++] =
	    (struct lio_lun){.number = row->number,
		.device = row->lun_uuid,
		.read_only = row->read_only};
}

static void
loop_add(struct wanted *wanted, const struct state_export *row)
{
	struct lio_loop *loop = &wanted->loops[wanted->config.loop_count++];
	uuid_t uuid;

	loop->device = row->lun_uuid;
	if (uuid_parse(row->lun_uuid, uuid) == 0)
		lun_naa_from_uuid(uuid, loop->naa);
}

static int
export_compare(const void *a, const void *b)
{
	const struct state_export *x = a, *y = b;
	int order = strcmp(x->iqn, y->iqn);

	if (order == 0)
		order = strcmp(x->host, y->host);
	if (order == 0)
		order = x->number < y->number ? -1 : x->number > y->number;
	return order;
}

static int
wanted_read(struct house_tcmu *tcmu)
{
	struct wanted *w = &tcmu->wanted;
	struct state *state = tcmu->house->state;
	int ret;

	wanted_free(w);
	ret = state_exports(state, &w->exports, &w->export_count);
	if (ret == 0)
		ret = state_hosts(state, &w->hosts, &w->host_count);
	if (ret < 0)
		return ret;
	if (w->export_count > 0)
		qsort(w->exports, w->export_count, sizeof(*w->exports),
		    export_compare);
	w->loops = calloc(w->export_count + 1, sizeof(*w->loops));
	w->iqns = calloc(w->export_count + 1, sizeof(*w->iqns));
	w->targets = calloc(w->export_count + 1, sizeof(*w->targets));
	w->acls = calloc(w->export_count + 1, sizeof(*w->acls));
	w->luns = calloc(w->export_count + 1, sizeof(*w->luns));
	return w->loops != NULL && w->iqns != NULL && w->targets != NULL &&
		       w->acls != NULL && w->luns != NULL
		   ? 0
		   : -ENOMEM;
}

static unsigned
portals_of(const struct house_tcmu *tcmu, struct wanted *wanted)
{
	const struct config *config = tcmu->house->config;

	for (unsigned i = 0; i < config->lio_portal_count; i++)
		wanted->portals[i] = config->lio_portals[i];
	return config->lio_portal_count;
}

/* Of devices that the kernel has. */
static void
wanted_build(struct house_tcmu *tcmu)
{
	struct wanted *w = &tcmu->wanted;

	for (unsigned i = 0; i < w->export_count; i++) {
		const struct state_export *row = &w->exports[i];
		const struct kernel_lun *lun = lun_find(tcmu, row->lun_uuid);
		if (lun == NULL || !lun->made)
			continue;
		if (row->carrier == CARRIER_TCMU_LOOP)
			loop_add(w, row);
		else if (row->carrier == CARRIER_TCMU)
			acl_add_lun(w, i);
	}
	unsigned portals = portals_of(tcmu, w);
	for (unsigned i = 0; i < w->config.target_count; i++)
		w->targets[i].portal_count = portals;
	w->config.loops = w->loops;
	w->config.targets = w->targets;
}

static void
apply_run(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	worked(tcmu, lio_apply(tcmu->lio, &tcmu->wanted.config));
}

/* Each LUN that somebody was to see has it as its problem. */
static void
apply_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);
	struct kernel_lun *lun;

	list_for_each (lun, &tcmu->luns, link) {
		if (tcmu->result < 0 && lun->wanted && lun->device != NULL)
			lun_fail(lun, tcmu->problem);
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
	tcmu->done(tcmu->arg);
}

static void
round_end(struct house_tcmu *tcmu)
{
	wanted_free(&tcmu->wanted);
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

/* One step; each ends in another call, until there is none left. */
static void
round_next(struct house_tcmu *tcmu)
{
	if (tcmu->stopping) {
		if (!one_stops(tcmu))
			work_begin(tcmu, guard_run, guard_done);
	} else if (one_comes(tcmu)) {
		/* and on */
	} else if (!tcmu->applied) {
		tcmu->applied = true;
		wanted_build(tcmu);
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
		    "another varved has the kernel's target (" LOCK ")");
	else
		snprintf(problem, sizeof(problem), "cannot open " LOCK ": %s",
		    strerror(-error));
	list_for_each (lun, &tcmu->luns, link)
		lun_fail(lun, problem);
	round_end(tcmu);
}

static void
round_begin(struct house_tcmu *tcmu)
{
	const struct wanted *w = &tcmu->wanted;
	struct kernel_lun *lun;
	int ret = 0;

	list_for_each (lun, &tcmu->luns, link)
		lun->wanted = lun->tried = false;
	for (unsigned i = 0; i < w->export_count; i++) {
		const struct state_export *row = &w->exports[i];
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
look_done(struct loop_work *work)
{
	struct house_tcmu *tcmu = tcmu_of_work(work);

	tcmu->looked = true;
	for (unsigned i = 0; i < tcmu->found.count; i++)
		lun_add(tcmu, tcmu->found.names[i])->made = true;
	free(tcmu->found.names);
	tcmu->found = (struct found){.names = NULL};
	round_begin(tcmu);
}

void
house_tcmu_publish(struct house_tcmu *tcmu, void (*done)(void *arg), void *arg)
{
	assert(!tcmu->busy);
	tcmu->busy = true;
	tcmu->done = done;
	tcmu->arg = arg;
	if (wanted_read(tcmu) < 0) {
		log_error("what the kernel is to export cannot be read");
		round_end(tcmu);
	} else if (!tcmu->looked && !tcmu->house->config->private_dir) {
		work_begin(tcmu, look_run, look_done);
	} else {
		round_begin(tcmu);
	}
}

void
house_tcmu_stop(struct house_tcmu *tcmu, void (*done)(void *arg), void *arg)
{
	assert(!tcmu->busy);
	tcmu->busy = tcmu->stopping = true;
	tcmu->done = done;
	tcmu->arg = arg;
	if (list_empty(&tcmu->luns))
		round_end(tcmu);
	else
		round_next(tcmu);
}

/* ---- questions, with a lio of their own: a round may be under way ---- */

struct question {
	struct loop_work work;
	struct lio *lio;
	uint8_t naa[8];
	char iqn[LIO_IQN_MAX + 8], initiator[LIO_IQN_MAX];
	int result;
	char answer[LIO_PROBLEM_MAX];
	void (*done)(void *arg, int result, const char *answer);
	void *arg;
};

static void
question_done(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->done(question->arg, question->result, question->answer);
	lio_free(question->lio);
	free(question);
}

static struct question *
question_new(void (*run)(struct loop_work *work),
    void (*done)(void *arg, int result, const char *answer), void *arg)
{
	struct question *question = calloc(1, sizeof(*question));

	assert(question != NULL);
	question->lio = lio_new(NULL);
	assert(question->lio != NULL);
	question->done = done;
	question->arg = arg;
	question->work.run = run;
	question->work.done = question_done;
	return question;
}

static void
check_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result = lio_check(question->lio);
	if (question->result < 0)
		snprintf(question->answer, sizeof(question->answer), "%s",
		    lio_problem(question->lio));
}

void
house_tcmu_check(struct house_tcmu *tcmu,
    void (*done)(void *arg, int result, const char *problem), void *arg)
{
	struct question *question = question_new(check_run, done, arg);

	loop_offload(tcmu->house->home, &question->work);
}

static void
in_use_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result =
	    lio_loop_in_use(question->lio, question->naa, question->answer);
}

void
house_tcmu_in_use(struct house_tcmu *tcmu, const uuid_t uuid,
    void (*done)(void *arg, int result, const char *disk), void *arg)
{
	struct question *question = question_new(in_use_run, done, arg);

	lun_naa_from_uuid(uuid, question->naa);
	loop_offload(tcmu->house->home, &question->work);
}

static void
logged_in_run(struct loop_work *work)
{
	struct question *question = container_of(work, struct question, work);

	question->result =
	    lio_has_session(question->lio, question->iqn, question->initiator);
}

void
house_tcmu_logged_in(struct house_tcmu *tcmu, const char *iqn,
    const char *initiator,
    void (*done)(void *arg, int result, const char *nothing), void *arg)
{
	struct question *question = question_new(logged_in_run, done, arg);

	snprintf(question->iqn, sizeof(question->iqn), "%s", iqn);
	snprintf(
	    question->initiator, sizeof(question->initiator), "%s", initiator);
	loop_offload(tcmu->house->home, &question->work);
}
