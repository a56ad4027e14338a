/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is at the other end of a Unix socket, and what that lets him do.
 */
#ifndef TARGET_PEER_H
#define TARGET_PEER_H

#include "target/request.h"

/* root and our own user write; the group of the configuration for writing, and
 * the one for reading, as they are set.  An error is ROLE_NONE. */
void peer_caller(
    int fd, const struct config *config, struct caller *ret_caller);

#endif
