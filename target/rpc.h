/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line of the control socket: JSON-RPC 2.0 as bytes, to and from.  Pure
 * functions: every byte here comes from a client.
 */
#ifndef TARGET_RPC_H
#define TARGET_RPC_H

#include "target/fault.h"

#define RPC_LINE_MAX  (1u << 20)
#define RPC_DEPTH_MAX 16
#define RPC_ID_MAX    128

struct rpc_call {
	json_t *id;         /* a number, a string or null */
	const char *method; /* in object */
	json_t *params;     /* in object; NULL: none */
	json_t *object;
};

/* A fault, or NULL and a call to be rpc_call_done.  ret_call->id is set in
 * both cases, as far as it could be read. */
json_t *rpc_parse(const char *line, size_t length, struct rpc_call *ret_call);
void rpc_call_done(struct rpc_call *call);

/* A line with its '\n'; to be freed.  result or fault is NULL. */
char *rpc_answer(const json_t *id, const json_t *result, const json_t *fault,
    size_t *ret_length);

/* Is text nested deeper than max?  Brackets in strings do not count. */
bool rpc_too_deep(const char *text, size_t length, unsigned max);

#endif
