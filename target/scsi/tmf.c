/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management, SAM-5 7.  A function marks the tasks it aborts; each of
 * them ends as soon as nothing of it is at the backstore any more, and the
 * function is answered when all have.  For that every function takes a ticket
 * from one ever growing count and writes it into its tasks; a logical unit
 * keeps the tasks being aborted in the order of their tickets, so the first of
 * them tells whether all up to some ticket are gone.  A reset that has put the
 * cache off is answered when what was in it is on the medium as well.
 */
#include "target/scsi/internal.h"
#include <stdatomic.h>

uint64_t
abort_ticket(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

void
abort_mapping(struct scsi_mapping *mapping, uint64_t ticket)
{
	struct scsi_task *task, *tmp;

	list_for_each_safe (task, tmp, &mapping->lun->tasks, link) {
		if (task->mapping == mapping)
			abort_task(task, ABORT_SILENTLY, ticket);
	}
}

/* SAM-5 5.6: another nexus has asked, so TAS decides whether they are told. */
void
abort_preempted(struct scsi_mapping *mapping, const struct scsi_task *except,
    uint64_t ticket)
{
	enum abort_manner manner =
	    mapping->lun->mode.task_aborted_status && mapping != except->mapping
		? ABORT_WITH_STATUS
		: ABORT_SILENTLY;
	struct scsi_task *task, *tmp;

	list_for_each_safe (task, tmp, &mapping->lun->tasks, link) {
		if (task->mapping == mapping && task != except)
			abort_task(task, manner, ticket);
	}
}

/* Everything in the unit.  Others learn of it by TASK ABORTED status (TAS), or
 * by a unit attention: SAM-5 5.3.1, 5.6. */
static void
abort_all(struct lun *lun, const struct scsi_nexus *nexus, uint64_t ticket,
    bool announce)
{
	struct scsi_task *task, *tmp;

	list_for_each_safe (task, tmp, &lun->tasks, link) {
		if (task->nexus == nexus) {
			abort_task(task, ABORT_SILENTLY, ticket);
		} else if (lun->mode.task_aborted_status) {
			abort_task(task, ABORT_WITH_STATUS, ticket);
		} else {
			if (announce)
				attention_set(
				    task->mapping, ATTENTION_COMMANDS_CLEARED);
			abort_task(task, ABORT_SILENTLY, ticket);
		}
	}
}

static struct scsi_task *
find_task(const struct scsi_mapping *mapping, uint64_t tag)
{
	struct scsi_task *task;

	list_for_each (task, &mapping->lun->tasks, link) {
		if (task->mapping == mapping && task->tag == tag)
			return task;
	}
	return NULL;
}

/* ---- one logical unit ---- */

static void
tmf_abort_task(struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	struct scsi_task *task = find_task(mapping, request->tag);

	if (task == NULL)
		request->response = SCSI_TMF_TASK_NOT_FOUND;
	else
		abort_task(task, ABORT_SILENTLY, request->ticket);
}

static void
tmf_abort_task_set(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	abort_mapping(mapping, request->ticket);
}

static void
tmf_clear_task_set(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	abort_all(mapping->lun, request->nexus, request->ticket, true);
}

/* SAM-5 6.3.3: a reset is told to every nexus, the one that asked included. */
static void
reset_unit(struct scsi_tmf_request *request, struct scsi_mapping *mapping,
    enum attention kind)
{
	struct lun *lun = mapping->lun;

	abort_all(lun, request->nexus, request->ticket, false);
	lun_reset(lun);
	attention_set_lun(lun, kind, NULL);
}

static void
tmf_logical_unit_reset(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	reset_unit(request, mapping, ATTENTION_DEVICE_RESET);
}

static void
tmf_query_task(struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	if (find_task(mapping, request->tag) != NULL)
		request->response = SCSI_TMF_SUCCEEDED;
}

static void
tmf_query_task_set(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	if (mapping->task_count > 0)
		request->response = SCSI_TMF_SUCCEEDED;
}

/* SAM-5 7.10: depth of the queue (01b one, 10b more), sense key, ASC, ASCQ */
static void
tmf_query_async_event(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	struct scsi_sense sense;
	unsigned pending = attention_peek(mapping, &sense);

	if (pending == 0)
		return;
	uint32_t depth = pending > 1 ? 2 : 1;
	request->response = SCSI_TMF_SUCCEEDED;
	request->additional = (depth << 4 | sense.key) << 16 |
			      (uint32_t)sense.asc << 8 | sense.ascq;
}

/* ---- all logical units of the nexus ---- */

static void
tmf_target_warm_reset(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	reset_unit(request, mapping, ATTENTION_BUS_RESET);
}

static void
tmf_target_cold_reset(
    struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	reset_unit(request, mapping, ATTENTION_POWER_ON);
}

static void
tmf_nexus_reset(struct scsi_tmf_request *request, struct scsi_mapping *mapping)
{
	abort_mapping(mapping, request->ticket);
	if (mapping->lun->reserved_by == mapping)
		mapping->lun->reserved_by = NULL;
	attention_set(mapping, ATTENTION_NEXUS_LOSS);
}

static const struct {
	bool all_units;
	bool resets; /* see reset_unit */
	void (*run)(
	    struct scsi_tmf_request *request, struct scsi_mapping *mapping);
} tmf_table[] = {
    [SCSI_ABORT_TASK] = {false, false, tmf_abort_task},
    [SCSI_ABORT_TASK_SET] = {false, false, tmf_abort_task_set},
    [SCSI_CLEAR_TASK_SET] = {false, false, tmf_clear_task_set},
    [SCSI_LOGICAL_UNIT_RESET] = {false, true, tmf_logical_unit_reset},
    [SCSI_TARGET_WARM_RESET] = {true, true, tmf_target_warm_reset},
    [SCSI_TARGET_COLD_RESET] = {true, true, tmf_target_cold_reset},
    [SCSI_I_T_NEXUS_RESET] = {true, false, tmf_nexus_reset},
    [SCSI_QUERY_TASK] = {false, false, tmf_query_task},
    [SCSI_QUERY_TASK_SET] = {false, false, tmf_query_task_set},
    [SCSI_QUERY_ASYNC_EVENT] = {false, false, tmf_query_async_event},
};

/* ---- waiting for what was aborted ---- */

bool
lun_aborts(const struct lun *lun, uint64_t ticket)
{
	const struct scsi_task *first =
	    list_first(&lun->aborting, struct scsi_task, abort_link);

	return first != NULL && first->abort_ticket <= ticket;
}

/* Is something that the function ends, or a reset brings about, under way in
 * the unit? */
static bool
is_busy(const struct lun *lun, const struct scsi_tmf_request *request)
{
	return lun_aborts(lun, request->ticket) ||
	       (tmf_table[request->function].resets &&
		   lun_reset_is_flushing(lun));
}

static struct lun *
find_busy(const struct scsi_tmf_request *request)
{
	const struct scsi_nexus *nexus = request->nexus;
	const struct scsi_mapping *mapping;

	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		mapping = nexus->mappings[i];
		if (mapping != NULL && is_busy(mapping->lun, request))
			return mapping->lun;
	}
	list_for_each (mapping, &nexus->closing_mappings, closing_link) {
		if (is_busy(mapping->lun, request))
			return mapping->lun;
	}
	return NULL;
}

static void
tmf_finish(struct loop_task *later)
{
	struct scsi_tmf_request *request =
	    container_of(later, struct scsi_tmf_request, later);
	struct scsi_nexus *nexus = request->nexus;

	assert(nexus->tmf_count > 0);
	nexus->tmf_count--;
	request->done(request);
	nexus_close_check(nexus);
}

/* Waits at lun, or, when that is NULL, is done. */
static void
tmf_wait(struct scsi_tmf_request *request, struct lun *lun)
{
	if (lun != NULL) {
		list_add_tail(&lun->tmfs, &request->link);
		return;
	}
	request->later.run = tmf_finish;
	loop_defer(request->nexus->loop, &request->later);
}

/* A function over several units waits at one after the other. */
void
tmf_check(struct lun *lun)
{
	struct scsi_tmf_request *request, *tmp;

	list_for_each_safe (request, tmp, &lun->tmfs, link) {
		if (is_busy(lun, request))
			continue;
		list_del(&request->link);
		struct lun *next = NULL;
		if (tmf_table[request->function].all_units)
			next = find_busy(request);
		tmf_wait(request, next);
	}
	registry_check_aborts(lun);
	lun_close_check(lun);
}

static struct lun *
tmf_run_one(struct scsi_tmf_request *request)
{
	struct scsi_mapping *mapping =
	    nexus_mapping(request->nexus, request->lun_field);

	if (mapping == NULL) {
		request->response = SCSI_TMF_LUN_NOT_FOUND;
		return NULL;
	}
	tmf_table[request->function].run(request, mapping);
	return is_busy(mapping->lun, request) ? mapping->lun : NULL;
}

static struct lun *
tmf_run_all(struct scsi_tmf_request *request)
{
	struct scsi_nexus *nexus = request->nexus;

	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		if (nexus->mappings[i] != NULL)
			tmf_table[request->function].run(
			    request, nexus->mappings[i]);
	}
	return find_busy(request);
}

void
scsi_tmf(struct scsi_tmf_request *request)
{
	struct lun *wait = NULL;

	ASSERT_MAGIC(request->nexus, NEXUS_MAGIC);
	assert(request->done != NULL);
	request->nexus->tmf_count++;
	request->response = SCSI_TMF_COMPLETE;
	request->additional = 0;
	request->later = (struct loop_task){0};
	request->ticket = abort_ticket();
	list_init(&request->link);
	if (request->function >= ARRAY_SIZE(tmf_table))
		request->response = SCSI_TMF_NOT_SUPPORTED;
	else if (tmf_table[request->function].all_units)
		wait = tmf_run_all(request);
	else
		wait = tmf_run_one(request);
	tmf_wait(request, wait);
}
