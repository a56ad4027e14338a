/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vital product data 8Fh, third-party copy: SPC-4 7.8.17, with what SBC-3 adds.
 * A list of descriptors; each builds what stands behind its type and length.
 */
#include "target/scsi/copy.h"

struct copy_descriptor {
	uint16_t type;
	bool tokens; /* only where there are any */
	size_t (*build)(const struct lun *lun, uint8_t *to);
};

/* SBC-3 6.6.6.2 */
static size_t
copy_token_limits(const struct lun *lun, uint8_t *to)
{
	store_be16(&to[6], TOKEN_RANGES_MAX);
	store_be32(&to[8], COPY_TOKEN_PATIENCE_MAX);
	store_be32(&to[12], COPY_TOKEN_PATIENCE);
	store_be64(&to[16], COPY_TOKEN_BYTES_MAX >> lun->block_shift);
	store_be64(&to[24], COPY_TOKEN_BYTES_OPTIMAL >> lun->block_shift);
	return 32;
}

/* Each operation code, then its service actions: from the opcode table. */
static size_t
copy_commands(const struct lun *lun, uint8_t *to)
{
	static const uint8_t opcodes[] = {0x83, 0x84};
	size_t at = 1;

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		uint8_t *count = &to[at + 1];
		to[at] = opcodes[i];
		at += 2;
		for (unsigned row = 0; row < scsi_op_count; row++) {
			const struct scsi_op *op = &scsi_ops[row];
			if (op->opcode != opcodes[i] ||
			    !scsi_op_on_lun(op, lun))
				continue;
			to[at++] = op->action;
			++*count;
		}
	}
	to[0] = (uint8_t)(at - 1);
	return at;
}

static size_t
copy_parameters(const struct lun *lun, uint8_t *to)
{
	(void)lun;
	store_be16(&to[4], COPY_TARGETS_MAX);
	store_be16(&to[6], COPY_SEGMENTS_MAX);
	store_be32(&to[8], COPY_LIST_MAX);
	return 28;
}

static size_t
copy_descriptors(const struct lun *lun, uint8_t *to)
{
	(void)lun;
	to[0] = 2;
	to[1] = COPY_BLOCK_BLOCK;
	to[2] = COPY_IDENTIFIED;
	return 3;
}

static size_t
copy_target_ids(const struct lun *lun, uint8_t *to)
{
	(void)lun;
	(void)to;
	return 2; /* none but those of descriptors */
}

/* SPC-4 7.8.17.8, and SBC-3 for block devices: type 0 */
static size_t
copy_token_features(const struct lun *lun, uint8_t *to)
{
	uint8_t *block = &to[44];

	store_be32(&to[12], COPY_TOKEN_PATIENCE);     /* lifetime: unused */
	store_be32(&to[16], UINT32_MAX);              /* ... and used */
	store_be32(&to[20], COPY_TOKEN_PATIENCE_MAX); /* not used */
	store_be16(&to[42], 48);
	store_be16(&block[2], 44);
	store_be16(&block[6], (uint16_t)(COPY_PIECE >> lun->block_shift));
	store_be64(&block[8], COPY_TOKEN_BYTES_MAX);
	store_be64(&block[16], COPY_TOKEN_BYTES_OPTIMAL);
	store_be64(&block[24], COPY_TOKEN_BYTES_OPTIMAL);
	store_be64(&block[32], COPY_TOKEN_BYTES_OPTIMAL);
	return 44 + 48;
}

/* SPC-4 7.8.17.9 */
static size_t
copy_token_types(const struct lun *lun, uint8_t *to)
{
	enum { IN = 0x02, OUT = 0x01, SIZE = 64 };
	static const struct {
		uint32_t type;
		uint8_t use;
	} types[] = {
	    {TOKEN_CHANGE_VULNERABLE, IN | OUT},
	    {TOKEN_ZERO, IN},
	};

	(void)lun;
	store_be16(&to[2], ARRAY_SIZE(types) * SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		store_be32(&to[4 + i * SIZE], types[i].type);
		to[4 + i * SIZE + 4] = types[i].use;
	}
	return 4 + ARRAY_SIZE(types) * SIZE;
}

static size_t
copy_general(const struct lun *lun, uint8_t *to)
{
	store_be32(&to[0], COPY_RESULTS);
	store_be32(&to[4], COPY_RESULTS);
	store_be32(&to[8], COPY_BLOCKS_MAX << lun->block_shift);
	to[12] = (uint8_t)lun->block_shift;
	return 32;
}

static const struct copy_descriptor third_party_copies[] = {
    {0x0000, true, copy_token_limits},
    {0x0001, false, copy_commands},
    {0x0004, false, copy_parameters},
    {0x0008, false, copy_descriptors},
    {0x000c, false, copy_target_ids},
    {0x0106, true, copy_token_features},
    {0x0108, true, copy_token_types},
    {0x8001, false, copy_general},
};

/* The body of a descriptor ends at a multiple of four bytes. */
size_t
vpd_third_party_copy(const struct scsi_task *task, uint8_t *body)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(third_party_copies); i++) {
		const struct copy_descriptor *row = &third_party_copies[i];
		size_t length;
		if (row->tokens && task->lun->manager == NULL)
			continue;
		length = (row->build(task->lun, body + at + 4) + 3) / 4 * 4;
		store_be16(body + at, row->type);
		store_be16(body + at + 2, (uint16_t)length);
		at += 4 + length;
	}
	return at;
}
