/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Target portal groups: from the state, which has what the administrator said,
 * to every LUN.
 */
#include "base/log.h"
#include "target/house.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum port_access access;
	const char *word;
} words[] = {
    {ACCESS_OPTIMIZED, "optimized"},
    {ACCESS_NON_OPTIMIZED, "non-optimized"},
    {ACCESS_STANDBY, "standby"},
    {ACCESS_UNAVAILABLE, "unavailable"},
};

const char *
house_access_word(enum port_access access)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].access == access)
			return words[i].word;
	}
	return "unknown";
}

bool
house_access_parse(const char *word, enum port_access *ret_access)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].word, word) != 0)
			continue;
		*ret_access = words[i].access;
		return true;
	}
	return false;
}

/* Without any portal, the group that the first one will be in.  What cannot be
 * read stays what it was. */
void
house_ports_read(struct house *house)
{
	struct port_groups groups;

	if (state_port_groups(house->state, &groups) < 0) {
		log_error("the portal groups cannot be read");
		return;
	}
	if (groups.count == 0)
		groups = (struct port_groups){
		    .count = 1, .list = {{.tag = PORT_GROUP_FIRST}}};
	house->ports = groups;
}

enum port_access
house_ports_access(const struct house *house, uint16_t tag)
{
	for (unsigned i = 0; i < house->ports.count; i++) {
		if (house->ports.list[i].tag == tag)
			return house->ports.list[i].access;
	}
	return ACCESS_OPTIMIZED;
}

/* ---- to the LUNs ---- */

struct telling {
	unsigned pending;
	void (*done)(void *arg);
	void *arg;
	struct loop_task task;
};

/* To those of one pool, on its reactor. */
struct tell_pool {
	struct call call;
	struct telling *telling;
	struct port_groups groups;
	uint16_t set;
	struct lun **luns;
	unsigned count;
};

static void
step(struct telling *telling)
{
	assert(telling->pending > 0);
	if (--telling->pending > 0)
		return;
	if (telling->done != NULL)
		telling->done(telling->arg);
	free(telling);
}

static void
tell_run(struct call *call)
{
	struct tell_pool *tell = container_of(call, struct tell_pool, call);

	for (unsigned i = 0; i < tell->count; i++)
		lun_set_port_groups(tell->luns[i], &tell->groups, tell->set);
	call_finish(call, 0);
}

static void
tell_done(struct call *call)
{
	struct tell_pool *tell = container_of(call, struct tell_pool, call);

	step(tell->telling);
	free(tell->luns);
	free(tell);
}

static void
tell_pool(struct telling *telling, struct house_pool *hp, uint16_t set)
{
	struct tell_pool *tell = calloc(1, sizeof(*tell));
	struct house_lun *hl;
	unsigned count = 0;

	assert(tell != NULL);
	list_for_each (hl, &hp->luns, link)
		count++;
	tell->luns = calloc(count + 1, sizeof(struct lun *));
	assert(tell->luns != NULL);
	list_for_each (hl, &hp->luns, link)
		tell->luns[tell->count++] = hl->lun;
	tell->telling = telling;
	tell->groups = hp->house->ports;
	tell->set = set;
	tell->call.run = tell_run;
	tell->call.done = tell_done;
	telling->pending++;
	call_start(&tell->call, hp->house->home, hp->loop);
}

static void
telling_begun(struct loop_task *task)
{
	step(container_of(task, struct telling, task));
}

void
house_ports_tell(
    struct house *house, uint16_t set, void (*done)(void *arg), void *arg)
{
	struct telling *telling = calloc(1, sizeof(*telling));
	struct house_pool *hp;

	assert(telling != NULL);
	house_ports_read(house);
	telling->done = done;
	telling->arg = arg;
	telling->pending = 1;
	list_for_each (hp, &house->pools, link) {
		if (!list_empty(&hp->luns))
			tell_pool(telling, hp, set);
	}
	telling->task.run = telling_begun;
	loop_defer(house->home, &telling->task);
}
