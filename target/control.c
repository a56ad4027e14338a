/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life of a client:
 *
 *	reading    a receive is in flight, the line is not whole
 *	running    a request runs; nothing is received, so a client that
 *	           sends more fills its socket and not our memory
 *	answering  a send is in flight
 *	ending     the socket is shut down; freed when nothing is in flight
 *	           and no request of it runs
 */
#include "target/control.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "target/peer.h"
#include "target/rpc.h"
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES   4096u
#define STALE_PAUSES 100

struct client {
	struct list link;
	struct control *control;
	int fd;
	struct caller caller;
	struct loop_io receive, send;
	struct loop_timer timer;
	char *in;
	size_t in_length, in_room, scanned;
	char *out;
	size_t out_length, out_sent;
	json_t *id;                 /* of the request that runs */
	bool running, ending, last; /* last: end after this answer */
};

struct control {
	struct house *house;
	struct loop *loop;
	int fd;
	char *path;
	struct loop_io accept;
	struct loop_timer again;
	struct list clients;
	unsigned count;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

static void client_go_on(struct client *client);

/* ---- ending ---- */

static void
control_maybe_stopped(struct control *control)
{
	if (control->stopping && control->count == 0 &&
	    !control->accept.in_flight && control->stopped != NULL) {
		void (*stopped)(void *) = control->stopped;
		control->stopped = NULL;
		stopped(control->stopped_arg);
	}
}

static void
client_free(struct client *client)
{
	struct control *control = client->control;

	loop_timer_disarm(control->loop, &client->timer);
	list_del(&client->link);
	close(client->fd);
	/* both may have held a secret */
	if (client->in != NULL)
		explicit_bzero(client->in, client->in_room);
	if (client->out != NULL)
		explicit_bzero(client->out, client->out_length);
	free(client->in);
	free(client->out);
	json_decref(client->id);
	free(client);
	control->count--;
	control_maybe_stopped(control);
}

static void
client_end(struct client *client)
{
	if (!client->ending) {
		client->ending = true;
		shutdown(
		    client->fd, SHUT_RDWR); /* completes what is in flight */
	}
	if (!client->receive.in_flight && !client->send.in_flight &&
	    !client->running)
		client_free(client);
}

static void
client_timeout(struct loop_timer *timer)
{
	struct client *client = container_of(timer, struct client, timer);

	log_debug("control: pid %d: too slow", (int)client->caller.pid);
	client_end(client);
}

/* ---- answering ---- */

static void
client_send(struct client *client)
{
	struct loop *loop = client->control->loop;
	struct io_uring_sqe *sqe = loop_sqe(loop, &client->send);

	io_uring_prep_send(sqe, client->fd, client->out + client->out_sent,
	    client->out_length - client->out_sent, MSG_NOSIGNAL);
	loop_timer_arm(
	    loop, &client->timer, CONTROL_ANSWER_SECONDS * NSEC_PER_SEC);
}

static void
client_sent(struct loop_io *io, int result, uint32_t flags)
{
	struct client *client = container_of(io, struct client, send);

	(void)flags;
	loop_timer_disarm(client->control->loop, &client->timer);
	if (client->ending || result <= 0) {
		client_end(client);
		return;
	}
	client->out_sent += (size_t)result;
	if (client->out_sent < client->out_length) {
		client_send(client);
		return;
	}
	explicit_bzero(client->out, client->out_length);
	free(client->out);
	client->out = NULL;
	if (client->last || client->control->stopping)
		client_end(client);
	else
		client_go_on(client);
}

static void
client_answer(struct client *client, const json_t *id, const json_t *result,
    const json_t *fault)
{
	if (client->ending) {
		client_end(client);
		return;
	}
	assert(client->out == NULL && !client->send.in_flight);
	client->out = rpc_answer(id, result, fault, &client->out_length);
	client->out_sent = 0;
	client_send(client);
}

static void
client_fault(struct client *client, const json_t *id, json_t *fault)
{
	client_answer(client, id, NULL, fault);
	json_decref(fault);
}

static void
client_answered(struct request *request, json_t *result, json_t *fault)
{
	struct client *client = request->arg;
	_cleanup_json_ json_t *id = client->id;

	assert(client->running);
	client->running = false;
	client->id = NULL;
	client_answer(client, id, result, fault);
}

/* ---- reading ---- */

static void
client_run_line(struct client *client, const char *line, size_t length)
{
	struct rpc_call call;
	struct request *request;
	json_t *fault = rpc_parse(line, length, &call);

	if (fault == NULL)
		fault = request_new(client->control->house, call.method,
		    json_incref(call.params), &client->caller, &request);
	if (fault != NULL) {
		client_fault(client, call.id, fault);
	} else {
		client->running = true;
		client->id = json_incref(call.id);
		request->answered = client_answered;
		request->arg = client;
		request_start(request);
	}
	rpc_call_done(&call);
}

static void
client_receive(struct client *client)
{
	struct io_uring_sqe *sqe =
	    loop_sqe(client->control->loop, &client->receive);
	size_t room = client->in_room - client->in_length;

	assert(room > 0);
	io_uring_prep_recv(
	    sqe, client->fd, client->in + client->in_length, room, 0);
}

static bool
client_grow(struct client *client)
{
	size_t room = client->in_room > 0 ? 2 * client->in_room : READ_BYTES;
	char *in;

	if (client->in_length < client->in_room)
		return true;
	if (client->in_room >= RPC_LINE_MAX)
		return false;
	in = calloc(1, room);
	if (in == NULL)
		return false;
	if (client->in != NULL) {
		memcpy(in, client->in, client->in_length);
		explicit_bzero(client->in, client->in_room);
	}
	free(client->in);
	client->in = in;
	client->in_room = room;
	return true;
}

/* Takes the first line out of what was received and runs it. */
static bool
client_take_line(struct client *client)
{
	char *end;

	if (client->in_length == client->scanned)
		return false;
	end = memchr(client->in + client->scanned, '\n',
	    client->in_length - client->scanned);
	client->scanned = client->in_length;
	if (end == NULL)
		return false;
	size_t length = (size_t)(end - client->in);
	size_t rest = client->in_length - length - 1;
	loop_timer_disarm(client->control->loop, &client->timer);
	client_run_line(client, client->in, length);
	memmove(client->in, end + 1, rest);
	explicit_bzero(client->in + rest, length + 1);
	client->in_length = rest;
	client->scanned = 0;
	return true;
}

static void
client_go_on(struct client *client)
{
	if (client_take_line(client))
		return;
	if (!client_grow(client)) {
		client->last = true;
		client_fault(client, json_null(),
		    fault_new("request.too-large",
			"the line is longer than %u bytes", RPC_LINE_MAX));
		return;
	}
	if (client->in_length > 0 && !loop_timer_armed(&client->timer))
		loop_timer_arm(client->control->loop, &client->timer,
		    CONTROL_LINE_SECONDS * NSEC_PER_SEC);
	client_receive(client);
}

static void
client_received(struct loop_io *io, int result, uint32_t flags)
{
	struct client *client = container_of(io, struct client, receive);

	(void)flags;
	if (client->ending || result <= 0) {
		client_end(client);
		return;
	}
	client->in_length += (size_t)result;
	client_go_on(client);
}

/* ---- clients come ---- */

int
control_adopt(struct control *control, int fd, const struct caller *caller)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL || control->count >= CONTROL_CLIENTS_MAX) {
		free(client);
		close(fd);
		return -EMFILE;
	}
	client->control = control;
	client->fd = fd;
	client->caller = *caller;
	client->timer.expire = client_timeout;
	loop_io_init(&client->receive, client_received);
	loop_io_init(&client->send, client_sent);
	list_add_tail(&control->clients, &client->link);
	control->count++;
	client_go_on(client);
	return 0;
}

static void
control_accept(struct control *control)
{
	struct io_uring_sqe *sqe = loop_sqe(control->loop, &control->accept);

	io_uring_prep_accept(sqe, control->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void
control_again(struct loop_timer *timer)
{
	control_accept(container_of(timer, struct control, again));
}

static void
control_accepted(struct loop_io *io, int result, uint32_t flags)
{
	struct control *control = container_of(io, struct control, accept);
	struct caller caller;

	(void)flags;
	if (control->stopping) {
		if (result >= 0)
			close(result);
		control_maybe_stopped(control);
		return;
	}
	if (result < 0) {
		/* out of descriptors, say: not again at once */
		log_warn("control: accept: %s", strerror(-result));
		loop_timer_arm(control->loop, &control->again, NSEC_PER_SEC);
		return;
	}
	peer_caller(result, control->house->config, &caller);
	if (control_adopt(control, result, &caller) < 0)
		log_warn("control: pid %d turned away: %u clients",
		    (int)caller.pid, control->count);
	control_accept(control);
}

/* ---- the socket ---- */

static int
address_make(const char *path, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	strcpy(sun->sun_path, path);
	return 0;
}

/* Does anyone listen at the socket file?  0, or -EADDRINUSE: someone does. */
static int
socket_is_stale(const struct sockaddr_un *sun)
{
	_cleanup_(closep) int fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	return connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0
		   ? -EADDRINUSE
		   : 0;
}

/* A socket file that nobody answers is left from one who was killed.  The
 * kernel takes a ring down some time after its process is gone, and until then
 * the accept that is in it answers. */
static int
stale_remove(const struct sockaddr_un *sun)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	struct stat st;
	int ret = -EADDRINUSE;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	for (int i = 0; i < STALE_PAUSES && ret == -EADDRINUSE; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		ret = socket_is_stale(sun);
	}
	if (ret < 0)
		return ret;
	return unlink(sun->sun_path) < 0 ? -errno : 0;
}

/* Who may do what is told by the peer's credentials, so that a refusal says
 * why; the file lets everyone knock. */
static int
socket_make(const char *path)
{
	struct sockaddr_un sun;
	int fd, ret = address_make(path, &sun);

	if (ret == 0)
		ret = stale_remove(&sun);
	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    chmod(path, 0666) < 0 || listen(fd, CONTROL_CLIENTS_MAX) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int
control_new(struct house *house, const char *path, struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));

	if (control == NULL)
		return -ENOMEM;
	control->house = house;
	control->loop = house->home;
	control->again.expire = control_again;
	list_init(&control->clients);
	loop_io_init(&control->accept, control_accepted);
	control->fd = -1;
	if (path != NULL) {
		control->fd = socket_make(path);
		if (control->fd < 0) {
			int error = control->fd;
			free(control);
			return error;
		}
		control->path = strdup(path);
		assert(control->path != NULL);
		control_accept(control);
	}
	*ret = control;
	return 0;
}

void
control_stop(struct control *control, void (*done)(void *arg), void *arg)
{
	struct client *client, *next;

	control->stopping = true;
	control->stopped = done;
	control->stopped_arg = arg;
	loop_timer_disarm(control->loop, &control->again);
	if (control->accept.in_flight)
		loop_cancel(control->loop, &control->accept);
	list_for_each_safe (client, next, &control->clients, link) {
		if (!client->running && !client->send.in_flight)
			client_end(client);
	}
	control_maybe_stopped(control);
}

void
control_free(struct control *control)
{
	assert(control->count == 0);
	if (control->fd >= 0)
		close(control->fd);
	if (control->path != NULL)
		unlink(control->path);
	free(control->path);
	free(control);
}
