/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running the hook of a record, and thawing until it has succeeded.
 */
#ifndef POLICY_THAW_H
#define POLICY_THAW_H

#include "policy/freeze_record.h"
#include "policy/hook.h"

enum thaw_end {
	THAW_HELD,   /* it had been frozen until then */
	THAW_BROKEN, /* it is thawed, and had been before, or in part */
	THAW_FAILED, /* it may be frozen still */
};

/* "HOOK verb", with what is known of it for the record.  *ret_why: what went
 * wrong if anything did, to be freed. */
void freeze_hook_run(const struct freeze_record *record, const char *verb,
    unsigned limit_ms, int watch_fd, struct hook_result *ret_result,
    char **ret_why);

/* One try; *ret_why of THAW_FAILED. */
enum thaw_end thaw_try(const struct freeze_record *record, char **ret_why);

/* Tries until it has succeeded, and removes the record then; gives up after
 * patience_ms.  failed (may be NULL) is called after each try that failed. */
enum thaw_end thaw_until(const struct freeze_record *record,
    int64_t patience_ms, void (*failed)(void *arg, const char *why), void *arg);

/* Between the try and the next: longer each time. */
void thaw_pause(unsigned tries);

#define THAW_PATIENCE_MS (10 * 60 * 1000)

#endif
