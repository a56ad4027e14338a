/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any CDB, with any data, attribute and expected length, several at a time,
 * with task management and events in between, over a store in memory on the
 * simulator's loop.  Nothing an initiator sends may trip an assertion, leak a
 * buffer, or leave a task without its one completion.
 *
 * An input is a sequence of actions, each of a byte and what it needs:
 *
 *	0  begin      length and CDB, expected out and in (16 bits each, in
 *	              units of 64 bytes), attribute, nexus, LUN, data byte,
 *	              then up to 255 bytes of data
 *	1  execute    the oldest begun task
 *	2  drop       the oldest begun task
 *	3  run        so many events
 *	4  TMF        function, nexus, tag
 *	5  event      capacity, threshold, map, unmap, reservations are broken,
 *	              the administrator sets a port group
 *
 * The first byte chooses block size, thin, cache, the size of the pool of
 * buffers, and whether registrations and what is saved are kept; each fourth
 * time that fails.  The nexuses come in by two port groups.
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/buf.h"
#include "base/simloop.h"
#include "target/scsi/copy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS    8
#define TMFS     4
#define SIZE     (8ull << 20)
#define UNIT     64u
#define DATA_MAX 255u

#define TOKEN_AT   16u  /* in the list of WRITE USING TOKEN */
#define TOKEN_LIST 536u /* where its ranges begin; their length before them */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum state {
	FREE,
	BEGUN,
	EXECUTING,
};

struct slot {
	struct scsi_task task;
	enum state state;
	uint8_t fill;
	uint8_t data[DATA_MAX];
	unsigned data_length;
};

struct tmf {
	struct scsi_tmf_request request;
	bool busy;
};

struct keeping {
	struct loop_task task;
	void (*done)(void *arg, int result);
	void *arg;
	int result;
	unsigned asked;
};

static struct {
	const uint8_t *at, *end;
	struct keeping keeping[2];
	struct copy_manager *manager;
	struct loop *loop;
	struct backstore *bs;
	struct lun *lun[2];
	struct scsi_nexus *nexus[2];
	struct slot slots[TASKS];
	struct tmf tmfs[TMFS];
	unsigned keeps, takes, taken;
} f;

/* ---- input ---- */

static uint8_t
take(void)
{
	return f.at < f.end ? *f.at++ : 0;
}

static unsigned
take16(void)
{
	unsigned high = take();

	return high << 8 | take();
}

static unsigned
take_bytes(uint8_t *to, unsigned length)
{
	unsigned got = 0;

	while (got < length && f.at < f.end)
		to[got++] = *f.at++;
	return got;
}

/* ---- tasks ---- */

static void
check_outcome(const struct scsi_task *task)
{
	assert(task->phase == SCSI_TASK_COMPLETED);
	if (task->status == SCSI_CHECK_CONDITION)
		assert(task->sense_length >= 8);
	else
		assert(task->sense_length == 0);
	assert(task->in_length <= task->expected_in);
	assert(task->in_length <= task->in_full);
	if (task->aborted)
		assert(task->in_length == 0);
	if (task->in_length > 0)
		assert(bs_iov_length(task->iov, task->iov_count) >=
		       task->in_length);
}

static void
completed(struct scsi_task *task)
{
	struct slot *slot = container_of(task, struct slot, task);

	assert(slot->state == EXECUTING);
	check_outcome(task);
	scsi_task_release(task);
	slot->state = FREE;
}

static void
begin(void)
{
	struct slot *slot = NULL;

	for (unsigned i = 0; i < TASKS && slot == NULL; i++) {
		if (f.slots[i].state == FREE)
			slot = &f.slots[i];
	}
	if (slot == NULL)
		return;
	struct scsi_task *task = &slot->task;
	scsi_task_init(task);
	task->cdb_length = (uint8_t)take_bytes(task->cdb, take() % 17);
	task->expected_out = (uint64_t)take16() * UNIT;
	task->expected_in = (uint64_t)take16() * UNIT;
	task->attribute = take() % 5;
	uint8_t where = take();
	task->nexus = f.nexus[where & 1];
	task->lun_field[1] = where >> 1 & 3;
	task->tag = where >> 3;
	task->complete = completed;
	slot->fill = take();
	slot->data_length = take_bytes(slot->data, take() % (DATA_MAX + 1));
	if (scsi_task_begin(task)) {
		slot->state = BEGUN;
		assert(task->data_length <= task->expected_out);
		assert(task->data_length <= task->out_full);
		assert(task->data_length <= SCSI_TRANSFER_MAX);
	} else {
		check_outcome(task);
		scsi_task_release(task);
	}
}

static struct slot *
oldest_begun(void)
{
	for (unsigned i = 0; i < TASKS; i++) {
		if (f.slots[i].state == BEGUN)
			return &f.slots[i];
	}
	return NULL;
}

static void
fill(struct slot *slot)
{
	struct scsi_task *task = &slot->task;

	for (unsigned i = 0; i < task->iov_count; i++)
		memset(task->iov[i].iov_base, slot->fill, task->iov[i].iov_len);
	if (task->iov_count > 0) {
		size_t most = task->iov[0].iov_len;
		memcpy(task->iov[0].iov_base, slot->data,
		    slot->data_length < most ? slot->data_length : most);
	}
}

/* WRITE USING TOKEN has a token in the middle that no input would hit upon: a
 * byte says which, 0 the one of zeros, else one that was made. */
static void
fill_token(struct slot *slot)
{
	static const uint8_t zeros[8] = {0xff, 0xff, 0x00, 0x01, 0, 0, 1, 0xf8};
	uint8_t list[TOKEN_LIST + DATA_MAX] = {0};
	size_t length = slot->task.data_length, rest = 0;
	struct token *token;

	if (slot->data_length <= TOKEN_AT || length > sizeof(list))
		return;
	rest = slot->data_length - TOKEN_AT - 1;
	memcpy(list, slot->data, TOKEN_AT);
	token = token_find(f.manager, slot->data[TOKEN_AT]);
	if (token != NULL)
		token_encode(token, list + TOKEN_AT);
	else
		memcpy(list + TOKEN_AT, zeros, sizeof(zeros));
	memcpy(list + TOKEN_LIST - 2, slot->data + TOKEN_AT + 1, rest);
	assert(length <= slot->task.iov[0].iov_len);
	memcpy(slot->task.iov[0].iov_base, list, length);
}

static void
execute(void)
{
	struct slot *slot = oldest_begun();

	if (slot == NULL)
		return;
	struct scsi_task *task = &slot->task;
	if (task->data_length > 0 &&
	    scsi_task_buffers(task, task->data_length) < 0) {
		scsi_task_drop(task);
		slot->state = FREE;
		return;
	}
	fill(slot);
	if (task->cdb[0] == 0x83 && task->cdb[1] == COPY_WRITE_USING_TOKEN)
		fill_token(slot);
	slot->state = EXECUTING;
	scsi_task_execute(task);
}

static void
drop(void)
{
	struct slot *slot = oldest_begun();

	if (slot == NULL)
		return;
	scsi_task_drop(&slot->task);
	slot->state = FREE;
}

/* ---- task management, events ---- */

static const char *const initiators[] = {
    "iqn.2026-01.x:a,i,0x000000000001", "iqn.2026-01.x:b,i,0x000000000002"};

static void
tmf_done(struct scsi_tmf_request *request)
{
	struct tmf *tmf = container_of(request, struct tmf, request);

	assert(tmf->busy);
	tmf->busy = false;
}

static void
manage(void)
{
	uint8_t function = take() % 11, where = take();

	for (unsigned i = 0; i < TMFS; i++) {
		struct tmf *tmf = &f.tmfs[i];
		if (tmf->busy)
			continue;
		tmf->busy = true;
		tmf->request = (struct scsi_tmf_request){
		    .nexus = f.nexus[where & 1],
		    .function = (enum scsi_tmf)function,
		    .lun_field = {0, where >> 1 & 3},
		    .tag = where >> 3,
		    .done = tmf_done,
		};
		scsi_tmf(&tmf->request);
		return;
	}
}

static void
keep_run(struct loop_task *task)
{
	struct lun_keep *keep = container_of(task, struct lun_keep, task);

	keep->done(keep, ++f.keeps % 4 == 0 ? -EIO : 0);
}

static void
keep_it(void *arg, struct lun_keep *keep)
{
	if (keep->saved != NULL)
		assert(keep->saved->count <= LUN_SAVED_MAX);
	else
		assert(keep->registry->count <= REGISTRY_MAX);
	(void)arg;
	keep->task.run = keep_run;
	loop_post(f.loop, &keep->task);
}

static void
taken(void *arg, int result)
{
	(void)arg;
	assert(result >= -EIO);
	f.taken++;
}

static const struct port_groups groups = {
    .count = 2, .list = {{.tag = 1}, {.tag = 2}}};

static void
set_group(struct lun *lun, unsigned index, unsigned access)
{
	struct port_groups now = groups;

	now.list[index].access = (enum port_access)access;
	lun_set_port_groups(lun, &now, now.list[index].tag);
}

static void
event(void)
{
	uint8_t what = take();
	struct scsi_nexus *nexus = f.nexus[what >> 2 & 1];
	unsigned number = what >> 3 & 3;

	if (what & 0x80) {
		set_group(f.lun[number & 1], what >> 2 & 1, what & 3);
		return;
	}
	if (what & 0x40) {
		f.takes++;
		lun_registry_take(f.lun[number & 1],
		    what & 1 ? initiators[what >> 2 & 1] : NULL, taken, NULL);
		return;
	}
	switch (what & 3) {
	case 0: lun_capacity_changed(f.lun[number & 1]); break;
	case 1: lun_threshold_reached(f.lun[number & 1]); break;
	case 2:
		(void)scsi_nexus_map(
		    nexus, number, f.lun[number & 1], what & 0x20, true);
		break;
	case 3: (void)scsi_nexus_unmap(nexus, number, true, NULL, NULL); break;
	}
}

static void
run(unsigned events)
{
	while (events-- > 0 && simloop_step(f.loop))
		continue;
}

/* ---- set up and tear down ---- */

static void
sanitizing_kept(struct loop_task *task)
{
	struct keeping *keeping = container_of(task, struct keeping, task);

	keeping->done(keeping->arg, keeping->result);
}

/* Refuses every fourth that is to begin. */
static void
sanitizing(void *arg, bool on, bool exits,
    void (*done)(void *done_arg, int result), void *done_arg)
{
	struct keeping *keeping = arg;

	(void)exits;
	keeping->done = done;
	keeping->arg = done_arg;
	keeping->result = on && ++keeping->asked % 4 == 0 ? -EBUSY : 0;
	keeping->task.run = sanitizing_kept;
	loop_defer(f.loop, &keeping->task);
}

static const struct lun_keeper keepers[] = {
    {.sanitizing = sanitizing},
    {.registry = keep_it, .saved = keep_it, .sanitizing = sanitizing},
};

static struct lun *
open_lun(unsigned number, bool write_cache, bool kept)
{
	struct lun *lun;
	const struct lun_params params = {
	    .bs = f.bs,
	    .naa = {0x30, (uint8_t)number},
	    .serial = number == 0 ? "0" : "1",
	    .label = "fuzz/lun",
	    .write_cache = write_cache,
	    .ports = &groups,
	    .keeper = &keepers[kept],
	    .keeper_arg = &f.keeping[number],
	    .sanitizing = number == 1 && write_cache,
	    .sanitize_exits = true,
	    .manager = f.manager,
	};
	if (lun_new(&params, &lun) < 0)
		abort();
	return lun;
}

static void
open_nexus(unsigned i)
{
	const struct scsi_nexus_params params = {
	    .loop = f.loop,
	    .initiator_port = initiators[i],
	    .target_port = "t",
	    .target_name = "t",
	    .relative_port = (uint16_t)(1 + i),
	};
	if (scsi_nexus_new(&params, &f.nexus[i]) < 0)
		abort();
	for (unsigned n = 0; n < 2; n++) {
		if (scsi_nexus_map(f.nexus[i], n, f.lun[n], false, false) < 0)
			abort();
	}
}

static void
set_up(uint8_t how)
{
	struct backstore *mem;
	const struct bs_delay_params delay = {
	    .min_ns = 1000, .max_ns = 100000, .seed = 1 + how};

	if (simloop_new(1 + how, how & 8 ? 8 << 20 : 1 << 20, &f.loop) < 0 ||
	    bs_mem_new(f.loop, SIZE, how & 1 ? 4096 : 512, &mem) < 0 ||
	    bs_delay_new(mem, &delay, &f.bs) < 0)
		abort();
	f.bs->thin = !(how & 2);
	f.bs->volatile_cache = how & 4;
	f.bs->atomic_max = 1u << 20;
	f.bs->atomic_unit = 4096;
	f.manager = copy_manager_new();
	for (unsigned i = 0; i < 2; i++)
		f.lun[i] = open_lun(i, how & 16, how & 32);
	for (unsigned i = 0; i < 2; i++)
		open_nexus(i);
}

static void
count(void *arg)
{
	++*(unsigned *)arg;
}

static void
tear_down(void)
{
	unsigned gone = 0;

	for (unsigned i = 0; i < 2; i++)
		scsi_nexus_free(f.nexus[i], count, &gone);
	for (unsigned i = 0; i < 2; i++)
		lun_free(f.lun[i], count, &gone);
	run(UINT32_MAX);
	/* what was begun outlives them; what was executed has ended */
	while (oldest_begun() != NULL)
		drop();
	for (unsigned i = 0; i < TASKS; i++)
		assert(f.slots[i].state == FREE);
	for (unsigned i = 0; i < TMFS; i++)
		assert(!f.tmfs[i].busy);
	assert(gone == 4);
	assert(f.taken == f.takes);
	copy_manager_free(f.manager);
	bs_close(f.bs, count, &gone);
	run(UINT32_MAX);
	assert(gone == 5);
	simloop_free(f.loop);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const actions[])(void) = {
	    begin, execute, drop, NULL, manage, event};

	memset(&f, 0, sizeof(f));
	f.at = data;
	f.end = data + size;
	set_up(take());
	while (f.at < f.end) {
		uint8_t action = take() % ARRAY_SIZE(actions);
		if (actions[action] != NULL)
			actions[action]();
		else
			run(take() % 32);
	}
	tear_down();
	return 0;
}
