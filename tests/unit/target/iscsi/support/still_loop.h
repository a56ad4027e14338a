/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A loop that runs nothing by itself: what is deferred or posted is marked as
 * queued, and there are no timers. */
#ifndef TESTS_UNIT_TARGET_ISCSI_SUPPORT_STILL_LOOP_H
#define TESTS_UNIT_TARGET_ISCSI_SUPPORT_STILL_LOOP_H

#include "base/loop.h"

extern const struct loop_ops still_loop_ops;

#endif
