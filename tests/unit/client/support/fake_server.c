/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/client/support/fake_server.h"
#include "base/assert.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct door {
	struct sockaddr_un address;
	int fd;
	pthread_t thread;
	bool open;
};

static struct {
	char directory[32];
	struct door door, forwarder;
	const struct turn *turn;
	unsigned delay_ms;
	unsigned piece_bytes, forward_ms, cuts, cut_bytes;
} fake;

char fake_url[160];
char fake_requests[REQUESTS_MAX][512];
unsigned fake_request_count;

static void
pause_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* ---- listening ---- */

static void
door_name(struct door *door, const char *name)
{
	door->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(door->address.sun_path, sizeof(door->address.sun_path),
	    "%s/%s", fake.directory, name);
	snprintf(
	    fake_url, sizeof(fake_url), "unix://%s", door->address.sun_path);
	door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(door->fd >= 0);
}

static void
door_listen(struct door *door)
{
	assert(bind(door->fd, (struct sockaddr *)&door->address,
		   sizeof(door->address)) == 0);
	assert(listen(door->fd, 8) == 0);
}

static void
door_open(struct door *door, void *(*run)(void *))
{
	assert(pthread_create(&door->thread, NULL, run, NULL) == 0);
	door->open = true;
}

static void
door_close(struct door *door)
{
	if (!door->open)
		return;
	shutdown(door->fd, SHUT_RDWR); /* wakes accept() */
	pthread_join(door->thread, NULL);
	close(door->fd);
	unlink(door->address.sun_path);
	door->open = false;
}

/* ---- the server ---- */

/* A request is one line. */
static bool
read_request(int fd)
{
	char *line = fake_requests[fake_request_count];
	size_t used = 0;

	assert(fake_request_count < REQUESTS_MAX);
	do {
		ssize_t got =
		    read(fd, line + used, sizeof(fake_requests[0]) - 1 - used);
		if (got <= 0)
			return false;
		used += (size_t)got;
	} while (memchr(line, '\n', used) == NULL);
	line[used] = '\0';
	fake_request_count++;
	return true;
}

static void
flood(int fd)
{
	static char noise[1 << 16];

	memset(noise, ' ', sizeof(noise));
	while (send(fd, noise, sizeof(noise), MSG_NOSIGNAL) > 0)
		;
}

static void
serve(int fd)
{
	const struct turn *turn;

	do {
		if (!read_request(fd))
			return;
		turn = fake.turn;
		for (unsigned i = 0; turn->pieces[i] != NULL; i++) {
			const char *piece = turn->pieces[i];
			send(fd, piece, strlen(piece), MSG_NOSIGNAL);
			if (turn->pieces[i + 1] != NULL)
				pause_ms(2);
		}
		if (turn->flood)
			flood(fd);
		if (turn->pieces[0] != NULL || turn->hang_up)
			fake.turn++;
	} while (!turn->hang_up);
}

static void *
server_main(void *arg)
{
	int fd;

	(void)arg;
	if (fake.delay_ms > 0) {
		pause_ms(fake.delay_ms);
		door_listen(&fake.door);
	}
	while ((fd = accept(fake.door.fd, NULL, NULL)) >= 0) {
		serve(fd);
		close(fd);
	}
	return NULL;
}

void
fake_start(const struct turn *turns, unsigned delay_ms)
{
	memset(&fake, 0, sizeof(fake));
	fake_request_count = 0;
	fake.turn = turns;
	fake.delay_ms = delay_ms;
	strcpy(fake.directory, "/tmp/varve-client-XXXXXX");
	assert(mkdtemp(fake.directory) != NULL);
	door_name(&fake.door, "varve.sock");
	if (delay_ms == 0)
		door_listen(&fake.door);
	door_open(&fake.door, server_main);
}

void
fake_leave(void)
{
	door_close(&fake.door);
}

void
fake_stop(void)
{
	door_close(&fake.forwarder);
	door_close(&fake.door);
	rmdir(fake.directory);
}

/* ---- the forwarder ---- */

/* Some of what there is; false: the connection ends. */
static bool
hand_on(int from, int to, unsigned *left)
{
	char piece[256];
	size_t most = fake.piece_bytes < *left ? fake.piece_bytes : *left;
	ssize_t got;

	assert(fake.piece_bytes <= sizeof(piece));
	got = read(from, piece, most);
	if (got <= 0)
		return false;
	pause_ms(fake.forward_ms);
	*left -= (unsigned)got;
	return send(to, piece, (size_t)got, MSG_NOSIGNAL) == got && *left > 0;
}

static void
forward(int client, int server)
{
	unsigned asked = ~0u, answered = ~0u;
	struct pollfd ends[2] = {
	    {.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	bool whole = true;

	if (fake.cuts > 0) {
		fake.cuts--;
		answered = fake.cut_bytes;
	}
	while (whole && poll(ends, 2, -1) > 0) {
		if (ends[0].revents != 0)
			whole = hand_on(client, server, &asked);
		if (whole && ends[1].revents != 0)
			whole = hand_on(server, client, &answered);
	}
}

static void *
forwarder_main(void *arg)
{
	int client;

	(void)arg;
	while ((client = accept(fake.forwarder.fd, NULL, NULL)) >= 0) {
		int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(server, (struct sockaddr *)&fake.door.address,
			sizeof(fake.door.address)) == 0)
			forward(client, server);
		close(server);
		close(client);
	}
	return NULL;
}

void
fake_forward(
    unsigned piece_bytes, unsigned delay_ms, unsigned cuts, unsigned cut_bytes)
{
	fake.piece_bytes = piece_bytes;
	fake.forward_ms = delay_ms;
	fake.cuts = cuts;
	fake.cut_bytes = cut_bytes;
	door_name(&fake.forwarder, "forwarded.sock");
	door_listen(&fake.forwarder);
	door_open(&fake.forwarder, forwarder_main);
}
