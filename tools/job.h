/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Following a job: how far it is on standard error, until it ends.
 */
#ifndef TOOLS_JOB_H
#define TOOLS_JOB_H

#include "tools/cli.h"

/* Shows the job as it ended, or what it found.  *ret_exit: API_INTERRUPTED when
 * the person stopped watching, API_FINDINGS when it found more than notes; a
 * problem when it failed, or time is over. */
json_t *job_follow(struct cli *cli, const char *id, enum api_exit *ret_exit);

/* "vms/web01  42%  3.1 GiB/7.4 GiB  512 MiB/s  eta 0:08  job flatten-5f2a9c01";
 * bytes_per_second 0: not known yet. */
#define JOB_LINE_MAX 320
void job_line(
    const json_t *item, double bytes_per_second, char line[JOB_LINE_MAX]);

#endif
