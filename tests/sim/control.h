/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What administrators do, from inside: for control.c and the files that bring
 * further kinds of it.
 *
 * One at a time.  A kind that wants peace has marked versions `quiet`; when
 * their I/O has ended, and (closes) they are closed, `now` makes the request.
 * Then `end` tells the world what is different.
 */
#ifndef TESTS_SIM_CONTROL_H
#define TESTS_SIM_CONTROL_H

#include "tests/sim/sim.h"

struct control_kind {
	const char *name;
	/* False: there is nothing to do it to. */
	bool (*start)(struct world *world);
	void (*now)(struct world *world, struct sim_volume *volume); /* NULL */
	bool closes;
	void (*end)(struct world *world, struct sim_volume *volume);
};

/* It is under way; world->request is ready. */
void control_begin(
    struct world *world, enum control control, struct sim_volume *volume);

/* The request under way has been answered. */
void control_end(struct world *world, int result);

void control_new_name(struct world *world, char name[POOL_NAME_MAX + 1]);
void control_new_uuid(struct world *world, uuid_t uuid);

/* One of the volumes the hosts use, or NULL. */
struct sim_volume *control_draw_volume(struct world *world);

/* A volume that does not exist, or NULL. */
struct sim_volume *control_absent(struct world *world);

/* The pool gets one more, if the scenario has one. */
bool start_add_device(struct world *world);

/* ---- reserve.c ---- */
bool start_reserve(struct world *world);
bool reserve_may_be(
    const struct sim_volume *volume, uint64_t reserve, uint64_t quota);
void done_reserve(struct world *world, struct sim_volume *volume);

/* ---- quota.c ---- */
bool start_quota(struct world *world);
void done_quota(struct world *world, struct sim_volume *volume);

#endif
