/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ, WRITE, SYNCHRONIZE CACHE, PRE-FETCH: data, ranges, residuals, FUA,
 * errors.  Not here: what the other block commands do with the same helpers.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
what_is_written_is_read_by_every_length_of_cdb(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[8192];
	const uint32_t n = 2;

	for (unsigned i = 0; i < 4; i++) {
		memset(data, 'a' + (int)i, sizeof(data));
		switch (i) {
		case 0: CMD(&cmd, rig, 0x0a, 0, BE16(16), n, 0); break;
		case 1: CMD(&cmd, rig, 0x2a, 0, BE32(16), 0, BE16(n), 0); break;
		case 2: CMD(&cmd, rig, 0xaa, 0, BE32(16), BE32(n), 0, 0); break;
		case 3: CMD(&cmd, rig, 0x8a, 0, BE64(16), BE32(n), 0, 0); break;
		}
		cmd_out(&cmd, data, n * rig->block_size);
		run_good(&cmd);

		switch (i) {
		case 0: CMD(&cmd, rig, 0x08, 0, BE16(16), n, 0); break;
		case 1: CMD(&cmd, rig, 0x28, 0, BE32(16), 0, BE16(n), 0); break;
		case 2: CMD(&cmd, rig, 0xa8, 0, BE32(16), BE32(n), 0, 0); break;
		case 3: CMD(&cmd, rig, 0x88, 0, BE64(16), BE32(n), 0, 0); break;
		}
		cmd_run(&cmd);
		assert_good(&cmd);
		assert_int_equal(cmd.task.in_length, n * rig->block_size);
		assert_memory_equal(cmd_in(&cmd), data, n * rig->block_size);
		cmd_release(&cmd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(what_is_written_is_read_by_every_length_of_cdb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
