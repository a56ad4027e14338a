/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far something is, on one line.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

/* "vms/web01  42%  3.1 GiB/7.4 GiB  512 MiB/s  eta 0:08"; bytes_per_second 0:
 * not known yet. */
#define PROGRESS_LINE_MAX 256
void progress_line(const char *name, double done, double total,
    double bytes_per_second, char line[PROGRESS_LINE_MAX]);

/* Seconds of a clock that only goes forward. */
double progress_now(void);

/* Replaces what stands on the last line of standard error, a terminal; "":
 * leaves it empty. */
void progress_show(const char *line);

#endif
