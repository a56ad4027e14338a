/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The initiator's end of a connection.
 */
#include "base/crc32c.h"
#include "tests/fuzz/stack/stack.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void
initiator_connect(struct initiator *c)
{
	*c = (struct initiator){.fd = stack_connect(), .cmdsn = 1};
}

bool
initiator_drain(struct initiator *c, int timeout_ms)
{
	struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
	static uint8_t buf[64 << 10];

	while (poll(&pfd, 1, timeout_ms) > 0) {
		ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return false;
	}
	return true;
}

static bool
initiator_listen(struct initiator *c, int timeout_ms)
{
	return c->listen != NULL ? c->listen(c, timeout_ms)
				 : initiator_drain(c, timeout_ms);
}

/* The server may wait for us to take what it says before it takes more. */
void
initiator_send(struct initiator *c, const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length > 0) {
		ssize_t n =
		    send(c->fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (!initiator_listen(c, 1)) {
			return;
		}
	}
}

/* What a sum covers lies before at. */
static uint8_t *
add_sum(uint8_t *at, size_t length, uint32_t spoil)
{
	store_le32(at, crc32c(at - length, length) ^ spoil);
	return at + ISCSI_DIGEST_LENGTH;
}

/* Returns its end. */
static uint8_t *
pdu_build(const struct initiator *c, uint8_t *at, const struct iscsi_bhs *bhs,
    const uint8_t *data, uint32_t length)
{
	const uint32_t whole = length + iscsi_pad(length);

	memcpy(at, bhs, sizeof(*bhs));
	at += sizeof(*bhs);
	if (c->digests)
		at = add_sum(at, sizeof(*bhs), 0);
	if (whole == 0)
		return at;
	memset(at, 0, whole);
	memcpy(at, data, length);
	at += whole;
	return c->digests ? add_sum(at, whole, c->corrupt) : at;
}

void
initiator_rest(struct initiator *c)
{
	initiator_send(c, c->kept, c->kept_length);
	c->kept_length = 0;
}

void
initiator_pdu(struct initiator *c, struct iscsi_bhs *bhs, const uint8_t *data,
    uint32_t length)
{
	uint8_t pdu[PDU_MAX];
	size_t whole, now;

	bhs->ahs_words = 0;
	be24_set(&bhs->data_length, length);
	initiator_rest(c);
	whole = (size_t)(pdu_build(c, pdu, bhs, data, length) - pdu);
	now = c->half ? whole / 2 : whole;
	initiator_send(c, pdu, now);
	c->kept_length = whole - now;
	memcpy(c->kept, pdu + now, c->kept_length);
	c->corrupt = c->half = false;
}

void
initiator_login(struct initiator *c, const struct login *login,
    const char *text, size_t length)
{
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_LOGIN_REQUEST | ISCSI_IMMEDIATE, .flags = 0x87};

	bhs.lun[5] = login->isid;
	store_be16(&bhs.lun[6], login->tsih);
	store_be16((uint8_t *)&bhs.ttt, login->cid);
	be32_set(&bhs.number[0], login->cmdsn);
	initiator_pdu(c, &bhs, (const uint8_t *)text, (uint32_t)length);
}

/* libFuzzer's alarm interrupts. */
void
initiator_receive(struct initiator *c, void *data, size_t length)
{
	uint8_t *at = data;

	while (length > 0) {
		ssize_t n = recv(c->fd, at, length, 0);
		if (n < 0 && errno == EINTR)
			continue;
		assert(n > 0);
		at += n;
		length -= (size_t)n;
	}
}

void
initiator_finish(struct initiator *c)
{
	shutdown(c->fd, SHUT_WR);
	while (initiator_drain(c, 1000))
		continue;
	close(c->fd);
}
