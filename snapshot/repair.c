/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of a repair.  On an overlay: choose the superblock, make bitmap and
 * counters from the trees.  On another one above it: recovery, which can trust
 * the bitmap now.  While the log has records, nothing that is marked used is
 * freed, for they may speak of it; after it, what nothing uses is.
 */
#include "snapshot/repair.h"
#include "base/assert.h"
#include "snapshot/repair_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- how bad is it ---- */

/* What a repair makes anew. */
static const char *const mended[] = {"bitmap.free", "bitmap.leak",
    "bitmap.class", "bitmap.beyond", "region.counts", "super.counts",
    "version.counts", "label.copy", "super.copy"};

/* ... and a scan does. */
static const char *const mended_lost[] = {"lost.counts", "lost.record"};
static const char *const mended_marks[] = {
    "bookmark.epoch", "version.group", "bookmark.record"};

struct verdict {
	int result;
	bool scan;
	bool lost, marks; /* are among them */
	unsigned beyond;  /* findings that a repair does not mend */
	unsigned mend;    /* ... and that it does, but for notes */
	uint64_t log_records;
};

static bool
code_is_in(const char *code, const char *const *codes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

static void
judge(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct verdict *verdict = arg;

	(void)text;
	if (severity == CHECK_NOTE)
		return;
	bool lost = verdict->scan &&
		    code_is_in(code, mended_lost, ARRAY_SIZE(mended_lost));
	bool marks = verdict->scan &&
		     code_is_in(code, mended_marks, ARRAY_SIZE(mended_marks));
	verdict->lost |= lost;
	verdict->marks |= marks;
	if (lost || marks || code_is_in(code, mended, ARRAY_SIZE(mended))) {
		verdict->mend++;
		return;
	}
	/* of the bitmap itself: it is made anew as a whole */
	if (strncmp(code, "meta.", strlen("meta.")) != 0 ||
	    strncmp(text, "bitmap:", strlen("bitmap:")) != 0)
		verdict->beyond++;
	else
		verdict->mend++;
}

/* ---- one pass, for its own sake or for a rebuild ---- */

static struct check
check_of(struct repair *repair, struct check_report *report)
{
	return (struct check){.bs = repair->bs,
	    .bs_count = repair->count,
	    .step = repair->step,
	    .step_arg = repair->step_arg,
	    .report = report};
}

/* The checkpoint that the superblock up to gen_max names. */
static struct verdict
verdict_of(struct repair *repair, uint64_t gen_max, struct fmt_super *ret_super)
{
	struct verdict verdict = {.scan = repair->scan};
	struct check_report report = {.finding = judge, .arg = &verdict};
	struct check check = check_of(repair, &report);

	check.gen_max = gen_max;
	verdict.result = check_run_pass(&check);
	if (verdict.result == 0) {
		check_log(&check);
		check_leaks(&check);
	}
	verdict.log_records = report.log_records;
	*ret_super = check.super;
	check_done(&check);
	return verdict;
}

unsigned
repair_beyond(struct repair *repair)
{
	struct fmt_super super;
	struct verdict verdict = verdict_of(repair, 0, &super);

	return verdict.result < 0 ? 1 : verdict.beyond;
}

static int
rebuild(struct repair *repair, unsigned flags)
{
	struct verdict verdict = {.scan = repair->scan};
	struct check_report report = {.finding = judge, .arg = &verdict};
	struct check check = check_of(repair, &report);
	int r = check_open(&check);

	/* tables that cannot be read are nothing to build on */
	if (r == 0 && verdict.beyond > 0)
		r = -EBADMSG;
	if (r == 0)
		r = repair_rebuild(&check, flags);
	check_done(&check);
	return r;
}

/* ---- the superblock ---- */

int
repair_super_wipe(struct repair *repair, const struct fmt_super *super)
{
	struct check_report report = {.finding = NULL};
	struct check check = check_of(repair, &report);
	uint8_t *zeros = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	uint64_t offset =
	    fmt_super_offset(le64_get(&super->gen) % FMT_SUPER_SLOTS);
	int r = zeros == NULL ? -ENOMEM : 0;

	for (unsigned i = 0; i < repair->count && r == 0; i++) {
		memset(zeros, 0, FMT_BLOCK);
		if (repair->bs[i]->size > offset + FMT_BLOCK)
			r = check_write(
			    &check, repair->bs[i], offset, zeros, FMT_BLOCK);
	}
	free(zeros);
	return r;
}

static int
super_choose(struct repair *repair, struct verdict *ret_verdict)
{
	struct fmt_super newest, older;
	struct verdict other;

	*ret_verdict = verdict_of(repair, 0, &newest);
	if ((ret_verdict->result == 0 && ret_verdict->beyond == 0) ||
	    le64_get(&newest.gen) < 2)
		return ret_verdict->result;
	other = verdict_of(repair, le64_get(&newest.gen) - 1, &older);
	if (other.result < 0 || other.beyond > 0)
		return ret_verdict->result;
	repair->older = true;
	*ret_verdict = other;
	return repair_super_wipe(repair, &newest);
}

/* ---- labels ---- */

static int
labels_mend(struct repair *repair)
{
	struct check_report report = {.finding = NULL};
	struct check check = check_of(repair, &report);
	int r = check_open(&check);

	for (unsigned n = 0; n < repair->count && r == 0; n++) {
		const struct backstore *bs = repair->bs[n];
		if (!check.labelled[n])
			continue;
		for (unsigned i = 0; i < FMT_LABELS && r == 0; i++) {
			uint8_t *block = check.buffer[0];
			uint64_t at = fmt_label_offset(i, bs->size);
			r = check_read(
			    &check, repair->bs[n], at, block, FMT_BLOCK);
			if (r < 0 || memcmp(block, &check.label[n],
					 sizeof(check.label[n])) == 0)
				continue;
			memcpy(block, &check.label[n], sizeof(check.label[n]));
			r = check_write(
			    &check, repair->bs[n], at, block, FMT_BLOCK);
		}
	}
	check_done(&check);
	return r;
}

/* ---- the log ---- */

/* What recovery worked on is in the pool's order; as given again. */
static void
views_take(struct repair *repair, struct check_recovery *recovery)
{
	for (unsigned i = 0; i < recovery->count; i++)
		for (unsigned n = 0; n < repair->count; n++)
			if (repair->low[n] == recovery->base[i]) {
				repair->overlay[1][n] = recovery->overlay[i];
				repair->bs[n] = recovery->bs[i];
			}
	*recovery = (struct check_recovery){.count = 0};
}

/* 0: applied, 1: it cannot be. */
static int
log_apply(struct repair *repair)
{
	struct check_report report = {.finding = NULL};
	struct check check = check_of(repair, &report);
	struct check_recovery recovery = {.count = 0};
	int r = check_open(&check);

	if (r == 0) {
		r = !check_log(&check) || !check_recover(&check, &recovery);
		if (check.error < 0)
			r = check.error;
		if (r == 0)
			views_take(repair, &recovery);
		recovery_done(&check, &recovery);
	}
	check_done(&check);
	return r;
}

/* ---- all of it ---- */

static int
repair_init(struct repair *repair)
{
	for (unsigned i = 0; i < repair->count; i++) {
		repair->overlay[0][i] = overlay_new(repair->base[i]);
		if (repair->overlay[0][i] == NULL)
			return -ENOMEM;
		repair->low[i] = overlay_open(repair->overlay[0][i]);
		repair->bs[i] = repair->low[i];
	}
	return 0;
}

/* Nothing is freed while it is not known what there is. */
static unsigned
flags_of(
    const struct repair *repair, const struct verdict *verdict, unsigned flags)
{
	/* a log that cannot be applied keeps the pool closed: without a scan,
	 * something better may be found yet */
	if (verdict->beyond > 0)
		flags = REBUILD_KEEP | (repair->scan ? flags : 0);
	if (repair->keep)
		flags |= REBUILD_KEEP;
	if (verdict->lost)
		flags |= REBUILD_LOST;
	if (verdict->marks)
		flags |= REBUILD_MARKS;
	return flags;
}

static int
repair_log(struct repair *repair, const struct verdict *verdict)
{
	int r = rebuild(repair, flags_of(repair, verdict, REBUILD_KEEP));

	if (r == 0)
		r = log_apply(repair);
	if (r <= 0)
		return r;
	repair->log_dropped = true;
	return rebuild(repair, flags_of(repair, verdict, REBUILD_NO_LOG));
}

/* After the log, or without one. */
static int
repair_rest(struct repair *repair)
{
	struct fmt_super super;
	struct verdict verdict = verdict_of(repair, 0, &super);

	if (verdict.result < 0 || verdict.mend == 0)
		return verdict.result;
	return rebuild(repair, flags_of(repair, &verdict, 0));
}

/* What a scan cannot make whole is no reason to go back to what was before. */
static int
scan_first(struct repair *repair, struct check_report *report,
    struct scan **ret_scan, struct verdict *ret_verdict)
{
	struct fmt_super super;
	int r = repair_scan(repair, report, ret_scan);

	if (r < 0)
		return r;
	*ret_verdict = verdict_of(repair, 0, &super);
	return ret_verdict->result;
}

/* report: NULL, without a scan. */
static int
repair_run(struct repair *repair, struct check_report *report)
{
	struct verdict verdict;
	struct scan *scan = NULL;
	int r = repair_init(repair);

	if (r == 0)
		r = repair->scan ? scan_first(repair, report, &scan, &verdict)
				 : super_choose(repair, &verdict);
	if (r == 0)
		repair->log_records = verdict.log_records;
	if (r == 0 && verdict.log_records > 0)
		r = repair_log(repair, &verdict);
	if (r == 0)
		r = repair_rest(repair);
	if (r == 0)
		r = labels_mend(repair);
	if (r == 0 && scan != NULL)
		r = repair_scan_end(scan);
	repair_scan_free(scan);
	return r;
}

static struct repair
repair_of(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg)
{
	assert(count > 0);
	assert(count <= FMT_DEVICE_MAX);
	return (struct repair){
	    .count = count, .base = bs, .step = step, .step_arg = step_arg};
}

int
pool_repair(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct repair *ret_repair)
{
	*ret_repair = repair_of(bs, count, step, step_arg);
	return repair_run(ret_repair, NULL);
}

int
pool_repair_scan(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report, struct repair *ret_repair)
{
	*ret_repair = repair_of(bs, count, step, step_arg);
	ret_repair->scan = true;
	return repair_run(ret_repair, report);
}

/* ---- what is to be written ---- */

/* A block that both overlays have comes twice, and is the same both times. */
struct differing {
	struct repair *repair;
	unsigned n;
	struct check check; /* to read with */
	uint8_t *old, *new;
	int (*each)(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
	    const uint8_t *new);
	void *arg;
};

static int
block_differs(void *arg, uint64_t offset)
{
	struct differing *d = arg;
	struct repair *repair = d->repair;
	uint64_t left = repair->base[d->n]->size - offset;
	uint32_t length = left < FMT_BLOCK ? (uint32_t)left : FMT_BLOCK;
	bool unreadable;
	int r;

	memset(d->old, 0, FMT_BLOCK);
	memset(d->new, 0, FMT_BLOCK);
	/* what cannot be read is lost to the undo file, too */
	unreadable = check_read(&d->check, repair->base[d->n], offset, d->old,
			 length) < 0;
	if (unreadable)
		memset(d->old, 0, FMT_BLOCK);
	r = check_read(&d->check, repair->bs[d->n], offset, d->new, length);
	if (r < 0 || (!unreadable && memcmp(d->old, d->new, FMT_BLOCK) == 0))
		return r;
	return d->each(d->arg, d->n, offset, d->old, d->new);
}

int
repair_each(struct repair *repair,
    int (*each)(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
	const uint8_t *new),
    void *arg)
{
	struct check_report report = {.finding = NULL};
	struct differing d = {.repair = repair,
	    .check = check_of(repair, &report),
	    .old = aligned_alloc(FMT_BLOCK, FMT_BLOCK),
	    .new = aligned_alloc(FMT_BLOCK, FMT_BLOCK),
	    .each = each,
	    .arg = arg};
	int r = d.old == NULL || d.new == NULL ? -ENOMEM : 0;

	for (d.n = 0; d.n < repair->count && r == 0; d.n++)
		for (unsigned k = 0; k < 2 && r == 0; k++)
			if (repair->overlay[k][d.n] != NULL)
				r = overlay_each(
				    repair->overlay[k][d.n], block_differs, &d);
	free(d.old);
	free(d.new);
	return r;
}

static void
closed(void *arg)
{
	*(bool *)arg = true;
}

static void
view_close(struct repair *repair, struct backstore *bs)
{
	bool done = bs == NULL;

	if (!done)
		bs_close(bs, closed, &done);
	while (!done)
		repair->step(repair->step_arg);
}

void
repair_done(struct repair *repair)
{
	for (unsigned i = 0; i < repair->count; i++) {
		if (repair->bs[i] != repair->low[i])
			view_close(repair, repair->bs[i]);
		view_close(repair, repair->low[i]);
		overlay_free(repair->overlay[1][i]);
		overlay_free(repair->overlay[0][i]);
	}
}
