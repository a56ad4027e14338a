/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: an input is what a client with write access sends, line
 * by line, to a house with a real pool and a LUN in a temporary file.
 *
 * Lines that would reach outside of the house (open files or devices that the
 * input names, listen on ports) are only tried as a dry run; everything else is
 * done for real, and the house goes on from input to input.
 */
#include "base/log.h"
#include "target/control.h"
#include "target/rpc.h"
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct config config;
	struct state *state;
	struct loop *home, *reactor;
	struct house *house;
	struct control *control;
	struct loop_task task;
	sem_t done;
	int fd;
	char directory[64];
} one;

static void
started(void *arg)
{
	(void)arg;
	sem_post(&one.done);
}

static void
start_run(struct loop_task *task)
{
	int ret = house_new(
	    one.home, &one.reactor, 1, &one.config, one.state, &one.house);

	(void)task;
	assert(ret == 0);
	ret = control_new(one.house, NULL, &one.control);
	assert(ret == 0);
	house_start(one.house, started, NULL);
}

static void
adopt_run(struct loop_task *task)
{
	const struct caller caller = {.role = ROLE_WRITE, .uid = 1000};
	int ret = control_adopt(one.control, one.fd, &caller);

	(void)task;
	assert(ret == 0);
	sem_post(&one.done);
}

static void
on_home(void (*run)(struct loop_task *task))
{
	one.task = (struct loop_task){.run = run};
	loop_post(one.home, &one.task);
	while (sem_wait(&one.done) < 0)
		assert(errno == EINTR);
}

static int
client_open(void)
{
	int fds[2];
	int ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);

	assert(ret == 0);
	one.fd = fds[1];
	on_home(adopt_run);
	return fds[0];
}

/* Everything is answered when the other side has closed. */
static void
client_finish(int fd)
{
	char sink[4096];

	shutdown(fd, SHUT_WR);
	while (read(fd, sink, sizeof(sink)) > 0)
		;
	close(fd);
}

/* Reads answers meanwhile: a client that does not is made to wait. */
static void
send_all(int fd, const char *text, size_t length)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN | POLLOUT};
	char sink[4096];

	while (length > 0 && poll(&pollfd, 1, -1) == 1) {
		if ((pollfd.revents & POLLIN) != 0 &&
		    read(fd, sink, sizeof(sink)) <= 0)
			return; /* a line that was too long ended it */
		if ((pollfd.revents & POLLOUT) == 0)
			continue;
		ssize_t ret =
		    send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (ret < 0 && errno != EAGAIN)
			return;
		text += ret > 0 ? ret : 0;
		length -= ret > 0 ? (size_t)ret : 0;
	}
}

static void
remove_directory(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/fuzz.pool", one.directory);
	unlink(path);
	rmdir(one.directory);
}

static void
seed_house(void)
{
	char line[1024];
	int fd = client_open();

	snprintf(line, sizeof(line),
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pool.create\","
	    "\"params\":{\"name\":\"vms\",\"devices\":[\"%s/fuzz.pool\"],"
	    "\"size\":134217728}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"lun.create\","
	    "\"params\":{\"name\":\"vms/web01\",\"size\":1048576}}\n",
	    one.directory);
	send_all(fd, line, strlen(line));
	client_finish(fd);
	assert(house_pool_find(one.house, "vms") != NULL);
}

static void
start(void)
{
	const struct loop_params params = {.buffer_bytes = 4 << 20, .cpu = -1};
	char problem[STATE_PROBLEM_MAX];
	int ret;

	log_set_level(LOG_CRIT);
	strcpy(one.directory, "/tmp/varve-fuzz-XXXXXX");
	if (mkdtemp(one.directory) == NULL)
		abort();
	atexit(remove_directory);
	config_defaults(&one.config);
	sem_init(&one.done, 0, 0);
	ret = state_open(":memory:", &one.state, problem);
	assert(ret == 0);
	ret = loop_new(&params, &one.home);
	assert(ret == 0);
	ret = loop_new(&params, &one.reactor);
	assert(ret == 0);
	ret = loop_start(one.reactor);
	assert(ret == 0);
	ret = loop_start(one.home);
	assert(ret == 0);
	on_home(start_run);
	seed_house();
}

static bool
reaches_outside(const char *method)
{
	static const char *const methods[] = {"pool.create", "pool.import",
	    "pool.grow", "pool.remove", "pool.open", "portal.add",
	    "portal.remove", "config.apply"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i], method) == 0)
			return true;
	}
	return false;
}

/* The same line with dry_run set, or NULL: it is harmless as it is. */
static char *
made_harmless(const char *line, size_t length)
{
	struct rpc_call call;
	json_t *fault = rpc_parse(line, length, &call);
	char *text = NULL;

	if (fault == NULL && reaches_outside(call.method)) {
		if (json_is_object(call.params))
			json_object_set_new(
			    call.params, "dry_run", json_true());
		text = json_dumps(call.object, JSON_COMPACT);
	}
	json_decref(fault);
	rpc_call_done(&call);
	return text;
}

static void
send_lines(int fd, const char *text, size_t size)
{
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t length = end != NULL ? (size_t)(end - text) : size;
		char *harmless = made_harmless(text, length);
		if (harmless != NULL)
			send_all(fd, harmless, strlen(harmless));
		else
			send_all(fd, text, length);
		free(harmless);
		if (end == NULL)
			return; /* a line that never ends */
		send_all(fd, "\n", 1);
		text += length + 1;
		size -= length + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (one.house == NULL)
		start();
	if (size > INPUT_MAX)
		return 0;
	fd = client_open();
	send_lines(fd, (const char *)data, size);
	client_finish(fd);
	return 0;
}
