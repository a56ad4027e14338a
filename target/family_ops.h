/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes that several nouns make: of LUNs, snapshots and the trash alike. */
#ifndef TARGET_FAMILY_OPS_H
#define TARGET_FAMILY_OPS_H

#include "target/change.h"

extern const struct change_op op_trash; /* with its snapshots */
/* For good: its snapshots, then it. */
extern const struct change_op op_delete_all;
/* All of change->uuids, for good; those that are held stay. */
extern const struct change_op op_delete_each;

#endif
