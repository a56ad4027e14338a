/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Persistent reservations, and what else initiators save, between LUNs on their
 * reactors and the state at home: it is brought here, written, and the answer
 * brought back, so that no reactor waits for SQLite; and what an administrator
 * takes away.
 */
#include "base/log.h"
#include "target/house.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- keeping ---- */

static void
kept_run(struct loop_task *task)
{
	struct lun_keep *keep = container_of(task, struct lun_keep, task);

	keep->done(keep, keep->result);
}

static int
keep_write(const struct house_lun *hl, const struct lun_keep *keep)
{
	struct state *state = hl->pool->house->state;

	return keep->saved != NULL ? state_saved_put(state, hl->pool->id,
					 hl->serial, keep->saved)
				   : state_registry_put(state, hl->pool->id,
					 hl->serial, keep->registry);
}

/* That a host chose another path, or that nobody writes any more, is news. */
static void
saved_log(const struct house_lun *hl, const struct lun_saved *saved)
{
	const size_t prefix = strlen(LUN_ACCESS_SETTING);

	for (unsigned i = 0; i < saved->count; i++) {
		const struct lun_saved_value *s = &saved->list[i];
		if (strncmp(s->name, LUN_ACCESS_SETTING, prefix) == 0)
			log_notice("%s: portal group %s is %s, by an initiator",
			    hl->label, s->name + prefix,
			    house_access_word((enum port_access)s->value));
		else if (strcmp(s->name, LUN_PROTECT_SAVED) == 0 && s->value)
			log_notice("%s: write protected, by an initiator (SWP)",
			    hl->label);
	}
}

static void
keep_run(struct loop_task *task)
{
	struct lun_keep *keep = container_of(task, struct lun_keep, task);
	struct house_lun *hl = keep->arg;

	keep->result = keep_write(hl, keep);
	if (keep->result < 0)
		log_error("%s: %s cannot be written, the command fails: %s",
		    hl->label,
		    keep->saved != NULL ? "what an initiator saves"
					: "a persistent reservation",
		    strerror(-keep->result));
	else if (keep->saved != NULL)
		saved_log(hl, keep->saved);
	keep->task.run = kept_run;
	loop_post(hl->pool->loop, &keep->task);
}

/* The LUN, and so hl, stays until it has been answered. */
void
house_lun_keep(void *arg, struct lun_keep *keep)
{
	struct house_lun *hl = arg;

	keep->task.run = keep_run;
	loop_post(hl->pool->house->home, &keep->task);
}

/* ---- taking ---- */

struct lun_take {
	struct call call;
	struct lun *lun;
	char initiator[NAMING_IQN_MAX + 1]; /* "": all */
	void (*done)(void *arg, int result);
	void *arg;
};

static void
taken(void *arg, int result)
{
	call_finish(arg, result);
}

static void
take_run(struct call *call)
{
	struct lun_take *take = container_of(call, struct lun_take, call);

	lun_registry_take(take->lun,
	    take->initiator[0] != '\0' ? take->initiator : NULL, taken, call);
}

static void
take_done(struct call *call)
{
	struct lun_take *take = container_of(call, struct lun_take, call);

	take->done(take->arg, call->result);
	free(take);
}

void
house_lun_take(struct house_lun *hl, const char *initiator,
    void (*done)(void *arg, int result), void *arg)
{
	struct lun_take *take = calloc(1, sizeof(*take));

	assert(take != NULL);
	take->lun = hl->lun;
	if (initiator != NULL)
		snprintf(
		    take->initiator, sizeof(take->initiator), "%s", initiator);
	take->done = done;
	take->arg = arg;
	take->call.run = take_run;
	take->call.done = take_done;
	call_start(&take->call, hl->pool->house->home, hl->pool->loop);
}

/* ---- from all LUNs ---- */

struct take_all {
	unsigned pending;
	void (*done)(void *arg);
	void *arg;
	struct loop_task task;
};

static void
all_step(struct take_all *all)
{
	assert(all->pending > 0);
	if (--all->pending > 0)
		return;
	all->done(all->arg);
	free(all);
}

static void
all_taken(void *arg, int result)
{
	if (result < 0)
		log_error("what an initiator has reserved cannot be taken from "
			  "it: %s",
		    strerror(-result));
	all_step(arg);
}

static void
all_begun(struct loop_task *task)
{
	all_step(container_of(task, struct take_all, task));
}

void
house_take(struct house *house, const char *initiator, void (*done)(void *arg),
    void *arg)
{
	struct take_all *all = calloc(1, sizeof(*all));
	struct house_pool *hp;
	struct house_lun *hl;

	assert(all != NULL);
	all->done = done;
	all->arg = arg;
	all->pending = 1;
	list_for_each (hp, &house->pools, link) {
		list_for_each (hl, &hp->luns, link) {
			all->pending++;
			house_lun_take(hl, initiator, all_taken, all);
		}
	}
	all->task.run = all_begun;
	loop_defer(house->home, &all->task);
}
