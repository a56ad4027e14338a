/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a policy's snapshots and directories are called.  A snapshot is the
 * policy's by its name alone: one that is renamed is its no more.
 */
#ifndef POLICY_NAMES_H
#define POLICY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_STAMP_MAX sizeof("20261126T020000Z")

/* Seconds since 1970 as UTC. */
void policy_stamp(int64_t unix_seconds, char ret_stamp[POLICY_STAMP_MAX]);
bool policy_stamp_is(const char *text);
/* Is snap "POLICY-20261126T020000Z"? */
bool policy_snap_is_of(const char *policy, const char *snap);

/* form with {pool} and {lun} filled in, of "vms/web01".  False: that is longer
 * than size. */
bool policy_directory(
    const char *form, const char *lun, char *ret_path, size_t size);
/* So many bytes of form name the directory that has to be there; those below
 * it are made: from the first component with a field on, or the last. */
size_t policy_directory_fixed(const char *form);

#endif
