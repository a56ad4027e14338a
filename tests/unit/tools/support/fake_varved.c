/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/tools/support/fake_varved.h"
#include "base/assert.h"
#include "tools/cli.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	const struct fake_answer *answers;
	char directory[32];
	struct sockaddr_un address;
	int listener;
	pthread_mutex_t lock; /* of requests */
	json_t *requests;
	pthread_t thread;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

char cli_out[65536], cli_err[65536];

static const char *
fake_find(const json_t *request)
{
	const char *method =
	    json_string_value(json_object_get(request, "method"));
	const json_t *params = json_object_get(request, "params");
	const char *job = json_string_value(json_object_get(params, "job"));
	char key[128];

	snprintf(key, sizeof(key), "%s%s%s%s", method,
	    json_is_true(json_object_get(params, "dry_run")) ? " dry_run" : "",
	    job != NULL ? " " : "", job != NULL ? job : "");
	for (const struct fake_answer *a = fake.answers; a->method; a++) {
		if (strcmp(a->method, key) == 0)
			return a->answer;
	}
	return NULL;
}

/* False: hang up. */
static int
fake_answer(int fd, const json_t *request)
{
	const char *answer = fake_find(request);

	if (answer == NULL)
		return 0;
	dprintf(fd, "{\"jsonrpc\":\"2.0\",\"id\":%lld,%s}\n",
	    (long long)json_integer_value(json_object_get(request, "id")),
	    answer);
	return 1;
}

static void
fake_serve(int fd)
{
	FILE *in = fdopen(dup(fd), "r");
	char line[8192];
	int go_on = 1;

	while (go_on && fgets(line, sizeof(line), in) != NULL) {
		json_t *request = json_loads(line, 0, NULL);
		assert(request != NULL);
		pthread_mutex_lock(&fake.lock);
		json_array_append_new(fake.requests, json_deep_copy(request));
		pthread_mutex_unlock(&fake.lock);
		go_on = fake_answer(fd, request);
		json_decref(request);
	}
	fclose(in);
	close(fd);
}

static void *
fake_main(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(fake.listener, NULL, NULL)) >= 0)
		fake_serve(fd);
	return NULL;
}

void
fake_varved_start(const struct fake_answer *answers)
{
	char connect[160];

	fake.answers = answers;
	fake.requests = json_array();
	strcpy(fake.directory, "/tmp/varve-fake-XXXXXX");
	assert(mkdtemp(fake.directory) != NULL);
	fake.address.sun_family = AF_UNIX;
	snprintf(fake.address.sun_path, sizeof(fake.address.sun_path),
	    "%s/varve.sock", fake.directory);
	snprintf(connect, sizeof(connect), "unix:%s", fake.address.sun_path);
	setenv("VARVE_CONNECT", connect, 1);
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(bind(fake.listener, (struct sockaddr *)&fake.address,
		   sizeof(fake.address)) == 0);
	assert(listen(fake.listener, 8) == 0);
	assert(pthread_create(&fake.thread, NULL, fake_main, NULL) == 0);
}

void
fake_varved_stop(void)
{
	/* wakes accept() */
	shutdown(fake.listener, SHUT_RDWR);
	pthread_join(fake.thread, NULL);
	close(fake.listener);
	unlink(fake.address.sun_path);
	rmdir(fake.directory);
	json_decref(fake.requests);
}

json_t *
fake_varved_requests(void)
{
	/* what the thread did is seen from here on */
	pthread_mutex_lock(&fake.lock);
	pthread_mutex_unlock(&fake.lock);
	return fake.requests;
}

/* ---- the command line, caught ---- */

static int catch (int fd, FILE *into)
{
	int saved = dup(fd);

	assert(saved >= 0);
	assert(dup2(fileno(into), fd) == fd);
	return saved;
}

static void
release(int fd, int saved, FILE *from, char *buf, size_t size)
{
	size_t length;

	assert(dup2(saved, fd) == fd);
	close(saved);
	rewind(from);
	length = fread(buf, 1, size - 1, from);
	buf[length] = '\0';
	fclose(from);
}

int
cli(const char *argument, ...)
{
	const char *words[32] = {"varve", argument};
	FILE *out = tmpfile(), *err = tmpfile();
	int argc = argument != NULL ? 2 : 1;
	int saved_out, saved_err, status;
	va_list args;

	va_start(args, argument);
	while (argument != NULL && (words[argc] = va_arg(args, char *)))
		assert(++argc < 31);
	va_end(args);
	fflush(stdout);
	saved_out = catch (STDOUT_FILENO, out);
	saved_err = catch (STDERR_FILENO, err);
	status = cli_main(argc, (char **)(void *)words);
	fflush(stdout);
	fflush(stderr);
	release(STDOUT_FILENO, saved_out, out, cli_out, sizeof(cli_out));
	release(STDERR_FILENO, saved_err, err, cli_err, sizeof(cli_err));
	return status;
}
