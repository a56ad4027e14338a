/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What TCP costs on this machine where requests come one by one: 48 bytes
 * there, 48 + 4096 back, over the loopback.  The asking side polls, then
 * receives, as libiscsi does; the answering side
 *
 *	sleep	waits in the ring, as a loop that sleeps
 *	spin	looks out for the completion, as base/loop.c does
 *
 * No target can answer sooner than the disk and this together.
 *
 *	pingpong sleep|spin [SECONDS]	prints microseconds per round trip
 */
#include <arpa/inet.h>
#include <err.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 48
#define ANSWER  (48 + 4096)

static char request[REQUEST], answer[ANSWER];

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
look_out(struct io_uring *ring)
{
	while (io_uring_cq_ready(ring) == 0 &&
	       (IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN) == 0)
		sched_yield();
}

/* False: the other side has gone. */
static bool
serve_one(struct io_uring *ring, int fd, bool spin)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	io_uring_prep_recv(sqe, fd, request, sizeof(request), MSG_WAITALL);
	io_uring_submit(ring);
	if (spin)
		look_out(ring);
	if (io_uring_wait_cqe(ring, &cqe) < 0)
		return false;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result == REQUEST &&
	       send(fd, answer, sizeof(answer), MSG_NOSIGNAL) == ANSWER;
}

static int
serve(int listener, bool spin)
{
	struct io_uring ring;
	const unsigned flags = IORING_SETUP_DEFER_TASKRUN |
			       IORING_SETUP_SINGLE_ISSUER |
			       IORING_SETUP_TASKRUN_FLAG;
	int one = 1, fd = accept(listener, NULL, NULL);

	if (fd < 0 || io_uring_queue_init(8, &ring, flags) < 0)
		return 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (serve_one(&ring, fd, spin))
		;
	return 0;
}

static void
ask_one(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	size_t done = 0;

	if (send(fd, request, sizeof(request), MSG_NOSIGNAL) != REQUEST)
		err(1, "send");
	while (done < sizeof(answer)) {
		poll(&poll_fd, 1, -1);
		ssize_t n = recv(fd, answer + done, sizeof(answer) - done, 0);
		if (n <= 0)
			err(1, "recv");
		done += (size_t)n;
	}
}

static double
ask_for(int fd, double how_long)
{
	const double from = seconds();
	unsigned long count = 0;

	while (seconds() - from < how_long) {
		ask_one(fd);
		count++;
	}
	return (seconds() - from) / (double)count;
}

static int
listen_here(struct sockaddr_in *ret_address)
{
	socklen_t length = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*ret_address = (struct sockaddr_in){.sin_family = AF_INET};
	ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)ret_address, sizeof(*ret_address)) <
		0 ||
	    listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_address, &length) < 0)
		err(1, "listen");
	return fd;
}

int
main(int argc, char **argv)
{
	const double how_long = argc > 2 ? atof(argv[2]) : 2;
	struct sockaddr_in address;
	int listener, fd, one = 1;

	if (argc < 2)
		errx(2, "usage: pingpong sleep|spin [SECONDS]");
	listener = listen_here(&address);
	if (fork() == 0)
		_exit(serve(listener, strcmp(argv[1], "spin") == 0));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	printf("%.1f\n", ask_for(fd, how_long) * 1e6);
	close(fd);
	wait(NULL);
	return 0;
}
