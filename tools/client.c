/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/client.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/problem.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

struct client {
	int fd;
	char *address;
	json_int_t id; /* of the last request */
	char *buf;     /* what was read and not yet used */
	size_t used, size;
};

/* ---- problems ---- */

/* How to start what should listen at address. */
static json_t *
fix_start(json_t *problem, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (strcmp(path, CLIENT_PATH_DEFAULT) == 0)
		return problem_fix(problem, "systemctl start varved");
	if (slash != NULL && strcmp(slash, "/varve.sock") == 0)
		return problem_fix(
		    problem, "varved --dir %.*s", (int)(slash - path), path);
	return problem_fix(
	    problem, "start varved, or name its socket: --connect unix:PATH");
}

static json_t *
not_running(const char *path)
{
	return fix_start(
	    problem_why(problem_new(API_UNREACHABLE, "daemon.not-running",
			    "varved is not running"),
		"nothing listens on %s", path),
	    path);
}

static json_t *
not_allowed(const char *path)
{
	json_t *problem = problem_new(API_NOT_ALLOWED, "daemon.not-allowed",
	    "you may not talk to varved");

	problem_why(problem,
	    "%s is for root and the groups varve (change) and varve-ro (read)",
	    path);
	problem_fix(problem, "sudo varve ...");
	return problem_fix(
	    problem, "or join the group and log in again: adduser USER varve");
}

static json_t *
connect_problem(int error, const char *path)
{
	if (error == EACCES || error == EPERM)
		return not_allowed(path);
	if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
		return not_running(path);
	if (error == EAGAIN)
		return problem_why(
		    problem_new(API_UNREACHABLE, "daemon.timeout",
			"varved does not take the connection"),
		    "too many clients are waiting at %s", path);
	return problem_new(API_UNREACHABLE, "daemon.not-running",
	    "cannot reach varved at %s: %s", path, strerror(error));
}

static json_t *
timed_out(const char *method, unsigned timeout_ms)
{
	json_t *problem = problem_new(API_UNREACHABLE, "daemon.timeout",
	    "varved did not answer %s within %g s", method,
	    timeout_ms / 1000.0);

	problem_why(problem, "it may still be at work on it");
	problem_fix(problem, "look what was done before repeating a change");
	return problem_fix(problem, "wait longer: --timeout 5m");
}

static json_t *
lost(const char *method)
{
	json_t *problem = problem_new(API_UNREACHABLE, "daemon.lost",
	    "varved closed the connection before it answered %s", method);

	problem_why(problem, "it was stopped or it crashed; its log tells: "
			     "journalctl -u varved");
	return problem_fix(
	    problem, "look what was done before repeating a change");
}

static json_t *
not_ours(const struct client *client, const char *what)
{
	return problem_why(
	    problem_new(API_FAILED, "daemon.protocol",
		"what answers at %s is not varved", client->address),
	    "%s", what);
}

/* ---- connecting ---- */

static json_t *
address_path(const char *address, const char **ret_path)
{
	const char *path = address;

	if (strncmp(path, "unix:", 5) != 0)
		return problem_fix(
		    problem_new(API_USAGE, "usage.option",
			"'%s' is not an address of varved", address),
		    "unix:PATH, as in " CLIENT_ADDRESS_DEFAULT);
	path += 5;
	if (strncmp(path, "///", 3) == 0)
		path += 2;
	if (path[0] == '\0' ||
	    strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return problem_why(
		    problem_new(API_USAGE, "usage.option",
			"'%s' is not an address of varved", address),
		    "the path of a Unix socket has 1 to %zu bytes",
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	*ret_path = path;
	return NULL;
}

/* 0 or -errno; -EAGAIN also when the time is up. */
static int
socket_connect(const char *path, unsigned timeout_ms, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {
	    .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	assert(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	/* unix(7): connect() waits so long for room in the backlog */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

json_t *
client_connect(
    const char *address, unsigned timeout_ms, struct client **ret_client)
{
	const char *path = NULL;
	json_t *problem = address_path(address, &path);
	int fd = -1, ret;

	if (problem != NULL)
		return problem;
	ret = socket_connect(path, timeout_ms, &fd);
	if (ret < 0)
		return connect_problem(-ret, path);
	*ret_client = client_new(fd, address);
	return NULL;
}

struct client *
client_new(int fd, const char *address)
{
	struct client *client = calloc(1, sizeof(*client));

	assert(client != NULL);
	client->fd = fd;
	client->address = strdup(address);
	assert(client->address != NULL);
	return client;
}

void
client_free(struct client *client)
{
	if (client == NULL)
		return;
	close(client->fd);
	free(client->address);
	free(client->buf);
	free(client);
}

/* ---- one call ---- */

struct call {
	struct client *client;
	const char *method;
	unsigned timeout_ms;
	uint64_t deadline_ms;
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static json_t *
wait_for(const struct call *call, short events)
{
	struct pollfd poll_fd = {.fd = call->client->fd, .events = events};

	for (;;) {
		uint64_t now = now_ms();
		int ret;
		if (now >= call->deadline_ms)
			return timed_out(call->method, call->timeout_ms);
		ret = poll(&poll_fd, 1, (int)(call->deadline_ms - now));
		if (ret > 0)
			return NULL;
		if (ret < 0 && errno != EINTR)
			return lost(call->method);
	}
}

static json_t *
send_all(const struct call *call, const char *data, size_t length)
{
	while (length > 0) {
		json_t *problem = wait_for(call, POLLOUT);
		ssize_t sent;
		if (problem != NULL)
			return problem;
		sent = send(call->client->fd, data, length,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (sent < 0)
			return lost(call->method);
		data += sent;
		length -= (size_t)sent;
	}
	return NULL;
}

static json_t *
send_request(const struct call *call, const json_t *params)
{
	json_t *request = json_object();
	char *text;
	json_t *problem;

	json_object_set_new(request, "jsonrpc", json_string("2.0"));
	json_object_set_new(request, "id", json_integer(++call->client->id));
	json_object_set_new(request, "method", json_string(call->method));
	json_object_set_new(request, "params",
	    params != NULL ? json_deep_copy(params) : json_object());
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

/* Reads some more into the buffer. */
static json_t *
read_more(const struct call *call)
{
	struct client *client = call->client;
	json_t *problem;
	ssize_t got;

	if (client->used == CLIENT_ANSWER_MAX)
		return not_ours(client, "its answer does not end");
	if (client->used == client->size) {
		client->size = client->size > 0 ? client->size * 2 : 65536;
		client->buf = realloc(client->buf, client->size);
		assert(client->buf != NULL);
	}
	problem = wait_for(call, POLLIN);
	if (problem != NULL)
		return problem;
	got = recv(client->fd, client->buf + client->used,
	    client->size - client->used, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return NULL;
	if (got <= 0)
		return lost(call->method);
	client->used += (size_t)got;
	return NULL;
}

/* The next line, as JSON. */
static json_t *
read_message(const struct call *call, json_t **ret_message)
{
	struct client *client = call->client;
	size_t scanned = 0, length;
	char *end;

	for (;;) {
		json_t *problem;
		end = client->used > scanned ? memchr(client->buf + scanned,
						   '\n', client->used - scanned)
					     : NULL;
		if (end != NULL)
			break;
		scanned = client->used;
		problem = read_more(call);
		if (problem != NULL)
			return problem;
	}
	length = (size_t)(end - client->buf);
	*ret_message = json_loadb(client->buf, length, 0, NULL);
	client->used -= length + 1;
	memmove(client->buf, end + 1, client->used);
	if (!json_is_object(*ret_message)) {
		json_decref(*ret_message);
		*ret_message = NULL;
		return not_ours(client, "its answer is not JSON");
	}
	return NULL;
}

/* Ours is the one with our id; what has no id is a notification. */
static json_t *
read_answer(const struct call *call, json_t **ret_answer)
{
	for (;;) {
		json_t *problem = read_message(call, ret_answer);
		const json_t *id;
		if (problem != NULL)
			return problem;
		id = json_object_get(*ret_answer, "id");
		if (json_is_integer(id) &&
		    json_integer_value(id) == call->client->id)
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

json_t *
client_call(struct client *client, const char *method, const json_t *params,
    unsigned timeout_ms, json_t **ret_result)
{
	struct call call = {.client = client,
	    .method = method,
	    .timeout_ms = timeout_ms,
	    .deadline_ms = now_ms() + timeout_ms};
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = send_request(&call, params);
	json_t *error, *result;

	if (problem != NULL)
		return problem;
	problem = read_answer(&call, &answer);
	if (problem != NULL)
		return problem;
	error = json_object_get(answer, "error");
	if (error != NULL)
		return problem_of_rpc(error);
	result = json_object_get(answer, "result");
	if (!json_is_object(result))
		return not_ours(client, "its answer has no result");
	*ret_result = json_incref(result);
	return NULL;
}
