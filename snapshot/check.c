/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check: the order of things, reading, and what all parts share.
 */
#include "snapshot/check.h"
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include "snapshot/pin.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 256

void
check_find(struct check *check, enum check_severity severity, const char *code,
    const char *format, ...)
{
	struct check_report *report = check->report;
	char text[TEXT_MAX];
	va_list args;

	if (check->error < 0 || (check->again && severity == CHECK_NOTE))
		return;
	report->findings[severity]++;
	if (report->finding == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report->finding(report->arg, severity, code, text);
}

/* ---- reading ---- */

struct check_io {
	struct bs_io io; /* first */
	bool done;
};

static void
check_io_complete(struct bs_io *io, int result)
{
	(void)result; /* io->result has it */
	container_of(io, struct check_io, io)->done = true;
}

static int
check_move(struct check *check, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *buf, uint32_t length)
{
	struct iovec iov = {buf, length};
	struct check_io one = {.done = false};

	if (bs == NULL || offset > bs->size || length > bs->size - offset)
		return -EIO;
	bs_io_init(&one.io);
	one.io.op = op;
	one.io.offset = offset;
	one.io.length = length;
	one.io.iov = &iov;
	one.io.iov_count = 1;
	one.io.complete = check_io_complete;
	bs_submit(bs, &one.io);
	while (!one.done)
		check->step(check->step_arg);
	return one.io.result;
}

int
check_read(struct check *check, struct backstore *bs, uint64_t offset,
    void *buf, uint32_t length)
{
	int r = check->error == -ECANCELED
		    ? -ECANCELED
		    : check_move(check, bs, BS_READ, offset, buf, length);

	if (r == -ECANCELED)
		check->error = r;
	return r;
}

int
check_write(struct check *check, struct backstore *bs, uint64_t offset,
    void *buf, uint32_t length)
{
	return check_move(check, bs, BS_WRITE, offset, buf, length);
}

/* ---- memory ---- */

void *
check_grow(struct check *check, void *array, uint32_t count, uint32_t *room,
    size_t element)
{
	void *grown;

	if (count < *room)
		return array;
	if (*room > UINT32_MAX / 2 - 64) {
		check->error = -ENOMEM;
		return NULL;
	}
	grown = realloc(array, (2 * (size_t)*room + 64) * element);
	if (grown == NULL) {
		check->error = -ENOMEM;
		return NULL;
	}
	*room = 2 * *room + 64;
	return grown;
}

int
bits_init(struct check_bits *bits, uint64_t blocks)
{
	bits->pages = (blocks + FMT_BITMAP_BLOCKS - 1) / FMT_BITMAP_BLOCKS;
	bits->page = calloc(bits->pages, sizeof(bits->page[0]));
	return bits->page == NULL ? -ENOMEM : 0;
}

void
bits_free(struct check_bits *bits)
{
	for (uint64_t i = 0; bits->page != NULL && i < bits->pages; i++)
		free(bits->page[i]);
	free(bits->page);
}

bool
bits_get(const struct check_bits *bits, uint64_t block)
{
	uint64_t index = block / FMT_BITMAP_BLOCKS;
	uint64_t bit = block % FMT_BITMAP_BLOCKS;

	assert(index < bits->pages);
	if (bits->page[index] == NULL)
		return false;
	return bits->page[index][bit / 8] >> bit % 8 & 1;
}

bool
bits_put(struct check_bits *bits, uint64_t block, bool value)
{
	uint64_t index = block / FMT_BITMAP_BLOCKS;
	uint64_t bit = block % FMT_BITMAP_BLOCKS;

	assert(index < bits->pages);
	if (bits->page[index] == NULL)
		bits->page[index] = calloc(1, FMT_BLOCK);
	if (bits->page[index] == NULL)
		return false;
	uint8_t *byte = &bits->page[index][bit / 8];
	*byte =
	    (uint8_t)((*byte & ~(1u << bit % 8)) | (unsigned)value << bit % 8);
	return true;
}

/* ---- a pass ---- */

static int
check_init(struct check *check)
{
	for (unsigned i = 0; i < ARRAY_SIZE(check->buffer); i++) {
		check->buffer[i] = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
		if (check->buffer[i] == NULL)
			return -ENOMEM;
	}
	return sums_init(&check->sums);
}

void
check_done(struct check *check)
{
	for (unsigned i = 0; i < ARRAY_SIZE(check->buffer); i++)
		free(check->buffer[i]);
	bits_free(&check->used);
	bits_free(&check->seen);
	sums_free(&check->sums);
	free(check->region);
	free(check->region_page);
	free(check->version);
	free(check->bookmark);
	free(check->group);
	free(check->row);
	free(check->counted);
	free(check->family);
}

static int
check_make_room(struct check *check)
{
	uint64_t regions = le64_get(&check->super.region_count);

	check->blocks = regions * le32_get(&check->super.region_blocks);
	check->region = calloc(regions, sizeof(check->region[0]));
	if (check->region == NULL)
		return -ENOMEM;
	if (bits_init(&check->used, check->blocks) < 0)
		return -ENOMEM;
	return bits_init(&check->seen, check->blocks);
}

/* Each part needs what those before it have found. */
static void (*const parts[])(struct check *check) = {
    check_groups,
    check_bookmarks,
    check_version_tree,
    check_lost_table,
    check_bitmap_read,
    check_counters,
    check_families,
    check_space,
};

static void
report_reset(struct check_report *report)
{
	report->volumes = report->snapshots = report->hidden = 0;
	report->pages = report->data_blocks = report->leaked_blocks = 0;
}

int
check_open(struct check *check)
{
	int r = check_init(check);

	if (r == 0)
		r = check_find_super(check);
	if (r == 0)
		r = check_make_room(check);
	if (r < 0)
		return r;
	snprintf(check->report->pool, sizeof(check->report->pool), "%s",
	    check->super.name);
	check_regions(check);
	if (check->error == 0)
		check_versions(check);
	return check->error;
}

int
check_run_pass(struct check *check)
{
	int r;

	report_reset(check->report);
	r = check_open(check);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		parts[i](check);
		if (check->error < 0)
			return check->error;
	}
	return 0;
}

/* ---- both passes ---- */

/* The last thing of the pass that counts. */
static void
check_end(struct check *check)
{
	const struct check_report *report = check->report;

	check_leaks(check);
	for (uint32_t i = 0; i < check->family_count; i++)
		if (report->family != NULL)
			report->family(report->arg, &check->family[i]);
}

/* What recovery made of the pool. */
static int
check_recovered(struct check *first, struct check_recovery *recovery)
{
	struct check check = check_of_recovered(first, recovery);
	int r = check_run_pass(&check);

	if (r == 0)
		check_end(&check);
	if (r == 0)
		r = check.error;
	check_done(&check);
	return r;
}

static int
check_all(struct check *check)
{
	struct check_recovery recovery = {.count = 0};
	int r = check_run_pass(check);
	bool sound, recovered = false;

	if (r < 0)
		return r;
	sound = check->report->findings[CHECK_DAMAGE] == 0;
	if (check->pinned == NULL && check_log(check))
		recovered = check_recover(check, &recovery);
	if (recovered && sound)
		r = check_recovered(check, &recovery);
	else if (check->error == 0)
		check_end(check);
	recovery_done(check, &recovery);
	return r < 0 ? r : check->error;
}

static int
check_whole(struct check *check)
{
	struct check_report *report = check->report;
	int r;

	assert(check->bs_count > 0);
	assert(check->step != NULL);
	*report = (struct check_report){.finding = report->finding,
	    .progress = report->progress,
	    .family = report->family,
	    .arg = report->arg};
	r = check_all(check);
	if (check->error < 0)
		r = check->error; /* whatever looked like another one by it */
	check_done(check);
	return r;
}

int
pool_check(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report)
{
	struct check check = {.bs = bs,
	    .bs_count = count,
	    .step = step,
	    .step_arg = step_arg,
	    .report = report};

	return check_whole(&check);
}

int
pool_check_pinned(const struct pool_pin *pin, struct backstore **bs,
    void (*step)(void *arg), void *step_arg, struct check_report *report)
{
	struct check check = {.bs = bs,
	    .bs_count = pin->count,
	    .step = step,
	    .step_arg = step_arg,
	    .report = report,
	    .pinned = &pin->super};

	return check_whole(&check);
}
