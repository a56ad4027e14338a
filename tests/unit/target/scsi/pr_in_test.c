/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PERSISTENT RESERVE IN: what each service action tells of what there is. */
#include "target/scsi/transport_id.h"
#include "tests/unit/target/scsi/support/pr.h"
#include <stdio.h>

enum { READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES, READ_FULL_STATUS };

static void
in(struct cmd *cmd, struct rig *rig, uint8_t action, uint16_t length)
{
	CMD(cmd, rig, 0x5e, action, 0, 0, 0, 0, 0, BE16(length), 0);
	cmd_run(cmd);
	assert_good(cmd);
}

static void
a_fresh_unit_has_nothing(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (uint8_t action = READ_KEYS; action <= READ_FULL_STATUS; action++) {
		if (action == REPORT_CAPABILITIES)
			continue;
		in(&cmd, rig, action, 1024);
		assert_int_equal(cmd.task.in_length, 8);
		assert_int_equal(load_be64(cmd_in(&cmd)), 0);
		cmd_release(&cmd);
	}
}

static void
keys_are_read_in_the_order_they_came(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	pr_register(rig, 3);
	in(&cmd, rig, READ_KEYS, 1024);
	assert_int_equal(cmd.task.in_length, 8 + 3 * 8);
	assert_int_equal(load_be32(cmd_in(&cmd)), 3);
	assert_int_equal(load_be32(cmd_in(&cmd) + 4), 24);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(load_be64(cmd_in(&cmd) + 8 + 8 * i), 10 + i);
	cmd_release(&cmd);
	/* cut: it still says how much there is */
	in(&cmd, rig, READ_KEYS, 12);
	assert_int_equal(cmd.task.in_length, 12);
	assert_int_equal(load_be32(cmd_in(&cmd) + 4), 24);
	cmd_release(&cmd);
	in(&cmd, rig, READ_KEYS, 0);
	assert_int_equal(cmd.task.in_length, 0);
	cmd_release(&cmd);
}

static void
a_reservation_is_read_with_its_key_unless_all_hold_it(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	pr_register(rig, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(pr_types); i++) {
		bool all = pr_types[i] >= WEAR;
		pr_good(rig, 1, RESERVE, pr_types[i], 11, 0);
		in(&cmd, rig, READ_RESERVATION, 1024);
		const uint8_t *data = cmd_in(&cmd);
		assert_int_equal(cmd.task.in_length, 24);
		assert_int_equal(load_be32(data), 2);
		assert_int_equal(load_be32(data + 4), 16);
		assert_int_equal(load_be64(data + 8), all ? 0 : 11);
		assert_int_equal(data[21], pr_types[i]);
		cmd_release(&cmd);
		pr_good(rig, 1, RELEASE, pr_types[i], 11, 0);
		rig_clear_attentions(rig);
	}
}

static void
capabilities_are_what_there_is(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t expected[8] = {0, 8, 0x1c, 0xc0, 0xea, 0x01, 0, 0};

	in(&cmd, rig, REPORT_CAPABILITIES, 1024);
	assert_int_equal(cmd.task.in_length, 8);
	assert_memory_equal(cmd_in(&cmd), expected, 8);
	cmd_release(&cmd);
}

static void
a_unit_that_is_kept_says_so(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.keep = true});
	for (unsigned aptpl = 0; aptpl < 2; aptpl++) {
		pr_out_flags(
		    &rig, 0, REGISTER_AND_IGNORE, 0, 0, 7, aptpl ? APTPL : 0);
		in(&cmd, &rig, REPORT_CAPABILITIES, 8);
		assert_int_equal(cmd_in(&cmd)[2], 0x1d);
		assert_int_equal(cmd_in(&cmd)[3], 0xc0 | aptpl);
		cmd_release(&cmd);
	}
	rig_close(&rig);
}

static void
assert_status_of(const uint8_t *d, uint64_t key, const char *port,
    uint8_t flags, uint8_t type, uint16_t relative_port)
{
	uint8_t id[TRANSPORT_ID_MAX];
	size_t length = transport_id_encode(port, id);

	assert_int_equal(load_be64(d), key);
	assert_int_equal(d[12], flags);
	assert_int_equal(d[13], type);
	assert_int_equal(load_be16(d + 18), relative_port);
	assert_int_equal(load_be32(d + 20), length);
	assert_memory_equal(d + 24, id, length);
}

static void
full_status_names_every_nexus(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_nexus(rig, 2, RIG_C, RIG_TARGET, 7);
	rig_clear_attentions(rig);
	pr_good(rig, 0, REGISTER, 0, 0, 10);
	pr_good(rig, 2, REGISTER, 0, 0, 12);
	assert_int_equal(
	    pr_out_flags(rig, 1, REGISTER, 0, 0, 11, ALL_TG_PT), SCSI_GOOD);
	pr_good(rig, 2, RESERVE, WERO, 12, 0);
	in(&cmd, rig, READ_FULL_STATUS, 1024);
	const uint8_t *d = cmd_in(&cmd) + 8;
	size_t each = (cmd.task.in_length - 8) / 3;
	assert_int_equal(load_be32(cmd_in(&cmd)), 3);
	assert_int_equal(load_be32(cmd_in(&cmd) + 4), cmd.task.in_length - 8);
	assert_status_of(d, 10, RIG_A, 0, 0, 1);
	assert_status_of(d + each, 12, RIG_C, 1, WERO, 7);
	assert_status_of(d + 2 * each, 11, RIG_B, 2, 0, 0);
	cmd_release(&cmd);
}

static void
with_all_registrants_everyone_is_a_holder(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	pr_register(rig, 2);
	pr_good(rig, 1, RESERVE, EAAR, 11, 0);
	in(&cmd, rig, READ_FULL_STATUS, 1024);
	const uint8_t *d = cmd_in(&cmd) + 8;
	size_t each = (cmd.task.in_length - 8) / 2;
	assert_status_of(d, 10, RIG_A, 1, EAAR, 1);
	assert_status_of(d + each, 11, RIG_B, 1, EAAR, 1);
	cmd_release(&cmd);
}

/* 512 of them are more than one answer takes; its head tells of all. */
static void
a_full_registry_is_told_as_far_as_it_goes(void **state)
{
	struct rig *rig = *state;
	struct registry *registry = rig->lun->registry;
	struct registration r = {.key = 1, .port = 1, .target = RIG_TARGET};
	struct cmd cmd;
	size_t all = 0;
	uint8_t id[TRANSPORT_ID_MAX];

	for (unsigned i = 0; i < REGISTRY_MAX; i++) {
		snprintf(r.initiator, sizeof(r.initiator),
		    "iqn.%0200u,i,0x000000000001", i);
		assert_int_equal(registry_register(registry, &r), i);
		all += 24 + transport_id_encode(r.initiator, id);
	}
	in(&cmd, rig, READ_FULL_STATUS, 65535);
	assert_int_equal(cmd.task.in_length, 65535);
	assert_int_equal(load_be32(cmd_in(&cmd) + 4), all);
	cmd_release(&cmd);
	in(&cmd, rig, READ_KEYS, 65535);
	assert_int_equal(cmd.task.in_length, 8 + 8 * REGISTRY_MAX);
	cmd_release(&cmd);
}

static void
other_service_actions_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (uint8_t action = 4; action < 32; action++) {
		CMD(&cmd, rig, 0x5e, action, 0, 0, 0, 0, 0, BE16(1024), 0);
		run_field(&cmd, 1, 4);
		if (action < 8)
			continue;
		CMD(&cmd, rig, 0x5f, action, 0, 0, 0, BE32(24), 0);
		cmd_out(&cmd, (const uint8_t[24]){0}, 24);
		run_field(&cmd, 1, 4);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(a_fresh_unit_has_nothing),
	    rig_test(keys_are_read_in_the_order_they_came),
	    rig_test(a_reservation_is_read_with_its_key_unless_all_hold_it),
	    rig_test(capabilities_are_what_there_is),
	    cmocka_unit_test(a_unit_that_is_kept_says_so),
	    rig_test(full_status_names_every_nexus),
	    rig_test(with_all_registrants_everyone_is_a_holder),
	    rig_test(a_full_registry_is_told_as_far_as_it_goes),
	    rig_test(other_service_actions_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
