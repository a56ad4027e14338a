/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a change of a unit's registry comes about (the steps are in internal.h).
 * One at a time: what the next one finds is what the one before has made.  The
 * registry in effect is never changed, only replaced, and not before its
 * successor is durable where APTPL asks for that: what an initiator has been
 * told survives, and what could not be kept has not happened.
 *
 * A change is no data path: it may take memory.
 */
#include "target/scsi/internal.h"
#include "target/scsi/transport_id.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
mapping_find(const struct scsi_mapping *mapping, const struct registry *in)
{
	const struct scsi_nexus *nexus = mapping->nexus;

	return registry_find(in, nexus->initiator_port, nexus->target_name,
	    nexus->relative_port);
}

void
registry_see(struct scsi_mapping *mapping)
{
	const struct registry *registry = mapping->lun->registry;

	mapping->registration = mapping_find(mapping, registry);
	mapping->may_all = registry_may_all(registry, mapping->registration);
}

/* ---- turns ---- */

struct registry_change *
registry_change_new(struct lun *lun, struct scsi_task *task)
{
	struct registry_change *change = calloc(1, sizeof(*change));

	if (change == NULL)
		return NULL;
	list_init(&change->link);
	change->lun = lun;
	change->task = task;
	change->lost = ATTENTION_COUNT;
	if (task != NULL)
		change->by = task->mapping;
	return change;
}

void
registry_change_free(struct registry_change *change)
{
	registry_free(change->next);
	free(change);
}

static void
begin(struct registry_change *change)
{
	if (change->task != NULL)
		change->task->queued = false;
	change->begin(change);
}

/* The first may have been cancelled since: then there is one more turn. */
static void
turn_run(struct loop_task *turn)
{
	struct lun *lun = container_of(turn, struct lun, registry_turn);
	struct registry_change *first =
	    list_first(&lun->registry_changes, struct registry_change, link);

	if (first != NULL)
		begin(first);
	else
		lun_close_check(lun);
}

static void
next_turn(struct lun *lun)
{
	if (lun->registry_turn.queued)
		return;
	lun->registry_turn.run = turn_run;
	loop_defer(lun->loop, &lun->registry_turn);
}

void
registry_change_start(struct registry_change *change)
{
	struct lun *lun = change->lun;
	bool first =
	    list_empty(&lun->registry_changes) && !lun->registry_turn.queued;

	list_add_tail(&lun->registry_changes, &change->link);
	if (first)
		begin(change);
	else if (change->task != NULL)
		change->task->queued = true;
}

void
registry_change_leave(struct registry_change *change)
{
	list_del(&change->link);
	next_turn(change->lun);
}

/* Only one that waits for its turn; the first has begun, or is about to. */
void
registry_change_cancel(struct scsi_task *task)
{
	struct registry_change *change, *tmp;
	struct lun *lun = task->lun;

	list_for_each_safe (change, tmp, &lun->registry_changes, link) {
		if (change->task != task)
			continue;
		list_del(&change->link);
		registry_change_free(change);
		return;
	}
	assert(!"a task that is queued is in the queue");
}

/* ---- making ---- */

/* SPC-4 5.12.11: what each nexus hears, and whose tasks end. */
static void
tell(struct registry_change *change, struct scsi_mapping *mapping)
{
	bool had = mapping->registration >= 0;

	registry_see(mapping);
	if (!had)
		return;
	if (mapping->registration < 0 && mapping != change->by &&
	    change->lost != ATTENTION_COUNT)
		attention_set(mapping, change->lost);
	if (mapping->registration >= 0 && mapping != change->by &&
	    change->released)
		attention_set(mapping, ATTENTION_RESERVATIONS_RELEASED);
	if (mapping->registration < 0 && change->abort)
		abort_preempted(mapping, change->task, change->ticket);
}

static void
end(struct registry_change *change, int result)
{
	change->end(change, result);
}

/* Aborted itself, the command has nobody to tell that others have ended. */
static bool
waits_for_aborts(const struct registry_change *change)
{
	return change->abort && !change->task->aborting &&
	       lun_aborts(change->lun, change->ticket);
}

static void
make(struct registry_change *change)
{
	struct lun *lun = change->lun;
	struct registry *before = lun->registry;
	struct scsi_mapping *mapping;

	lun->registry = change->next;
	change->next = before;
	if (change->abort)
		change->ticket = abort_ticket();
	list_for_each (mapping, &lun->mappings, link)
		tell(change, mapping);
	registry_change_leave(change);
	if (waits_for_aborts(change))
		list_add_tail(&lun->registry_aborts, &change->link);
	else
		end(change, 0);
}

static void
kept(struct lun_keep *keep, int result)
{
	struct registry_change *change =
	    container_of(keep, struct registry_change, keep);

	ASSERT_MAGIC(change->lun, LUN_MAGIC);
	if (result == 0) {
		make(change);
		return;
	}
	registry_change_leave(change);
	end(change, result);
}

void
registry_change_make(struct registry_change *change)
{
	struct lun *lun = change->lun;

	assert(list_first(&lun->registry_changes, struct registry_change,
		   link) == change);
	/* what is kept already has to be forgotten, too */
	if (!change->next->aptpl && !lun->registry->aptpl) {
		make(change);
		return;
	}
	assert(lun_keeps_registry(lun));
	change->keep = (struct lun_keep){
	    .registry = change->next,
	    .done = kept,
	    .arg = lun->keeper_arg,
	};
	lun->keeper->registry(lun->keeper_arg, &change->keep);
}

static struct registry_change *
waits_no_more(struct lun *lun)
{
	struct registry_change *change;

	list_for_each (change, &lun->registry_aborts, link) {
		if (!waits_for_aborts(change))
			return change;
	}
	return NULL;
}

/* The end of one may be what ends others: looked for anew each time. */
void
registry_check_aborts(struct lun *lun)
{
	struct registry_change *change;

	while ((change = waits_no_more(lun)) != NULL) {
		list_del(&change->link);
		end(change, 0);
	}
}

/* ---- what the administrator sees and does ---- */

struct registry *
lun_registry_get(const struct lun *lun, const char **ret_reserved_by)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	*ret_reserved_by = lun->reserved_by != NULL
			       ? lun->reserved_by->nexus->initiator_port
			       : NULL;
	return registry_copy(lun->registry);
}

struct taking {
	struct registry_change *change;
	char initiator[TRANSPORT_PORT_MAX + 1]; /* "": all */
	unsigned taken;
	void (*done)(void *arg, int result);
	void *arg;
};

static void
taking_end(struct registry_change *change, int result)
{
	struct taking *taking = change->arg;
	struct lun *lun = change->lun;

	taking->done(taking->arg, result < 0 ? result : (int)taking->taken);
	registry_change_free(change);
	free(taking);
	lun_close_check(lun);
}

static void
take_registrations(struct taking *taking, struct registry *next)
{
	for (unsigned i = next->count; i-- > 0;) {
		if (taking->initiator[0] != '\0' &&
		    !transport_is_port_of(
			next->list[i].initiator, taking->initiator))
			continue;
		registry_remove(next, i);
		taking->taken++;
	}
}

static void
take_reserve(struct lun *lun, const char *initiator)
{
	if (lun->reserved_by != NULL &&
	    (initiator[0] == '\0' ||
		transport_is_port_of(
		    lun->reserved_by->nexus->initiator_port, initiator)))
		lun->reserved_by = NULL;
}

static void
taking_begin(struct registry_change *change)
{
	struct taking *taking = change->arg;
	const struct registry *now = change->lun->registry;

	change->next = registry_copy(now);
	if (change->next == NULL) {
		registry_change_leave(change);
		end(change, -ENOMEM);
		return;
	}
	take_reserve(change->lun, taking->initiator);
	take_registrations(taking, change->next);
	if (taking->taken == 0) {
		registry_change_leave(change);
		end(change, 0);
		return;
	}
	change->next->generation++;
	change->lost = change->next->count == 0
			   ? ATTENTION_RESERVATIONS_PREEMPTED
			   : ATTENTION_REGISTRATIONS_PREEMPTED;
	change->released = registry_type_is_shared(now->type) &&
			   change->next->type == REGISTRY_NONE;
	registry_change_make(change);
}

void
lun_registry_take(struct lun *lun, const char *initiator,
    void (*done)(void *arg, int result), void *arg)
{
	struct registry_change *change = registry_change_new(lun, NULL);
	struct taking *taking = calloc(1, sizeof(*taking));

	ASSERT_MAGIC(lun, LUN_MAGIC);
	if (change == NULL || taking == NULL) {
		free(change);
		free(taking);
		done(arg, -ENOMEM);
		return;
	}
	if (initiator != NULL) {
		assert(strlen(initiator) < sizeof(taking->initiator));
		strcpy(taking->initiator, initiator);
	}
	taking->change = change;
	taking->done = done;
	taking->arg = arg;
	change->begin = taking_begin;
	change->end = taking_end;
	change->arg = taking;
	registry_change_start(change);
}
