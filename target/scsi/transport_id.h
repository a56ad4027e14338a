/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TransportIDs of iSCSI, SPC-4 7.6.4.6: how PERSISTENT RESERVE names an
 * initiator port, or, without an ISID, all ports of an initiator device.
 * Varve's own form of the name of a port is that of RFC 7143 4.2.7.1:
 * "iqn...,i,0x" and the twelve digits of the ISID in lower case.
 */
#ifndef TARGET_SCSI_TRANSPORT_ID_H
#define TARGET_SCSI_TRANSPORT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPORT_NAME_MAX 223 /* of a device */
#define TRANSPORT_PORT_MAX 255 /* of a port, and of a device */
#define TRANSPORT_ID_MIN   24u
#define TRANSPORT_ID_MAX   264u /* header, name, NUL, padding */

struct transport_id {
	char port[TRANSPORT_PORT_MAX + 1];
	bool device_only; /* format 00b: port is the device's name */
};

/* The length of the device's name in a port's, and the digits of its ISID, or
 * NULL: it is a device's name. */
size_t transport_port_split(const char *port, const char **ret_isid);

/* Its length: a multiple of 4. */
size_t transport_id_encode(const char *port, uint8_t to[TRANSPORT_ID_MAX]);

/* The first one of length bytes.  How long it is, or -EINVAL: not one of
 * iSCSI, cut off, or not a name. */
int transport_id_decode(
    const uint8_t *from, size_t length, struct transport_id *ret_id);

/* Is that the port of this device?  Names of iSCSI have no case. */
bool transport_is_port_of(const char *port, const char *device);

#endif
