/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows of control.c about devices.
 */
#ifndef TESTS_SIM_DEVICE_H
#define TESTS_SIM_DEVICE_H

#include "tests/sim/sim.h"

bool start_evacuate(struct world *world);
void done_evacuate(struct world *world, struct sim_volume *volume);
bool start_evacuate_cancel(struct world *world);
void done_evacuate_cancel(struct world *world, struct sim_volume *volume);
bool start_remove_device(struct world *world);
void done_remove_device(struct world *world, struct sim_volume *volume);

#endif
