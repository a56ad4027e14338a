/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PDUs of RFC 7143 section 11 as they are on the wire.  Every PDU starts
 * with a basic header segment of 48 bytes; then additional headers, the header
 * digest, the data segment padded to four bytes and the data digest, each of
 * them optional.
 */
#ifndef TARGET_ISCSI_PDU_H
#define TARGET_ISCSI_PDU_H

#include "base/assert.h"
#include "base/endian.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISCSI_BHS_LENGTH    48
#define ISCSI_DIGEST_LENGTH 4
#define ISCSI_AHS_MAX       (255 * 4)
#define ISCSI_TAG_NONE      0xffffffffu /* reserved tag, RFC 7143 11.2.1.8 */

/* 11.2.1.2: initiator opcodes below 20h, target opcodes above. */
enum iscsi_opcode {
	ISCSI_NOP_OUT = 0x00,
	ISCSI_SCSI_COMMAND = 0x01,
	ISCSI_TASK_REQUEST = 0x02,
	ISCSI_LOGIN_REQUEST = 0x03,
	ISCSI_TEXT_REQUEST = 0x04,
	ISCSI_DATA_OUT = 0x05,
	ISCSI_LOGOUT_REQUEST = 0x06,
	ISCSI_SNACK = 0x10,
	ISCSI_NOP_IN = 0x20,
	ISCSI_SCSI_RESPONSE = 0x21,
	ISCSI_TASK_RESPONSE = 0x22,
	ISCSI_LOGIN_RESPONSE = 0x23,
	ISCSI_TEXT_RESPONSE = 0x24,
	ISCSI_DATA_IN = 0x25,
	ISCSI_LOGOUT_RESPONSE = 0x26,
	ISCSI_R2T = 0x31,
	ISCSI_ASYNC = 0x32,
	ISCSI_REJECT = 0x3f,
};

#define ISCSI_OPCODE_MASK 0x3f
#define ISCSI_IMMEDIATE   0x40 /* in the opcode byte */
#define ISCSI_FINAL       0x80 /* in the flags byte of most PDUs */

/* What all PDUs share.  number[] are StatSN, ExpCmdSN and MaxCmdSN in every
 * target PDU, CmdSN and ExpStatSN in most initiator PDUs. */
struct iscsi_bhs {
	uint8_t opcode;
	uint8_t flags;
	uint8_t specific[2];
	uint8_t ahs_words; /* TotalAHSLength, in words of four bytes */
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt; /* or another tag, or EDTL */
	struct be32 number[3];
	uint8_t rest[12];
};
static_assert(sizeof(struct iscsi_bhs) == ISCSI_BHS_LENGTH, "11.2.1");
static_assert(offsetof(struct iscsi_bhs, number) == 24, "11.2.1");

/* 11.3 */
#define ISCSI_COMMAND_READ      0x40
#define ISCSI_COMMAND_WRITE     0x20
#define ISCSI_COMMAND_ATTRIBUTE 0x07

struct iscsi_command {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 expected_length;
	struct be32 cmdsn;
	struct be32 exp_statsn;
	uint8_t cdb[16];
};
static_assert(sizeof(struct iscsi_command) == ISCSI_BHS_LENGTH, "11.3");

/* 11.2.2.1: an additional header; length does not count itself and type. */
#define ISCSI_AHS_EXTENDED_CDB 1
#define ISCSI_AHS_BIDI_LENGTH  2

struct iscsi_ahs {
	struct be16 length;
	uint8_t type;
	uint8_t specific;
};
static_assert(sizeof(struct iscsi_ahs) == 4, "11.2.2");

/* 11.4 */
#define ISCSI_RESIDUAL_OVERFLOW  0x04
#define ISCSI_RESIDUAL_UNDERFLOW 0x02

struct iscsi_response {
	uint8_t opcode;
	uint8_t flags;
	uint8_t response; /* 0: completed at target */
	uint8_t status;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t reserved[8];
	struct be32 itt;
	struct be32 snack_tag;
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	struct be32 exp_datasn;
	struct be32 bidi_residual;
	struct be32 residual;
};
static_assert(sizeof(struct iscsi_response) == ISCSI_BHS_LENGTH, "11.4");

/* 11.5 */
#define ISCSI_TASK_FUNCTION 0x7f

struct iscsi_task_request {
	uint8_t opcode;
	uint8_t function; /* with ISCSI_FINAL */
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 referenced_itt;
	struct be32 cmdsn;
	struct be32 exp_statsn;
	struct be32 ref_cmdsn;
	struct be32 exp_datasn;
	uint8_t reserved2[8];
};
static_assert(sizeof(struct iscsi_task_request) == ISCSI_BHS_LENGTH, "11.5");

/* 11.6 */
struct iscsi_task_response {
	uint8_t opcode;
	uint8_t flags;
	uint8_t response;
	uint8_t reserved;
	uint8_t ahs_words;
	struct be24 data_length;
	struct be32 additional; /* RFC 7144 4: QUERY ASYNC EVENT's */
	uint8_t reserved2[4];
	struct be32 itt;
	uint8_t reserved3[4];
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	uint8_t reserved4[12];
};
static_assert(sizeof(struct iscsi_task_response) == ISCSI_BHS_LENGTH, "11.6");

/* 11.7 */
struct iscsi_data_out {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt;
	uint8_t reserved2[4];
	struct be32 exp_statsn;
	uint8_t reserved3[4];
	struct be32 datasn;
	struct be32 offset;
	uint8_t reserved4[4];
};
static_assert(sizeof(struct iscsi_data_out) == ISCSI_BHS_LENGTH, "11.7");

#define ISCSI_DATA_IN_STATUS 0x01

struct iscsi_data_in {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved;
	uint8_t status;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt;
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	struct be32 datasn;
	struct be32 offset;
	struct be32 residual;
};
static_assert(sizeof(struct iscsi_data_in) == ISCSI_BHS_LENGTH, "11.7");

/* 11.8 */
struct iscsi_r2t {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt;
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	struct be32 r2tsn;
	struct be32 offset;
	struct be32 desired_length;
};
static_assert(sizeof(struct iscsi_r2t) == ISCSI_BHS_LENGTH, "11.8");

/* 11.9.1: AsyncEvent */
enum iscsi_async_event {
	ISCSI_ASYNC_SCSI = 0,
	ISCSI_ASYNC_LOGOUT = 1,
	ISCSI_ASYNC_DROP_CONNECTION = 2,
	ISCSI_ASYNC_DROP_SESSION = 3,
	ISCSI_ASYNC_NEGOTIATE = 4,
};

struct iscsi_async {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 tag; /* ffffffffh */
	uint8_t reserved2[4];
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	uint8_t event;
	uint8_t vendor_code;
	struct be16 parameter[3];
	uint8_t reserved3[4];
};
static_assert(sizeof(struct iscsi_async) == ISCSI_BHS_LENGTH, "11.9");

/* 11.10, 11.11 */
#define ISCSI_TEXT_CONTINUE 0x40

struct iscsi_text_pdu {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt;
	struct be32 number[3];
	uint8_t reserved2[12];
};
static_assert(sizeof(struct iscsi_text_pdu) == ISCSI_BHS_LENGTH, "11.10");

/* 11.12 */
#define ISCSI_LOGIN_TRANSIT  0x80
#define ISCSI_LOGIN_CONTINUE 0x40

enum iscsi_stage {
	ISCSI_STAGE_SECURITY = 0,
	ISCSI_STAGE_OPERATIONAL = 1,
	ISCSI_STAGE_FULL_FEATURE = 3,
};

static inline unsigned
iscsi_login_csg(uint8_t flags)
{
	return (flags >> 2) & 3;
}

static inline unsigned
iscsi_login_nsg(uint8_t flags)
{
	return flags & 3;
}

struct iscsi_login_request {
	uint8_t opcode;
	uint8_t flags;
	uint8_t version_max;
	uint8_t version_min;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t isid[6];
	struct be16 tsih;
	struct be32 itt;
	struct be16 cid;
	uint8_t reserved[2];
	struct be32 cmdsn;
	struct be32 exp_statsn;
	uint8_t reserved2[16];
};
static_assert(sizeof(struct iscsi_login_request) == ISCSI_BHS_LENGTH, "11.12");

/* 11.13 */
struct iscsi_login_response {
	uint8_t opcode;
	uint8_t flags;
	uint8_t version_max;
	uint8_t version_active;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t isid[6];
	struct be16 tsih;
	struct be32 itt;
	uint8_t reserved[4];
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	uint8_t status_class;
	uint8_t status_detail;
	uint8_t reserved2[10];
};
static_assert(sizeof(struct iscsi_login_response) == ISCSI_BHS_LENGTH, "11.13");

/* 11.14 */
enum iscsi_logout_reason {
	ISCSI_LOGOUT_SESSION = 0,
	ISCSI_LOGOUT_CONNECTION = 1,
	ISCSI_LOGOUT_RECOVERY = 2,
};

enum iscsi_logout_result {
	ISCSI_LOGOUT_CLOSED = 0,
	ISCSI_LOGOUT_CID_NOT_FOUND = 1,
	ISCSI_LOGOUT_NO_RECOVERY = 2,
	ISCSI_LOGOUT_CLEANUP_FAILED = 3,
};

struct iscsi_logout_request {
	uint8_t opcode;
	uint8_t reason; /* with ISCSI_FINAL */
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t reserved2[8];
	struct be32 itt;
	struct be16 cid;
	uint8_t reserved3[2];
	struct be32 cmdsn;
	struct be32 exp_statsn;
	uint8_t reserved4[16];
};
static_assert(sizeof(struct iscsi_logout_request) == ISCSI_BHS_LENGTH, "11.14");

/* 11.15 */
struct iscsi_logout_response {
	uint8_t opcode;
	uint8_t flags;
	uint8_t response;
	uint8_t reserved;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t reserved2[8];
	struct be32 itt;
	uint8_t reserved3[4];
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	uint8_t reserved4[4];
	struct be16 time2wait;
	struct be16 time2retain;
	uint8_t reserved5[4];
};
static_assert(
    sizeof(struct iscsi_logout_response) == ISCSI_BHS_LENGTH, "11.15");

/* 11.17.1; reject.def has the wording */
enum iscsi_reject_reason {
#define REJECT(name, code, text) ISCSI_REJECT_##name = (code),
#include "target/iscsi/reject.def"
#undef REJECT
};

struct iscsi_reject {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reason;
	uint8_t reserved;
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t reserved2[8];
	struct be32 tag; /* ffffffffh */
	uint8_t reserved3[4];
	struct be32 statsn;
	struct be32 exp_cmdsn;
	struct be32 max_cmdsn;
	struct be32 datasn;
	uint8_t reserved4[8];
};
static_assert(sizeof(struct iscsi_reject) == ISCSI_BHS_LENGTH, "11.17");

/* 11.18, 11.19 */
struct iscsi_nop {
	uint8_t opcode;
	uint8_t flags;
	uint8_t reserved[2];
	uint8_t ahs_words;
	struct be24 data_length;
	uint8_t lun[8];
	struct be32 itt;
	struct be32 ttt;
	struct be32 number[3];
	uint8_t reserved2[12];
};
static_assert(sizeof(struct iscsi_nop) == ISCSI_BHS_LENGTH, "11.18");

static inline enum iscsi_opcode
iscsi_opcode(const struct iscsi_bhs *bhs)
{
	return bhs->opcode & ISCSI_OPCODE_MASK;
}

static inline bool
iscsi_is_immediate(const struct iscsi_bhs *bhs)
{
	return bhs->opcode & ISCSI_IMMEDIATE;
}

/* Bytes that fill up to a multiple of four. */
static inline uint32_t
iscsi_pad(uint32_t length)
{
	return -length & 3;
}

/* Serial number arithmetic of RFC 1982, as RFC 7143 4.2.2.1 wants: is a before
 * b? */
static inline bool
iscsi_sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* "SCSI Command", for logs; "opcode 3ah" is not a name: NULL. */
const char *iscsi_opcode_name(enum iscsi_opcode opcode);
const char *iscsi_reject_text(enum iscsi_reject_reason reason);

/* Finds the CDB (up to size bytes, the rest zeroed) and, from the additional
 * headers, its tail and the bidirectional read length.  Returns its length, or
 * -EINVAL if the headers do not fit their frame, -E2BIG a longer CDB. */
int iscsi_command_cdb(const struct iscsi_command *command, const uint8_t *ahs,
    uint8_t *cdb, unsigned size, bool *ret_bidirectional);

#endif
