/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a request failed: the "data" of an error of the API (target/api.h), and
 * small helpers for the JSON around it.
 */
#ifndef TARGET_FAULT_H
#define TARGET_FAULT_H

#include "base/consistency.h"
#include "target/api.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* code is one of api_errors; what is a phrase without a full stop.  Never
 * NULL: without memory for a sentence the daemon stops. */
json_t *fault_new(const char *code, const char *what, ...)
    __attribute__((format(printf, 2, 3)));
/* Both return fault; each fault_fix adds a line. */
json_t *fault_why(json_t *fault, const char *why, ...)
    __attribute__((format(printf, 2, 3)));
json_t *fault_fix(json_t *fault, const char *fix, ...)
    __attribute__((format(printf, 2, 3)));

/* A reason that is varved's own: "server.failed", with the errno's text. */
json_t *fault_internal(const char *what, int error);

const char *fault_code(const json_t *fault);
const char *fault_what(const json_t *fault);

/* A string of any bytes: what is not UTF-8 becomes '?'. */
json_t *json_text(const char *text);
json_t *json_textf(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/* RFC 3339, UTC; 0 is null. */
json_t *json_time(int64_t unix_seconds);
json_t *json_bytes(uint64_t bytes); /* beyond 2^63: that */

/* Member of params that the argument check has let through, or the default. */
const char *param_text(const json_t *params, const char *name);
bool param_flag(const json_t *params, const char *name);
/* crash, if it is not there; params_check() has seen to what may be. */
enum consistency param_consistency(const json_t *params, const char *name);
json_int_t param_int(
    const json_t *params, const char *name, json_int_t otherwise);

static inline void
json_decrefp_(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ __attribute__((cleanup(json_decrefp_)))

#endif
