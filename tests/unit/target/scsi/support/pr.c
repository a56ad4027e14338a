/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/scsi/support/pr.h"
#include "target/scsi/transport_id.h"

struct scsi_sense pr_sense;

enum scsi_status
pr_out_list(struct rig *rig, unsigned nexus, enum pr_action action,
    uint8_t scope_type, const void *list, uint32_t length)
{
	struct cmd cmd;
	enum scsi_status status;

	CMD(&cmd, rig, 0x5f, (uint8_t)action, scope_type, 0, 0, BE32(length),
	    0);
	cmd.task.nexus = rig->nexus[nexus];
	cmd_out(&cmd, list, length);
	status = cmd_run(&cmd);
	pr_sense = cmd_sense(&cmd);
	cmd_release(&cmd);
	return status;
}

static void
basic_list(uint8_t *list, uint64_t key, uint64_t action_key, uint8_t flags)
{
	memset(list, 0, 24);
	store_be64(list, key);
	store_be64(list + 8, action_key);
	list[20] = flags;
}

enum scsi_status
pr_out_flags(struct rig *rig, unsigned nexus, enum pr_action action,
    uint8_t scope_type, uint64_t key, uint64_t action_key, uint8_t flags)
{
	uint8_t list[24];

	basic_list(list, key, action_key, flags);
	return pr_out_list(rig, nexus, action, scope_type, list, sizeof(list));
}

size_t
pr_list_spec_i_pt(uint8_t *list, uint64_t key, uint64_t action_key,
    uint8_t flags, const char *const *names, unsigned count)
{
	size_t at = 28;

	basic_list(list, key, action_key, (uint8_t)(flags | SPEC_I_PT));
	for (unsigned i = 0; i < count; i++)
		at += transport_id_encode(names[i], list + at);
	store_be32(list + 24, (uint32_t)(at - 28));
	return at;
}

size_t
pr_list_move(uint8_t *list, uint64_t key, uint64_t action_key, uint8_t flags,
    uint16_t port, const char *name)
{
	size_t length;

	basic_list(list, key, action_key, 0);
	length = transport_id_encode(name, list + 24);
	list[17] = flags;
	store_be16(list + 18, port);
	store_be32(list + 20, (uint32_t)length);
	return 24 + length;
}

void
pr_hears(struct rig *rig, unsigned nexus, const struct scsi_sense *sense)
{
	if (sense != NULL)
		rig_hears(rig, nexus, sense);
	rig_hears(rig, nexus, NULL);
}

void
pr_register(struct rig *rig, unsigned count)
{
	if (count > 2) {
		rig_nexus(rig, 2, RIG_C, RIG_TARGET, 1);
		rig_clear_attentions(rig);
	}
	for (unsigned i = 0; i < count; i++)
		pr_good(rig, i, REGISTER, 0, 0, 10 + i);
}

struct registry *
pr_registry(const struct rig *rig)
{
	return rig->lun->registry;
}

void
pr_has(struct rig *rig, uint32_t generation, unsigned count)
{
	assert_int_equal(pr_registry(rig)->generation, generation);
	assert_int_equal(pr_registry(rig)->count, count);
}
