/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The NBD protocol's server side, for one client and one read-only disk: fixed
 * newstyle negotiation, structured replies, block status.  By the protocol's
 * own document (doc/proto.md of the NetworkBlockDevice project).
 *
 * Pure: bytes go through a wire and come from a disk, both of the caller.
 * Everything blocks; nothing is asserted of what a client sends.  What it
 * cannot mean ends its connection, what it may not have is refused.
 */
#ifndef BACKUP_NBD_H
#define BACKUP_NBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that a client may ask for at once, and the protocol's default. */
#define NBD_PAYLOAD_MAX (32u << 20)
#define NBD_STRING_MAX  4096u
#define NBD_EXTENTS_MAX 1024u
/* Reads of one client that are under way at once, and the most that they hold:
 * so many bytes, or one that is larger. */
#define NBD_READS_MAX   32u
#define NBD_READS_BYTES (8u << 20)

struct nbd_wire {
	/* All of it, or negative: the connection is over. */
	int (*read)(struct nbd_wire *wire, void *to, size_t length);
	int (*write)(struct nbd_wire *wire, const void *from, size_t length);
	/* Would read() find something at once?  Only in transmission; NULL:
	 * never, and requests are answered one by one. */
	bool (*ready)(struct nbd_wire *wire);
	/* NULL: there is no TLS.  0, or negative. */
	int (*start_tls)(struct nbd_wire *wire);
};

struct nbd_extent {
	uint64_t length;
	bool set; /* data; or dirty */
};

enum nbd_map { NBD_MAP_DATA, NBD_MAP_DIRTY };

struct nbd_disk {
	uint64_t size;
	/* Begins to read, within the disk: no more than NBD_READS_MAX. */
	void (*begin)(struct nbd_disk *disk, uint64_t offset, uint32_t length,
	    uint8_t *to);
	/* Waits for the oldest that was begun, which is in its place then: 0 or
	 * negative.  `to` is written in here and nowhere else. */
	int (*end)(struct nbd_disk *disk);
	/* What lies at offset and behind, as far as it is looked for: 1 to max
	 * extents, each of a byte at least; or negative. */
	int (*map)(struct nbd_disk *disk, enum nbd_map map, uint64_t offset,
	    uint64_t length, struct nbd_extent *ret_extents, unsigned max);
};

struct nbd_export {
	const char *name;   /* who does not know it gets nothing */
	bool listed;        /* it is no secret */
	const char *bitmap; /* "since-mon"; NULL: none */
	bool tls_required;
	struct nbd_disk *disk;
	/* The client knows the name and may take its time; NULL: nobody asks */
	void (*admitted)(const struct nbd_export *export);
};

/* Until the client has gone, or is sent away. */
void nbd_talk(const struct nbd_export *export, struct nbd_wire *wire);

#endif
