/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events: the pages of varved's answer as one, and what comes later.
 */
#ifndef TOOLS_EVENTS_H
#define TOOLS_EVENTS_H

#include "tools/cli.h"

json_t *run_events(struct cli *cli, enum api_exit *ret_exit);

#endif
