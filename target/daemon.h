/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process: one varved per state directory, its loops, signals, and what
 * systemd is told.
 */
#ifndef TARGET_DAEMON_H
#define TARGET_DAEMON_H

#include "target/config.h"
#include "target/naming.h"

/* Until a signal ends it.  arguments: main's, for a varved that comes in our
 * place.  The exit status. */
int daemon_run(struct config *config, char **arguments);

#endif
