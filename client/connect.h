/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of varved, and connecting to them. */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include "client/varve.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

/* Is url one that the library can connect to?  What is not is why, a phrase. */
bool url_parse(const char *url, struct sockaddr_un *ret, const char **ret_why);

/* Until now_ms() is deadline_ms.  A descriptor; or -errno, -ETIMEDOUT when the
 * time is up. */
int socket_connect(const struct sockaddr_un *address, uint64_t deadline_ms);

/* Of a clock that only goes forward. */
uint64_t now_ms(void);

#endif
