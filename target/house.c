/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Start and stop of the house.
 *
 *	start   pools open, all at once, each on its reactor
 *	        LUNs of exported volumes are made
 *	        the access is published, then portals listen: an initiator
 *	        that comes back finds its LUNs at once
 *	stop    portals close, sessions are asked to log out and drained;
 *	        what the kernel exports waits until varved is back
 *	        LUNs are freed, pools checkpoint and close
 */
#include "target/house.h"
#include "base/log.h"
#include "target/house_policy.h"
#include "target/house_tcmu.h"
#include "target/request.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A pool that takes longer to open is served when it is there. */
#define START_PATIENCE_SECONDS 5

int
house_new(struct loop *home, struct loop **reactors, unsigned count,
    const struct config *config, struct state *state, struct house **ret_house)
{
	struct house *house = calloc(1, sizeof(*house));
	int ret;

	assert(count > 0 && count <= CONFIG_REACTORS_MAX);
	if (house == NULL)
		return -ENOMEM;
	house->home = home;
	house->reactors = reactors;
	house->reactor_count = count;
	house->config = config;
	house->state = state;
	house->started_unix = (int64_t)time(NULL);
	list_init(&house->pools);
	list_init(&house->portals);
	list_init(&house->publish_now);
	list_init(&house->publish_next);
	list_init(&house->waiting);
	list_init(&house->held);
	list_init(&house->flattens);
	list_init(&house->flattened);
	for (size_t i = 0; i < HOUSE_LUN_BUCKETS; i++)
		list_init(&house->luns[i]);
	ret = iscsi_server_new(
	    home, reactors, count, &config->iscsi, &house->server);
	if (ret < 0) {
		free(house);
		return ret;
	}
	house->tcmu = house_tcmu_new(house);
	if (house->tcmu == NULL) {
		iscsi_server_free(house->server);
		free(house);
		return -ENOMEM;
	}
	*ret_house = house;
	return 0;
}

void
house_free(struct house *house)
{
	struct house_pool *hp;

	assert(house->requests == 0);
	while (
	    (hp = list_first(&house->pools, struct house_pool, link)) != NULL)
		house_pool_forget(hp);
	house_portals_free(house);
	house_jobs_free(house);
	house_policies_free(house);
	free(house->keeping);
	house_tcmu_free(house->tcmu);
	handover_drop(&house->inherited);
	iscsi_server_free(house->server);
	free(house);
}

/* ---- start ---- */

static int
pools_know(struct house *house)
{
	struct state_pool *rows;
	unsigned count;
	int ret = state_pools(house->state, &rows, &count);

	for (unsigned i = 0; i < count && ret == 0; i++) {
		if (house_pool_add(
			house, &rows[i], house_next_reactor(house)) == NULL)
			ret = -ENOMEM;
	}
	state_pools_free(rows, count);
	return ret;
}

static void
start_finished(struct publish_wait *wait)
{
	struct house *house = container_of(wait, struct house, start_publish);

	if (house_portals_start(house) < 0 && list_empty(&house->portals))
		log_error("no portal: varve health says what to do");
	house_ports_tell(house, 0, NULL, NULL);
	house->started = true;
	house_keeping_start(house);
	requests_release(house);
	house->stage_done(house->stage_arg);
}

static void
start_serve(struct house *house)
{
	loop_timer_disarm(house->home, &house->patience);
	house->start_publish.done = start_finished;
	house_publish(house, &house->start_publish);
}

static void
late_published(struct publish_wait *wait)
{
	free(wait);
}

/* One that took its time: the others are served already. */
static void
late_serve(struct house *house)
{
	struct publish_wait *wait = calloc(1, sizeof(*wait));

	assert(wait != NULL);
	wait->done = late_published;
	house_publish(house, wait);
}

static void
start_pool_opened(void *arg)
{
	struct house *house = arg;

	assert(house->pending > 0);
	house->pending--;
	if (!loop_timer_armed(&house->patience))
		late_serve(house);
	else if (house->pending == 0)
		start_serve(house);
}

static void
start_patience_over(struct loop_timer *timer)
{
	struct house *house = container_of(timer, struct house, patience);

	log_warn(
	    "%u pools still open; the others are served now", house->pending);
	start_serve(house);
}

void
house_start(struct house *house, void (*done)(void *arg), void *arg)
{
	struct house_pool *hp;

	house->stage_done = done;
	house->stage_arg = arg;
	/* before what was handed over and nobody took is closed */
	house_policies_start(house);
	house_ports_read(house);
	if (pools_know(house) < 0)
		log_error("the state cannot be read: not all pools are known");
	list_for_each (hp, &house->pools, link) {
		house->pending++;
		house_pool_open(hp, start_pool_opened, house);
	}
	if (house->pending == 0) {
		start_serve(house);
		return;
	}
	house->patience.expire = start_patience_over;
	loop_timer_arm(house->home, &house->patience,
	    START_PATIENCE_SECONDS * NSEC_PER_SEC);
}

/* ---- stop ---- */

static void
stop_step_done(void *arg)
{
	struct house *house = arg;

	assert(house->pending > 0);
	if (--house->pending == 0)
		house->stage_done(house->stage_arg);
}

static void
stop_pools(struct house *house)
{
	struct house_pool *hp;

	house->pending = 1; /* this function */
	list_for_each (hp, &house->pools, link) {
		if (hp->pool == NULL)
			continue;
		house->pending++;
		house_pool_close(hp, stop_step_done, house);
	}
	stop_step_done(house);
}

static void
stop_rings_closed(void *arg, int result)
{
	(void)result;
	stop_pools(arg);
}

static void
stop_sessions_gone(void *arg)
{
	struct house *house = arg;

	house_tcmu_stop(house->tcmu, stop_rings_closed, house);
}

/* What runs may need what is about to go: it is waited for. */
static void
stop_when_idle(struct loop_timer *timer)
{
	struct house *house = container_of(timer, struct house, patience);

	if (house->requests > 0 || house->publishing || house->pending > 0 ||
	    !house_policies_stopped(house)) {
		loop_timer_arm(
		    house->home, &house->patience, 20 * NSEC_PER_MSEC);
		return;
	}
	iscsi_server_stop(house->server, house->config->stop_seconds * 1000,
	    stop_sessions_gone, house);
}

void
house_stop(struct house *house, struct handover *bequest,
    void (*done)(void *arg), void *arg)
{
	struct house_portal *portal;

	assert(house->started && !house->stopping);
	house->stopping = true;
	house->bequest = bequest;
	house->stage_done = done;
	house->stage_arg = arg;
	house_keeping_stop(house);
	house_policies_stop(house);
	requests_refuse(house);
	list_for_each (portal, &house->portals, link)
		loop_timer_disarm(house->home, &portal->retry);
	house->patience.expire = stop_when_idle;
	loop_timer_arm(house->home, &house->patience, 0);
}
