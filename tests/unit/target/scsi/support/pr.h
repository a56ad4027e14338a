/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE as an initiator would send it, to a rig.  Numbers are the
 * standard's (SPC-4 table 218 and 213), not taken from what is tested.
 */
#ifndef TESTS_UNIT_TARGET_SCSI_SUPPORT_PR_H
#define TESTS_UNIT_TARGET_SCSI_SUPPORT_PR_H

#include "tests/unit/target/scsi/support/rig.h"

enum pr_action {
	REGISTER,
	RESERVE,
	RELEASE,
	CLEAR,
	PREEMPT,
	PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE,
	REGISTER_AND_MOVE,
};

enum { WE = 1, EA = 3, WERO = 5, EARO = 6, WEAR = 7, EAAR = 8 };
static const uint8_t pr_types[] = {WE, EA, WERO, EARO, WEAR, EAAR};

#define APTPL     0x01
#define ALL_TG_PT 0x04
#define SPEC_I_PT 0x08

extern struct scsi_sense pr_sense; /* of the last one */

/* A command without more than the basic list; its status. */
enum scsi_status pr_out_flags(struct rig *rig, unsigned nexus,
    enum pr_action action, uint8_t scope_type, uint64_t key,
    uint64_t action_key, uint8_t flags);
/* Any list. */
enum scsi_status pr_out_list(struct rig *rig, unsigned nexus,
    enum pr_action action, uint8_t scope_type, const void *list,
    uint32_t length);
/* A basic list with TransportIDs after it, or the list of REGISTER AND MOVE;
 * its length. */
size_t pr_list_spec_i_pt(uint8_t *list, uint64_t key, uint64_t action_key,
    uint8_t flags, const char *const *names, unsigned count);
size_t pr_list_move(uint8_t *list, uint64_t key, uint64_t action_key,
    uint8_t flags, uint16_t port, const char *name);

#define pr(rig, nexus, action, type, key, action_key)                          \
	pr_out_flags((rig), (nexus), (action), (type), (key), (action_key), 0)
#define pr_good(...) assert_int_equal(pr(__VA_ARGS__), SCSI_GOOD)
#define pr_conflict(...)                                                       \
	assert_int_equal(pr(__VA_ARGS__), SCSI_RESERVATION_CONFLICT)
#define assert_pr_sense(name)                                                  \
	assert_string_equal(sense_text(&pr_sense), sense_text(&SENSE_##name))

/* The nexus hears this with its next command, and then nothing. */
void pr_hears(struct rig *rig, unsigned nexus, const struct scsi_sense *sense);
#define hears(rig, nexus, name)   pr_hears((rig), (nexus), &SENSE_##name)
#define hears_nothing(rig, nexus) pr_hears((rig), (nexus), NULL)

struct registry *pr_registry(const struct rig *rig);
/* So it is, with PRGENERATION: also after what was refused. */
void pr_has(struct rig *rig, uint32_t generation, unsigned count);
#define assert_holds(rig, type_, key_)                                         \
	do {                                                                   \
		const struct registry *r_ = pr_registry(rig);                  \
		assert_int_equal(r_->type, (type_));                           \
		assert_int_equal(r_->list[r_->holder].key, (key_));            \
	} while (0)

/* Each of the first count nexuses registers the key 10 + its number. */
void pr_register(struct rig *rig, unsigned count);
/* RIG_A, RIG_B and C: three initiators. */
#define RIG_C "iqn.2024-01.org.example:c,i,0x000000000003"

#endif
