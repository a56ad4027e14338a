/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which LUN a session uses.  A target has many LUNs and QEMU logs in once for
 * each disk, so that a session tells little of who has which LUN; its commands
 * do.  What is told is the one LUN that a session has used, because that of a
 * session with several cannot be relied on: after it has logged in again it may
 * have used some only.
 */
#include "target/iscsi/session.h"
#include <stddef.h>

/* What a host sends to see what there is; not what it sends to a disk that it
 * opens: QEMU asks for its mode pages, others read. */
static const uint8_t scanning[] = {
    0x00, /* TEST UNIT READY */
    0x03, /* REQUEST SENSE */
    0x12, /* INQUIRY */
    0x25, /* READ CAPACITY(10) */
    0x9e, /* SERVICE ACTION IN(16): READ CAPACITY(16) */
    0xa0, /* REPORT LUNS */
};

static bool
is_scanning(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(scanning); i++) {
		if (scanning[i] == opcode)
			return true;
	}
	return false;
}

/* SAM-5 4.7.7.2 and 4.7.7.3: peripheral device and flat space addressing. */
static int
number_of(const uint8_t lun[8])
{
	if (lun[0] == 0)
		return lun[1];
	if (lun[0] >> 6 == 1)
		return (lun[0] & 0x3f) << 8 | lun[1];
	return ISCSI_USED_SEVERAL;
}

void
iscsi_session_use(
    struct iscsi_session *session, const uint8_t lun[8], uint8_t opcode)
{
	int number = number_of(lun);

	if (number == session->used_lun || is_scanning(opcode))
		return;
	session->used_lun =
	    session->used_lun == ISCSI_USED_NONE ? number : ISCSI_USED_SEVERAL;
}
