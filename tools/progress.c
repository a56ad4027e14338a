/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/progress.h"
#include "base/size.h"
#include "tools/problem.h"
#include <stdio.h>
#include <time.h>

void
progress_line(const char *name, double done, double total,
    double bytes_per_second, char line[PROGRESS_LINE_MAX])
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX];
	char rate[SIZE_TEXT_MAX + 48] = "";
	long left;

	if (bytes_per_second > 0) {
		left = (long)((total - done) / bytes_per_second);
		snprintf(rate, sizeof(rate), "  %s/s  eta %ld:%02ld",
		    size_format((uint64_t)bytes_per_second, c), left / 60,
		    left % 60);
	}
	snprintf(line, PROGRESS_LINE_MAX, "%.120s  %.0f%%  %s/%s%s", name,
	    total > 0 ? 100 * done / total : 0, size_format((uint64_t)done, a),
	    size_format((uint64_t)total, b), rate);
}

double
progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void
progress_show(const char *line)
{
	fputc('\r', stderr);
	print_safely(line, stderr);
	fputs("\033[K", stderr);
	fflush(stderr);
}
