/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A portal: an address and port we listen on, in a target portal group.  Made
 * on the home loop, accepting on the door.
 */
#ifndef TARGET_ISCSI_PORTAL_H
#define TARGET_ISCSI_PORTAL_H

#include "target/iscsi/reactor.h"
#include <sys/socket.h>

struct iscsi_portal {
	struct iscsi_server *server;
	struct list home_link, door_link;
	struct sockaddr_storage address; /* bound */
	uint16_t tag;
	int fd;
	bool closing;
	/* the door's */
	char redirect[ISCSI_REDIRECT_MAX]; /* "": none */
	bool redirect_permanent;
	struct loop_io accept;
	struct loop_timer retry;
	struct loop_task open, close;
};

#endif
