/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is told of policies (target/event.h).  Data of all: policy, run.
 *
 *	policy.run-begun        info: a worker was started
 *	policy.run-done         notice: all was done
 *	policy.run-partial      warning: not of all LUNs
 *	policy.run-failed       error: of none
 *	policy.run-interrupted  warning: it was ended
 *	policy.lun-failed       warning, about a LUN of a partial run: why
 *	policy.not-frozen       warning, about a LUN: its snapshot is crash
 *	                        consistent, though the policy freezes
 *	policy.missed           warning: runs that were missed
 *	policy.frozen-left      error: what may be frozen still
 */
#ifndef TARGET_POLICY_EVENT_H
#define TARGET_POLICY_EVENT_H

#include "target/house.h"
#include "target/state_policy.h"

void policy_tell_begun(struct house *house, const struct state_run *run);
/* Also of each LUN what is worth it; and keeps which backups there are. */
void policy_tell_ended(struct house *house, const struct state_run *run);
/* run is about to be made for all of them. */
void policy_tell_missed(struct house *house, const struct state_run *run);
/* problem: NULL, or why it could not be thawed. */
void policy_tell_frozen(struct house *house, const char *problem);

#endif
