/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opcode table from opcodes.def, and the way into it: by index for the
 * common commands, by search for the few with a service action.
 */
#include "target/scsi/handlers.h"

enum op_row {
#define OP(id, ...)    ROW_##id,
#define OP_SA(id, ...) ROW_##id,
#include "target/scsi/opcodes.def"
#undef OP
#undef OP_SA
	ROW_COUNT,
};

#define ROW(                                                                   \
    id, code, sa, name_, pass_, flags_, at, bytes, check_, run_, answer_, ...) \
	[ROW_##id] = {                                                         \
	    .name = (name_),                                                   \
	    .opcode = (code),                                                  \
	    .action = (sa),                                                    \
	    .pass = PASS_##pass_,                                              \
	    .flags = (flags_),                                                 \
	    .length = sizeof((uint8_t[]){(code), __VA_ARGS__}),                \
	    .allocation_at = (at),                                             \
	    .allocation_bytes = (bytes),                                       \
	    .mask = {(code), __VA_ARGS__},                                     \
	    .check = (check_),                                                 \
	    .run = (run_),                                                     \
	    .answer = (answer_),                                               \
	},
#define OP(id, code, name, pass, flags, ...)                                   \
	ROW(id, code, 0, name, pass, flags, __VA_ARGS__)
#define OP_SA(id, code, sa, name, pass, flags, ...)                            \
	ROW(id, code, sa, name, pass, (flags) | OP_ACTION, __VA_ARGS__)
const struct scsi_op scsi_ops[] = {
#include "target/scsi/opcodes.def"
};
#undef OP
#undef OP_SA
const unsigned scsi_op_count = ROW_COUNT;

/* row + 1 of each operation code without service actions; 0: none */
static const uint8_t row_of[256] = {
#define OP(id, code, ...) [code] = ROW_##id + 1,
#define OP_SA(id, ...)
#include "target/scsi/opcodes.def"
#undef OP
#undef OP_SA
};

static const struct scsi_op *
find_action(uint8_t opcode, unsigned action, bool *ret_known)
{
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		if (!(op->flags & OP_ACTION) || op->opcode != opcode)
			continue;
		*ret_known = true;
		if (op->action == action)
			return op;
	}
	return NULL;
}

const struct scsi_op *
scsi_op_find(uint8_t opcode, unsigned action, bool *ret_known)
{
	unsigned row = row_of[opcode];

	if (row == 0)
		return find_action(opcode, action, ret_known);
	*ret_known = true;
	return &scsi_ops[row - 1];
}

bool
scsi_op_on_lun(const struct scsi_op *op, const struct lun *lun)
{
	return (!(op->flags & OP_THIN) || lun->bs->thin) &&
	       (!(op->flags & OP_ATOMIC) || lun->bs->atomic_max > 0) &&
	       (!(op->flags & OP_SANITIZES) || lun_sanitizes(lun)) &&
	       (!(op->flags & OP_TOKEN) || lun->manager != NULL);
}
