/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap diff: the pages of varved's answer as one.
 */
#ifndef TOOLS_DIFF_H
#define TOOLS_DIFF_H

#include "tools/cli.h"

json_t *run_snap_diff(struct cli *cli, enum api_exit *ret_exit);

#endif
