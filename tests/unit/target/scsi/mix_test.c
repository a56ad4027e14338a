/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever comes together, nothing gets stuck: commands of all attributes to
 * two units, some of which have to be alone, and copies within and between the
 * units; under limits and without, with buffers for pieces and without, some
 * aborted, before stores that answer when they are told to; all in an order of
 * the seed.  Not here: what they do, nor who goes first.
 */
#include "base/simloop.h"
#include "target/scsi/copy.h"
#include "tests/unit/target/scsi/support/copy_list.h"

#define SEEDS    200
#define COMMANDS 64u
#define UNITS    2u

struct mix {
	uint64_t random;
	struct pair *pair;
	struct cmd cmds[COMMANDS];
	struct tmf {
		struct scsi_tmf_request request;
		bool done;
	} tmfs[COMMANDS];
	unsigned count, tmf_count;
	void *hoard[2 * COMMANDS];
	unsigned hoarded;
};

static uint64_t
below(struct mix *mix, uint64_t limit)
{
	return sim_below(&mix->random, limit);
}

static struct lun *
unit(const struct mix *mix, unsigned which)
{
	return which == 0 ? mix->pair->rig.lun : mix->pair->lun;
}

static struct spy *
store(const struct mix *mix, unsigned which)
{
	return which == 0 ? mix->pair->rig.spy : mix->pair->spy;
}

/* ---- commands ---- */

static const uint8_t zeros[8 * 512];

static void
read_one(struct mix *mix, struct cmd *cmd)
{
	uint8_t lba = (uint8_t)below(mix, 16);

	CMD(cmd, &mix->pair->rig, 0x28, 0, 0, 0, 0, lba, 0, BE16(1), 0);
}

static void
write_one(struct mix *mix, struct cmd *cmd)
{
	uint8_t lba = (uint8_t)below(mix, 16);

	CMD(cmd, &mix->pair->rig, 0x2a, 0, 0, 0, 0, lba, 0, BE16(1), 0);
	cmd_out(cmd, zeros, 512);
}

static void
write_atomic(struct mix *mix, struct cmd *cmd)
{
	uint64_t lba = below(mix, 2) * 8;

	CMD(cmd, &mix->pair->rig, 0x9c, 0, BE64(lba), 0, 0, BE16(8), 0, 0);
	cmd_out(cmd, zeros, sizeof(zeros));
}

static void
compare_and_write(struct mix *mix, struct cmd *cmd)
{
	uint64_t lba = below(mix, 16);

	CMD(cmd, &mix->pair->rig, 0x89, 0, BE64(lba), 0, 0, 0, 1, 0, 0);
	cmd_out(cmd, zeros, 2 * 512);
}

/* Of up to four pieces. */
static void
extended_copy(struct mix *mix, struct cmd *cmd)
{
	static struct copy_list list;
	unsigned from = (unsigned)below(mix, UNITS);
	unsigned to = (unsigned)below(mix, UNITS);
	uint16_t count = (uint16_t)(1 + below(mix, 4 * COPY_PIECE / 512));

	copy_list_pair(
	    &list, mix->pair, (uint8_t)below(mix, 4), from, to, count, 0, 8192);
	cmd_copy(cmd, &mix->pair->rig, &list);
}

static void
give_copy_up(struct mix *mix, struct cmd *cmd)
{
	uint8_t id = (uint8_t)below(mix, 4);

	CMD(cmd, &mix->pair->rig, 0x83, 0x1c, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 0);
}

static void
command_comes(struct mix *mix)
{
	static void (*const kinds[])(struct mix * mix, struct cmd * cmd) = {
	    read_one, read_one, write_one, write_atomic, compare_and_write,
	    extended_copy, give_copy_up};
	static const enum scsi_attribute attributes[] = {SCSI_SIMPLE,
	    SCSI_SIMPLE, SCSI_SIMPLE, SCSI_ORDERED, SCSI_HEAD_OF_QUEUE};
	struct cmd *cmd = &mix->cmds[mix->count];

	kinds[below(mix, ARRAY_SIZE(kinds))](mix, cmd);
	cmd->task.attribute = attributes[below(mix, ARRAY_SIZE(attributes))];
	cmd->task.tag = mix->count;
	/* the second unit is for the first nexus alone */
	if (below(mix, 3) == 0)
		cmd->task.nexus = mix->pair->rig.nexus[1];
	else
		cmd->task.lun_field[1] = (uint8_t)below(mix, UNITS);
	mix->count++;
	if (cmd_begin(cmd))
		cmd_execute(cmd);
	else
		cmd->completions++;
}

/* ---- what else happens ---- */

static void
tmf_done(struct scsi_tmf_request *request)
{
	container_of(request, struct tmf, request)->done = true;
}

static void
tmf_comes(struct mix *mix)
{
	struct tmf *tmf = &mix->tmfs[mix->tmf_count++];
	bool reset = below(mix, 16) == 0;

	tmf->request =
	    (struct scsi_tmf_request){.nexus = mix->pair->rig.nexus[0],
		.function = reset ? SCSI_LOGICAL_UNIT_RESET : SCSI_ABORT_TASK,
		.lun_field[1] = (uint8_t)below(mix, UNITS),
		.tag = below(mix, mix->count),
		.done = tmf_done};
	scsi_tmf(&tmf->request);
}

static void
limits_change(struct mix *mix)
{
	struct lun_limits limits = {
	    .iops = below(mix, 3) * 500, .iops_burst = below(mix, 4)};

	if (below(mix, 2) == 0)
		limits = (struct lun_limits){
		    .bps = 64u << 20, .bps_burst = below(mix, 2) << 20};
	lun_limits_set(unit(mix, (unsigned)below(mix, UNITS)), &limits);
}

static void
hoard_goes(struct mix *mix)
{
	struct buf_pool *bufs = mix->pair->rig.loop->bufs;

	while (mix->hoarded > 0)
		buf_put(bufs, mix->hoard[--mix->hoarded]);
}

/* No piece has a buffer any more, and what is smaller has. */
static void
hoard_grows(struct mix *mix)
{
	struct buf_pool *bufs = mix->pair->rig.loop->bufs;
	size_t length = BUF_MIN;
	void *buf;

	while ((buf = buf_get(bufs, length)) != NULL) {
		assert_true(mix->hoarded < ARRAY_SIZE(mix->hoard));
		mix->hoard[mix->hoarded++] = buf;
		length = COPY_PIECE;
	}
}

static void
something_happens(struct mix *mix)
{
	static void (*const kinds[])(struct mix * mix) = {
	    tmf_comes, limits_change, hoard_grows, hoard_goes};

	if (below(mix, 3) == 0)
		kinds[below(mix, ARRAY_SIZE(kinds))](mix);
	for (unsigned i = 0; i < UNITS; i++) {
		for (uint64_t n = below(mix, 4); n > 0; n--)
			spy_release(store(mix, i));
	}
	rig_pass(&mix->pair->rig, below(mix, 2) * NSEC_PER_MSEC);
}

/* ---- the end ---- */

static void
nothing_is_left(struct mix *mix)
{
	for (unsigned i = 0; i < mix->count; i++) {
		assert_int_equal(mix->cmds[i].completions, 1);
		cmd_release(&mix->cmds[i]);
	}
	for (unsigned i = 0; i < mix->tmf_count; i++)
		assert_true(mix->tmfs[i].done);
	for (unsigned i = 0; i < UNITS; i++) {
		const struct lun *lun = unit(mix, i);
		assert_int_equal(lun->task_count, 0);
		assert_int_equal(lun->dormant, 0);
		assert_int_equal(lun->barriers, 0);
		assert_int_equal(lun->copy_pieces, 0);
		assert_true(list_empty(&lun->copies));
		assert_false(lun->copies_first);
	}
}

static void
no_mix_of_commands_gets_stuck(void **unused)
{
	static struct mix mix;

	(void)unused;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		mix = (struct mix){.random = seed, .pair = pair_open(512)};
		mix.pair->spy->bs.atomic_max = RIG_ATOMIC_MAX;
		mix.pair->spy->bs.atomic_unit = RIG_ATOMIC_UNIT;
		mix.pair->spy->hold = mix.pair->rig.spy->hold = true;
		while (mix.count < COMMANDS) {
			command_comes(&mix);
			something_happens(&mix);
		}
		hoard_goes(&mix);
		for (unsigned i = 0; i < UNITS; i++)
			spy_release_all(store(&mix, i));
		rig_drain(&mix.pair->rig);
		nothing_is_left(&mix);
		pair_close(mix.pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_mix_of_commands_gets_stuck),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
