/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A logical unit over a spied-on store in memory, on the simulator's loop, with
 * two initiators; and commands to send to it, as a carrier would.
 */
#ifndef TESTS_UNIT_TARGET_SCSI_SUPPORT_RIG_H
#define TESTS_UNIT_TARGET_SCSI_SUPPORT_RIG_H

#include "base/endian.h"
#include "target/scsi/internal.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/scsi/support/spy.h"
#include <string.h>

#define RIG_SIZE    (64ull << 20)
#define RIG_NEXUSES 6

#define RIG_TARGET "iqn.2024-01.org.example:t"
#define RIG_A      "iqn.2024-01.org.example:a,i,0x000000000001"
#define RIG_B      "iqn.2024-01.org.example:b,i,0x000000000002"

#define RIG_ATOMIC_MAX  (1u << 20)
#define RIG_ATOMIC_UNIT 4096u

/* What SANITIZE keeps in mind. */
struct rig_keeping {
	struct loop_task task;
	struct loop *loop;
	void (*done)(void *arg, int result);
	void *arg;
	bool on, exits; /* as kept */
	int fail;       /* the answer */
	unsigned asked;
};

struct rig {
	struct loop *loop;
	struct spy *spy;
	struct lun *lun;                       /* number 0 of all */
	struct scsi_nexus *nexus[RIG_NEXUSES]; /* RIG_A, RIG_B, others */
	/* who keeps the registry, and what is saved, if params.keep */
	struct registry *kept;
	struct lun_saved saved; /* the last that were kept */
	unsigned keeps;
	int keep_error;
	bool keep_hold; /* leaves it in keep_held */
	struct lun_keep *keep_held;
	uint32_t block_size;
	uint64_t blocks;
	struct rig_keeping keeping;
	struct copy_manager *manager;
};

struct rig_params {
	uint32_t block_size; /* 0: 512 */
	uint64_t buffers;    /* 0: 16 MiB */
	bool thick;          /* not thin */
	bool volatile_cache;
	bool read_only;
	bool write_through;
	bool keep_attentions; /* POWER ON is still pending */
	bool keep;            /* what is kept outlives a power loss */
	const struct registry *registry;
	const struct lun_saved *saved;
	const struct port_groups *ports;
	bool sanitizing, sanitize_exits;
	unsigned background_percent;
	struct compare_memory *compares;
};

void rig_open(struct rig *rig, const struct rig_params *params);
void rig_close(struct rig *rig);
void rig_drain(struct rig *rig); /* until nothing is left to do */
/* Time passes: so much, and a little, with what falls into it. */
void rig_pass(struct rig *rig, uint64_t ns);
void rig_clear_attentions(struct rig *rig);
/* One more, at most to RIG_NEXUSES. */
void rig_nexus(struct rig *rig, unsigned i, const char *initiator_port,
    const char *target, uint16_t port);
/* Keeps what is held, or fails. */
void rig_keep(struct rig *rig);

#define CMD_DATA_MAX (9u << 20)

struct cmd {
	struct rig *rig;
	struct scsi_task task;
	bool began, done;
	unsigned completions;
	const void *out;
};

/* To LUN 0 from nexus 0, SIMPLE; expects plenty in, nothing out. */
void cmd_init(struct cmd *cmd, struct rig *rig, const void *cdb, size_t length);
void cmd_out(struct cmd *cmd, const void *data, uint64_t length);
bool cmd_begin(struct cmd *cmd);
void cmd_execute(struct cmd *cmd);
/* Both, and waits for the end; status. */
enum scsi_status cmd_run(struct cmd *cmd);
/* Data-In in one piece; valid until the next call. */
const uint8_t *cmd_in(struct cmd *cmd);
struct scsi_sense cmd_sense(const struct cmd *cmd);
void cmd_release(struct cmd *cmd);

#define CMD(cmd, rig, ...)                                                     \
	do {                                                                   \
		const uint8_t cdb_[] = {__VA_ARGS__};                          \
		cmd_init((cmd), (rig), cdb_, sizeof(cdb_));                    \
	} while (0)

#define BE16(v) (uint8_t)((v) >> 8), (uint8_t)(v)
#define BE32(v) BE16((uint32_t)(v) >> 16), BE16(v)
#define BE64(v) BE32((uint64_t)(v) >> 32), BE32(v)

#define assert_good(cmd) assert_status_((cmd), NULL, __FILE__, __LINE__)
#define assert_sense(cmd, name)                                                \
	assert_status_((cmd), &SENSE_##name, __FILE__, __LINE__)
void assert_status_(const struct cmd *cmd, const struct scsi_sense *sense,
    const char *file, int line);

/* Runs, asserts the outcome, releases. */
#define run_good(cmd)                                                          \
	do {                                                                   \
		cmd_run(cmd);                                                  \
		assert_good(cmd);                                              \
		cmd_release(cmd);                                              \
	} while (0)
#define run_sense(cmd, name)                                                   \
	do {                                                                   \
		cmd_run(cmd);                                                  \
		assert_sense(cmd, name);                                       \
		cmd_release(cmd);                                              \
	} while (0)
/* An error in a field of the CDB. */
#define run_field(cmd, byte, bit)                                              \
	do {                                                                   \
		cmd_run(cmd);                                                  \
		assert_sense(cmd, INVALID_FIELD_IN_CDB);                       \
		struct scsi_sense sense_ = cmd_sense(cmd);                     \
		assert_true(sense_.field_valid &&sense_.field_in_cdb);         \
		assert_int_equal(sense_.field_byte, (byte));                   \
		assert_int_equal(sense_.field_bit, (bit));                     \
		cmd_release(cmd);                                              \
	} while (0)
/* In a field of the parameter list. */
#define run_parameter(cmd, byte, bit)                                          \
	do {                                                                   \
		cmd_run(cmd);                                                  \
		assert_sense(cmd, INVALID_FIELD_IN_PARAMETER_LIST);            \
		assert_false(cmd_sense(cmd).field_in_cdb);                     \
		assert_int_equal(cmd_sense(cmd).field_byte, (byte));           \
		assert_int_equal(cmd_sense(cmd).field_bit, (bit));             \
		cmd_release(cmd);                                              \
	} while (0)

/* TEST UNIT READY by the nexus ends so; NULL: it is good. */
void rig_hears(struct rig *rig, unsigned nexus, const struct scsi_sense *sense);

/* Shorthands that must succeed. */
void rig_write(struct rig *rig, uint64_t lba, const void *data, uint32_t count);
void rig_read(struct rig *rig, uint64_t lba, void *data, uint32_t count);
void rig_fill(struct rig *rig, uint64_t lba, uint32_t count, int byte);
bool rig_is(struct rig *rig, uint64_t lba, uint32_t count, int byte);

int rig_setup_512(void **state);
int rig_setup_4096(void **state);
int rig_teardown(void **state);

/* Both block sizes. */
#define rig_tests(f)                                                           \
	{#f " [512]", f, rig_setup_512, rig_teardown, NULL},                   \
	{                                                                      \
#f " [4096]", f, rig_setup_4096, rig_teardown, NULL            \
	}
#define rig_test(f)                                                            \
	{                                                                      \
#f, f, rig_setup_512, rig_teardown, NULL                       \
	}

#endif
