/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NBD as it lies on the wire, big endian; names are the protocol's.
 */
#ifndef BACKUP_NBD_WIRE_H
#define BACKUP_NBD_WIRE_H

#include "base/endian.h"
#include <assert.h>

#define NBD_MAGIC        0x4e42444d41474943ull /* "NBDMAGIC" */
#define NBD_IHAVEOPT     0x49484156454f5054ull /* "IHAVEOPT" */
#define NBD_OPTION_REPLY 0x0003e889045565a9ull
#define NBD_REQUEST      0x25609513u
#define NBD_SIMPLE_REPLY 0x67446698u
#define NBD_CHUNK        0x668e33efu

enum {
	NBD_FLAG_FIXED_NEWSTYLE = 1 << 0, /* of handshakes, both sides */
	NBD_FLAG_NO_ZEROES = 1 << 1,
};

enum {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ERROR(n) (1u << 31 | (n))
enum {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERR_UNSUP    NBD_REP_ERROR(1)
#define NBD_REP_ERR_INVALID  NBD_REP_ERROR(3)
#define NBD_REP_ERR_TLS_REQD NBD_REP_ERROR(5)
#define NBD_REP_ERR_UNKNOWN  NBD_REP_ERROR(6)

enum { NBD_INFO_EXPORT = 0, NBD_INFO_BLOCK_SIZE = 3 };

enum { /* of transmission */
	NBD_FLAG_HAS_FLAGS = 1 << 0,
	NBD_FLAG_READ_ONLY = 1 << 1,
	NBD_FLAG_SEND_DF = 1 << 7,
	NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
};

enum {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};
enum { NBD_CMD_FLAG_DF = 1 << 2, NBD_CMD_FLAG_REQ_ONE = 1 << 3 };

enum { NBD_CHUNK_FLAG_DONE = 1 << 0 };
enum {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_BLOCK_STATUS = 5,
	NBD_CHUNK_ERROR = 1 << 15 | 1,
};

enum { NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1 };
enum { NBD_STATE_DIRTY = 1 << 0 };

/* The protocol's numbers of errors. */
enum { NBD_EPERM = 1, NBD_EIO = 5, NBD_EINVAL = 22 };

struct nbd_greeting {
	struct be64 magic, option_magic;
	struct be16 flags;
};
static_assert(sizeof(struct nbd_greeting) == 18, "as the protocol has it");

struct nbd_option {
	struct be64 magic;
	struct be32 option, length;
};
static_assert(sizeof(struct nbd_option) == 16, "as the protocol has it");

struct nbd_option_reply {
	struct be64 magic;
	struct be32 option, type, length;
};
static_assert(sizeof(struct nbd_option_reply) == 20, "as the protocol has it");

struct nbd_request {
	struct be32 magic;
	struct be16 flags, type;
	struct be64 cookie, offset;
	struct be32 length;
};
static_assert(sizeof(struct nbd_request) == 28, "as the protocol has it");

struct nbd_simple_reply {
	struct be32 magic, error;
	struct be64 cookie;
};
static_assert(sizeof(struct nbd_simple_reply) == 16, "as the protocol has it");

struct nbd_chunk {
	struct be32 magic;
	struct be16 flags, type;
	struct be64 cookie;
	struct be32 length;
};
static_assert(sizeof(struct nbd_chunk) == 20, "as the protocol has it");

#endif
