/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/connect.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* RFC 3986 3.2: what follows "//" is an authority up to the next '/', and a
 * local socket has none. */
bool
url_parse(const char *url, struct sockaddr_un *ret, const char **ret_why)
{
	const char *path = url + 5;

	if (strncmp(url, "https:", 6) == 0)
		*ret_why = "this libvarve speaks no HTTPS; forward the control "
			   "socket: ssh -L PATH:" VARVE_PATH_DEFAULT " HOST";
	else if (strncmp(url, "unix:", 5) != 0)
		*ret_why = "an address is unix:///PATH, as " VARVE_URL_DEFAULT;
	else if (strncmp(path, "//", 2) == 0 && path[2] != '/')
		*ret_why = "a Unix socket is on no other host: "
			   "unix:///PATH has three slashes";
	else
		*ret_why = NULL;
	if (*ret_why != NULL)
		return false;
	if (strncmp(path, "//", 2) == 0)
		path += 2;
	if (path[0] == '\0' || strlen(path) > PATH_MAX_BYTES) {
		*ret_why = "the path of a Unix socket has 1 to 107 bytes";
		return false;
	}
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(ret->sun_path, path);
	return true;
}

/* unix(7): connect() waits for room in the backlog, for as long as SO_SNDTIMEO
 * says, and fails with EAGAIN then. */
static int
limit_connect(int fd, uint64_t deadline_ms)
{
	uint64_t now = now_ms();
	struct timeval limit;

	if (now >= deadline_ms)
		return -ETIMEDOUT;
	limit.tv_sec = (time_t)((deadline_ms - now) / 1000);
	limit.tv_usec = (suseconds_t)((deadline_ms - now) % 1000 * 1000);
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
		       0
		   ? -errno
		   : 0;
}

int
socket_connect(const struct sockaddr_un *address, uint64_t deadline_ms)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	do {
		ret = limit_connect(fd, deadline_ms);
		if (ret == 0 && connect(fd, (const struct sockaddr *)address,
				    sizeof(*address)) < 0)
			ret = -errno;
	} while (ret == -EINTR);
	if (ret == 0)
		return fd;
	close(fd);
	return ret == -EAGAIN ? -ETIMEDOUT : ret;
}
