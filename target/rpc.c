/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/rpc.h"
#include "base/assert.h"
#include <stdlib.h>
#include <string.h>

/* JSON-RPC 2.0 section 5.1 */
#define RPC_INVALID_REQUEST (-32600)
#define RPC_NO_METHOD       (-32601)
#define RPC_INVALID_PARAMS  (-32602)
#define RPC_SERVER_ERROR    (-32000)

bool
rpc_too_deep(const char *text, size_t length, unsigned max)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > max)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static json_t *
malformed(const char *why)
{
	return fault_why(
	    fault_new("request.malformed", "the line is not a request"), "%s",
	    why);
}

static bool
id_valid(const json_t *id)
{
	if (json_is_string(id))
		return json_string_length(id) <= RPC_ID_MAX;
	return json_is_integer(id);
}

static json_t *
members_check(const json_t *object, struct rpc_call *call)
{
	static const char *const known[] = {
	    "jsonrpc", "id", "method", "params"};
	void *iter = json_object_iter((json_t *)(uintptr_t)object);
	const char *version =
	    json_string_value(json_object_get(object, "jsonrpc"));
	json_t *id = json_object_get(object, "id");

	if (!id_valid(id))
		return malformed("it has no id, or one that is no integer "
				 "nor a short string");
	json_decref(call->id);
	call->id = json_incref(id);
	if (version == NULL || strcmp(version, "2.0") != 0)
		return malformed("it does not say \"jsonrpc\":\"2.0\"");
	for (; iter != NULL;
	     iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
		bool found = false;
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			found |=
			    strcmp(json_object_iter_key(iter), known[i]) == 0;
		if (!found)
			return malformed("it has members that JSON-RPC does "
					 "not know");
	}
	return NULL;
}

json_t *
rpc_parse(const char *line, size_t length, struct rpc_call *ret_call)
{
	json_error_t error;
	json_t *fault;

	*ret_call = (struct rpc_call){.id = json_null()};
	if (rpc_too_deep(line, length, RPC_DEPTH_MAX))
		return fault_new("request.too-large",
		    "the request is nested deeper than %d", RPC_DEPTH_MAX);
	ret_call->object =
	    json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	if (ret_call->object == NULL)
		return malformed(error.text);
	if (!json_is_object(ret_call->object))
		return malformed("it is no object (batches are not taken)");
	fault = members_check(ret_call->object, ret_call);
	if (fault != NULL)
		return fault;
	ret_call->method =
	    json_string_value(json_object_get(ret_call->object, "method"));
	ret_call->params = json_object_get(ret_call->object, "params");
	if (ret_call->method == NULL)
		return malformed("its method is no string");
	return NULL;
}

void
rpc_call_done(struct rpc_call *call)
{
	json_decref(call->id);
	json_decref(call->object);
	*call = (struct rpc_call){.id = NULL};
}

/* clang-format off */
static const struct { const char *code; int rpc; } rpc_codes[] = {
	{ "request.malformed", RPC_INVALID_REQUEST },
	{ "request.too-large", RPC_INVALID_REQUEST },
	{ "request.method",    RPC_NO_METHOD },
	{ "request.argument",  RPC_INVALID_PARAMS },
};
/* clang-format on */

static int
rpc_code(const json_t *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(rpc_codes); i++) {
		if (strcmp(fault_code(fault), rpc_codes[i].code) == 0)
			return rpc_codes[i].rpc;
	}
	return RPC_SERVER_ERROR;
}

char *
rpc_answer(const json_t *id, const json_t *result, const json_t *fault,
    size_t *ret_length)
{
	json_t *answer = json_pack(
	    "{s:s, s:O}", "jsonrpc", "2.0", "id", (json_t *)(uintptr_t)id);
	char *text, *line;

	assert(answer != NULL && (result == NULL) != (fault == NULL));
	if (result != NULL)
		json_object_set(answer, "result", (json_t *)(uintptr_t)result);
	else
		json_object_set_new(answer, "error",
		    json_pack("{s:i, s:s, s:O}", "code", rpc_code(fault),
			"message", fault_what(fault), "data",
			(json_t *)(uintptr_t)fault));
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	assert(text != NULL);
	*ret_length = strlen(text) + 1;
	line = realloc(text, *ret_length + 1);
	assert(line != NULL);
	line[*ret_length - 1] = '\n';
	line[*ret_length] = '\0';
	return line;
}
