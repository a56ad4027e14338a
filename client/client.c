/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call is tried until it is answered.  What may be tried again is a call
 *whose connection could not be made, or ended: asking changes nothing, and a
 *change has a request_id by which varved knows it again.
 *
 *	kept connection, dead    once more at once: the server was restarted
 *	                         since, and says nothing about it being here
 *	no server, or lost       once more after a pause, within the patience
 *	time-out, garbage        not: the connection is given up
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/connect.h"
#include "client/problem.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define BUFFER_BYTES   65536u
#define PAUSE_FIRST_MS 20u
#define PAUSE_MAX_MS   500u

struct varve {
	char *url;
	struct sockaddr_un address;
	unsigned timeout_ms, patience_ms;
	int fd;        /* -1: not connected */
	json_int_t id; /* of the last request */
	char *buf;     /* what was read and not yet used */
	size_t used, size;
};

struct call {
	struct varve *varve;
	const char *method;
	const json_t *params;
	uint64_t begun_ms, deadline_ms;
	bool again; /* the last try may be repeated */
};

/* ---- problems ---- */

enum client_problem {
#define P(name, code, exit, meaning) name,
#include "client/problems.def"
#undef P
};

static const struct {
	const char *code;
	enum varve_exit exit;
} client_problems[] = {
#define P(name, code, exit, meaning) [name] = {code, exit},
#include "client/problems.def"
#undef P
};

#define client_problem(kind, ...)                                              \
	problem_new(client_problems[kind].exit, client_problems[kind].code,    \
	    __VA_ARGS__)

static json_t *
not_running(const struct varve *varve)
{
	const char *path = varve->address.sun_path;
	const char *slash = strrchr(path, '/');
	json_t *problem =
	    problem_why(client_problem(NOT_RUNNING, "varved is not running"),
		"nothing listens on %s", path);

	if (strcmp(path, VARVE_PATH_DEFAULT) == 0)
		return problem_fix(problem, "systemctl start varved");
	if (slash != NULL && strcmp(slash, "/varve.sock") == 0)
		return problem_fix(
		    problem, "varved --dir %.*s", (int)(slash - path), path);
	return problem_fix(
	    problem, "start varved, or what forwards its socket");
}

static json_t *
not_allowed(const struct varve *varve)
{
	json_t *problem =
	    client_problem(NOT_ALLOWED, "you may not talk to varved");

	problem_why(problem,
	    "%s is for root and the groups varve (change) and varve-ro (read)",
	    varve->address.sun_path);
	problem_fix(problem, "sudo varve ...");
	return problem_fix(
	    problem, "or join the group and log in again: adduser USER varve");
}

static json_t *
timed_out(const struct call *call)
{
	json_t *problem =
	    client_problem(TIMEOUT, "varved did not answer %s within %g s",
		call->method, call->varve->timeout_ms / 1000.0);

	problem_why(problem, "it may still be at work on it");
	return problem_fix(
	    problem, "look what was done before repeating a change");
}

static json_t *
lost(struct call *call)
{
	json_t *problem = client_problem(LOST,
	    "varved closed the connection before it answered %s", call->method);

	call->again = true;
	problem_why(problem, "it was stopped or it crashed; its log tells: "
			     "journalctl -u varved");
	return problem_fix(
	    problem, "look what was done before repeating a change");
}

static json_t *
not_ours(const struct call *call, const char *what)
{
	return problem_why(
	    client_problem(
		PROTOCOL, "what answers at %s is not varved", call->varve->url),
	    "%s", what);
}

static json_t *
connect_problem(struct call *call, int error)
{
	const struct varve *varve = call->varve;

	switch (error) {
	case EACCES:
	case EPERM: return not_allowed(varve);
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED: call->again = true; return not_running(varve);
	case ETIMEDOUT:
		return problem_why(client_problem(TIMEOUT,
				       "varved does not take the connection"),
		    "too many clients are waiting at %s",
		    varve->address.sun_path);
	default:
		return client_problem(NOT_RUNNING,
		    "cannot reach varved at %s: %s", varve->address.sun_path,
		    strerror(error));
	}
}

/* ---- one try ---- */

static json_t *
wait_for(struct call *call, short events)
{
	struct pollfd poll_fd = {.fd = call->varve->fd, .events = events};

	for (;;) {
		uint64_t now = now_ms();
		int ret;
		if (now >= call->deadline_ms)
			return timed_out(call);
		ret = poll(&poll_fd, 1, (int)(call->deadline_ms - now));
		if (ret > 0)
			return NULL;
		if (ret < 0 && errno != EINTR)
			return lost(call);
	}
}

static json_t *
send_all(struct call *call, const char *data, size_t length)
{
	while (length > 0) {
		json_t *problem = wait_for(call, POLLOUT);
		ssize_t sent;
		if (problem != NULL)
			return problem;
		sent = send(
		    call->varve->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (sent < 0)
			return lost(call);
		data += sent;
		length -= (size_t)sent;
	}
	return NULL;
}

static json_t *
send_request(struct call *call)
{
	json_t *request = json_object();
	char *text;
	json_t *problem;

	json_object_set_new(request, "jsonrpc", json_string("2.0"));
	json_object_set_new(request, "id", json_integer(++call->varve->id));
	json_object_set_new(request, "method", json_string(call->method));
	json_object_set_new(request, "params",
	    call->params != NULL ? json_deep_copy(call->params)
				 : json_object());
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	assert(text != NULL);
	problem = send_all(call, text, strlen(text));
	if (problem == NULL)
		problem = send_all(call, "\n", 1);
	/* a secret may be in it */
	explicit_bzero(text, strlen(text));
	free(text);
	return problem;
}

static void
buffer_grow(struct varve *varve)
{
	if (varve->used < varve->size)
		return;
	varve->size = varve->size > 0 ? varve->size * 2 : BUFFER_BYTES;
	varve->buf = realloc(varve->buf, varve->size);
	assert(varve->buf != NULL);
}

/* Reads some more into the buffer. */
static json_t *
read_more(struct call *call)
{
	struct varve *varve = call->varve;
	json_t *problem;
	ssize_t got;

	if (varve->used == VARVE_ANSWER_MAX)
		return not_ours(call, "its answer does not end");
	buffer_grow(varve);
	problem = wait_for(call, POLLIN);
	if (problem != NULL)
		return problem;
	got = recv(varve->fd, varve->buf + varve->used,
	    varve->size - varve->used, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return NULL;
	if (got <= 0)
		return lost(call);
	varve->used += (size_t)got;
	return NULL;
}

/* The next line, as JSON. */
static json_t *
read_message(struct call *call, json_t **ret_message)
{
	struct varve *varve = call->varve;
	size_t scanned = 0, length;
	char *end;

	for (;;) {
		json_t *problem;
		end = varve->used > scanned ? memchr(varve->buf + scanned, '\n',
						  varve->used - scanned)
					    : NULL;
		if (end != NULL)
			break;
		scanned = varve->used;
		problem = read_more(call);
		if (problem != NULL)
			return problem;
	}
	length = (size_t)(end - varve->buf);
	*ret_message = json_loadb(varve->buf, length, 0, NULL);
	varve->used -= length + 1;
	memmove(varve->buf, end + 1, varve->used);
	if (!json_is_object(*ret_message)) {
		json_decref(*ret_message);
		*ret_message = NULL;
		return not_ours(call, "its answer is not JSON");
	}
	return NULL;
}

/* Ours is the one with our id; what has no id is a notification. */
static json_t *
read_answer(struct call *call, json_t **ret_answer)
{
	for (;;) {
		json_t *problem = read_message(call, ret_answer);
		const json_t *id;
		if (problem != NULL)
			return problem;
		id = json_object_get(*ret_answer, "id");
		if (json_is_integer(id) &&
		    json_integer_value(id) == call->varve->id)
			return NULL;
		/* JSON-RPC 2.0 section 5: id is null when the request could
		 * not be read */
		if (json_is_null(id) &&
		    json_object_get(*ret_answer, "error") != NULL)
			return NULL;
		json_decref(*ret_answer);
		*ret_answer = NULL;
	}
}

static json_t *
connect_now(struct call *call)
{
	struct varve *varve = call->varve;

	if (varve->fd >= 0)
		return NULL;
	varve->fd = socket_connect(&varve->address, call->deadline_ms);
	if (varve->fd >= 0)
		return NULL;
	int error = -varve->fd;
	varve->fd = -1;
	return connect_problem(call, error);
}

static void
disconnect(struct varve *varve)
{
	if (varve->fd >= 0)
		close(varve->fd);
	varve->fd = -1;
	varve->used = 0;
}

/* Up to an answer, of whatever kind.  After a problem the connection is of no
 * more use. */
static json_t *
try_once(struct call *call, json_t **ret_answer)
{
	json_t *problem;

	call->again = false;
	problem = connect_now(call);
	if (problem == NULL)
		problem = send_request(call);
	if (problem == NULL)
		problem = read_answer(call, ret_answer);
	if (problem != NULL)
		disconnect(call->varve);
	return problem;
}

/* ---- until it is answered ---- */

/* False: the patience is at its end. */
static bool
pause_before(const struct call *call, unsigned *pause_ms)
{
	uint64_t end = call->begun_ms + call->varve->patience_ms;
	const struct timespec time = {.tv_nsec = (long)*pause_ms * 1000000};

	if (end > call->deadline_ms)
		end = call->deadline_ms;
	if (now_ms() + *pause_ms >= end)
		return false;
	nanosleep(&time, NULL);
	if (*pause_ms < PAUSE_MAX_MS)
		*pause_ms *= 2;
	return true;
}

static json_t *
try_until_answered(struct call *call, json_t **ret_answer)
{
	unsigned pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		bool kept = call->varve->fd >= 0;
		json_t *problem = try_once(call, ret_answer);
		if (problem == NULL || !call->again)
			return problem;
		if (!kept && !pause_before(call, &pause_ms))
			return problem;
		json_decref(problem);
	}
}

json_t *
varve_ask(struct varve *varve, const char *method, const json_t *params,
    json_t **ret_result)
{
	uint64_t now = now_ms();
	struct call call = {.varve = varve,
	    .method = method,
	    .params = params,
	    .begun_ms = now,
	    .deadline_ms = now + varve->timeout_ms};
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = try_until_answered(&call, &answer);
	json_t *error, *result;

	if (problem != NULL)
		return problem;
	error = json_object_get(answer, "error");
	if (error != NULL)
		return problem_of_rpc(error);
	result = json_object_get(answer, "result");
	if (!json_is_object(result)) {
		disconnect(varve);
		return not_ours(&call, "its answer has no result");
	}
	*ret_result = json_incref(result);
	return NULL;
}

/* RFC 9562 5.4: a UUID by chance is nobody else's. */
static json_t *
request_id(void)
{
	unsigned char bytes[16];
	char text[2 * sizeof(bytes) + 5], *end = text;
	ssize_t got;

	do
		got = getrandom(bytes, sizeof(bytes), 0);
	while (got < 0 && errno == EINTR);
	assert(got == sizeof(bytes));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		end += sprintf(end, "%s%02x",
		    i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
	return json_string(text);
}

json_t *
varve_change(struct varve *varve, const char *method, const json_t *params,
    json_t **ret_result)
{
	_cleanup_(json_decrefpp) json_t *ours =
	    params != NULL ? json_copy((json_t *)(uintptr_t)params)
			   : json_object();

	assert(ours != NULL);
	if (json_object_get(ours, "request_id") == NULL)
		json_object_set_new(ours, "request_id", request_id());
	return varve_ask(varve, method, ours, ret_result);
}

/* ---- its life ---- */

json_t *
varve_open(const char *url, struct varve **ret_varve)
{
	struct sockaddr_un address;
	struct varve *varve;
	const char *why;

	if (url == NULL)
		url = VARVE_URL_DEFAULT;
	if (!url_parse(url, &address, &why))
		return problem_why(client_problem(ADDRESS,
				       "'%s' is not an address of varved", url),
		    "%s", why);
	varve = calloc(1, sizeof(*varve));
	assert(varve != NULL);
	varve->fd = -1;
	varve->address = address;
	varve->timeout_ms = VARVE_TIMEOUT_DEFAULT_MS;
	varve->url = strdup(url);
	assert(varve->url != NULL);
	*ret_varve = varve;
	return NULL;
}

void
varve_close(struct varve *varve)
{
	if (varve == NULL)
		return;
	disconnect(varve);
	free(varve->url);
	free(varve->buf);
	free(varve);
}

const char *
varve_url(const struct varve *varve)
{
	return varve->url;
}

void
varve_set_timeout(struct varve *varve, unsigned milliseconds)
{
	varve->timeout_ms = milliseconds;
}

unsigned
varve_timeout(const struct varve *varve)
{
	return varve->timeout_ms;
}

void
varve_set_patience(struct varve *varve, unsigned milliseconds)
{
	varve->patience_ms = milliseconds;
}
