/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long commands took: the histogram by itself, then what a unit and a nexus
 * put into theirs, by the simulator's clock.
 */
#include "target/scsi/latency.h"
#include "tests/unit/target/scsi/support/rig.h"
#include <stdio.h>

/* ---- the histogram ---- */

static void
a_bucket_ends_where_the_next_begins(void **unused)
{
	(void)unused;
	for (unsigned b = 0; b < LATENCY_BUCKETS - 1; b++) {
		uint64_t end = latency_bucket_end(b);
		assert_int_equal(latency_bucket(end - 1), b);
		assert_int_equal(latency_bucket(end), b + 1);
	}
	assert_int_equal(latency_bucket(0), 0);
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void
a_bucket_is_a_quarter_of_what_it_holds_at_most(void **unused)
{
	(void)unused;
	for (unsigned b = 4; b < LATENCY_BUCKETS; b++) {
		uint64_t begin = latency_bucket_end(b - 1);
		assert_true((latency_bucket_end(b) - begin) * 4 <= begin);
	}
}

static void
figures_of_nothing_are_zero(void **unused)
{
	static const struct latency none;
	struct latency_figures figures;

	(void)unused;
	latency_figures_get(&none, LATENCY_ALL, &figures);
	assert_int_equal(figures.count, 0);
	assert_int_equal(figures.p999_ns, 0);
	assert_int_equal(figures.max_ns, 0);
}

static void
quantiles_are_the_end_of_their_bucket_and_never_over_the_longest(void **unused)
{
	struct latency latency = {0};
	struct latency_figures figures;

	(void)unused;
	/* 989 of 10 us, 10 of 1 ms, 1 of 1 s */
	for (unsigned i = 0; i < 989; i++)
		latency_add(&latency, LATENCY_READ, 10 * NSEC_PER_USEC);
	for (unsigned i = 0; i < 10; i++)
		latency_add(&latency, LATENCY_WRITE, NSEC_PER_MSEC);
	latency_add(&latency, LATENCY_FLUSH, NSEC_PER_SEC);
	latency_figures_get(&latency, LATENCY_ALL, &figures);
	assert_int_equal(figures.count, 1000);
	assert_int_equal(figures.total_ns,
	    989 * 10 * NSEC_PER_USEC + 10 * NSEC_PER_MSEC + NSEC_PER_SEC);
	assert_int_equal(figures.p50_ns,
	    latency_bucket_end(latency_bucket(10 * NSEC_PER_USEC)));
	assert_int_equal(
	    figures.p99_ns, latency_bucket_end(latency_bucket(NSEC_PER_MSEC)));
	assert_int_equal(
	    figures.p999_ns, latency_bucket_end(latency_bucket(NSEC_PER_MSEC)));
	assert_int_equal(figures.max_ns, NSEC_PER_SEC);
	latency_figures_get(&latency, 1u << LATENCY_FLUSH, &figures);
	assert_int_equal(figures.count, 1);
	assert_int_equal(figures.p50_ns, NSEC_PER_SEC);
}

static void
what_unmaps_by_write_same_counts_as_unmap(void **unused)
{
	static const uint8_t unmap[] = {0x42, 0}, same[] = {0x93, 0x08},
			     zeros[] = {0x93, 0}, inquiry[] = {0x12, 0};

	(void)unused;
	assert_int_equal(latency_class_of(unmap), LATENCY_UNMAP);
	assert_int_equal(latency_class_of(same), LATENCY_UNMAP);
	assert_int_equal(latency_class_of(zeros), LATENCY_WRITE);
	assert_int_equal(latency_class_of(inquiry), LATENCY_OTHER);
}

/* ---- a unit's ---- */

static struct latency_figures
figures_of(const struct latency *latency, enum latency_class class)
{
	struct latency_figures figures;

	latency_figures_get(latency, 1u << class, &figures);
	return figures;
}

static void
time_runs_from_arrival_to_status(void **state)
{
	struct rig *rig = *state;
	static const uint8_t data[512];
	struct cmd cmd;
	uint64_t arrived = loop_now(rig->loop);

	rig->spy->hold = true;
	CMD(&cmd, rig, 0x2a, 0, BE32(1), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	assert_true(cmd_begin(&cmd));
	rig_pass(rig, NSEC_PER_MSEC); /* its data is on its way */
	cmd_execute(&cmd);
	rig_pass(rig, NSEC_PER_MSEC); /* it is at the store */
	assert_int_equal(
	    figures_of(lun_latency(rig->lun), LATENCY_WRITE).count, 0);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_good(&cmd);
	cmd_release(&cmd);

	struct latency_figures lun =
	    figures_of(lun_latency(rig->lun), LATENCY_WRITE);
	assert_int_equal(lun.count, 1);
	assert_true(lun.max_ns >= 2 * NSEC_PER_MSEC);
	assert_int_equal(lun.max_ns, loop_now(rig->loop) - arrived);
	assert_int_equal(lun.p50_ns, lun.max_ns);
	assert_int_equal(
	    figures_of(lun_latency(rig->lun), LATENCY_READ).count, 0);
}

static void
each_initiator_has_its_own(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < 3; i++) {
		CMD(&cmd, rig, 0x28, 0, BE32(1), 0, BE16(1), 0);
		cmd.task.nexus = rig->nexus[i % 2];
		run_good(&cmd);
	}
	CMD(&cmd, rig, 0x00, 0, 0, 0, 0, 0);
	run_good(&cmd);
	assert_int_equal(
	    figures_of(scsi_nexus_latency(rig->nexus[0]), LATENCY_READ).count,
	    2);
	assert_int_equal(
	    figures_of(scsi_nexus_latency(rig->nexus[1]), LATENCY_READ).count,
	    1);
	assert_int_equal(
	    figures_of(scsi_nexus_latency(rig->nexus[0]), LATENCY_OTHER).count,
	    1);
	assert_int_equal(
	    figures_of(lun_latency(rig->lun), LATENCY_READ).count, 3);
	struct lun_stat stat;
	lun_stat_get(rig->lun, &stat);
	assert_int_equal(stat.latency.count, 4);
}

static void
what_has_no_status_is_not_counted(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->hold = true;
	CMD(&cmd, rig, 0x28, 0, BE32(1), 0, BE16(1), 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	abort_mapping(cmd.task.mapping, abort_ticket());
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(cmd.done && cmd.task.aborted);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x28, 0, BE32(UINT32_MAX), 0, BE16(1), 0);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	assert_int_equal(
	    figures_of(lun_latency(rig->lun), LATENCY_READ).count, 0);
}

static void
a_reset_does_not_clear_it(void **state)
{
	struct rig *rig = *state;
	uint8_t data[512];

	rig_read(rig, 0, data, 1);
	lun_reset(rig->lun);
	assert_int_equal(
	    figures_of(lun_latency(rig->lun), LATENCY_READ).count, 1);
}

/* ---- the table of counters ---- */

static void
a_metric_is_named_for_its_unit(void **unused)
{
	static const struct {
		const char *metric, *unit, *help;
	} rows[] = {
#define STAT(field, metric, unit, help) {metric, unit, help},
#include "target/scsi/stats.def"
#undef STAT
	};
	char end[64];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = (size_t)snprintf(
		    end, sizeof(end), "_%s_total", rows[i].unit);
		size_t length = strlen(rows[i].metric);
		assert_int_equal(strncmp(rows[i].metric, "varve_lun_", 10), 0);
		assert_true(length > n);
		assert_string_equal(rows[i].metric + length - n, end);
		assert_int_equal(rows[i].help[strlen(rows[i].help) - 1], '.');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bucket_ends_where_the_next_begins),
	    cmocka_unit_test(a_bucket_is_a_quarter_of_what_it_holds_at_most),
	    cmocka_unit_test(figures_of_nothing_are_zero),
	    cmocka_unit_test(
		quantiles_are_the_end_of_their_bucket_and_never_over_the_longest),
	    cmocka_unit_test(what_unmaps_by_write_same_counts_as_unmap),
	    rig_test(time_runs_from_arrival_to_status),
	    rig_test(each_initiator_has_its_own),
	    rig_test(what_has_no_status_is_not_counted),
	    rig_test(a_reset_does_not_clear_it),
	    cmocka_unit_test(a_metric_is_named_for_its_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
