/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream of PDUs against the whole stack, over a socket pair.
 *
 * The first byte says where the stream begins:
 *	0  a new connection
 *	1  after a login to a target        2  the same with digests
 *	3  after a login for discovery      4  a second session beside a live
 *one 5  a login that reinstates a live session, whose commands execute In 1 to
 *5 the rest is records of a header (48 bytes), a length (2 bytes) and data; a
 *length with its top bit clear is put into the header, with CmdSN and digests
 *as they should be.  What is left over goes out as it is.
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "target/iscsi/conn.h"
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TARGET    "iqn.2026-01.io.varve:fuzz"
#define INITIATOR "iqn.2026-01.io.varve:host"
#define INPUTS    1000 /* then a fresh server: LUNs have a memory */
#define LUNS      2
#define DATA_MAX  4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The server ---- */

static struct {
	struct loop *loop;
	struct iscsi_server *server;
	struct backstore *stores[LUNS];
	struct lun *luns[LUNS];
	unsigned inputs, closed;
	struct loop_task call;
	void (*run)(void);
	int fd;
	sem_t done;
} s;

static void
call_run(struct loop_task *task)
{
	(void)task;
	s.run();
}

static void
call(void (*run)(void))
{
	s.call.run = call_run;
	s.run = run;
	loop_post(s.loop, &s.call);
	while (sem_wait(&s.done) < 0)
		continue;
}

static void
done(void *arg)
{
	(void)arg;
	sem_post(&s.done);
}

static void
luns_open(void)
{
	const struct bs_delay_params delay = {
	    .max_ns = 200 * NSEC_PER_USEC, .seed = 1};
	struct lun_params params = {.serial = "fuzz", .label = "fuzz"};

	for (unsigned i = 0; i < LUNS; i++) {
		int ret = bs_mem_new(s.loop, 1u << 20, 512, &s.stores[i]);
		if (ret == 0 && i == 1)
			ret = bs_delay_new(s.stores[i], &delay, &s.stores[i]);
		params.bs = s.stores[i];
		params.naa[0] = 0x30;
		params.naa[7] = (uint8_t)i;
		if (ret == 0)
			ret = lun_new(&params, &s.luns[i]);
		assert(ret == 0);
	}
}

static void
server_open(void)
{
	const struct iscsi_limits limits = {
	    .commands = 16, .data_bytes = 256u << 10};
	struct iscsi_access *access = iscsi_access_new(1, 1);
	struct iscsi_target *target = &access->targets[0];

	luns_open();
	strcpy(access->hosts[0].iqn, INITIATOR);
	strcpy(target->iqn, TARGET);
	target->loop = s.loop;
	target->export_count = LUNS;
	target->exports = calloc(LUNS, sizeof(*target->exports));
	for (unsigned i = 0; i < LUNS; i++)
		target->exports[i] =
		    (struct iscsi_export){.number = i, .lun = s.luns[i]};
	int ret = iscsi_server_new(s.loop, &s.loop, 1, &limits, &s.server);
	assert(ret == 0);
	iscsi_server_publish(s.server, access, done, NULL);
	iscsi_access_unref(access);
}

static void
server_stop(void)
{
	iscsi_server_stop(s.server, 100, done, NULL);
}

static void
store_closed(void *arg)
{
	(void)arg;
	if (++s.closed == LUNS)
		sem_post(&s.done);
}

static void
lun_freed(void *arg)
{
	bs_close(arg, store_closed, NULL);
}

static void
server_close(void)
{
	iscsi_server_free(s.server);
	s.closed = 0;
	for (unsigned i = 0; i < LUNS; i++)
		lun_free(s.luns[i], lun_freed, s.stores[i]);
}

static void
service_new(void)
{
	const struct loop_params params = {
	    .buffer_bytes = 4u << 20, .name = "fuzz", .cpu = -1};

	if (s.inputs++ % INPUTS != 0)
		return;
	if (s.loop == NULL) {
		signal(SIGPIPE, SIG_IGN);
		if (getenv("FUZZ_DEBUG") != NULL)
			log_set_level(LOG_DEBUG);
		sem_init(&s.done, 0, 0);
		int ret = loop_new(&params, &s.loop);
		assert(ret == 0);
		ret = loop_start(s.loop);
		assert(ret == 0);
	} else {
		call(server_stop);
		call(server_close);
	}
	call(server_open);
}

static void
inject(void)
{
	struct iscsi_conn *conn = iscsi_conn_new(s.server, s.fd, 1);

	assert(conn != NULL);
	s.server->conn_count++;
	iscsi_login_start(conn);
	sem_post(&s.done);
}

static bool quiet;

static void
look(void)
{
	quiet = s.server->conn_count == 0 && list_empty(&s.server->directory);
	sem_post(&s.done);
}

/* Nothing of this input is left to disturb the next one, or to be taken for a
 * leak: I/O in flight is known to the timers alone, which LSan does not see. */
static void
wait_until_quiet(void)
{
	for (call(look); !quiet; call(look))
		usleep(50);
}

/* ---- The client ---- */

struct client {
	int fd;
	uint32_t cmdsn;
	bool digests;
};

static void
client_connect(struct client *c)
{
	int pair[2];
	int ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);

	assert(ret == 0);
	*c = (struct client){.fd = pair[0], .cmdsn = 1};
	s.fd = pair[1];
	call(inject);
}

/* Throws away what the server says, so that it does not wait for us. */
static bool
client_drain(struct client *c, int timeout_ms)
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

static void
client_send(struct client *c, const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length > 0) {
		ssize_t n =
		    send(c->fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (!client_drain(c, 1)) {
			return;
		}
	}
}

static void
client_sum(struct client *c, const void *data, size_t length)
{
	uint8_t sum[4];

	store_le32(sum, crc32c(data, length));
	client_send(c, sum, sizeof(sum));
}

static void
client_pdu(struct client *c, struct iscsi_bhs *bhs, const uint8_t *data,
    uint32_t length)
{
	uint8_t padded[DATA_MAX + 4] = {0};
	const uint32_t whole = length + iscsi_pad(length);

	memcpy(padded, data, length);
	bhs->ahs_words = 0;
	be24_set(&bhs->data_length, length);
	client_send(c, bhs, sizeof(*bhs));
	if (c->digests)
		client_sum(c, bhs, sizeof(*bhs));
	client_send(c, padded, whole);
	if (c->digests && whole > 0)
		client_sum(c, padded, whole);
}

/* libFuzzer's alarm interrupts. */
static void
client_receive(struct client *c, void *data, size_t length)
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

/* The fixture always gets in: else nothing would be fuzzed. */
static void
client_login(struct client *c, const char *text, size_t length, uint8_t isid)
{
	struct iscsi_bhs bhs = {
	    .opcode = ISCSI_LOGIN_REQUEST | ISCSI_IMMEDIATE, .flags = 0x87};
	struct iscsi_bhs response;
	uint8_t data[1024];

	bhs.lun[5] = isid;
	be32_set(&bhs.number[0], 1);
	client_pdu(c, &bhs, (const uint8_t *)text, (uint32_t)length);
	client_receive(c, &response, sizeof(response));
	assert(response.rest[0] == 0 && response.rest[1] == 0);
	length = be24_get(&response.data_length);
	length += iscsi_pad((uint32_t)length);
	assert(length <= sizeof(data));
	client_receive(c, data, length);
}

#define NORMAL "InitiatorName=" INITIATOR "\0TargetName=" TARGET
#define OPTIONS                                                                \
	"\0InitialR2T=No\0FirstBurstLength=4096\0MaxBurstLength=8192"          \
	"\0MaxRecvDataSegmentLength=4096\0iSCSIProtocolLevel=2"                \
	"\0MaxOutstandingR2T=2"

static void
login_normal(struct client *c, uint8_t isid)
{
	client_login(c, NORMAL OPTIONS, sizeof(NORMAL OPTIONS), isid);
}

static void
login_digests(struct client *c)
{
	static const char text[] =
	    NORMAL "\0HeaderDigest=CRC32C\0DataDigest=CRC32C" OPTIONS;

	client_login(c, text, sizeof(text), 1);
	c->digests = true;
}

static void
login_discovery(struct client *c)
{
	static const char text[] =
	    "InitiatorName=" INITIATOR "\0SessionType=Discovery";

	client_login(c, text, sizeof(text), 1);
}

/* ---- The stream ---- */

static bool
takes_cmdsn(const struct iscsi_bhs *bhs)
{
	const uint8_t opcode = iscsi_opcode(bhs);

	return opcode < ISCSI_SNACK && opcode != ISCSI_DATA_OUT &&
	       opcode != ISCSI_LOGIN_REQUEST;
}

static size_t
record_send(struct client *c, const uint8_t *data, size_t size)
{
	const unsigned length = load_be16(data + ISCSI_BHS_LENGTH);
	const uint8_t *payload = data + ISCSI_BHS_LENGTH + 2;
	struct iscsi_bhs bhs;
	size_t n = length & (DATA_MAX - 1);

	size -= ISCSI_BHS_LENGTH + 2;
	if (n > size)
		n = size;
	memcpy(&bhs, data, sizeof(bhs));
	if (length & 0x8000) {
		client_send(c, &bhs, sizeof(bhs));
		client_send(c, payload, n);
	} else {
		if (takes_cmdsn(&bhs))
			be32_set(&bhs.number[0], c->cmdsn);
		if (takes_cmdsn(&bhs) && !iscsi_is_immediate(&bhs))
			c->cmdsn++;
		client_pdu(c, &bhs, payload, (uint32_t)n);
	}
	return ISCSI_BHS_LENGTH + 2 + n;
}

static void
records_send(struct client *c, const uint8_t *data, size_t size)
{
	while (size >= ISCSI_BHS_LENGTH + 2) {
		size_t n = record_send(c, data, size);
		data += n;
		size -= n;
	}
	client_send(c, data, size);
}

/* Reads until the server has closed too: then it is through with the input. */
static void
client_finish(struct client *c)
{
	shutdown(c->fd, SHUT_WR);
	while (client_drain(c, 1000))
		continue;
	close(c->fd);
}

/* A session with commands on the LUN that is slow: the first one takes the unit
 * attention, the others execute. */
static void
other_begin(struct client *other)
{
	struct iscsi_bhs read = {.opcode = ISCSI_SCSI_COMMAND,
	    .flags = 0xc0,
	    .lun = {0, 1},
	    .ttt = {{0, 0, 2, 0}},
	    .number = {{{0}}, {{0}}, {{0x28, 0, 0, 0}}},
	    .rest = {[4] = 1}};

	client_connect(other);
	login_normal(other, 1);
	for (uint32_t i = 1; i <= 4; i++) {
		be32_set(&read.itt, i);
		be32_set(&read.number[0], i);
		client_send(other, &read, sizeof(read));
	}
}

static void
client_begin(struct client *c, unsigned mode)
{
	client_connect(c);
	switch (mode) {
	case 1: login_normal(c, 1); break;
	case 2: login_digests(c); break;
	case 3: login_discovery(c); break;
	case 4: login_normal(c, 2); break;
	case 5: login_normal(c, 1); break;
	default: break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client c, other;
	unsigned mode;

	if (size < 1)
		return 0;
	mode = data[0] % 6;
	service_new();
	if (mode >= 4)
		other_begin(&other);
	client_begin(&c, mode);
	if (mode == 0)
		client_send(&c, data + 1, size - 1);
	else
		records_send(&c, data + 1, size - 1);
	client_finish(&c);
	if (mode >= 4)
		client_finish(&other);
	wait_until_quiet();
	return 0;
}
