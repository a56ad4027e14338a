/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LUNs that the kernel exports (carriers tcmu and tcmu-loop): from the state to
 * LIO's configfs and to the rings that are served.  On the home loop; what
 * blocks runs on a helper thread, one thing at a time.
 *
 * A kernel device outlives varved: hosts behind it wait, and go on.
 */
#ifndef TARGET_HOUSE_TCMU_H
#define TARGET_HOUSE_TCMU_H

#include "target/house.h"
#include "target/tcmu/lio.h"

struct house_tcmu;

/* NULL: no memory. */
struct house_tcmu *house_tcmu_new(struct house *house);
void house_tcmu_free(struct house_tcmu *tcmu);

/* What the state says at this call is exported; done, never from inside: 0, and
 * what could not be done is logged and told by house_tcmu_problem, and tried
 * again with the next call; negative: the state could not be read, and nothing
 * has changed. */
void house_tcmu_publish(
    struct house_tcmu *tcmu, void (*done)(void *arg, int result), void *arg);

/* Somebody may have changed the kernel's target: looks, in a publication of its
 * own, if anything is exported by it. */
void house_tcmu_mend(struct house_tcmu *tcmu);

/* Why the kernel does not export the LUN; "": it does, or need not. */
const char *house_tcmu_problem(
    const struct house_tcmu *tcmu, const uuid_t uuid);

/* Nothing is served any more: hosts wait until it is again.  Rings are left
 * open in the house's bequest, if it has one.  result: 0 */
void house_tcmu_stop(
    struct house_tcmu *tcmu, void (*done)(void *arg, int result), void *arg);

#endif
