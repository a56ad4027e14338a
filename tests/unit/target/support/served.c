/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/support/served.h"
#include "base/log.h"
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- steps that run on the home loop while the test waits ---- */

struct step {
	struct loop_task task;
	struct served *served;
	sem_t done;
	int fd;
	struct caller caller;
};

static void
step_run(struct served *served, void (*run)(struct loop_task *task), int fd,
    enum role role)
{
	struct step step = {.task = {.run = run}, .served = served, .fd = fd};

	step.caller = (struct caller){.role = role, .uid = 1000, .pid = 1};
	sem_init(&step.done, 0, 0);
	loop_post(served->home, &step.task);
	while (sem_wait(&step.done) < 0)
		assert(errno == EINTR);
	sem_destroy(&step.done);
}

static struct step *
step_of(struct loop_task *task)
{
	return container_of(task, struct step, task);
}

static void
step_done(void *arg)
{
	struct step *step = arg;

	sem_post(&step->done);
}

static void
start_run(struct loop_task *task)
{
	struct step *step = step_of(task);
	struct served *served = step->served;
	int ret = house_new(served->home, &served->reactor, 1, &served->config,
	    served->state, &served->house);

	assert(ret == 0);
	ret = control_new(served->house, NULL, &served->control);
	assert(ret == 0);
	house_start(served->house, step_done, step);
}

static void
house_stopped(void *arg)
{
	struct step *step = arg;

	control_stop(step->served->control, step_done, step);
}

static void
stop_run(struct loop_task *task)
{
	struct step *step = step_of(task);

	house_stop(step->served->house, NULL, house_stopped, step);
}

static void
adopt_run(struct loop_task *task)
{
	struct step *step = step_of(task);

	/* one that is turned away sees its end closed */
	control_adopt(step->served->control, step->fd, &step->caller);
	sem_post(&step->done);
}

/* ---- start and stop ---- */

static void
loops_make(struct served *served)
{
	const struct loop_params home = {
	    .name = "home", .buffer_bytes = 1 << 20, .cpu = -1};
	const struct loop_params reactor = {
	    .index = 1, .name = "reactor", .buffer_bytes = 8 << 20, .cpu = -1};
	int ret = loop_new(&home, &served->home);

	assert(ret == 0);
	ret = loop_new(&reactor, &served->reactor);
	assert(ret == 0);
	ret = loop_start(served->reactor);
	assert(ret == 0);
	ret = loop_start(served->home);
	assert(ret == 0);
}

static void
open_all(struct served *served)
{
	char path[128], problem[STATE_PROBLEM_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/varve.db", served->directory);
	ret = state_open(path, &served->state, problem);
	assert(ret == 0);
	loops_make(served);
	step_run(served, start_run, -1, ROLE_NONE);
}

static void
close_all(struct served *served)
{
	step_run(served, stop_run, -1, ROLE_NONE);
	loop_stop(served->home);
	loop_join(served->home);
	loop_stop(served->reactor);
	loop_join(served->reactor);
	control_free(served->control);
	house_free(served->house);
	loop_free(served->reactor);
	loop_free(served->home);
	state_close(served->state);
}

bool
served_start(struct served *served)
{
	log_set_level(LOG_ERR);
	*served = (struct served){.directory = "/tmp/varve-served-XXXXXX"};
	if (mkdtemp(served->directory) == NULL)
		return false;
	config_defaults(&served->config);
	config_private(&served->config, served->directory);
	served->config.stop_seconds = 1;
	open_all(served);
	return true;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void
served_stop(struct served *served)
{
	close_all(served);
	nftw(served->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void
served_restart(struct served *served, void (*change)(struct config *config))
{
	close_all(served);
	if (change != NULL)
		change(&served->config);
	open_all(served);
}

/* ---- clients ---- */

int
served_client(struct served *served, enum role role)
{
	int fds[2];
	int ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);

	assert(ret == 0);
	step_run(served, adopt_run, fds[1], role);
	return fds[0];
}

void
client_write(int fd, const char *text)
{
	size_t length = strlen(text), done = 0;

	while (done < length) {
		ssize_t ret =
		    send(fd, text + done, length - done, MSG_NOSIGNAL);
		if (ret < 0)
			return;
		done += (size_t)ret;
	}
	send(fd, "\n", 1, MSG_NOSIGNAL);
}

json_t *
client_read(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	char *line = NULL;
	size_t length = 0;
	json_t *answer;

	for (;;) {
		line = realloc(line, length + 1);
		assert(line != NULL);
		/* a hang is a failed test, not a hung one */
		int ready = poll(&pollfd, 1, 60000);
		assert(ready == 1);
		if (read(fd, line + length, 1) != 1) {
			free(line);
			return NULL;
		}
		if (line[length] == '\n')
			break;
		length++;
	}
	answer = json_loadb(line, length, 0, NULL);
	free(line);
	assert(answer != NULL);
	return answer;
}

json_t *
client_call(int fd, const char *method, const char *params)
{
	char *line;
	int length = asprintf(&line,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
	    method, params);

	assert(length > 0);
	client_write(fd, line);
	free(line);
	return client_read(fd);
}

json_t *
client_result(int fd, const char *method, const char *params, char ret_code[64])
{
	json_t *answer = client_call(fd, method, params), *found = NULL;
	const json_t *result = json_object_get(answer, "result");
	const json_t *data =
	    json_object_get(json_object_get(answer, "error"), "data");
	const char *code = json_string_value(json_object_get(data, "code"));

	snprintf(ret_code, 64, "%s", code != NULL ? code : "");
	if (result != NULL) {
		found = json_object_get(result, "item");
		if (found == NULL)
			found = json_object_get(result, "items");
		json_incref(found);
	}
	json_decref(answer);
	return found;
}
