/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper of a freeze, and its deputy: what they are is in quiesce.h.
 *
 *	keeper to worker    {"consistency": "fs"}: frozen; or {"problem": ...}
 *	worker to keeper    anything: thaw; its end: likewise
 *	keeper to worker    {"held": BOOL, "frozen_ms": N}, or
 *	                    {"problem": ..., "frozen_ms": N}: it goes on trying
 */
#ifndef POLICY_KEEPER_H
#define POLICY_KEEPER_H

#include "policy/quiesce.h"
#include <stddef.h>
#include <sys/types.h>

#define KEEPER_MESSAGE_MAX 65536u

/* Forks it.  id: of the record.  fd: of a SOCK_SEQPACKET, the keeper's side.
 * -1, errno; else its pid. */
pid_t keeper_fork(const struct quiesce_params *params, const char *id, int fd);

#endif
