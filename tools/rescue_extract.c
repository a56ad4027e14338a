/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume or snapshot into a file: sparse, with holes where nothing is mapped,
 * where there are zeros, and where damage keeps it from being read.
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "snapshot/extract.h"
#include "tools/problem.h"
#include "tools/rescue_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct extraction {
	struct rescue rescue; /* first */
	struct extract extract;
	const char *to;
	int fd;
	int error; /* of the file */
	/* damage that goes on where the last ended is one finding */
	uint64_t from, end;
	char what[64];
};

static struct extraction *
extraction_of(void *arg)
{
	return arg;
}

/* ---- the file ---- */

static int
file_failed(struct extraction *x)
{
	x->error = errno != 0 ? -errno : -EIO;
	return x->error;
}

static int
on_begin(void *arg, uint64_t size)
{
	struct extraction *x = extraction_of(arg);

	x->fd = open(x->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (x->fd < 0 || ftruncate(x->fd, (off_t)size) < 0)
		return file_failed(x);
	return 0;
}

static int
on_data(void *arg, uint64_t offset, const uint8_t *data, uint64_t length)
{
	struct extraction *x = extraction_of(arg);

	while (length > 0) {
		ssize_t done = pwrite(x->fd, data, length, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return file_failed(x);
		data += done;
		offset += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

static void
tell_damage(struct extraction *x)
{
	char text[128];

	if (x->end == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " bytes from %" PRIu64 ": %s",
	    x->end - x->from, x->from, x->what);
	rescue_finding(&x->rescue, CHECK_DAMAGE, "extract.unreadable", text);
	x->end = 0;
}

static void
on_damaged(void *arg, uint64_t offset, uint64_t length, const char *what)
{
	struct extraction *x = extraction_of(arg);

	if (x->end != offset || strcmp(x->what, what) != 0) {
		tell_damage(x);
		x->from = offset;
		snprintf(x->what, sizeof(x->what), "%s", what);
	}
	x->end = offset + length;
}

/* ---- the run ---- */

static json_t *
file_problem(const struct extraction *x)
{
	json_t *problem;

	if (x->error != -EEXIST)
		return problem_new(API_FAILED, "rescue.unwritable",
		    "cannot write %s: %s", x->to, strerror(-x->error));
	problem = problem_new(
	    API_CONFLICT, "rescue.file-exists", "%s is there already", x->to);
	return problem_why(problem, "what is there is never overwritten");
}

static json_t *
name_problem(const struct extraction *x)
{
	const struct extract *e = &x->extract;

	return problem_new(API_NOT_FOUND, "rescue.no-lun",
	    "there is no %s/%s%s%s in pool %s", e->pool, e->volume,
	    e->snapshot != NULL ? "@" : "",
	    e->snapshot != NULL ? e->snapshot : "", x->rescue.report.pool);
}

static int
work(struct rescue *rescue)
{
	struct extraction *x = container_of(rescue, struct extraction, rescue);
	int ret = pool_extract(rescue->stores, rescue->count, rescue_step,
	    rescue, &rescue->report, &x->extract);

	tell_damage(x);
	if (ret == 0 && fsync(x->fd) < 0)
		ret = file_failed(x);
	if (x->error < 0)
		rescue->problem = file_problem(x);
	else if (ret == -ESRCH)
		rescue->problem = name_problem(x);
	return ret;
}

static json_t *
answer(const struct extraction *x, const char *name)
{
	json_t *item = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "name", name,
	    "to", x->to, "size", (json_int_t)x->extract.size, "data_bytes",
	    (json_int_t)x->extract.data_bytes, "damaged_bytes",
	    (json_int_t)x->extract.damaged_bytes, "log_records",
	    (json_int_t)x->rescue.report.log_records);

	assert(item != NULL);
	return json_pack("{s:i, s:s, s:o, s:O}", "varve", 1, "kind",
	    "rescue.extract", "item", item, "items", x->rescue.findings);
}

/* POOL/LUN or POOL/LUN@SNAP, cut in place. */
static json_t *
name_cut(char *name, struct extract *extract)
{
	char *slash = strchr(name, '/'), *at = strchr(name, '@');

	if (slash == NULL || (at != NULL && at < slash))
		return problem_new(API_USAGE, "usage.argument",
		    "'%s' is not POOL/LUN or POOL/LUN@SNAP", name);
	*slash = '\0';
	if (at != NULL)
		*at = '\0';
	extract->pool = name;
	extract->volume = slash + 1;
	extract->snapshot = at != NULL ? at + 1 : NULL;
	return NULL;
}

json_t *
rescue_extract(const struct rescue_extract_params *params, json_t **ret_result)
{
	struct extraction x = {
	    .rescue = {.paths = params->paths,
		.work = work,
		.progress = params->progress},
	    .extract = {.no_log = params->no_log,
		.begin = on_begin,
		.data = on_data,
		.damaged = on_damaged,
		.arg = &x},
	    .to = params->to,
	    .fd = -1,
	};
	_cleanup_(freep) char *name = strdup(params->name);
	json_t *problem;

	assert(name != NULL);
	problem = name_cut(name, &x.extract);
	if (problem != NULL)
		return problem;
	problem = rescue_run(&x.rescue);
	if (problem == NULL)
		*ret_result = answer(&x, params->name);
	rescue_done(&x.rescue);
	if (x.fd >= 0)
		close(x.fd);
	return problem;
}
