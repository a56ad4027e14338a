/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/scsi/transport_id.h"
#include "base/assert.h"
#include "base/endian.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROTOCOL_ISCSI 0x05u
#define FORMAT_DEVICE  0u
#define FORMAT_PORT    1u
#define HEADER         4u
#define SEPARATOR      ",i,0x"
#define ISID_DIGITS    12u

static_assert(HEADER + TRANSPORT_PORT_MAX + 1 + 3 <= TRANSPORT_ID_MAX, "room");

size_t
transport_port_split(const char *port, const char **ret_isid)
{
	const char *separator = strstr(port, SEPARATOR);

	*ret_isid = separator == NULL ? NULL : separator + strlen(SEPARATOR);
	return separator == NULL ? strlen(port) : (size_t)(separator - port);
}

size_t
transport_id_encode(const char *port, uint8_t to[TRANSPORT_ID_MAX])
{
	size_t name = strlen(port), length;
	const char *isid;

	transport_port_split(port, &isid);
	assert(name <= TRANSPORT_PORT_MAX);
	/* 7.6.4.6: at least one NUL, then up to a multiple of 4 */
	length = HEADER + (name + 4) / 4 * 4;
	if (length < TRANSPORT_ID_MIN)
		length = TRANSPORT_ID_MIN;
	memset(to, 0, length);
	to[0] = (uint8_t)((isid != NULL ? FORMAT_PORT : FORMAT_DEVICE) << 6 |
			  PROTOCOL_ISCSI);
	store_be16(&to[2], (uint16_t)(length - HEADER));
	memcpy(to + HEADER, port, name);
	return length;
}

/* Letters, digits and what UTF-8 adds; a comma parts name and ISID. */
static bool
is_device_name(const char *name, size_t length)
{
	if (length == 0 || length > TRANSPORT_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];
		if (c <= ' ' || c == 0x7f || c == ',')
			return false;
	}
	return true;
}

/* An ISID may be written with fewer digits, or in capitals. */
static bool
isid_normalise(const char *digits, char *to)
{
	size_t length = strlen(digits);

	if (length == 0 || length > ISID_DIGITS)
		return false;
	memset(to, '0', ISID_DIGITS - length);
	to += ISID_DIGITS - length;
	for (size_t i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)digits[i]))
			return false;
		to[i] = (char)tolower((unsigned char)digits[i]);
	}
	to[length] = '\0';
	return true;
}

static bool
name_take(const char *name, unsigned format, struct transport_id *id)
{
	const char *isid;
	size_t device = transport_port_split(name, &isid);

	if (format == FORMAT_PORT && isid == NULL)
		return false;
	if (format == FORMAT_DEVICE)
		device = strlen(name);
	if (!is_device_name(name, device))
		return false;
	memcpy(id->port, name, device);
	id->port[device] = '\0';
	id->device_only = format == FORMAT_DEVICE;
	if (id->device_only)
		return true;
	strcpy(id->port + device, SEPARATOR);
	return isid_normalise(isid, id->port + device + strlen(SEPARATOR));
}

static_assert(TRANSPORT_NAME_MAX + sizeof(SEPARATOR) + ISID_DIGITS <=
		  TRANSPORT_PORT_MAX + 1,
    "a port's name fits");

int
transport_id_decode(
    const uint8_t *from, size_t length, struct transport_id *ret_id)
{
	char name[TRANSPORT_ID_MAX];
	size_t size;

	if (length < TRANSPORT_ID_MIN || (from[0] & 0x0f) != PROTOCOL_ISCSI ||
	    from[0] >> 6 > FORMAT_PORT)
		return -EINVAL;
	size = HEADER + load_be16(&from[2]);
	if (size < TRANSPORT_ID_MIN || size > length ||
	    size > TRANSPORT_ID_MAX || size % 4 != 0)
		return -EINVAL;
	memcpy(name, from + HEADER, size - HEADER);
	if (memchr(name, '\0', size - HEADER) == NULL ||
	    !name_take(name, from[0] >> 6, ret_id))
		return -EINVAL;
	return (int)size;
}

bool
transport_is_port_of(const char *port, const char *device)
{
	size_t length = strlen(device);

	return strncasecmp(port, device, length) == 0 &&
	       (port[length] == '\0' ||
		   strncmp(port + length, SEPARATOR, strlen(SEPARATOR)) == 0);
}
