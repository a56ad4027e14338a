/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics of pools and LUNs.  Counters of a pool begin when it is opened, those
 * of a LUN when it is first served after that.
 */
#include "target/metrics.h"
#include <stddef.h>
#include <string.h>

/* ---- pools ---- */

/* clang-format off */
#define P(field, name, type, help) \
	FIGURE(survey_pool, field, "varve_pool_" name, type, help)
static const struct figure pool_figures[] = {
	P(stat.size,        "size_bytes",        METRIC_GAUGE, "Bytes of its devices that it uses."),
	P(stat.free,        "free_bytes",        METRIC_GAUGE, "Bytes that data can still take."),
	P(stat.allocated,   "allocated_bytes",   METRIC_GAUGE, "Bytes held by its LUNs and snapshots."),
	P(stat.promised,    "promised_bytes",    METRIC_GAUGE, "Sum of the sizes of its LUNs."),
	P(stat.metadata,    "metadata_bytes",    METRIC_GAUGE, "Bytes of maps, bitmaps, tables, log and labels."),
	P(stat.reserved,    "reserved_bytes",    METRIC_GAUGE, "Bytes kept so that a full pool goes on working."),
	P(stat.set_aside,   "set_aside_bytes",   METRIC_GAUGE, "Of what is free: for LUNs with a reservation."),
	P(totals.snap_held, "snap_held_bytes",   METRIC_GAUGE, "Bytes that would be free if all its snapshots went."),
	P(totals.trashed,   "trashed_bytes",     METRIC_GAUGE, "Bytes that would be free if its trash were emptied."),
	P(totals.luns,      "luns",              METRIC_GAUGE, "LUNs that it has."),
	P(totals.snaps,     "snapshots",         METRIC_GAUGE, "Snapshots that it has."),
	P(stat.level,       "level",             METRIC_GAUGE, "0 normal, 1 past warn-at, 2 past stop-at, 3 full."),
	P(stat.log_bytes,   "log_size_bytes",    METRIC_GAUGE, "The size of its log."),
	P(stat.log_used,    "log_used_bytes",    METRIC_GAUGE, "Bytes of its log in use."),
	P(stat.commits,     "log_commits_total", METRIC_COUNTER, "Writes of its log."),
	P(stat.checkpoints, "checkpoints_total", METRIC_COUNTER, "Checkpoints."),
	P(stat.flushes,     "device_flushes_total", METRIC_COUNTER, "Flushes of its devices."),
	P(stat.pages_cached,"map_pages_cached",  METRIC_GAUGE, "Map pages in memory."),
	P(stat.pages_dirty, "map_pages_dirty",   METRIC_GAUGE, "Map pages in memory that are not written yet."),
	P(stat.cache_hits,  "map_page_hits_total", METRIC_COUNTER, "Map pages that were found in memory."),
	P(stat.cache_misses,"map_page_misses_total", METRIC_COUNTER, "Map pages that had to be read."),
	P(stat.allocation_failures, "refused_allocations_total", METRIC_COUNTER, "Times that no space was left for a write."),
	P(stat.mirror_errors, "mirror_write_errors_total", METRIC_COUNTER, "Writes of metadata to one of two copies that failed."),
	P(stat.mirror_reads, "mirror_reads_total", METRIC_COUNTER, "Metadata that was bad in one copy and was read from the other."),
	P(stat.mends,       "mends_total",       METRIC_COUNTER, "Copies of metadata that were written anew."),
	P(stat.scrubs,      "scrubs_total",      METRIC_COUNTER, "Scrubs that have ended."),
	P(stat.scrub_bad,   "scrub_bad_blocks_total", METRIC_COUNTER, "Blocks that a scrub found bad in all their copies."),
};
#undef P
/* clang-format on */

static void
pool_each(struct exposition *e, const struct survey *survey,
    const struct figure *figure)
{
	exposition_family(e, &figure->metric);
	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		const struct label labels[] = {
		    {"pool", sp->name}, {NULL, NULL}};
		if (sp->open)
			exposition_count(e, labels, figure_get(figure, sp));
	}
}

/* Also of one that is not open. */
static void
online_write(struct exposition *e, const struct survey *survey)
{
	exposition_family(e, &(struct metric){"varve_pool_online", METRIC_GAUGE,
				 "1 if it is open and takes writes."});
	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		const struct label labels[] = {
		    {"pool", sp->name}, {NULL, NULL}};
		exposition_count(
		    e, labels, sp->open && sp->stat.state == POOL_ONLINE);
	}
}

/* ---- LUNs ---- */

/* clang-format off */
#define L(field, name, type, help) \
	FIGURE(survey_lun, field, "varve_lun_" name, type, help)
static const struct figure lun_figures[] = {
	L(volume.size,      "size_bytes",      METRIC_GAUGE, "What it promises."),
	L(volume.live,      "live_bytes",      METRIC_GAUGE, "Bytes that it maps."),
	L(volume.allocated, "allocated_bytes", METRIC_GAUGE, "Bytes of the pool held for it."),
	L(family.snap_held, "snap_held_bytes", METRIC_GAUGE, "Bytes that would be free if its snapshots went."),
	L(family.snapshots, "snapshots",       METRIC_GAUGE, "Its snapshots."),
	L(volume.quota,     "quota_bytes",     METRIC_GAUGE, "What it may hold with its snapshots; 0: as much as there is."),
};
/* Those that are served. */
static const struct figure served_figures[] = {
	L(lun.tasks,        "commands_running", METRIC_GAUGE, "Commands that run."),
#define STAT(field, metric, unit, help) \
	FIGURE(survey_lun, lun.field, metric, METRIC_COUNTER, help),
#include "target/scsi/stats.def"
#undef STAT
};
#undef L
/* clang-format on */

typedef void lun_write(struct exposition *e, const struct label *labels,
    const struct survey_lun *sl, const void *arg);

static void
lun_each(struct exposition *e, const struct survey *survey, lun_write *write,
    const void *arg)
{
	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		for (unsigned l = 0; l < sp->lun_count; l++) {
			const struct survey_lun *sl = &sp->luns[l];
			const struct label labels[] = {{"pool", sp->name},
			    {"lun", sl->volume.name}, {NULL, NULL}};
			write(e, labels, sl, arg);
		}
	}
}

static void
figure_write(struct exposition *e, const struct label *labels,
    const struct survey_lun *sl, const void *arg)
{
	exposition_count(e, labels, figure_get(arg, sl));
}

static void
served_write(struct exposition *e, const struct label *labels,
    const struct survey_lun *sl, const void *arg)
{
	if (sl->served)
		figure_write(e, labels, sl, arg);
}

static void
figures_write(struct exposition *e, const struct survey *survey,
    const struct figure *figures, size_t count, lun_write *write)
{
	for (size_t i = 0; i < count; i++) {
		exposition_family(e, &figures[i].metric);
		lun_each(e, survey, write, &figures[i]);
	}
}

/* ---- how long commands took ---- */

/* Ends of buckets of struct latency, as powers of two of nanoseconds: from
 * 65 us to 17 s.  A LUN has up to 16 lines for each kind of command; all 104
 * buckets would be too many for a Prometheus. */
static const unsigned bucket_powers[] = {
    16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 28, 30, 32, 34};

struct operation {
	const struct label *labels;
	const struct latency *latency;
	enum latency_class class;
};

static uint64_t
count_until(const struct operation *operation, uint64_t end_ns)
{
	uint64_t count = 0;

	for (unsigned b = 0;
	     b < LATENCY_BUCKETS && latency_bucket_end(b) <= end_ns; b++)
		count += operation->latency->of[operation->class].buckets[b];
	return count;
}

static void
operation_write(struct exposition *e, const struct operation *operation)
{
	struct label labels[5] = {operation->labels[0], operation->labels[1],
	    {"operation", latency_class_names[operation->class]}};
	uint64_t count = count_until(operation, UINT64_MAX);
	char end[32];

	/* it has never been asked for: no lines */
	if (count == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(bucket_powers); i++) {
		uint64_t ns = UINT64_C(1) << bucket_powers[i];
		snprintf(end, sizeof(end), "%.12g", (double)ns / 1e9);
		labels[3] = (struct label){"le", end};
		exposition_number(
		    e, "_bucket", labels, (double)count_until(operation, ns));
	}
	labels[3] = (struct label){"le", "+Inf"};
	exposition_number(e, "_bucket", labels, (double)count);
	labels[3] = (struct label){NULL, NULL};
	exposition_number(e, "_sum", labels,
	    (double)operation->latency->of[operation->class].total_ns / 1e9);
	exposition_number(e, "_count", labels, (double)count);
}

static void
latency_write(struct exposition *e, const struct label *labels,
    const struct survey_lun *sl, const void *arg)
{
	struct operation operation = {labels, sl->latency, LATENCY_OTHER};

	(void)arg;
	for (unsigned c = 0; c < LATENCY_CLASSES && sl->latency != NULL; c++) {
		operation.class = (enum latency_class)c;
		operation_write(e, &operation);
	}
}

/* ---- all of them ---- */

void
metrics_pools(struct exposition *e, const struct survey *survey)
{
	online_write(e, survey);
	for (size_t i = 0; i < ARRAY_SIZE(pool_figures); i++)
		pool_each(e, survey, &pool_figures[i]);
	figures_write(
	    e, survey, lun_figures, ARRAY_SIZE(lun_figures), figure_write);
	figures_write(e, survey, served_figures, ARRAY_SIZE(served_figures),
	    served_write);
	exposition_family(e,
	    &(struct metric){"varve_lun_command_duration_seconds",
		METRIC_HISTOGRAM,
		"How long commands took, from their arrival to their status."});
	lun_each(e, survey, latency_write, NULL);
}
