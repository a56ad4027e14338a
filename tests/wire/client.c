/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The initiator's end of a connection: bytes, PDUs, digests.  It takes its own
 * view of the wire, and shares none of the server's code but the checksum.
 */
#include "base/crc32c.h"
#include "tests/wire/play.h"
#include <poll.h>
#include <sys/socket.h>

const char *
client_send(struct play *p, const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length > 0) {
		ssize_t n = send(p->client->fd, at, length, MSG_NOSIGNAL);
		if (n < 0)
			return "cannot send";
		at += n;
		length -= (size_t)n;
	}
	return NULL;
}

int
client_receive(struct play *p, void *data, size_t length, int timeout_ms)
{
	uint8_t *at = data;

	while (length > 0) {
		struct pollfd pfd = {.fd = p->client->fd, .events = POLLIN};
		ssize_t n;
		if (poll(&pfd, 1, timeout_ms) == 0)
			return -1;
		n = recv(p->client->fd, at, length, 0);
		if (n <= 0)
			return 0;
		at += n;
		length -= (size_t)n;
	}
	return 1;
}

static const char *
send_sum(struct play *p, uint32_t sum, bool *corrupt)
{
	uint8_t bytes[4];

	store_le32(bytes, *corrupt ? sum ^ 1 : sum);
	*corrupt = false;
	return client_send(p, bytes, sizeof(bytes));
}

const char *
client_send_pdu(struct play *p)
{
	struct client *c = p->client;
	struct wire_pdu *pdu = &p->pdu;
	const uint32_t padded = pdu->length + iscsi_pad(pdu->length);
	const char *wrong = client_send(p, &pdu->bhs, sizeof(pdu->bhs));

	memset(pdu->data + pdu->length, 0, iscsi_pad(pdu->length));
	if (wrong == NULL && c->header_digest)
		wrong = send_sum(
		    p, crc32c(&pdu->bhs, sizeof(pdu->bhs)), &c->corrupt_header);
	if (wrong == NULL)
		wrong = client_send(p, pdu->data, padded);
	if (wrong == NULL && c->data_digest && padded > 0)
		wrong =
		    send_sum(p, crc32c(pdu->data, padded), &c->corrupt_data);
	return wrong;
}

static bool
sum_ok(struct play *p, const void *data, size_t length)
{
	uint8_t bytes[4];

	return client_receive(p, bytes, sizeof(bytes), WIRE_TIMEOUT_MS) == 1 &&
	       load_le32(bytes) == crc32c(data, length);
}

const char *
client_receive_pdu(struct play *p)
{
	struct client *c = p->client;
	struct wire_pdu *pdu = &p->pdu;
	uint32_t padded;
	int ret =
	    client_receive(p, &pdu->bhs, sizeof(pdu->bhs), WIRE_TIMEOUT_MS);

	if (ret != 1)
		return ret == 0 ? "the connection was closed" : "nothing came";
	if (c->header_digest && !sum_ok(p, &pdu->bhs, sizeof(pdu->bhs)))
		return "wrong header digest";
	pdu->length = be24_get(&pdu->bhs.data_length);
	padded = pdu->length + iscsi_pad(pdu->length);
	if (padded > WIRE_DATA_MAX)
		return "a data segment too long";
	if (client_receive(p, pdu->data, padded, WIRE_TIMEOUT_MS) != 1)
		return "data is missing";
	if (c->data_digest && padded > 0 && !sum_ok(p, pdu->data, padded))
		return "wrong data digest";
	return NULL;
}
