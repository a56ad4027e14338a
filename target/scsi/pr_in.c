/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE IN, SPC-4 6.15: who has registered, and what is held.
 */
#include "target/scsi/handlers.h"
#include "target/scsi/transport_id.h"
#include <string.h>

#define HEADER      8u
#define LU_SCOPE    (0u << 4)
#define LENGTH_MAX  UINT16_MAX /* what ALLOCATION LENGTH can ask for */
#define STATUS_SIZE 24u        /* of a full status descriptor, without its ID */

struct reservation_data {
	struct be32 generation;
	struct be32 additional_length;
	struct be64 key;
	uint8_t obsolete[4];
	uint8_t reserved;
	uint8_t scope_type;
	uint8_t obsolete2[2];
};
static_assert(sizeof(struct reservation_data) == 24, "SPC-4 table 209");

struct full_status {
	struct be64 key;
	uint8_t reserved[4];
	uint8_t flags;
	uint8_t scope_type;
	uint8_t reserved2[4];
	struct be16 port;
	struct be32 additional_length;
};
static_assert(sizeof(struct full_status) == STATUS_SIZE, "SPC-4 table 214");

#define ALL_TG_PT 0x02u
#define R_HOLDER  0x01u

static void
put_header(const struct registry *registry, uint8_t *data, size_t length)
{
	store_be32(data, registry->generation);
	store_be32(data + 4, (uint32_t)(length - HEADER));
}

/* ---- READ KEYS ---- */

struct scsi_sense
pr_read_keys_check(struct scsi_task *task)
{
	task->wanted = HEADER + 8 * REGISTRY_MAX;
	return SENSE_NONE;
}

struct scsi_sense
pr_read_keys(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct registry *registry = task->lun->registry;
	size_t at = HEADER;

	for (unsigned i = 0; i < registry->count; i++, at += 8)
		store_be64(answer->data + at, registry->list[i].key);
	put_header(registry, answer->data, at);
	answer->length = at;
	return SENSE_NONE;
}

/* ---- READ RESERVATION ---- */

/* 6.15.3.1: held by all, it has no key of its own. */
struct scsi_sense
pr_read_reservation(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct registry *registry = task->lun->registry;
	struct reservation_data *data = (void *)answer->data;

	answer->length = HEADER;
	if (registry->type != REGISTRY_NONE) {
		answer->length = sizeof(*data);
		data->scope_type = (uint8_t)(LU_SCOPE | registry->type);
		if (!registry_type_is_held_by_all(registry->type))
			be64_set(
			    &data->key, registry->list[registry->holder].key);
	}
	put_header(registry, answer->data, answer->length);
	return SENSE_NONE;
}

/* ---- REPORT CAPABILITIES ---- */

/* 6.15.4; RLR_C is 0: nothing is ever lost. */
#define CRH    0x10u
#define SIP_C  0x08u
#define ATP_C  0x04u
#define PTPL_C 0x01u

#define TMV    0x80u
#define PTPL_A 0x01u
/* ALLOW COMMANDS 100b: TEST UNIT READY through all, and what only looks through
 * write exclusive: the column of opcodes.def */
#define ALLOW_COMMANDS (4u << 4)

static uint16_t
type_mask(void)
{
	uint16_t mask = 0;

	/* byte 4 has the types 0 to 7, byte 5 the type 8 */
	for (unsigned type = 0; type <= 8; type++) {
		if (registry_type_is_known(type))
			mask |= (uint16_t)(type < 8 ? 0x100u << type : 1u);
	}
	return mask;
}

struct scsi_sense
pr_report_capabilities(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct lun *lun = task->lun;
	uint8_t *data = answer->data;

	answer->length = 8;
	store_be16(data, 8);
	data[2] = CRH | SIP_C | ATP_C | (lun_keeps_registry(lun) ? PTPL_C : 0);
	data[3] = TMV | ALLOW_COMMANDS | (lun->registry->aptpl ? PTPL_A : 0);
	store_be16(data + 4, type_mask());
	return SENSE_NONE;
}

/* ---- READ FULL STATUS ---- */

struct scsi_sense
pr_read_full_status_check(struct scsi_task *task)
{
	const struct registry *registry = task->lun->registry;

	/* what does not fit into ALLOCATION LENGTH is not built, but one */
	task->wanted = HEADER + (uint64_t)registry->count *
				    (STATUS_SIZE + TRANSPORT_ID_MAX);
	if (task->wanted > LENGTH_MAX + STATUS_SIZE + TRANSPORT_ID_MAX)
		task->wanted = LENGTH_MAX + STATUS_SIZE + TRANSPORT_ID_MAX;
	return SENSE_NONE;
}

static size_t
put_full_status(const struct registry *registry, unsigned index, uint8_t *to)
{
	const struct registration *r = &registry->list[index];
	struct full_status *status = (void *)to;
	size_t length = transport_id_encode(r->initiator, to + STATUS_SIZE);

	memset(status, 0, sizeof(*status));
	be64_set(&status->key, r->key);
	if (r->all_ports)
		status->flags |= ALL_TG_PT;
	else
		be16_set(&status->port, r->port);
	if (registry_is_holder(registry, (int)index)) {
		status->flags |= R_HOLDER;
		status->scope_type = (uint8_t)(LU_SCOPE | registry->type);
	}
	be32_set(&status->additional_length, (uint32_t)length);
	return STATUS_SIZE + length;
}

/* ADDITIONAL LENGTH tells of all of them, whatever is sent. */
struct scsi_sense
pr_read_full_status(struct scsi_task *task, struct scsi_answer *answer)
{
	const struct registry *registry = task->lun->registry;
	uint8_t one[STATUS_SIZE + TRANSPORT_ID_MAX];
	size_t at = HEADER, built = HEADER;

	for (unsigned i = 0; i < registry->count; i++) {
		size_t length = put_full_status(registry, i, one);
		if (built == at && answer->size - at >= length) {
			memcpy(answer->data + at, one, length);
			built += length;
		}
		at += length;
	}
	put_header(registry, answer->data, at);
	answer->length = built;
	return SENSE_NONE;
}
