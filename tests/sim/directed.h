/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What directed tests have in common.
 */
#ifndef TESTS_SIM_DIRECTED_H
#define TESTS_SIM_DIRECTED_H

#include "tests/sim/sim.h"

/* A pool, and a volume in it. */
struct sim_volume *directed_begin(struct world *world);
struct sim_volume *directed_volume(struct world *world);

/* One 4 KiB block, or a FLUSH; waits. */
void directed_write(
    struct world *world, struct sim_volume *volume, uint64_t offset);
void directed_flush(struct world *world, struct sim_volume *volume);

/* So many events, if power lasts. */
void directed_run_for(struct world *world, unsigned events);

/* No superblock gets to the first disk, until it is released. */
void directed_hold_superblocks(struct world *world);

#endif
