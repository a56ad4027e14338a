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
		} else if (!initiator_drain(c, 1)) {
			return;
		}
	}
}

static void
initiator_sum(
    struct initiator *c, const void *data, size_t length, uint32_t spoil)
{
	uint8_t sum[4];

	store_le32(sum, crc32c(data, length) ^ spoil);
	initiator_send(c, sum, sizeof(sum));
}

void
initiator_pdu(struct initiator *c, struct iscsi_bhs *bhs, const uint8_t *data,
    uint32_t length)
{
	uint8_t padded[STACK_DATA_MAX + 4] = {0};
	const uint32_t whole = length + iscsi_pad(length);

	if (length > 0)
		memcpy(padded, data, length);
	bhs->ahs_words = 0;
	be24_set(&bhs->data_length, length);
	initiator_send(c, bhs, sizeof(*bhs));
	if (c->digests)
		initiator_sum(c, bhs, sizeof(*bhs), 0);
	initiator_send(c, padded, whole);
	if (c->digests && whole > 0)
		initiator_sum(c, padded, whole, c->corrupt);
	c->corrupt = false;
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
